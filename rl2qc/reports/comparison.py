"""Compare generated sets against one real set: values, differences, and whether metrics agree."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from rl2qc.atomic import atomic_path
from rl2qc.errors import UsageError
from rl2qc.images.sources import Patches
from rl2qc.metrics.agreement import RankAgreement, rank_agreement
from rl2qc.metrics.resampling import Difference, bootstrap, paired_difference
from rl2qc.model.quality import QualityModel
from rl2qc.reports.catalogue import CATALOGUE, chosen_metrics
from rl2qc.reports.image_sets import (
    ImageSet,
    ScoreSettings,
    Stack,
    at_one_size,
    check_size,
    drawn,
    feature_stack,
    measure_sets,
    pixel_stack,
)
from rl2qc.reports.sample_size import about_sizes
from rl2qc.reports.scorecard import interval, layout, number
from rl2qc.reports.scoring import resamples_of, versions
from rl2qc.reports.values import Value, full_values

__all__ = ["SCHEMA_VERSION", "Comparison", "OtherScore", "compare", "schema"]

SCHEMA_VERSION = 1
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
# Noise spreads images as well: more is not better by itself.
_MORE = {"wad_div_zero": "more spread", "wad_div_ratio": "more spread"}
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


@dataclass(frozen=True)
class Comparison:
    """Generated sets side by side.

    Attributes
    ----------
    generators
        Titles; the first is what the others are compared with.
    values
        By metric, in the order of the generators; NaN where not defined.
    higher_is_better
        By metric.
    differences
        By metric and other generator: the first minus the other.
    agreement
        How alike the metrics that tell the generators apart rank them; None for two, unless asked
        for.
    run
        Settings and versions.
    warnings
        Plain sentences.
    n_generated
        By metric, images of each generator behind its value; scores from elsewhere have none.
    unclear
        By metric, the pairs of generators that its intervals do not tell apart; None where there
        are no intervals. Empty without agreement.
    """

    generators: tuple[str, ...]
    values: Mapping[str, tuple[float, ...]]
    higher_is_better: Mapping[str, bool | None]
    differences: Mapping[str, Mapping[str, Difference]]
    agreement: RankAgreement | None
    run: Mapping[str, Any]
    warnings: tuple[str, ...]
    n_generated: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    unclear: Mapping[str, tuple[tuple[str, str], ...] | None] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as the schema in the package describes it (`schema`).

        A value that is not finite becomes None.
        """
        agreement = None
        if self.agreement is not None:
            agreement = {
                "metrics": list(self.agreement.metrics),
                "ranks": self.agreement.ranks.tolist(),
                "kendall": [_finite(row) for row in self.agreement.kendall.tolist()],
                "spearman": [_finite(row) for row in self.agreement.spearman.tolist()],
                "unclear_pairs": [
                    None if (pairs := self.unclear.get(name)) is None else [list(p) for p in pairs]
                    for name in self.agreement.metrics
                ],
            }
        return {
            "schema_version": SCHEMA_VERSION,
            "generators": list(self.generators),
            "metrics": {
                name: {
                    "higher_is_better": self.higher_is_better[name],
                    "values": _finite(row),
                    "n_generated": (
                        list(self.n_generated[name]) if name in self.n_generated else None
                    ),
                    "differences": {
                        other: {**asdict(d), "significant": d.significant}
                        for other, d in self.differences.get(name, {}).items()
                    },
                }
                for name, row in self.values.items()
            },
            "agreement": agreement,
            "run": dict(self.run),
            "warnings": list(self.warnings),
        }

    def to_json(self, path: str | Path) -> None:
        """Write :meth:`to_dict` to ``path``, whole or not at all."""
        with atomic_path(path) as temporary:
            text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")

    def table(self) -> str:
        """Values, then the differences from the first generator, then the agreement of ranks."""
        arrow = {True: "↑", False: "↓", None: ""}
        sizes = {n for counts in self.n_generated.values() for n in counts}
        rows = [("metric", "", *self.generators, *(["images"] if len(sizes) > 1 else []))]
        for name, row in self.values.items():
            counts = set(self.n_generated.get(name, ()))
            cells = ["all" if len(counts) > 1 else "".join(map(str, counts))]
            cells = cells if len(sizes) > 1 else []
            rows.append((name, arrow[self.higher_is_better[name]], *map(number, row), *cells))
        lines = layout(rows, right=range(2, 2 + len(self.generators)))
        first = self.generators[0]
        for other in self.generators[1:]:
            table = [("metric", f"{first} - {other}", "interval", "verdict")]
            for name, found in self.differences.items():
                if other in found:
                    d = found[other]
                    table.append(
                        (
                            name,
                            number(d.value),
                            interval(d.low, d.high),
                            _verdict(name, d, self.higher_is_better[name], first, other),
                        )
                    )
            lines += ["", *layout(table, right=(1, 2))]
        if self.agreement is not None:
            lines += ["", *_agreement_lines(self.agreement, self.generators, self.unclear)]
        lines.append("\n↑ higher, ↓ lower is better")
        return "\n".join(lines)


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
        As in `rl2qc.reports.scoring.score`.
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
    for some, of_sets in parts:
        if some:
            values_of, stacks_of = _values(some, of_sets, settings)
            found, stacks = found | values_of, stacks | stacks_of
    for name in [name for name in names if all(math.isnan(v.value) for v in found[name])]:
        warnings.append(f"{name}: {found.pop(name)[0].note}")
    values = {name: tuple(v.value for v in found[name]) for name in names if name in found}
    warnings += about_sizes(list(values), sets)
    ranked = agreement or len(titles) > 2
    pairs = list(combinations(range(len(titles)), 2))
    if not ranked:
        pairs = pairs[: len(titles) - 1]  # of the first with every other
    differences: dict[str, _Pairs] = {}
    with threadpool_limits(1):  # as in score()
        for name in tqdm(values, desc="resampling", disable=not progress, leave=False):
            differences[name], notes = _differences(
                name, values[name], titles, pairs, stacks[name], settings, paired
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


def schema() -> dict[str, Any]:
    """The JSON Schema of :meth:`Comparison.to_dict`."""
    file = resources.files("rl2qc.reports") / "schemas" / "comparison.schema.json"
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


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
    values: tuple[float, ...],
    titles: tuple[str, ...],
    pairs: Sequence[tuple[int, int]],
    stack: Stack,
    settings: ScoreSettings,
    paired: bool,
) -> tuple[_Pairs, list[str]]:
    """One generator minus another for each of the pairs, and why one is missing."""
    found: _Pairs = {}
    notes: list[str] = []
    if not settings.n_resamples or name not in stack.metrics:
        return found, notes
    for i, j in pairs:
        if math.isnan(values[i]) or math.isnan(values[j]):
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
                seed=settings.seed,
            )
        except ValueError as error:
            notes.append(f"{name}: no difference of {titles[i]} from {titles[j]}: {error}")
            continue
        found[i, j] = _moved(difference, values[i], values[j], CATALOGUE[name].bounds)
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


