"""Compare generated sets against one real set: values, differences, and whether metrics agree."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from rl2qc.atomic import atomic_path
from rl2qc.errors import UsageError
from rl2qc.images.sources import Patches
from rl2qc.metrics.agreement import RankAgreement, rank_agreement
from rl2qc.metrics.resampling import Difference, paired_difference
from rl2qc.model.quality import QualityModel
from rl2qc.reports.catalogue import CATALOGUE, chosen_metrics
from rl2qc.reports.image_sets import (
    ImageSet,
    ScoreSettings,
    Stack,
    at_one_size,
    check_size,
    feature_stack,
    measure_sets,
    pixel_stack,
)
from rl2qc.reports.sample_size import about_sizes
from rl2qc.reports.scorecard import interval, layout, number
from rl2qc.reports.scoring import resamples_of, versions
from rl2qc.reports.values import full_values

__all__ = ["Comparison", "OtherScore", "compare"]


@dataclass(frozen=True)
class OtherScore:
    """A score from elsewhere (Dice of a segmentation, say) to be ranked beside the metrics.

    Attributes
    ----------
    values
        By generator.
    higher_is_better
    """

    values: Mapping[str, float]
    higher_is_better: bool


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
    """

    generators: tuple[str, ...]
    values: Mapping[str, tuple[float, ...]]
    higher_is_better: Mapping[str, bool | None]
    differences: Mapping[str, Mapping[str, Difference]]
    agreement: RankAgreement | None
    run: Mapping[str, Any]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a value that is not finite becomes None."""
        agreement = None
        if self.agreement is not None:
            agreement = {
                "metrics": list(self.agreement.metrics),
                "ranks": self.agreement.ranks.tolist(),
                "kendall": [_finite(row) for row in self.agreement.kendall.tolist()],
                "spearman": [_finite(row) for row in self.agreement.spearman.tolist()],
            }
        return {
            "generators": list(self.generators),
            "metrics": {
                name: {
                    "higher_is_better": self.higher_is_better[name],
                    "values": _finite(row),
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
        rows = [("metric", "", *self.generators)]
        rows += [
            (name, arrow[self.higher_is_better[name]], *map(number, row))
            for name, row in self.values.items()
        ]
        lines = layout(rows, right=range(2, len(rows[0])))
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
                            _verdict(d, self.higher_is_better[name], first, other),
                        )
                    )
            lines += ["", *layout(table, right=(1, 2))]
        if self.agreement is not None:
            lines += ["", *_agreement_lines(self.agreement, self.generators)]
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
        sets of different size, or scores of others that do not name every generator.
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
        if missing := [title for title in titles if title not in other.values]:
            raise UsageError(f"{name} has no value for {', '.join(missing)}")
    sources, warnings = at_one_size({"real": real, **generated}, model, settings)
    for title, source in sources.items():
        check_size(title, source, settings)
    sizes = {title: len(sources[title]) for title in titles}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{title} {n}" for title, n in sizes.items())
        if paired:
            raise UsageError(f"paired sets must hold as many images, got {listed}")
        warnings.append(
            f"the sets differ in size ({listed}): of metrics that depend on the number of images, "
            "part of a difference is due to that"
        )
    sets, extractor = measure_sets(sources, model, settings, progress=progress)
    ordered = [sets["real"], *(sets[title] for title in titles)]
    names = [
        name
        for name in chosen_metrics(settings.metrics)
        # Rows of the real set alone are the same for all.
        if CATALOGUE[name].above
    ]
    stacks, pixels = _stacks(names, ordered, settings)
    per_set = [
        full_values(
            tuple(names),
            ordered[0],
            generated_set,
            settings,
            None if pixels is None else (pixels[0], pixels[i]),
        )
        for i, generated_set in enumerate(ordered[1:], start=1)
    ]
    values = {name: tuple(found[name].value for found in per_set) for name in names}
    for name in [name for name in names if all(map(math.isnan, values[name]))]:
        warnings.append(f"{name}: {per_set[0][name].note}")
        del values[name]
    warnings += about_sizes(list(values), sets)
    differences: dict[str, dict[str, Difference]] = {}
    with threadpool_limits(1):  # as in score()
        for name in tqdm(values, desc="resampling", disable=not progress, leave=False):
            differences[name], notes = _differences(
                name, values[name], titles, stacks[name], settings, paired
            )
            warnings += notes
    directions = {name: CATALOGUE[name].higher_is_better for name in values}
    values |= {n: tuple(float(o.values[t]) for t in titles) for n, o in others.items()}
    directions |= {name: other.higher_is_better for name, other in others.items()}
    return Comparison(
        titles,
        values,
        directions,
        {name: found for name, found in differences.items() if found},
        _agreement(values, directions) if agreement or len(titles) > 2 else None,
        {
            "n_real": len(ordered[0]),
            "n_generated": sizes,
            "k": settings.k,
            "prdc_k": settings.prdc_k,
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
    )


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
    stack: Stack,
    settings: ScoreSettings,
    paired: bool,
) -> tuple[dict[str, Difference], list[str]]:
    """The first generator minus every other, and why one is missing."""
    found: dict[str, Difference] = {}
    notes: list[str] = []
    if not settings.n_resamples or name not in stack.metrics:
        return found, notes
    for i, title in enumerate(titles[1:], start=1):
        if math.isnan(values[0]) or math.isnan(values[i]):
            continue
        try:
            difference = paired_difference(
                stack.metrics[name],
                stack.rows[0],
                stack.rows[1],
                stack.rows[1 + i],
                method=CATALOGUE[name].method,
                paired=paired,
                real_groups=stack.groups[0],
                groups_a=stack.groups[1],
                groups_b=None if paired else stack.groups[1 + i],
                n_resamples=resamples_of(name, settings),
                level=settings.level,
                seed=settings.seed,
            )
        except ValueError as error:
            notes.append(f"{name}: no difference from {title}: {error}")
            continue
        found[title] = _moved(difference, values[0], values[i])
    return found, notes


def _moved(difference: Difference, value_a: float, value_b: float) -> Difference:
    """The interval around the difference of the full values, where resamples make do with less."""
    value = value_a - value_b
    shift = value - difference.value
    return Difference(
        value,
        difference.low + shift,
        difference.high + shift,
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


def _verdict(difference: Difference, higher_is_better: bool | None, first: str, other: str) -> str:
    if not difference.significant:
        return "no clear difference"
    if higher_is_better is None:
        return f"{first if difference.value > 0 else other} higher"
    return f"{first if (difference.value > 0) == higher_is_better else other} better"


def _agreement_lines(agreement: RankAgreement, generators: tuple[str, ...]) -> list[str]:
    ranks = [("rank (1 is best)", *generators)]
    ranks += [
        (name, *(f"{rank:g}" for rank in row))
        for name, row in zip(agreement.metrics, agreement.ranks, strict=True)
    ]
    count = len(agreement.metrics)
    matrix = [("agreement", *(str(i + 1) for i in range(count)))]
    for i, name in enumerate(agreement.metrics):
        cells = []
        for j in range(count):
            value = (agreement.spearman if j > i else agreement.kendall)[i, j]
            cells.append("." if i == j else "-" if math.isnan(value) else f"{value:+.2f}")
        matrix.append((f"{i + 1} {name}", *cells))
    return [
        *layout(ranks, right=range(1, len(generators) + 1)),
        "",
        *layout(matrix, right=range(1, count + 1)),
        "below the diagonal Kendall's tau, above it Spearman's rho: 1 same order, -1 reversed",
    ]


def _finite(row: Sequence[float]) -> list[float | None]:
    return [float(v) if math.isfinite(v) else None for v in row]
