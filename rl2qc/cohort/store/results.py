"""The results of many inputs: what a run or a decision made of them, and what a folder holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rl2qc.cohort.page import write_cohort_page
from rl2qc.cohort.store.folder import PAGE, RunFolder
from rl2qc.cohort.store.record import FAILURES
from rl2qc.cohort.store.summary import (
    SummaryRow,
    csv_row,
    describe_reasons,
    describe_verdicts,
    run_warnings,
    write_summary,
)
from rl2qc.cohort.store.tables import read_table
from rl2qc.core.arguments import check_path
from rl2qc.core.results import Result
from rl2qc.core.text import layout, printable
from rl2qc.errors import UsageError
from rl2qc.filtering.table import TileTable

__all__ = ["CohortResult", "input_errors", "input_warnings", "read_results"]

_HEADER = (
    *("name", "status", "tiles", "kept", "share"),
    *("median ll", "um/px", "tissue", "s", "verdict"),
)


@dataclass(frozen=True, repr=False)
class CohortResult(Result):
    """What became of many inputs.

    Attributes
    ----------
    folder
        Where the results are.
    rows
        What became of each input, as in ``summary.csv``.
    alpha
        The level that tiles were decided at; NaN where the results are of several decisions.
    warnings, errors
        What a person should look at, and what failed and why, a line each.
    failures
        Name and reason of each result that could not be decided again.
    before
        Names of the inputs that were finished before.
    report
        The page that shows it, None without one.
    corrections
        What a person's corrections changed, in a line; "" without any.

    Examples
    --------
    >>> import tempfile
    >>> import rl2qc
    >>> from PIL import Image
    >>> place = Path(tempfile.mkdtemp())
    >>> (place / "set").mkdir()
    >>> for grey in (120, 240):
    ...     Image.new("RGB", (64, 64), (grey,) * 3).save(place / "set" / f"{grey}.png")
    >>> class Dark:
    ...     patch_size, mpp, name = 64, 0.5, "dark"
    ...     def measure(self, images):
    ...         return {"p_value": 1 - images.mean(axis=(1, 2, 3)) / 255}
    >>> result = rl2qc.filter_cohort(place / "set", place / "out", Dark(), alpha=0.1, mpp=0.5)
    >>> [(row.name, row.kept, row.tiles) for row in result.rows], result.errors
    ([('set', 1, 2)], ())
    """

    folder: Path
    rows: tuple[SummaryRow, ...]
    alpha: float = math.nan
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    before: tuple[str, ...] = ()
    report: Path | None = None
    corrections: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<CohortResult {str(self.folder)!r}: {self.summary()}>"

    # ------------------------------------------------------------ what there is

    @cached_property
    def tables(self) -> Mapping[str, TileTable]:
        """The tiles of each input that did not fail, by name, read when they are asked for."""
        names = [row.name for row in self.rows if row.status != "failed"]
        return _Tables(self.folder, names)

    @property
    def done(self) -> tuple[SummaryRow, ...]:
        """The rows of the inputs that did not fail."""
        return tuple(row for row in self.rows if row.status != "failed")

    @property
    def reasons(self) -> str:
        """The likely reasons of all rejections in one line; "" where nothing was rejected."""
        return describe_reasons(self.done)

    @property
    def flagged(self) -> tuple[SummaryRow, ...]:
        """The rows of the inputs whose verdict is look or drop."""
        return tuple(row for row in self.rows if row.flagged)

    @property
    def verdicts(self) -> str:
        """How often each verdict is given, and why each input is not simply used; "" for none."""
        return "\n".join(describe_verdicts(self.done))

    def summary(self) -> str:
        """How many tiles of how many inputs are kept, in one line."""
        tiles, kept = sum(row.tiles for row in self.done), sum(row.kept for row in self.done)
        share = f" ({kept / tiles:.1%})" if tiles else ""
        level = "" if math.isnan(self.alpha) else f" at alpha {self.alpha:g}"
        return f"kept {kept} of {tiles} tiles{share} of {len(self.done)} inputs{level}"

    # ------------------------------------------------------------ shown, and written down

    def table(self) -> str:
        """A line for each input."""
        return "\n".join(layout([_HEADER, *map(_cells, self.rows)], range(2, len(_HEADER) - 1)))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the tiles as plain data."""
        return {
            "schema_version": 2,
            "folder": str(self.folder),
            "alpha": self.alpha,
            "inputs": [asdict(row) for row in self.rows],
            "warnings": list(self.warnings),
            "errors": list(self.errors),
            "finished_before": list(self.before),
        }

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """The rows of ``summary.csv``, paths as they are seen from its folder."""
        return [csv_row(row) for row in self._shown()]

    def to_html(self, path: str | Path) -> None:
        """Write the page that shows everything in the folder to ``path``."""
        write_cohort_page(self.folder, path)

    def to_csv(self, path: str | Path) -> None:
        """Write the rows to ``path``, as in ``summary.csv``."""
        write_summary(check_path("path", path), self._shown())

    def _shown(self) -> list[SummaryRow]:
        naming = RunFolder(self.folder).naming
        return [replace(row, path=naming.shown(row.path)) for row in self.rows]


