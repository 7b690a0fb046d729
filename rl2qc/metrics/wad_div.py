"""WAD-Div: diversity as the Wasserstein distance of nearest-neighbour distances to a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, TypedDict, Unpack, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy
from scipy.stats import wasserstein_distance

from rl2qc.core.renamed import OldNames, renamed
from rl2qc.metrics.matrices import Matrices, Rows
from rl2qc.metrics.neighbors import Backend, Distance, kneighbors
from rl2qc.stats._checks import FloatArray, as_feature_pair, as_features, check_k

__all__ = [
    "WadDivResult",
    "wad_div",
    "wad_div_against_real_of_rows",
    "wad_div_of_rows",
]

Method: TypeAlias = Literal["closed", "sampled"]
_Floats: TypeAlias = NDArray[np.float64]

# The exponential law that is fitted by default: probability, percentile, how it is compared.
_LAW: tuple[float, float, Method] = (0.95, 95.0, "closed")
# The published sampling draws this many values of the exponential reference.
_SAMPLES = 10_000
# Below this many images of the larger set the scale is the mean over several draws of them: of
# 16 real tiles a single draw may be all of one kind.
_DRAWN = 256
# W_norm(W_max) of the paper's saturating normalisation.
_SATURATION = 0.99


class WadDivOptions(TypedDict, total=False):
    """Keywords of the exponential reference, of the scale and of the neighbour search."""

    method: Method
    ref_prob: float
    ref_percentile: float
    w_max: float
    memory_mb: float
    backend: Backend


@dataclass(frozen=True)
class WadDivResult(OldNames):
    """WAD-Div and how it was computed.

    Parameters
    ----------
    value : float
        Wasserstein-1 distance to the reference, in feature units.
    zero : float
        Mean nearest-neighbour distance of the set: its distance to the zero reference.
    zero_reference : float or None
        The same of the reference features, "W_max"; or ``w_max`` where that was given.
    ratio : float or None
        ``zero / zero_reference``, unclipped: above 1 the set is more dispersed than the real one.
    normalized : float or None
        The ratio clipped to [0, 1] (the authors' ``linear``).
    paper : float or None
        ``W / (W + s)`` with ``s = W_max (1 - t) / t`` and t = 0.99, the paper's own formula. It
        saturates: at a ratio of 0.03 it is 0.73 already.
    reference : str
        ``"zero"``, ``"exponential"`` or ``"empirical"``.
    method : str
        ``"closed"``, or ``"sampled"`` for an exponential reference drawn as the authors do.
    distance : str
    k : int
    n, n_reference : int
        Images that the distances were computed on; below the number given where the larger of
        two sets was subsampled. ``n_reference`` is 0 without reference features.
    n_draws : int
        Subsamples that the larger of the two sets was drawn in.
    """

    old_names: ClassVar[Mapping[str, str]] = {"metric": "distance"}

    value: float
    zero: float
    zero_reference: float | None
    ratio: float | None
    normalized: float | None
    paper: float | None
    reference: str
    method: str
    distance: str
    k: int
    n: int
    n_reference: int
    n_draws: int = 1

    def __float__(self) -> float:
        return self.value


@renamed(metric="distance")
def wad_div(
    features: ArrayLike,
    reference: ArrayLike | Literal["zero", "exponential"] = "zero",
    k: int = 3,
    *,
    distance: Distance = "euclidean",
    matched_n: bool = True,
    seed: int = 42,
    rng: np.random.Generator | None = None,
    **options: Unpack[WadDivOptions],
) -> WadDivResult:
    r"""Wasserstein distance diversity of a set of features.

    The distances of every image to its ``k`` nearest others (n k values) are compared with

    - ``"zero"``: a collapsed set; the distance is the mean of the values;
    - ``"exponential"``: the exponential law with probability ``ref_prob`` below their
      ``ref_percentile``-th percentile, integrated exactly:
      :math:`\int_0^1 |F_{obs}^{-1}(p) + \ln(1 - p) / \lambda| \, dp`;
    - an array of real features: the same values of that set. Only then are the normalised scores
      given.

    Parameters
    ----------
    features : array_like, shape (n, d)
        One row an image, n > k.
    reference : {"zero", "exponential"} or array_like, shape (m, d)
    k : int
        Neighbours of each image.
    distance : {"euclidean", "cosine"}
    matched_n : bool
        Subsample the larger of ``features`` and reference features to the size of the other.
        Neighbours draw nearer as a set grows (in 8 dimensions the distances of 100 images are 1.6
        times those of 4,000), so sets of different size differ in WAD-Div though they are equally
        diverse. Few images are drawn several times, until they are 256 together: the distances of
        all draws are compared, so that no single draw sets the scale.
    seed : int
        Of the sampled reference, and of the subsampling where no ``rng`` is given.
    rng : numpy.random.Generator, optional
        Draws the subsample.
    method : {"closed", "sampled"}, optional
        ``"sampled"`` draws the exponential reference as the authors' code does (10,000 values of
        NumPy's legacy generator seeded with ``seed``), to reproduce published values.
    ref_prob, ref_percentile : float, optional
        What the exponential law is fitted to: a probability in (0, 1), a percentile in [0, 100];
        0.95 and 95 by default.
    w_max : float, optional
        The scale of the normalised scores in place of the reference's own: WAD-Div of another
        reference (its ``zero_reference``, or ``wad_div(other).value``), as one that is fitted once
        and applied to many sets. It depends on the number of images, which should be the same.
    memory_mb, backend : optional
        Passed to :func:`rl2qc.metrics.neighbors.kneighbors`.

    Raises
    ------
    ValueError
        If a set is no finite 2-D array, has fewer than two or no more than ``k`` images, or an
        option is out of range.

    Notes
    -----
    Without any spread in the reference (``zero_reference`` = 0) the normalised scores are
    undefined and given as None. As in the authors' code the exponential rate is kept within
    [1e-12, 1e6], and the reference of a set whose percentile is 0 is all zeros.

    References
    ----------
    Seyfarth et al., "WAD-Div: Wasserstein distance diversity for medical image generation",
    BVM 2026.

    Examples
    --------
    >>> line = [[0.0], [1.0], [2.0], [3.0]]
    >>> float(wad_div(line, k=1))
    1.0
    >>> round(float(wad_div(line, "exponential", k=1)), 4)
    0.6996
    >>> wad_div([[0.0], [0.5], [1.0], [1.5]], line, k=1).normalized
    0.5
    """
    law, w_max, search = _split_options(options)

    def distances(x: FloatArray) -> _Floats:
        return kneighbors(x, x, k, exclude_self=True, distance=distance, **search).distances.ravel()

    n_reference, n_draws, zero_reference = 0, 1, w_max
    if not isinstance(reference, str):
        kind = "empirical"
        x, real = as_feature_pair(features, reference, ("features", "reference"))
        check_k(k, len(x), "features")
        check_k(k, len(real), "the reference")
        rng = np.random.default_rng(seed) if rng is None else rng
        size = min(len(x), len(real))
        of_both = [_drawn(len(part), size if matched_n else len(part), rng) for part in (x, real)]
        observed, expected = (
            np.concatenate([distances(part[rows]) for rows in draws])
            for part, draws in zip((x, real), of_both, strict=True)
        )
        n_draws = max(map(len, of_both))
        x, n_reference = x[of_both[0][0]], len(of_both[1][0])
        zero_reference = float(expected.mean()) if w_max is None else w_max
        value = _wasserstein(observed, expected)
    elif reference in ("zero", "exponential"):
        kind = reference
        x = as_features(features)
        check_k(k, len(x))
        observed = distances(x)
        zero_law = kind == "zero"
        value = float(observed.mean()) if zero_law else _to_exponential(observed, *law, seed)
    else:
        raise ValueError(
            f"reference must be 'zero', 'exponential' or an array of features, got {reference!r}"
        )

    zero = float(observed.mean())
    ratio = zero / zero_reference if zero_reference else None
    return WadDivResult(
        value=value,
        zero=zero,
        zero_reference=zero_reference,
        ratio=ratio,
        normalized=None if ratio is None else min(ratio, 1.0),
        paper=None if ratio is None else ratio / (ratio + (1 - _SATURATION) / _SATURATION),
        reference=kind,
        method=law[2] if kind == "exponential" else "closed",
        distance=distance,
        k=k,
        n=len(x),
        n_reference=n_reference,
        n_draws=n_draws,
    )


def wad_div_of_rows(matrices: Matrices, generated: Rows, k: int = 3) -> dict[str, float]:
    """``wad_div_zero`` and ``wad_div_exponential`` of rows of the matrices.

    Raises
    ------
    ValueError
        For no more than ``k`` rows.
    """
    check_k(k, len(generated), "generated")
    own = matrices.spacing(generated, k).ravel()
    return {
        "wad_div_zero": float(own.mean()),
        "wad_div_exponential": _to_exponential(own, *_LAW, 0),
    }


def wad_div_against_real_of_rows(
    matrices: Matrices, real: Rows, generated: Rows, k: int = 3, *, w_max: float | None = None
) -> dict[str, float]:
    """``wad_div_empirical``, ``_ratio`` and ``_normalized`` of rows of the matrices.

    The latter two are left out for real rows without any spread, unless their scale ``w_max`` is
    given as in :func:`wad_div`.

    Raises
    ------
    ValueError
        For a set of no more than ``k`` rows.
    """
    check_k(k, len(generated), "generated")
    check_k(k, len(real), "real")
    # The same draws as in wad_div.
    rng, size = np.random.default_rng(matrices.seed), min(len(real), len(generated))
    drawn = [
        np.concatenate(
            [matrices.spacing(rows[at], k).ravel() for at in _drawn(len(rows), size, rng)]
        )
        for rows in (generated, real)
    ]
    values = {"wad_div_empirical": _wasserstein(*drawn)}
    if scale := float(drawn[1].mean()) if w_max is None else w_max:
        values["wad_div_ratio"] = float(drawn[0].mean()) / scale
        values["wad_div_normalized"] = min(values["wad_div_ratio"], 1.0)
    return values


def _split_options(
    options: WadDivOptions,
) -> tuple[tuple[float, float, Method], float | None, dict[str, Any]]:
    """The exponential law's probability, percentile and method; the scale; the search."""
    search: dict[str, Any] = dict(options)
    w_max = search.pop("w_max", None)
    if w_max is not None and not 0 < w_max < np.inf:
        raise ValueError(f"w_max must be above 0 and finite, got {w_max!r}")
    known = zip(("ref_prob", "ref_percentile", "method"), _LAW, strict=True)
    probability, percentile, method = (search.pop(name, default) for name, default in known)
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {get_args(Method)}, got {method!r}")
    return (probability, percentile, method), w_max, search


def _drawn(n: int, size: int, rng: np.random.Generator) -> list[Rows]:
    """Draws of ``size`` of ``n`` rows, each without replacement: that would make duplicates."""
    if size == n:
        return [np.arange(n)]
    return [np.sort(rng.choice(n, size, replace=False)) for _ in range(max(1, -(-_DRAWN // size)))]


def _wasserstein(a: _Floats, b: _Floats) -> float:
    """W1 of two samples; of equal size it is the mean difference of their order statistics."""
    if len(a) == len(b):
        return float(np.abs(np.sort(a) - np.sort(b)).mean())
    return float(wasserstein_distance(a, b))


def _to_exponential(
    observed: _Floats, ref_prob: float, ref_percentile: float, method: Method, seed: int
) -> float:
    """W1 between the observed distances and the exponential law fitted to them."""
    if not 0 < ref_prob < 1:
        raise ValueError(f"ref_prob must be in (0, 1), got {ref_prob!r}")
    if not 0 <= ref_percentile <= 100:
        raise ValueError(f"ref_percentile must be in [0, 100], got {ref_percentile!r}")
    percentile = float(np.percentile(observed, ref_percentile))
    if percentile <= 0:
        return float(observed.mean())
    rate = float(np.clip(-np.log1p(-ref_prob) / percentile, 1e-12, 1e6))
    if method == "sampled":
        legacy = np.random.RandomState(seed)
        return float(wasserstein_distance(observed, legacy.exponential(1 / rate, _SAMPLES)))

    # In units of 1 / rate and with u = 1 - p, the reference quantile is -ln u and the observed one
    # a step t on each [u_next, u]. h(u) = u ln u - u + t u is an antiderivative (in p) of their
    # difference, which changes sign where -ln u = t.
    n = len(observed)
    t = np.sort(observed) * rate
    edges = np.arange(n, -1, -1) / n
    upper, lower = edges[:-1], edges[1:]
    crossing = np.clip(np.exp(-t), lower, upper)

    def h(u: _Floats) -> _Floats:
        return np.asarray(xlogy(u, u) - u + t * u)

    return float(np.sum(h(upper) + h(lower) - 2 * h(crossing)) / rate)
