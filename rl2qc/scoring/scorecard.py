"""What a scoring found: the table, the JSON, the CSV."""

from __future__ import annotations

import csv
import json
import math
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rl2qc.core.files import atomic_path
from rl2qc.core.schemas import load_schema
from rl2qc.core.text import interval, layout, number
from rl2qc.scoring.evidence import Evidence
from rl2qc.scoring.spec import CATALOGUE

__all__ = ["SCHEMA_VERSION", "Curve", "Metric", "Scorecard", "schema"]

SCHEMA_VERSION = 1
_NAN = math.nan
_VERDICT_WIDTH = 36
# Fewer images than this are not told apart by anything, so that like real means nothing.
_FEWEST = 50
# Share of copies from which any score is that of real images in part.
_MANY_COPIES = 0.05
_LEGEND = (
    "↑ higher, ↓ lower is better. value: of all images. at n and floor: of generated and of real "
    "images against real ones at the same numbers of images, so compare these two. null %: share "
    "of real-against-real values below at n (about 50: like real)."
)


@dataclass(frozen=True)
class Metric:
    """One row of a scorecard; NaN (null in JSON) stands for what is not defined.

    Attributes
    ----------
    value
    low, high
        Confidence interval.
    std
        Standard deviation of the parts that the value is the mean of: KID's subsets, the splits
        of the Inception score, the pairs of MS-SSIM.
    floor, floor_low, floor_high
        Median and central range of the metric of real against real images. Of authenticity: of
        held-out images, or of each real one, against the whole real set.
    observed
        The metric of generated images at the numbers of images that the floor has: the value to
        set against the floor, since most metrics depend on those numbers.
    null_percentile
        Share of real-against-real values, in percent, below ``observed``.
    n_real, n_generated
        Images that the value was computed on; 0 for a side that it does not look at.
    null_n_real, null_n_generated
        Images on the two sides of a real-against-real split.
    higher_is_better
        None where neither direction is good in itself.
    meaning
        What it says, in a few plain words.
    verdict
        What the value says about this generated set.
    note
        Why something is not defined, or how it was made.
    method
        How the interval was made; empty without one.
    n_resamples
    """

    value: float
    higher_is_better: bool | None
    meaning: str
    low: float = _NAN
    high: float = _NAN
    std: float = _NAN
    floor: float = _NAN
    floor_low: float = _NAN
    floor_high: float = _NAN
    observed: float = _NAN
    null_percentile: float = _NAN
    n_real: int = 0
    n_generated: int = 0
    null_n_real: int = 0
    null_n_generated: int = 0
    verdict: str = ""
    note: str = ""
    method: str = ""
    n_resamples: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a number that is not finite becomes None."""
        return {key: _plain(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Curve:
    """A metric against the number of images.

    Attributes
    ----------
    n
        Images in the generated set, rising; the real set shrinks in proportion.
    values
        Means over random subsets.
    limit
        The value at infinitely many images, where a law is known (FID in 1/N); NaN otherwise.
    note
        Whether the limit is an estimate.
    """

    n: tuple[int, ...]
    values: tuple[float, ...]
    limit: float = _NAN
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "n": list(self.n),
            "values": [_plain(v) for v in self.values],
            "limit": _plain(self.limit),
            "note": self.note,
        }


@dataclass(frozen=True)
class Scorecard:
    """The scores of one generated set, how they were made, and what to beware of.

    Attributes
    ----------
    metrics
        By name, in the order of the table.
    run
        Inputs, counts, settings, checkpoint hash and versions.
    against_n
        Metrics against the number of images.
    warnings
        Plain sentences.
    evidence
        The arrays behind the numbers, for the page.
    """

    metrics: Mapping[str, Metric]
    run: Mapping[str, Any]
    warnings: tuple[str, ...]
    against_n: Mapping[str, Curve] = field(default_factory=dict)
    evidence: Evidence | None = field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> float:
        return self.metrics[name].value

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as the schema in the package describes it (`schema`)."""
        return {
            "schema_version": SCHEMA_VERSION,
            "metrics": {name: metric.to_dict() for name, metric in self.metrics.items()},
            "against_n": {name: curve.to_dict() for name, curve in self.against_n.items()},
            "run": dict(self.run),
            "warnings": list(self.warnings),
        }

    def to_json(self, path: str | Path) -> None:
        """Write :meth:`to_dict` to ``path``, whole or not at all."""
        with atomic_path(path) as temporary:
            text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")

    def to_csv(self, path: str | Path) -> None:
        """Write one line a metric to ``path``, whole or not at all."""
        rows = [{"metric": n, **m.to_dict()} for n, m in self.metrics.items()]
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def table(self) -> str:
        """A table for the terminal, its notes below it."""
        rows = [("metric", "", "value", "interval", "at n", "floor", "null %", "verdict")]
        for name, m in self.metrics.items():
            # Continued on lines of their own, so that the table keeps to its width.
            first, *more = textwrap.wrap(m.verdict or m.meaning, _VERDICT_WIDTH) or [""]
            rows.append(
                (
                    name,
                    {True: "↑", False: "↓", None: ""}[m.higher_is_better],
                    number(m.value),
                    interval(m.low, m.high),
                    number(m.observed),
                    number(m.floor),
                    "-" if math.isnan(m.null_percentile) else f"{m.null_percentile:.0f}",
                    first,
                )
            )
            rows += [("", "", "", "", "", "", "", line) for line in more]
        lines = [*layout(rows, right=(2, 3, 4, 5, 6)), ""]
        level = f"interval: {self.run.get('level', 0.95):.0%}."
        lines += textwrap.wrap(
            " ".join((_LEGEND, level, *self.about_resamples())), 100, break_on_hyphens=False
        )
        lines += [f"{name}: {m.note}" for name, m in self.metrics.items() if m.note]
        return "\n".join(lines)

    def about_resamples(self) -> list[str]:
        """Sentences on the numbers of images behind floors and intervals."""
        lines = []
        names: dict[tuple[int, int], list[str]] = {}
        for name, m in self.metrics.items():
            if not math.isnan(m.floor):
                names.setdefault((m.null_n_real, m.null_n_generated), []).append(name)
        if names:
            common = max(names, key=lambda sizes: len(names[sizes]))
            parts = [f"{common[0]} real images against {common[1]}"]
            parts += [
                f"{', '.join(found)} {real} against {other}"
                for (real, other), found in names.items()
                if (real, other) != common
            ]
            lines.append(f"Floors: {'; '.join(parts)}.")
        if self.is_capped:
            lines.append(
                f"Floors and intervals draw from at most {self._cap:,.0f} images of a set; "
                "intervals are narrowed to all of them by the root of their number."
            )
        return lines

    @property
    def is_capped(self) -> bool:
        """Whether a set is larger than what is resampled."""
        return any(self.run.get(n, 0) > self._cap for n in ("n_real", "n_generated"))

    @property
    def _cap(self) -> float:
        return float(self.run.get("resampled_images_at_most", math.inf))

    def curve_table(self) -> str:
        """The metrics against the number of images, for the terminal; empty without curves."""
        groups: dict[tuple[int, ...], list[str]] = {}
        for name, curve in self.against_n.items():
            groups.setdefault(curve.n, []).append(name)
        lines: list[str] = []
        for sizes, names in groups.items():
            rows = [("generated images", *map(str, sizes), "infinite")]
            for name in names:
                curve = self.against_n[name]
                rows.append((name, *map(number, curve.values), number(curve.limit)))
            lines += layout(rows, right=range(1, len(sizes) + 2))
        lines += [f"{name}: {c.note}" for name, c in self.against_n.items() if c.note]
        if lines and self.is_capped:
            lines.append(
                f"The curves end at {self._cap:,.0f} images of a set; a limit is of all images."
            )
        return "\n".join(lines)