def _moved(
    difference: Difference, value_a: float, value_b: float, bounds: tuple[float, float]
) -> Difference:
    """The interval around the difference of the full values, where resamples make do with less."""
    value, furthest = value_a - value_b, bounds[1] - bounds[0]
    shift = value - difference.value
    return Difference(
        value,
        max(difference.low + shift, -furthest),
        min(difference.high + shift, furthest),
        value_a,
        value_b,
        difference.level,
        difference.n_resamples,
        difference.method,
        difference.by_group,
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


def _verdict(
    name: str, difference: Difference, higher_is_better: bool | None, first: str, other: str
) -> str:
    if not difference.significant:
        return "no clear difference"
    if higher_is_better is None or name in _MORE:
        return f"{first if difference.value > 0 else other} {_MORE.get(name, 'higher')}"
    return f"{first if (difference.value > 0) == higher_is_better else other} better"


def _agreement_lines(
    agreement: RankAgreement,
    generators: tuple[str, ...],
    unclear: Mapping[str, tuple[tuple[str, str], ...] | None],
) -> list[str]:
    n_pairs = math.comb(len(generators), 2)
    doubtful = {name: None if (p := unclear.get(name)) is None else len(p) for name in unclear}
    ranks = [("rank (1 is best)", *generators, "unclear pairs")]
    for name, row in zip(agreement.metrics, agreement.ranks, strict=True):
        k = doubtful.get(name)
        ranks.append(
            (name, *(f"{rank:g}" for rank in row), "?" if k is None else f"{k} of {n_pairs}")
        )
    count = len(agreement.metrics)
    matrix = [("agreement", *(str(i + 1) for i in range(count)))]
    for i, name in enumerate(agreement.metrics):
        cells = []
        for j in range(count):
            value = (agreement.spearman if j > i else agreement.kendall)[i, j]
            text = "." if i == j else "-" if math.isnan(value) else f"{value:+.2f}"
            chance = n_pairs in (doubtful.get(name), doubtful.get(agreement.metrics[j]))
            cells.append(f"({text})" if chance and i != j else text)
        matrix.append((f"{i + 1} {name}", *cells))
    return [
        *layout(ranks, right=range(1, len(generators) + 2)),
        "",
        *layout(matrix, right=range(1, count + 1)),
        "below the diagonal Kendall's tau, above it Spearman's rho: 1 same order, -1 reversed.",
        f"{len(generators)} generators: unrelated metrics come to +1 or -1 by chance in "
        f"1 of {math.factorial(len(generators)) // 2} cases.",
        "unclear: pairs without a clear difference, whose order may be chance; in brackets where "
        "that is so of all.",
    ]


def _finite(row: Sequence[float]) -> list[float | None]:
    return [float(v) if math.isfinite(v) else None for v in row]
