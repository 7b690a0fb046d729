"""What a benchmark returns: the table, the JSON, the CSV, the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from rl2qc.benchmarking.findings import Findings, Row
from rl2qc.benchmarking.page import CSV, JSON, PAGE, check_folder, draw_figures, write_report
from rl2qc.core.files import plain
from rl2qc.core.renamed import OldNames
from rl2qc.core.results import Result
from rl2qc.core.schemas import load_schema
from rl2qc.core.text import layout, number
from rl2qc.html.figures import save_figure

__all__ = ["SCHEMA_VERSION", "Benchmark", "schema"]

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Benchmark(Findings, Result, OldNames):
    """How well a model tells clean from damaged images, and how it was measured.

    The attributes are those of :class:`~rl2qc.benchmarking.findings.Findings`.

    Examples
    --------
    >>> import numpy as np
    >>> import rl2qc
    >>> rng = np.random.default_rng(0)
    >>> textures = rng.integers(0, 256, (100, 64, 64, 3), np.uint8)
    >>> model = rl2qc.QualityModel.fit(textures, backbone="random", epochs=1, device="cpu")
    >>> few = {"corruptions": ["blur"], "n": 50, "quick": True, "n_resamples": 9}
    >>> sorted(rl2qc.benchmark(textures, model, **few).corruptions)
    ['blur']
    """

    old_names: ClassVar[Mapping[str, str]] = {"run": "provenance", "ladders": "corruptions"}

    def __repr__(self) -> str:
        sets = {"cutouts": self.cutouts, "real sets": self.real, "laboratories": self.labs}
        more = "".join(f", {len(found)} {name}" for name, found in sets.items() if found)
        return f"<Benchmark: {len(self.corruptions)} corruptions{more}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as the schema in the package describes it (:func:`schema`)."""
        found: dict[str, Any] = plain(
            {
                "schema_version": SCHEMA_VERSION,
                "provenance": self.provenance,
                "clean": asdict(self.clean),
                "corruptions": {n: asdict(result) for n, result in self.corruptions.items()},
                "cutouts": {n: asdict(result) for n, result in self.cutouts.items()},
                "real": {n: asdict(result) for n, result in self.real.items()},
                "labs": {n: asdict(result) for n, result in self.labs.items()},
                "stability": None if self.stability is None else self.stability.to_dict(),
                "warnings": list(self.warnings),
            }
        )
        return found

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """One line for each set of damaged images and detector; empty where there is no number."""
        lines = []
        for row in self.rows():
            values = {k: v for k, v in vars(row.found).items() if k != "auc"}
            for detector, found in row.found.auc.items():
                line = {"kind": row.kind, "name": row.name, "severity": row.severity}
                line |= {"detector": detector, "auc": found.value}
                line |= {"auc_low": found.low, "auc_high": found.high} | values
                lines.append({k: "" if v != v else v for k, v in line.items()})
        empty = dict.fromkeys(lines[0], "") if lines else {}
        return [*lines, *(empty | line for line in self._lab_rows())]

    def _lab_rows(self) -> Iterator[dict[str, Any]]:
        """A line for the clean tiles of each laboratory, and one for each damage to them."""
        detector = self.provenance["filter_detector"]
        for name, lab in self.labs.items():
            line = {"kind": "laboratory", "detector": detector, "n": lab.n}
            yield line | {"name": name, "kept": lab.kept}
            for damage, area in lab.auc.items():
                corruption, severity = damage.rsplit(" ", 1)
                yield line | {
                    "name": f"{name}: {corruption}",
                    "severity": float(severity),
                    "auc": area.value,
                    "auc_low": area.low,
                    "auc_high": area.high,
                    "kept": 1 - lab.rejected[damage],
                }

    def to_html(self, path: str | Path) -> None:
        """Write one page of it all to ``path``, every picture inside it.

        Raises
        ------
        UsageError
            For a benchmark without its examples.
        """
        write_report(self, draw_figures(self), path)

    def save(self, out: str | Path, *, overwrite: bool = False) -> Path:
        """Write all that ``rl2qc benchmark`` does into a folder.

        That is ``benchmark.json``, ``.csv`` and ``.html`` and a PNG for each figure; the page comes
        last.

        Parameters
        ----------
        out
        overwrite
            Replace a benchmark that ``out`` holds.

        Returns
        -------
        Path
            The page.

        Raises
        ------
        UsageError
            ``out`` is a file, or holds files that would be replaced; or this one has no examples.
        """
        out = Path(out)
        figures = draw_figures(self)
        check_folder(out, figures, overwrite=overwrite)
        self.to_json(out / JSON)
        self.to_csv(out / CSV)
        for name, figure in figures.items():
            save_figure(figure, out / f"{name}.png")
        write_report(self, figures, out / PAGE)
        return out / PAGE

    def summary(self) -> str:
        """What was measured, the table, and what the sample sizes show."""
        made = self.provenance
        head = (
            f"{made['n']} clean patches of {made['patch_size']} px, model {made['checkpoint']} "
            f"({made['checkpoint_sha256'][:12]}), AUC of clean against damaged, {made['seconds']} s"
        )
        sizes = [] if self.stability is None else [self.stability.summary()]
        labs = [self.lab_table()] if self.labs else []
        return "\n\n".join([head, self.table(), *labs, *sizes])

    def table(self) -> str:
        """A table for the terminal."""
        detectors = list(self.provenance["detectors"])
        header = ["", "severity", detectors[0], "interval", *detectors[1:]]
        header += ["kept", "RL2", "WAD-Div", ""]
        blank = [""] * (len(detectors) + 1)
        clean = self.clean
        lines = [
            header,
            ["clean", "", *blank, f"{clean.kept:.1%}", number(clean.rl2), "", "halves"],
        ]
        before = ""
        for row in self.rows():
            first, found = row.found.auc[detectors[0]], row.found
            lines.append(
                [
                    row.title if row.title != before else "",
                    "" if math.isnan(row.severity) else f"{row.severity:g}",
                    f"{first.value:.3f}",
                    f"{first.low:.3f}-{first.high:.3f}",
                    *(f"{found.auc[detector].value:.3f}" for detector in detectors[1:]),
                    f"{found.kept:.1%}",
                    number(found.rl2),
                    number(found.wad_div_empirical),
                    self._note(row),
                ]
            )
            before = row.title
        return "\n".join(layout(lines, right=range(1, len(header) - 1)))

    def lab_table(self) -> str:
        """A table of the laboratories for the terminal; empty where none were asked for."""
        if not self.labs:
            return ""
        damages = list(next(iter(self.labs.values())).auc)
        short = [damage.replace("out_of_focus", "focus") for damage in damages]
        lines = [["laboratory", "tiles", "kept", "interval", "of 30% damaged", *short]]
        for name, lab in self.labs.items():
            areas = [f"{lab.auc[damage].value:.3f}".removeprefix("0") for damage in damages]
            kept = [f"{lab.kept:.0%}", f"{lab.kept_low:.0%}-{lab.kept_high:.0%}"]
            lines.append([name, str(lab.n), *kept, f"{lab.kept_mixed:.0%}", *areas])
        title = "Laboratories: clean tiles kept, AUC of clean against damaged tiles"
        return "\n".join([title, *layout(lines, right=range(1, len(lines[0])))])

    def _note(self, row: Row) -> str:
        if math.isnan(row.severity):
            return f"{row.kind}, n = {row.found.n}"
        result = self.corruptions[row.name]
        if row.severity != result.severities[-1] or math.isnan(result.spearman):
            return ""
        return f"Spearman {result.spearman:.2f}"


def schema() -> dict[str, Any]:
    """The JSON Schema of :meth:`Benchmark.to_dict`."""
    return load_schema("benchmarking", "benchmark")
