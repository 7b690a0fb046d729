"""FID of real images against real ones as a share of the observed FID (r_FID)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from rl2qc.core.renamed import OldNames
from rl2qc.metrics.frechet import fid, fid_of_rows, rank_warnings
from rl2qc.metrics.matrices import Matrices, Rows, halves
from rl2qc.stats._checks import as_count, as_feature_pair, as_features
from rl2qc.stats.baseline import real_baseline

__all__ = ["RFidResult", "r_fid", "r_fid_of_rows"]


@dataclass(frozen=True)
class RFidResult(OldNames):
    """The real-against-real distance as a share of the observed one.

    Parameters
    ----------
    value : float
        ``baseline / observed``: about 1 (either way, the more so the fewer dimensions) for a set
        that differs from the real one no more than parts of it do, towards 0 for worse ones.
        Higher is better.
    baseline, observed : float
        Median FID real-against-real and real-against-generated over the splits, same sizes.
    n_real, n_generated : int
        Sizes of the two sides of a split.
    n_splits : int
    warnings : tuple of str
    """

    old_names: ClassVar[Mapping[str, str]] = {"floor": "baseline"}

    value: float
    baseline: float
    observed: float
    n_real: int
    n_generated: int
    n_splits: int
    warnings: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.value


def r_fid(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    n_splits: int = 50,
    real_groups: ArrayLike | None = None,
    generated_groups: ArrayLike | None = None,
    seed: int | np.random.Generator = 0,
) -> RFidResult:
    r"""Real-against-real FID divided by real-against-generated FID, at the same sizes.

    .. math:: r_{FID} = 1 - (FID_{rs} - FID_{rr}) / FID_{rs} = FID_{rr} / FID_{rs}

    Each split puts as many real images aside as can stand for generated ones (at most half of
    them) and compares both these and as many generated images with the real images left.

    Parameters
    ----------
    real, generated : array_like, shape (n, d)
        At least 4 real and 2 generated images.
    n_splits : int
        Seeded splits, over which medians are taken: of 10 the ratio still varies by a tenth and
        more between seeds.
    real_groups, generated_groups : array_like, shape (n,), optional
        Slide or patient of each image: a split then never cuts a group in two.
    seed : int or numpy Generator

    Returns
    -------
    RFidResult
        Two distances of exactly 0 give 1; one of real images above an observed 0 gives infinity.

    Raises
    ------
    ValueError
        As :func:`~rl2qc.metrics.frechet.fid`, or for fewer images than above.

    References
    ----------
    Osuala et al., "medigan: a Python library of pretrained generative models for medical image
    synthesis", Journal of Medical Imaging 2023.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> r_fid(rng.normal(size=(400, 2)), rng.normal(1, 1, size=(200, 2))).value < 0.1
    True
    """
    x, y = as_feature_pair(real, generated, min_rows=2)
    as_features(x, "real", min_rows=4)
    as_count(n_splits, "n_splits")
    found = real_baseline(
        lambda a, b: fid(a, b).value,
        x,
        y,
        n_resamples=n_splits,
        real_groups=real_groups,
        generated_groups=generated_groups,
        seed=seed,
    )
    if found.observed > 0:
        value = found.value / found.observed
    else:
        value = 1.0 if found.value == 0 else float("inf")
    smallest = min(found.n_real, found.n_generated)
    return RFidResult(
        value,
        found.value,
        found.observed,
        found.n_real,
        found.n_generated,
        n_splits,
        rank_warnings(smallest, x.shape[1]),
    )


def r_fid_of_rows(matrices: Matrices, real: Rows, generated: Rows) -> float:
    """The ratio for one halving of the real rows.

    Raises
    ------
    ValueError
        The generated images equal the real ones, or the real rows cannot be halved.
    """
    rest, aside = halves(real, matrices.groups, matrices.seed)
    size = min(len(aside), len(generated))
    observed = fid_of_rows(matrices, rest, generated[:size])
    if observed == 0:
        raise ValueError("undefined: the generated images equal the real ones")
    return fid_of_rows(matrices, rest, aside[:size]) / observed
