"""Authenticity, and how many images are nearer to training images than to unseen ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics.authenticity import (
    authentic_images,
    authenticity,
    authenticity_of_rows,
    nearer_train_of_rows,
    nearer_train_shuffled,
)
from rl2qc.metrics.neighbors import Distance, kneighbors
from rl2qc.scoring.baselines import Found, found_among
from rl2qc.scoring.spec import SHARE, Alarm, MetricSpec, Value, register_metric

if TYPE_CHECKING:
    from rl2qc.metrics.matrices import Matrices, Rows
    from rl2qc.scoring.baselines import Baselines
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.results import MetricResult
    from rl2qc.scoring.rows import Resampled
    from rl2qc.scoring.settings import ScoreSettings

_Bools: TypeAlias = NDArray[np.bool_]

# Neighbours among which one of another slide is sought.
_REACH = 64


def _authenticity(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Any:
    unseen = real.unseen
    result = authenticity(
        real.features,
        generated.features,
        None if unseen is None else unseen.features,
        distance=settings.distance,
        rng=np.random.default_rng(settings.seed),
    )
    if result.nearer_train is None:
        note = "the real set taken as the training set; the baseline is what new real images score"
        return {"authenticity": Value(result.value, note)}
    note = f"{len(real)} images of either"
    if result.n_unseen < len(real):
        note = (
            f"of the {len(real)} real images {result.n_unseen} are looked at, as many as are "
            "unseen: copies of others show in authenticity"
        )
    return {
        "authenticity": Value(
            result.value, f"{result.n_unseen} unseen images score {result.unseen_value:.4g}"
        ),
        "nearer_train": Value(
            result.nearer_train,
            f"0.5 where nothing is memorised, baseline from shuffling both; {note}",
        ),
    }


def _authenticity_of_rows(
    matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings
) -> float:
    return authenticity_of_rows(matrices, real, generated)


def _nearer_train_of_rows(
    matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings
) -> float:
    return nearer_train_of_rows(matrices, real, generated)


def _copied(result: MetricResult, n_copies: int) -> str | None:
    if not n_copies:
        return None
    return Alarm(f"copies: {n_copies} of {result.n_generated} generated images equal a real one")


def leave_one_out(metric: Resampled, value: Value, baselines: Baselines) -> Found | None:
    """What new real images score against the whole real set.

    Without unseen images every real image (or slide) in turn is new to all others. Halves of the
    real set, as other baselines have them, would put half of the originals of copies aside.

    The values are bootstraps of as many images (or slides) as were generated. They hold the
    sampling error of the new images as well, and without unseen ones that of the real set once
    more: what generated images score depends on the real set that they are measured by.

    Raises
    ------
    ValueError
        For too few real images to leave one (or a slide) out.
    """
    (real, generated), settings = metric.sets, metric.settings
    if not settings.n_resamples:
        return None
    if real.unseen is None:
        groups, errors = real.groups, 2
        authentic = each_left_out(real.features, groups, settings.distance)
    else:
        groups, errors = real.unseen.groups, 1
        authentic = authentic_images(
            real.features, real.unseen.features, distance=settings.distance
        )
    _, member = np.unique(
        np.arange(len(authentic)) if groups is None else groups, return_inverse=True
    )
    hits, images = np.bincount(member, authentic), np.bincount(member)
    rng = np.random.default_rng(settings.seed)

    def drawn(units: Rows, size: int) -> Rows:
        return units[rng.integers(len(units), size=size)]

    def share(units: Rows) -> float:
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
    return found_among(
        values,
        value.value,
        sizes=(len(real), len(generated)),
        level=settings.level,
        by_group=groups is not None,
    )


def shuffled(metric: Resampled, value: Value, baselines: Baselines) -> Found | None:
    """Real and unseen images shuffled: halves of the real set would hide half of the copies."""
    if not metric.n_resamples:
        return None
    (real, generated), matrices = metric.rows, metric.stack.matrices(metric.spec)
    values = nearer_train_shuffled(matrices, real, generated, metric.n_resamples)
    return found_among(
        values,
        nearer_train_of_rows(matrices, real, generated),
        sizes=(len(real), len(generated)),
        level=metric.settings.level,
        by_group=metric.groups[0] is not None,
    )


def each_left_out(
    x: NDArray[np.float32], groups: NDArray[np.str_] | None, distance: Distance
) -> _Bools:
    """Whether every image is authentic beside all others, or those of other slides.

    Raises
    ------
    ValueError
        For fewer than two images beside any one of them, or any one slide.
    """
    _, member, sizes = np.unique(
        np.arange(len(x)) if groups is None else groups, return_inverse=True, return_counts=True
    )
    if len(x) - sizes.max() < 2:
        raise ValueError("needs at least 2 real images beside any one of them, or any one slide")
    # One search serves all slides: the first neighbour of an image that is of another slide, and
    # that one's own first neighbour of yet another image.
    reach = min(_REACH, sizes.max() + 1, len(x) - 1)
    near = kneighbors(x, x, reach, exclude_self=True, distance=distance)
    rows = np.arange(len(x))

    def first_outside(of: Rows) -> tuple[Rows, _Bools]:
        """Which neighbour of the rows ``of`` is the first outside the slide of each image."""
        outside = member[near.indices[of]] != member[:, None]
        return outside.argmax(axis=1), outside.any(axis=1)

    first, known = first_outside(rows)
    nearest = near.indices[rows, first]
    second, known_too = first_outside(nearest)
    found = np.asarray(near.distances[rows, first] > near.distances[nearest, second])
    # In slides of many similar images the search did not get out.
    unknown = ~(known & known_too)
    for slide in np.unique(member[unknown]):
        inside = member == slide
        found[inside] = authentic_images(x[~inside], x[inside], distance=distance)
    return found


register_metric(
    MetricSpec(
        name="authenticity",
        cite=("alaa2022faithful",),
        order=90,
        needs="features",
        higher_is_better=True,
        meaning="share of generated images that are no near-duplicates",
        below="nearer to single real images than new real ones are: copies?",
        above="no sign of copies; new real images lie nearer",
        copies="below",
        question="Memorisation",
        recommended=True,
        compute=_authenticity,
        rows=_authenticity_of_rows,
        bounds=SHARE,
        enough=100,
        depends_on_n=False,
        baseline=leave_one_out,
        verdict=_copied,
    )
)
register_metric(
    MetricSpec(
        name="nearer_train",
        cite=("meehan2020copying",),
        order=91,
        needs=("features", "unseen"),
        higher_is_better=False,
        meaning="share nearer to the real (training) set than to unseen images",
        below="nearer to the unseen images than chance has it",
        above="nearer to the real set than chance has it: copies?",
        copies="above",
        question="Memorisation",
        recommended=True,
        compute=_authenticity,
        rows=_nearer_train_of_rows,
        tolerance=0.2,  # of the larger set a part is drawn
        bounds=SHARE,
        enough=100,
        baseline=shuffled,
        shown="with unseen",
    )
)
