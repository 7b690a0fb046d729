"""Generated images that are copies of real ones: which, and what authenticity new images have."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics.authenticity import authentic_images
from rl2qc.metrics.neighbors import Metric, kneighbors
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.stats.baseline import Null

__all__ = ["about_copies", "about_held_out", "authenticity_null", "copies"]

_Floats: TypeAlias = NDArray[np.float64]
_Rows: TypeAlias = NDArray[np.intp]

# Relative distance of features of one image that were computed in different batches.
_SAME = 1e-5
# Neighbours among which one of another slide is sought.
_REACH = 64


def copies(judged: ImageSet, real: ImageSet) -> tuple[_Rows, _Rows]:
    """Images whose features equal those of a real image, and which one that is.

    Every image of both sets is looked at; without features nothing is found.

    Returns
    -------
    (c,) intp, (c,) intp
        Image numbers in ``judged`` and in ``real``.
    """
    x, y = judged.features, real.features
    if x is None or y is None:
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    nearest = kneighbors(x, y, 1)
    same = np.flatnonzero(nearest.distances[:, 0] <= _SAME * np.linalg.norm(x, axis=1))
    return same, nearest.indices[same, 0]


def about_copies(
    generated: ImageSet,
    real: ImageSet,
    found: tuple[_Rows, _Rows],
    called: str = "generated images",
) -> list[str]:
    """A warning of the `copies` that were found, with an example."""
    same, of = found
    if not len(same):
        return []
    example = f"{generated.source.names[int(same[0])]} equals {real.source.names[int(of[0])]}"
    return [
        f"{len(same)} of {len(generated)} {called} equal a real image ({example}): "
        "copies score like real images, so look at authenticity first"
    ]


def about_held_out(real: ImageSet, held_out: ImageSet | None) -> list[str]:
    """A warning if held-out images are in the real set as well."""
    common = 0 if held_out is None else len(copies(held_out, real)[0])
    if held_out is None or not common:
        return []
    return [
        f"{common} of {len(held_out)} held-out images are in the real set as well: authenticity "
        "and the adjusted IRS need images that the generator has not seen"
    ]


def authenticity_null(
    real: ImageSet,
    generated: ImageSet,
    held_out: ImageSet | None,
    observed: float,
    settings: ScoreSettings,
) -> tuple[Null, _Floats]:
    """What new real images score against the whole real set, and where ``observed`` stands.

    Without held-out images every real image (or slide) in turn is new to all others. Halves of
    the real set, as other floors have them, would put half of the originals of copies aside.

    The values are bootstraps of as many images (or slides) as were generated. They hold the
    sampling error of the new images as well, and without held-out ones that of the real set once
    more: what generated images score depends on the real set that they are measured by.

    Raises
    ------
    ValueError
        For too few real images to leave one (or a slide) out.
    """
    assert real.features is not None and generated.features is not None
    if held_out is None:
        groups, errors = real.groups, 2
        authentic = _leave_one_out(real.features, groups, settings.distance)
    else:
        assert held_out.features is not None
        groups, errors = held_out.groups, 1
        authentic = authentic_images(real.features, held_out.features, metric=settings.distance)
    _, member = np.unique(np.arange(len(authentic)) if groups is None else groups,
                          return_inverse=True)  # fmt: skip
    hits, images = np.bincount(member, authentic), np.bincount(member)
    rng = np.random.default_rng(settings.seed)

    def drawn(units: _Rows, size: int) -> _Rows:
        return units[rng.integers(len(units), size=size)]

    def share(units: _Rows) -> float:
        return float(hits[units].sum() / images[units].sum())

    values = np.empty(settings.n_resamples)
    for i in range(len(values)):
        units = np.arange(len(hits))
        for _ in range(errors):
            units = drawn(units, len(hits))
        if generated.groups is None:
            values[i] = rng.binomial(len(generated), share(units)) / len(generated)
        else:
            values[i] = share(drawn(units, len(np.unique(generated.groups))))
    tail = (1 - settings.level) / 2
    low, floor, high = (float(q) for q in np.quantile(values, [tail, 0.5, 1 - tail]))
    below = 100 * np.mean((values < observed) + 0.5 * (values == observed))
    null = Null(
        floor=floor,
        low=low,
        high=high,
        percentile=float(below),
        observed=observed,
        n_real=len(real),
        n_generated=len(generated),
        level=settings.level,
        n_resamples=len(values),
        by_group=groups is not None,
    )
    return null, values


def _leave_one_out(
    x: NDArray[np.float32], groups: NDArray[np.str_] | None, distance: Metric
) -> NDArray[np.bool_]:
    """`authentic_images` of every image against all others, or those of other slides."""
    _, member, sizes = np.unique(
        np.arange(len(x)) if groups is None else groups, return_inverse=True, return_counts=True
    )
    if len(x) - sizes.max() < 2:
        raise ValueError("needs at least 2 real images beside any one of them, or any one slide")
    # One search serves all slides: the first neighbour of an image that is of another slide, and
    # that one's own first neighbour of yet another image.
    reach = min(_REACH, sizes.max() + 1, len(x) - 1)
    near = kneighbors(x, x, reach, exclude_self=True, metric=distance)
    rows = np.arange(len(x))

    def first_outside(of: _Rows) -> tuple[_Rows, NDArray[np.bool_]]:
        """Which neighbour of the rows ``of`` is the first outside the slide of each image."""
        outside = member[near.indices[of]] != member[:, None]
        return outside.argmax(axis=1), outside.any(axis=1)

    first, known = first_outside(rows)
    nearest = near.indices[rows, first]
    second, known_too = first_outside(nearest)
    found = np.asarray(near.distances[rows, first] > near.distances[nearest, second])
    # In slides of many images that look alike the search did not get out.
    unknown = ~(known & known_too)
    for slide in np.unique(member[unknown]):
        inside = member == slide
        found[inside] = authentic_images(x[~inside], x[inside], metric=distance)
    return found
