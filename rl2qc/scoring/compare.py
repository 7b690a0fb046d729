"""Compare generated sets against one real set: values, differences, and whether metrics agree."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from rl2qc.core.progress import Progress
from rl2qc.errors import UsageError
from rl2qc.images.pairs import match_images
from rl2qc.images.sources.base import Patches, as_source
from rl2qc.images.sources.images import PatchSource
from rl2qc.model.quality import DEFAULT_MODEL, QualityModel
from rl2qc.scoring.compare_values import (
    compared_values,
    listed,
    pair_differences,
    value_intervals,
)
from rl2qc.scoring.comparison import Comparison, difference_verdict
from rl2qc.scoring.copies import copies
from rl2qc.scoring.measure import Measured, measure_sets
from rl2qc.scoring.other_scores import (
    Masks,
    OtherScore,
    Pairs,
    other_differences,
    other_scores,
)
from rl2qc.scoring.sample_size import size_warnings
from rl2qc.scoring.settings import CompareSettings, ScoreSettings
from rl2qc.scoring.side_by_side import side_by_side
from rl2qc.scoring.spec import MetricSpec, chosen_metrics
from rl2qc.stats.agreement import RankAgreement, rank_agreement
from rl2qc.stats.difference import Difference

__all__ = ["compare"]


def compare(
    generated: Mapping[str, Patches] | Sequence[str | Path],
    real: Patches,
    model: str | Path | QualityModel = DEFAULT_MODEL,
    settings: ScoreSettings | None = None,
    *,
    others: Mapping[str, OtherScore] | str | Path | None = None,
    masks: Masks | None = None,
    progress: bool | Progress = False,
    **changes: Any,
) -> Comparison:
    """Compare generated sets: the first with every other, on the same real images.

    Where the sets differ in size, metrics that depend on the number of images are computed on as
    many images of each as the smallest holds, drawn at random. From three sets on, it tells how
    far the metrics agree on their ranks.

    Parameters
    ----------
    generated
        Two or more sets by title, or folders, files or globs, which are titled by their names.
    real, model, settings, progress
        As in :func:`~rl2qc.scoring.score.score`.
    others
        Scores from elsewhere to be ranked with the metrics, by name, or a CSV file of them: a
        column ``generator`` and one a score, ``name:lower`` where lower is better.
    masks
        Masks of the source images that were translated, and those of each generated set in their
        order: Dice is then ranked with the metrics.
    **changes
        Single settings: ``k=5``, ``paired=True``.

    Raises
    ------
    UsageError
        For fewer than two sets, sets too small or of another resolution than the model's, paired
        sets of different size or of images that neither names nor numbers pair, or scores of
        others that have the name of a metric or lack a finite value for a generator.
    ImageError
        Files that are no images or too small.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (36, 64, 64, 3), dtype=np.uint8)
    >>> sets = {"a": images[:12], "b": images[12:24] // 2}
    >>> found = compare(sets, images[24:], metrics=["rl2"], n_resamples=0)
    >>> found.values["rl2"][0] < found.values["rl2"][1]
    True
    """
    chosen = CompareSettings.resolve(CompareSettings.of(settings), changes)
    sources = _titled(generated)
    titles = tuple(sources)
    also = other_scores(others, masks, titles, chosen)
    specs = [spec for spec in chosen_metrics(chosen.metrics) if spec.of != "real"]
    sizes = {title: len(source) for title, source in sources.items()}
    if chosen.paired and len(set(sizes.values())) > 1:
        raise UsageError(f"paired sets must hold as many images, got {listed(sizes)}")
    # Before the work: whether it can be told which images belong together.
    pairing = match_images({t: s.names for t, s in sources.items()}) if chosen.paired else {}
    measured = measure_sets({"real": real, **sources}, model, specs, chosen, progress=progress)
    # Behind it: features from elsewhere are in the order of the files.
    ordered = {title: measured.sets[title].take(np.array(rows)) for title, rows in pairing.items()}
    measured = replace(measured, sets={**measured.sets, **ordered})
    found = compared_values(measured, titles, specs, chosen)
    ranked = chosen.agreement or len(titles) > 2
    pairs = list(combinations(range(len(titles)), 2))
    if not ranked:
        pairs = pairs[: len(titles) - 1]  # of the first with every other
    differences, notes = pair_differences(found, titles, pairs, chosen, progress)
    for name, other in also.items():
        differences[name], more = other_differences(name, other, titles, pairs, chosen)
        notes += more
    known = {metric.spec.name: metric.spec for metric in found.metrics}
    values = {name: tuple(v.value for v in found.values[name]) for name in known}
    values |= {n: tuple(float(o.values[t]) for t in titles) for n, o in also.items()}
    directions = {name: spec.higher_is_better for name, spec in known.items()}
    directions |= {name: other.higher_is_better for name, other in also.items()}
    from_first = {
        name: {titles[j]: d for (i, j), d in by_pair.items() if i == 0}
        for name, by_pair in differences.items()
        if by_pair
    }
    real_set = measured.sets["real"]
    warnings = (
        *(warning for other in also.values() for warning in other.warnings),
        *measured.warnings,
        *found.warnings,
        *(w for title in titles for w in _copied(measured, title)),
        *size_warnings([*known.values()], measured.sets, "baseline (rl2qc score)"),
        *notes,
    )
    return Comparison(
        titles,
        values,
        directions,
        from_first,
        _agreement(values, directions) if ranked else None,
        {"n_real": len(real_set), "n_generated": sizes, **measured.provenance},
        warnings,
        {n: tuple(v.n_generated or 0 for v in found.values[n]) for n in known},
        {name: _unclear(differences[name], titles, pairs) for name in values if ranked},
        _verdicts(from_first, titles[0], directions, known),
        side_by_side(measured.by_extractor, titles, specs, chosen),
        value_intervals(found, titles, also),
        {title: measured.sets[title].source for title in ("real", *titles)},
    )


def _verdicts(
    from_first: Mapping[str, Mapping[str, Difference]],
    first: str,
    directions: Mapping[str, bool | None],
    specs: Mapping[str, MetricSpec],
) -> dict[str, dict[str, str]]:
    """What each difference of the first generator from another says."""
    return {
        name: {
            other: difference_verdict(d, (first, other), directions[name], specs.get(name))
            for other, d in by_other.items()
        }
        for name, by_other in from_first.items()
    }


def _titled(generated: Mapping[str, Patches] | Sequence[str | Path]) -> dict[str, PatchSource]:
    """The sets by title: of paths, folder names where they tell the sets apart."""
    if isinstance(generated, Mapping):
        sets = dict(generated)
    elif isinstance(generated, Sequence) and all(isinstance(g, str | Path) for g in generated):
        if isinstance(generated, str):
            generated = [generated]
        places: dict[str, str | Path] = {}
        for item in generated:
            # However it is spelt: a set beside itself would pass for two that agree.
            if (place := os.path.realpath(item)) in places:
                raise UsageError(f"a generated set is named twice: {places[place]} and {item}")
            places[place] = item
        names = [Path(item).name for item in generated]
        tell_apart = len(set(names)) == len(names) and all(names)
        sets = dict(zip(names if tell_apart else map(str, generated), generated, strict=True))
    else:
        raise UsageError("generated sets must be a mapping by title, or paths")
    if len(sets) < 2:
        raise UsageError("a comparison needs at least two generated sets")
    if "real" in sets:
        raise UsageError('a generated set cannot be called "real": rename its folder')
    return {title: as_source(patches) for title, patches in sets.items()}


def _unclear(
    differences: Pairs, titles: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> tuple[tuple[str, str], ...] | None:
    """Pairs of generators in an order that may be chance; None where nothing is known of it."""
    if not differences:
        return None
    return tuple(
        (titles[i], titles[j])
        for i, j in pairs
        if (i, j) not in differences or not differences[i, j].significant
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


def _copied(measured: Measured, title: str) -> tuple[str, ...]:
    return copies(measured.sets[title], measured.sets["real"], f"images of {title}").warnings
