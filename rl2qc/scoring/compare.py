"""Compare generated sets against one real set: values, differences, and whether metrics agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from rl2qc.core.progress import progress_bar
from rl2qc.core.provenance import versions
from rl2qc.errors import UsageError
from rl2qc.images.sources.base import Patches
from rl2qc.model.quality import QualityModel
from rl2qc.scoring.comparison import Comparison
from rl2qc.scoring.copies import about_copies, copies
from rl2qc.scoring.image_sets import (
    ImageSet,
    about_likelihoods,
    at_one_size,
    check_size,
    drawn,
    measure_sets,
)
from rl2qc.scoring.intervals import narrowing
from rl2qc.scoring.rows import Stack, feature_stack, pixel_stack
from rl2qc.scoring.sample_size import about_sizes
from rl2qc.scoring.settings import ScoreSettings, resamples_of
from rl2qc.scoring.spec import CATALOGUE, chosen_metrics
from rl2qc.scoring.values import Value, full_values
from rl2qc.stats.agreement import RankAgreement, rank_agreement
from rl2qc.stats.difference import Difference, paired_difference
from rl2qc.stats.resampling import bootstrap

__all__ = ["OtherScore", "compare"]

# Means over the generated images, or without bias: their number does not shift them. All others
# are compared at the size of the smallest set.
_OF_ANY_NUMBER = {
    "kid",
    "precision",
    "density",
    "authenticity",
    "mean_log_likelihood_generated",
    "median_log_likelihood_generated",
    "kept_fraction_generated",
}
_Pairs: TypeAlias = dict[tuple[int, int], Difference]


@dataclass(frozen=True)
class OtherScore:
    """A score from elsewhere (Dice of a segmentation, say) to be ranked beside the metrics.

    Attributes
    ----------
    values
        By generator.
    higher_is_better
    per_image
        By generator, image i of all generators belonging together: their mean is the value, and
        differences get intervals.
    groups
        Slide or patient of each of these images.
    """

    values: Mapping[str, float]
    higher_is_better: bool
    per_image: Mapping[str, Sequence[float]] | None = None
    groups: Sequence[str] | None = None


def compare(
    generated: Mapping[str, Patches],
    real: Patches,
    model: QualityModel,
    settings: ScoreSettings | None = None,
    *,
    paired: bool = False,
    agreement: bool = False,
    others: Mapping[str, OtherScore] | None = None,
    progress: bool = False,
) -> Comparison:
    """Compare generated sets: the first with every other, on the same real images.

    Where the sets differ in size, metrics that depend on the number of images are computed on as
    many images of each as the smallest holds, drawn at random.

    Parameters
    ----------
    generated
        Two or more sets by title.
    real, model, settings
        As in `rl2qc.scoring.score.score`.
    paired
        Image i of every generated set belongs together (one seed, scene or source image).
    agreement
        Rank agreement of the metrics for two generators as well; from three on it always is there.
    others
        Scores from elsewhere to be ranked with the metrics, by name.
    progress
        Show bars on stderr.

    Raises
    ------
    UsageError
        For fewer than two sets, sets too small or of another resolution than the model's, paired
        sets of different size, or scores of others that have the name of a metric or lack a
        finite value for a generator.
    ImageError
        Files that are no images or too small.
    """
    settings = ScoreSettings() if settings is None else settings
    others = others or {}
    titles = tuple(generated)
    if len(titles) < 2:
        raise UsageError("a comparison needs at least two generated sets")
    if "real" in titles:
        raise UsageError('a generated set cannot be called "real": rename its folder')
    for name, other in others.items():
        _check_other(name, other, titles)
    sources, warnings = at_one_size({"real": real, **generated}, model, settings)
    for title, source in sources.items():
        check_size(title, source, settings)
    sizes = {title: len(sources[title]) for title in titles}
    smallest = min(sizes.values())
    listed = ", ".join(f"{title} {n}" for title, n in sizes.items())
    if paired and len(set(sizes.values())) > 1:
        raise UsageError(f"paired sets must hold as many images, got {listed}")
    sets, extractor = measure_sets(sources, model, settings, progress=progress)
    ordered = [sets["real"], *(sets[title] for title in titles)]
    names = [
        name
        for name in chosen_metrics(settings.metrics)
        # Rows of the real set alone are the same for all.
        if CATALOGUE[name].above
    ]
    if len(set(sizes.values())) > 1:
        alike = [ordered[0], *(drawn(s, smallest, settings.seed) for s in ordered[1:])]
        free = [name for name in names if name in _OF_ANY_NUMBER]
        bound = [name for name in names if name not in _OF_ANY_NUMBER]
        parts = [(free, ordered), (bound, alike)]
        warnings.append(
            f"the sets differ in size ({listed}): metrics that depend on the number of images are "
            f"of {smallest} images of each, drawn at random"
        )
    else:
        parts = [(names, ordered)]
    found: dict[str, tuple[Value, ...]] = {}
    stacks: dict[str, Stack] = {}
    compared: dict[str, Sequence[ImageSet]] = {}
    for some, of_sets in parts:
        if some:
            values_of, stacks_of = _values(some, of_sets, settings)
            found, stacks = found | values_of, stacks | stacks_of
            compared |= dict.fromkeys(some, of_sets)
    for name in [name for name in names if all(math.isnan(v.value) for v in found[name])]:
        warnings.append(f"{name}: {found.pop(name)[0].note}")
    values = {name: tuple(v.value for v in found[name]) for name in names if name in found}
    warnings += about_likelihoods(names, ordered[0])
    for title in titles:
        copied = copies(sets[title], ordered[0])
        warnings += about_copies(sets[title], ordered[0], copied, f"images of {title}")
    warnings += about_sizes(list(values), sets, "floor (rl2qc score)")
    ranked = agreement or len(titles) > 2
    pairs = list(combinations(range(len(titles)), 2))
    if not ranked:
        pairs = pairs[: len(titles) - 1]  # of the first with every other
    differences: dict[str, _Pairs] = {}
    with threadpool_limits(1):  # as in score()
        for name in progress_bar(progress, "resampling", values):
            differences[name], notes = _differences(
                name, found[name], titles, pairs, stacks[name], compared[name], settings, paired
            )
            warnings += notes
    for name, other in others.items():
        differences[name], notes = _other_differences(name, other, titles, pairs, settings)
        warnings += notes
    directions = {name: CATALOGUE[name].higher_is_better for name in values}
    values |= {n: tuple(float(o.values[t]) for t in titles) for n, o in others.items()}
    directions |= {name: other.higher_is_better for name, other in others.items()}
    return Comparison(
        titles,
        values,
        directions,
        {
            name: {titles[j]: d for (i, j), d in by_pair.items() if i == 0}
            for name, by_pair in differences.items()
            if by_pair
        },
        _agreement(values, directions) if ranked else None,
        {
            "n_real": len(ordered[0]),
            "n_generated": sizes,
            "k": settings.k,
            "prdc_k": settings.prdc_k,
            "prdc_convention": settings.prdc_convention,
            "distance": settings.distance,
            "seed": settings.seed,
            "level": settings.level,
            "n_resamples": settings.n_resamples,
            "paired": paired,
            "patch_size": sources["real"].size,
            "mpp": settings.mpp,
            "features": extractor.name,
            "features_identity": extractor.identity,
            "checkpoint": model.name,
            "checkpoint_sha256": model.sha256,
            "versions": versions(),
        },
        tuple(warnings),
        {name: tuple(v.n_generated for v in found[name]) for name in values if name in found},
        {name: _unclear(differences[name], titles, pairs) for name in values if ranked},
    )


def _check_other(name: str, other: OtherScore, titles: Sequence[str]) -> None:
    if name in CATALOGUE:
        raise UsageError(f"{name} is the name of a metric that is computed here: rename the score")
    if missing := [title for title in titles if title not in other.values]:
        raise UsageError(f"{name} has no value for {', '.join(missing)}")
    if odd := [title for title in titles if not math.isfinite(other.values[title])]:
        raise UsageError(f"{name} of {odd[0]} is {other.values[odd[0]]}: a finite number is needed")


def _values(
    names: Sequence[str], sets: Sequence[ImageSet], settings: ScoreSettings
) -> tuple[dict[str, tuple[Value, ...]], dict[str, Stack]]:
    """The metrics called ``names`` of every generated set, and the rows to resample them by."""
    stacks, pixels = _stacks(names, sets, settings)
    per_set = [
        full_values(
            tuple(names),
            sets[0],
            generated,
            settings,
            None if pixels is None else (pixels[0], pixels[i]),
        )
        for i, generated in enumerate(sets[1:], start=1)
    ]
    return {name: tuple(found[name] for found in per_set) for name in names}, stacks


def _stacks(
    names: Sequence[str], sets: Sequence[ImageSet], settings: ScoreSettings
) -> tuple[dict[str, Stack], list[NDArray[np.uint8]] | None]:
    stacks: dict[str, Stack] = dict.fromkeys(names, feature_stack(sets, settings))
    of_pixels = [name for name in names if CATALOGUE[name].kind == "pixels"]
    if not of_pixels:
        return stacks, None
    stack, pixels = pixel_stack(sets, settings)
    return stacks | dict.fromkeys(of_pixels, stack), pixels


def _differences(
    name: str,
    values: tuple[Value, ...],
    titles: tuple[str, ...],
    pairs: Sequence[tuple[int, int]],
    stack: Stack,
    sets: Sequence[ImageSet],
    settings: ScoreSettings,
    paired: bool,
) -> tuple[_Pairs, list[str]]:
    """One generator minus another for each of the pairs, and why one is missing."""
    found: _Pairs = {}
    notes: list[str] = []
    if not settings.n_resamples or name not in stack.metrics:
        return found, notes
    for i, j in pairs:
        a, b = values[i], values[j]
        if math.isnan(a.value) or math.isnan(b.value):
            continue
        try:
            difference = paired_difference(
                stack.metrics[name],
                stack.rows[0],
                stack.rows[1 + i],
                stack.rows[1 + j],
                method=CATALOGUE[name].method,
                paired=paired,
                real_groups=stack.groups[0],
                groups_a=stack.groups[1 + i],
                groups_b=None if paired else stack.groups[1 + j],
                n_resamples=resamples_of(name, settings),
                level=settings.level,
                bounds=CATALOGUE[name].bounds,
                seed=settings.seed,
            )
        except ValueError as error:
            notes.append(f"{name}: no difference of {titles[i]} from {titles[j]}: {error}")
            continue
        sizes = [0] * len(sets)
        sizes[0], sizes[1 + i], sizes[1 + j] = a.n_real, a.n_generated, b.n_generated
        narrowed = narrowing(sizes, stack, sets)
        found[i, j] = _of_whole_sets(difference, a.value, b.value, narrowed, CATALOGUE[name].bounds)
    return found, notes


def _other_differences(
    name: str,
    other: OtherScore,
    titles: tuple[str, ...],
    pairs: Sequence[tuple[int, int]],
    settings: ScoreSettings,
) -> tuple[_Pairs, list[str]]:
    """The same of a score from elsewhere whose values of single images are known."""
    found: _Pairs = {}
    if other.per_image is None or not settings.n_resamples:
        return found, []
    for i, j in pairs:
        a, b = titles[i], titles[j]
        try:
            interval_found = bootstrap(
                np.mean,
                np.subtract(other.per_image[a], other.per_image[b]),
                groups=None if other.groups is None else [other.groups],
                n_resamples=settings.n_resamples,
                level=settings.level,
                seed=settings.seed,
            )
        except ValueError as error:
            return found, [f"{name}: no differences: {error}"]
        found[i, j] = Difference(
            interval_found.value,
            interval_found.low,
            interval_found.high,
            other.values[a],
            other.values[b],
            interval_found.level,
            interval_found.n_resamples,
            interval_found.method,
            interval_found.by_group,
        )
    return found, []


def _unclear(
    differences: _Pairs, titles: tuple[str, ...], pairs: Sequence[tuple[int, int]]
) -> tuple[tuple[str, str], ...] | None:
    """Pairs of generators in an order that may be chance; None where nothing is known of it."""
    if not differences:
        return None
    return tuple(
        (titles[i], titles[j])
        for i, j in pairs
        if (i, j) not in differences or not differences[i, j].significant
    )


def _of_whole_sets(
    difference: Difference,
    value_a: float,
    value_b: float,
    narrowed: float,
    bounds: tuple[float, float],
) -> Difference:
    """The interval around the difference of the full values, where resamples make do with less."""
    value, furthest = value_a - value_b, bounds[1] - bounds[0]
    return replace(
        difference,
        value=value,
        low=max(value + narrowed * (difference.low - difference.value), -furthest),
        high=min(value + narrowed * (difference.high - difference.value), furthest),
        value_a=value_a,
        value_b=value_b,
        warnings=(),
    )


def _agreement(
    values: Mapping[str, tuple[float, ...]], directions: Mapping[str, bool | None]
) -> RankAgreement | None:
    table, oriented = {}, {}
    for name, row in values.items():
        direction = directions[name]
        # One value for all generators orders none of them.
        if direction is not None and all(map(math.isfinite, row)) and len(set(row)) > 1:
            table[name], oriented[name] = row, direction
    return rank_agreement(table, oriented) if table else None
