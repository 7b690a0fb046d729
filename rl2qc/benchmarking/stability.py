"""How many images a metric needs: RL2, FID and KID against sample size on the same features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.renamed import OldNames
from rl2qc.metrics.frechet import fid
from rl2qc.metrics.kernel import kid
from rl2qc.metrics.rl2 import rl2

__all__ = ["SIZES", "SizeCurve", "Stability", "sample_sizes", "stability"]

SIZES = (25, 50, 100, 200, 300, 500, 1000)
TITLES = {"rl2": "RL2", "fid": "FID", "kid": "KID"}
# The paper holds that this many images suffice.
_ENOUGH = 300

_Array = NDArray[np.float32]


@dataclass(frozen=True)
class SizeCurve(OldNames):
    """A metric at rising numbers of images, in its own unit: mean and spread over the repeats.

    Attributes
    ----------
    degraded, degraded_std
        Clean images against degraded ones of other patches.
    baseline, baseline_std
        Clean images against other clean ones.
    """

    old_names: ClassVar[Mapping[str, str]] = {"floor": "baseline", "floor_std": "baseline_std"}

    degraded: tuple[float, ...]
    degraded_std: tuple[float, ...]
    baseline: tuple[float, ...]
    baseline_std: tuple[float, ...]


@dataclass(frozen=True)
class Stability:
    """Metrics against sample size.

    Attributes
    ----------
    degradation
        What the degraded images went through, in words.
    n
        Images on either side, rising.
    n_images
        Clean images that the subsets were drawn from.
    n_repeats
        Seeded draws at each size.
    curves
        By metric: rl2, fid, kid.
    """

    degradation: str
    n: tuple[int, ...]
    n_images: int
    n_repeats: int
    curves: Mapping[str, SizeCurve]

    def summary(self) -> str:
        """What the curves show, in a sentence."""
        middle = max((n for n in self.n[:-1] if n <= _ENOUGH), default=self.n[0])
        at = self.n.index(middle)

        def each(value: Callable[[SizeCurve], float]) -> str:
            shares = {TITLES[name]: value(curve) for name, curve in self.curves.items()}
            words = [
                f"{title} {'undefined' if math.isnan(share) else f'{round(100 * share)}%'}"
                for title, share in shares.items()
            ]
            return f"{', '.join(words[:-1])} and {words[-1]}"

        def of_last(value: float, curve: SizeCurve) -> float:
            return value / curve.degraded[-1] if curve.degraded[-1] > 0 else math.nan

        smallest = each(lambda c: of_last(c.degraded[0], c))
        also = each(lambda c: of_last(c.degraded[at], c))
        enough = f", with {middle} {also}" if at else ""
        scatter = each(lambda c: of_last(c.degraded_std[at], c))
        baseline = each(lambda c: of_last(c.baseline[at], c))
        return (
            f"Clean images against {self.degradation}, as a share of the value at {self.n[-1]} "
            f"images a side: with {self.n[0]} images {smallest}{enough}; draws of {middle} "
            f"scatter by {scatter}, and {middle} clean images against as many clean ones "
            f"already give {baseline}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "summary": self.summary()}


def sample_sizes(n_images: int) -> tuple[int, ...]:
    """The sizes of :data:`SIZES` of which two disjoint subsets fit into ``n_images``.

    Examples
    --------
    >>> sample_sizes(400)
    (25, 50, 100, 200)
    """
    return tuple(n for n in SIZES if 2 * n <= n_images)


def stability(
    clean: tuple[_Array, _Array],
    degraded: tuple[_Array, _Array],
    degradation: str,
    *,
    sizes: Sequence[int] | None = None,
    n_repeats: int = 20,
    seed: int = 0,
) -> Stability:
    """Measure RL2, FID and KID between random disjoint subsets of rising size.

    Parameters
    ----------
    clean, degraded
        Features and latents, (n, 512) each, of the same n patches, clean and degraded. Each draw
        takes two disjoint subsets of the patches: clean against clean gives the baseline, clean
        against degraded the value.
    degradation
        Its name.
    sizes
        Images in a subset; :func:`sample_sizes` where left out.
    n_repeats
        Draws at each size.
    seed

    Raises
    ------
    ValueError
        For fewer than two sizes that fit, or sets of different number.

    References
    ----------
    Jeevan et al., "RL2", ISBI 2025, section 4 (300 images suffice); Binkowski et al.,
    "Demystifying MMD GANs", ICLR 2018, section 4 (the bias of FID).

    Examples
    --------
    >>> x, shift = np.random.default_rng(0).normal(size=(200, 4)), np.ones(4)
    >>> found = stability((x, x), (x + shift, x + shift), "a shift of 1", n_repeats=3)
    >>> found.n
    (25, 50, 100)
    """
    n_images = len(clean[0])
    if any(len(a) != n_images for a in (*clean, *degraded)):
        raise ValueError("clean and degraded sets must hold the same patches")
    sizes = sample_sizes(n_images) if sizes is None else tuple(sizes)
    if len(sizes) < 2 or 2 * max(sizes) > n_images:
        raise ValueError(f"{n_images} images do not hold two disjoint subsets at two sizes")
    rng = np.random.default_rng(seed)
    # Size, draw, metric, and whether against degraded images.
    values = np.empty((len(sizes), n_repeats, len(TITLES), 2))
    for row, size in enumerate(sizes):
        for draw in range(n_repeats):
            drawn = rng.permutation(n_images)[: 2 * size]
            ours, theirs = drawn[:size], drawn[size:]
            for column, other in enumerate((clean, degraded)):
                x, y = (clean[0][ours], other[0][theirs])
                values[row, draw, :, column] = (
                    rl2(clean[1][ours], other[1][theirs]).value,
                    fid(x, y).value,
                    # From all pairs of images: subsets would only add noise.
                    kid(x, y, n_subsets=1).unbiased,
                )
    mean, std = values.mean(1), values.std(1, ddof=1 if n_repeats > 1 else 0)
    curves = {
        name: SizeCurve(
            tuple(mean[:, i, 1].tolist()),
            tuple(std[:, i, 1].tolist()),
            tuple(mean[:, i, 0].tolist()),
            tuple(std[:, i, 0].tolist()),
        )
        for i, name in enumerate(TITLES)
    }
    return Stability(degradation, sizes, n_images, n_repeats, curves)
