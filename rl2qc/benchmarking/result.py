"""What a benchmark found: the table, the JSON, the CSV."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.benchmarking.stability import Stability
from rl2qc.core.files import atomic_path
from rl2qc.core.schemas import load_schema
from rl2qc.core.text import layout, number
from rl2qc.stats.auc import AucResult

__all__ = [
    "SCHEMA_VERSION",
    "ArtifactSet",
    "Benchmark",
    "CleanSet",
    "Comparison",
    "Example",
    "LadderResult",
    "schema",
]

SCHEMA_VERSION = 1
_NAN = math.nan


@dataclass(frozen=True)
class CleanSet:
    """The clean images among themselves.

    Attributes
    ----------
    n
    kept
        Share that the filter keeps.
    rl2, rl2_low, rl2_high
        Median and central range of RL2 between random halves: what RL2 gives for no difference.
    wad_div_zero
        Mean distance of an image to its nearest others.
    """

    n: int
    kept: float
    rl2: float
    rl2_low: float
    rl2_high: float
    wad_div_zero: float


@dataclass(frozen=True)
class Comparison:
    """Damaged images against the clean ones; NaN for what was not measured.

    Attributes
    ----------
    n
        Damaged images.
    auc
        Of each score, clean against damaged.
    kept
        Share of the damaged images that the filter keeps.
    rl2, rl2_low, rl2_high
        Distance of the mean latents and its interval.
    wad_div_empirical, wad_div_zero
        Against the neighbour distances of the clean images, and against a collapsed set.
    covered
        Median share of the area that the damage covers.
    """

    n: int
    auc: Mapping[str, AucResult]
    kept: float
    rl2: float = _NAN
    rl2_low: float = _NAN
    rl2_high: float = _NAN
    wad_div_empirical: float = _NAN
    wad_div_zero: float = _NAN
    covered: float = _NAN


@dataclass(frozen=True)
class LadderResult:
    """A ladder, mildest severity first.

    Attributes
    ----------
    title, unit
        What it does, and what a severity measures.
    kind
        "degradation" of the whole image, or a drawn "artifact".
    severities
    rows
        One for each severity.
    spearman
        Rank correlation of RL2 with the steps of the ladder; NaN for fewer than three.
    """

    title: str
    unit: str
    kind: str
    severities: tuple[float, ...]
    rows: tuple[Comparison, ...]
    spearman: float


@dataclass(frozen=True)
class ArtifactSet:
    """Images with real artifacts, or clean ones under pasted cut-outs.

    Attributes
    ----------
    row
    patch_size
        Side at which both sets were compared, px.
    n_cutouts
        Cut-outs that were pasted; 0 for real images.
    """

    row: Comparison
    patch_size: int
    n_cutouts: int = 0


@dataclass(frozen=True)
class Example:
    """A picture for the page.

    Attributes
    ----------
    image : (h, w, 3) uint8
    keep
        Whether the filter keeps it.
    """

    image: NDArray[np.uint8]
    keep: bool


@dataclass(frozen=True)
class Benchmark:
    """How well a model tells clean from damaged images, and how it was measured.

    Attributes
    ----------
    run
        Inputs, counts, settings, checkpoint hash and versions.
    clean
    ladders, cutouts, real
        By name.
    stability
        Metrics against sample size; None where the images are too few.
    warnings
        Plain sentences.
    examples
        Pictures by place: "clean", "ladders/blur", "cutouts/bubble", "real/pen".
    """

    run: Mapping[str, Any]
    clean: CleanSet
    ladders: Mapping[str, LadderResult]
    cutouts: Mapping[str, ArtifactSet] = field(default_factory=dict)
    real: Mapping[str, ArtifactSet] = field(default_factory=dict)
    stability: Stability | None = None
    warnings: tuple[str, ...] = ()
    examples: Mapping[str, tuple[Example, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def rows(self) -> Iterator[tuple[str, str, str, float, Comparison]]:
        """Every comparison with its kind, name, title and severity (NaN for sets)."""
        for name, ladder in self.ladders.items():
            for severity, row in zip(ladder.severities, ladder.rows, strict=True):
                yield ladder.kind, name, ladder.title, severity, row
        for kind, sets in (("cutouts", self.cutouts), ("real", self.real)):
            for name, found in sets.items():
                yield kind, name, name, _NAN, found.row

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as the schema in the package describes it (`schema`)."""
        plain = {
            "schema_version": SCHEMA_VERSION,
            "run": dict(self.run),
            "clean": asdict(self.clean),
            "ladders": {name: asdict(ladder) for name, ladder in self.ladders.items()},
            "cutouts": {name: asdict(found) for name, found in self.cutouts.items()},
            "real": {name: asdict(found) for name, found in self.real.items()},
            "stability": None if self.stability is None else self.stability.to_dict(),
            "warnings": list(self.warnings),
        }
        without_nan: dict[str, Any] = _plain(plain)
        return without_nan

    def to_json(self, path: str | Path) -> None:
        """Write :meth:`to_dict` to ``path``, whole or not at all."""
        with atomic_path(path) as temporary:
            text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")

    def to_csv(self, path: str | Path) -> None:
        """Write one line for each comparison and score to ``path``, whole or not at all."""
        lines = []
        for kind, name, _, severity, row in self.rows():
            values = {k: v for k, v in vars(row).items() if k != "auc"}
            for score, found in row.auc.items():
                areas = {"auc": found.value, "auc_low": found.low, "auc_high": found.high}
                lines.append(
                    {"kind": kind, "name": name, "severity": severity, "score": score}
                    | areas
                    | values
                )
        with (
            atomic_path(path) as temporary,
            # Names of folders need not be valid text.
            temporary.open("w", newline="", encoding="utf-8", errors="replace") as f,
        ):
            writer = csv.DictWriter(f, list(lines[0]))
            writer.writeheader()
            writer.writerows({k: "" if v != v else v for k, v in line.items()} for line in lines)

    def table(self) -> str:
        """A table for the terminal."""
        scores = list(self.run["scores"])
        header = ["", "severity", scores[0], "interval", *scores[1:], "kept", "RL2", "WAD-Div", ""]
        clean = self.clean
        blank = [""] * (len(scores) + 1)
        lines = [
            header,
            ["clean", "", *blank, f"{clean.kept:.1%}", number(clean.rl2), "", "halves"],
        ]
        before = ""
        for kind, name, title, severity, row in self.rows():
            first = row.auc[scores[0]]
            note = ""
            if name in self.ladders and severity == self.ladders[name].severities[-1]:
                rho = self.ladders[name].spearman
                note = "" if math.isnan(rho) else f"Spearman {rho:.2f}"
            if kind in ("cutouts", "real"):
                note = f"{kind}, n = {row.n}"
            lines.append(
                [
                    title if title != before else "",
                    "" if math.isnan(severity) else f"{severity:g}",
                    f"{first.value:.3f}",
                    f"{first.low:.3f}-{first.high:.3f}",
                    *(f"{row.auc[score].value:.3f}" for score in scores[1:]),
                    f"{row.kept:.1%}",
                    number(row.rl2),
                    number(row.wad_div_empirical),
                    note,
                ]
            )
            before = title
        return "\n".join(layout(lines, right=range(1, len(header) - 1)))


def schema() -> dict[str, Any]:
    """The JSON Schema of :meth:`Benchmark.to_dict`."""
    return load_schema("benchmarking", "benchmark")


def _plain(value: Any) -> Any:
    """Nested data with None for each number that is not finite."""
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