def schema() -> dict[str, Any]:
    """The JSON Schema of :meth:`Scorecard.to_dict`."""
    return load_schema("scoring", "scorecard")


def verdict(name: str, metric: Metric, n_images: int, n_copies: int = 0) -> str:
    """What a value means, in plain words, from its place among real-against-real values.

    Parameters
    ----------
    name, metric
    n_images
        In the smaller set: a few images are unlike nothing.
    n_copies
        Generated images that equal a real one.
    """
    spec = CATALOGUE[name]
    percentile = metric.null_percentile
    if math.isnan(metric.value):
        return "not computed"
    if name == "authenticity" and n_copies:
        return f"copies: {n_copies} of {metric.n_generated} generated images equal a real one"
    if math.isnan(percentile) or not spec.above:
        return ""
    if name == "kept_fraction_generated" and metric.value == metric.floor == 0:
        # Alike, but in being alien to the model: no praise.
        return "none is kept, nor of the real images"
    if name == "wad_div_normalized" and metric.value == 1:
        # The clipped value cannot tell more.
        return "at least as dispersed as real: see wad_div_ratio"
    if 2.5 <= percentile <= 97.5:
        if n_images < max(spec.enough, _FEWEST):
            return "not told apart from real (few images)"
        if n_copies > _MANY_COPIES * n_images:
            return "like real, to which copies add"
        return "like real"
    words = spec.below if percentile < 50 else spec.above
    if spec.higher_is_better is False and percentile > 50 and metric.floor > 0:
        words += f" ({metric.observed / metric.floor:.1f} x the floor)"
    return words


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