class _Tables(Mapping[str, TileTable]):
    """The tables of a folder of results, each read anew when it is asked for."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder, self._names = folder, tuple(names)

    def __getitem__(self, name: str) -> TileTable:
        if name not in self._names:
            raise KeyError(name)
        return read_table(self._folder / name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def input_warnings(rows: Iterable[SummaryRow]) -> list[str]:
    """What is to be said of single inputs, a line each; what many share, once."""
    shared: dict[str, list[str]] = {}
    for row in rows:
        for said in (*row.warnings, *(f"flagged: {flag}" for flag in row.flags)):
            shared.setdefault(said, []).append(row.name)
    return [
        f"{names[0] if len(names) == 1 else f'{names[0]} and {len(names) - 1} more'}: {said}"
        for said, names in shared.items()
    ]


def input_errors(folder: Path, rows: Iterable[SummaryRow]) -> list[str]:
    """What failed of single inputs, a line each."""
    lines = []
    for row in rows:
        if row.status == "partial":
            place = folder / row.name / FAILURES
            lines.append(
                f"{row.name}: {row.unreadable} images cannot be measured, listed in {place}"
            )
        elif row.status == "failed":
            lines.append(f"{row.name}: {row.error}")
    return lines


def read_results(folder: str | Path) -> CohortResult:
    """What ``rl2qc filter`` or :func:`rl2qc.filter_cohort` left in a folder.

    Parameters
    ----------
    folder
        The output folder of the run.

    Returns
    -------
    CohortResult
        Of everything that is finished or failed there; tables are read when they are asked for.

    Raises
    ------
    UsageError
        No results there.

    Examples
    --------
    >>> read_results("nowhere")
    Traceback (most recent call last):
    rl2qc.errors.UsageError: nowhere holds no results of rl2qc filter
    """
    run = RunFolder(folder)
    rows = run.rows()
    if not rows:
        raise UsageError(f"{folder} holds no results of rl2qc filter")
    manifest = run.manifest()
    said = run_warnings(manifest, rows)
    alpha = manifest.get("settings", {}).get("alpha")
    page = run.path / PAGE
    return CohortResult(
        run.path,
        tuple(rows),
        alpha=math.nan if alpha is None else float(alpha),
        warnings=(*said, *input_warnings(rows)),
        errors=tuple(input_errors(run.path, rows)),
        before=tuple(row.name for row in rows if row.status != "failed"),
        report=page if page.exists() else None,
    )


def _cells(row: SummaryRow) -> tuple[str, ...]:
    return (
        printable(row.name)[:40],
        row.status,
        str(row.tiles),
        str(row.kept),
        _number(row.kept_share, ".1%"),
        _number(row.median_log_likelihood, ".1f"),
        _number(row.mpp, ".3g"),
        _number(row.tissue_share, ".0%"),
        f"{row.seconds:.1f}",
        row.verdict or "-",
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)
