"""A person's corrections of the tiles of a cohort: read from a list, and learnt from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rl2qc.cohort.adapt import ALONE, Beside
from rl2qc.cohort.store.record import ResultFolder
from rl2qc.cohort.store.tables import read_table
from rl2qc.core.csv_files import read_csv
from rl2qc.errors import UsageError, WorkError
from rl2qc.filtering.corrected import Corrected
from rl2qc.filtering.table import TileTable
from rl2qc.stats.adaptation import unadapted
from rl2qc.stats.correcting import fit_weights

__all__ = ["COLUMNS", "LABELS", "with_corrections"]

COLUMNS = ("slide", "x", "y", "file", "label")
"""What a list of corrections holds; a tile of a slide is named by x and y, a patch by its file."""
LABELS = ("clean", "bad")
NONE = "none"
"""In place of a list: the corrections of before are dropped."""
_SHOWN = 3


class _Marks(NamedTuple):
    """What is said of the tiles of one result, by the number of their row."""

    clean: tuple[int, ...] = ()
    bad: tuple[int, ...] = ()


def with_corrections(
    found: Sequence[ResultFolder],
    beside: Mapping[str, Beside],
    corrections: str | Path | None,
) -> dict[str, Beside]:
    """What each result is judged beside, with what a person said of tiles.

    Parameters
    ----------
    found
        The results.
    beside
        What is usual in their cohorts, by name.
    corrections
        A list (:data:`COLUMNS`), "none" to drop those of before, or None to keep them.

    Raises
    ------
    UsageError
        A list that cannot be read, names tiles that are not there, or calls one clean and bad.
    """
    marks = _recorded(found) if corrections is None else {}
    if corrections is not None and str(corrections) != NONE:
        marks = _listed(corrections, found)
    if not any(map(any, marks.values())):
        empty = None if corrections is None else Corrected()
        return {r.name: beside.get(r.name, ALONE)._replace(corrected=empty) for r in found}
    learnt = _Learnt(found, beside, marks)
    return {
        result.name: beside.get(result.name, ALONE)._replace(
            corrected=Corrected(
                *marks.get(result.name, _Marks()), weights=learnt.weights(result.name)
            )
        )
        for result in found
    }


def _recorded(found: Sequence[ResultFolder]) -> dict[str, _Marks]:
    marks = {}
    for result in found:
        record = result.read_record()
        about = record and record.slide.get("corrected")
        if about:
            marks[result.name] = _Marks(tuple(about["clean"]), tuple(about["bad"]))
    return marks


def _listed(path: str | Path, found: Sequence[ResultFolder]) -> dict[str, _Marks]:
    """The marks of a list, by result."""
    table = read_csv(path, COLUMNS, "corrections")
    header = [name.lower() for name in table.header]
    if not {"slide", "label"} <= set(header) or not {"x", "file"} & set(header):
        raise UsageError(
            f"corrections {path} needs the columns slide, label, and x and y or file: it has "
            f"{', '.join(table.header) or 'none'}"
        )
    said: defaultdict[str, dict[tuple[str, ...], str]] = defaultdict(dict)
    for line, cells in table.rows:
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        label = row.get("label", "").lower()
        if label not in LABELS:
            raise UsageError(
                f"corrections {path}, line {line}: label must be clean or bad, got {label!r}"
            )
        tile = (row["file"],) if row.get("file") else tuple(_whole(row.get(c, "")) for c in "xy")
        before = said[row["slide"]].setdefault(tile, label)
        if before != label:
            place = " ".join(tile)
            raise UsageError(
                f"corrections {path}, line {line}: {row['slide']} {place} is called clean and bad"
            )
    return _matched(path, said, found)


def _whole(cell: str) -> str:
    """A whole number as it is written here; of a table that also holds patches others write 672.0.

    >>> _whole("672.0"), _whole("672"), _whole("6.5")
    ('672', '672', '6.5')
    """
    number, _, rest = cell.partition(".")
    return number if number.isdecimal() and rest and not rest.strip("0") else cell


def _matched(
    path: str | Path,
    said: Mapping[str, Mapping[tuple[str, ...], str]],
    found: Sequence[ResultFolder],
) -> dict[str, _Marks]:
    """Each tile by its row.

    Raises
    ------
    UsageError
        Some are not there: corrections of other results, most likely.
    """
    results = {result.name: result for result in found}
    marks, missing = {}, []
    for name, tiles in said.items():
        if name not in results:
            missing += [f"{name} {' '.join(tile)}" for tile in tiles]
            continue
        try:
            table = read_table(results[name].path)
        except WorkError:
            continue  # its own decision says so
        rows = _rows(table)
        missing += [f"{name} {' '.join(tile)}" for tile in tiles if tile not in rows]
        marks[name] = _Marks(
            *(
                tuple(sorted(rows[t] for t, said in tiles.items() if said == label and t in rows))
                for label in LABELS
            )
        )
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise UsageError(
            f"corrections {path} names tiles that are not in these results: "
            f"{', '.join(missing[:_SHOWN])}{more}"
        )
    return marks


def _rows(table: TileTable) -> dict[tuple[str, ...], int]:
    """The row of each tile by its place, or by its image."""
    if table.kind == "patches":
        return {(table.shown(path),): i for i, path in enumerate(table.image_paths)}
    places = zip(table.x.tolist(), table.y.tolist(), strict=True)
    return {(str(x), str(y)): i for i, (x, y) in enumerate(places)}


class _Learnt:
    """What the corrections of the others teach about each slide: none learns from its own."""

    def __init__(
        self,
        found: Sequence[ResultFolder],
        beside: Mapping[str, Beside],
        marks: Mapping[str, _Marks],
    ) -> None:
        parts = []
        for number, result in enumerate(found):
            if any(marks.get(result.name, ())):
                part = _evidence_of(result, beside.get(result.name, ALONE), marks[result.name])
                if part is not None:
                    parts.append((number, *part))
        self._names = [result.name for result in found]
        self._known: dict[int | None, tuple[float, ...]] = {}
        # What two models say of evidence cannot be compared.
        sizes = {part[1].shape[1] for part in parts}
        self._parts = parts if len(sizes) == 1 else []
        self._sources = {part[0] for part in self._parts}

    def weights(self, name: str) -> tuple[float, ...]:
        """Those for a slide, from all others."""
        number = self._names.index(name)
        left_out = number if number in self._sources else None
        if left_out not in self._known:
            used = [part for part in self._parts if part[0] != left_out]
            self._known[left_out] = ()
            if used:
                groups = np.concatenate([np.full(len(p[2]), p[0]) for p in used])
                features, margins, bad = (np.concatenate([p[i] for p in used]) for i in (1, 2, 3))
                found = fit_weights(features, margins, bad, groups.astype(np.int64))
                self._known[left_out] = tuple(found.tolist()) if found.any() else ()
        return self._known[left_out]


def _evidence_of(
    result: ResultFolder, beside: Beside, marks: _Marks
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Evidence, margin and label of the corrected tiles of a slide, as the model alone has them;
    None of a model with a reference of its own, which corrections teach by ``train --exclude``."""
    try:
        record = result.check_record()
        table = read_table(result.path, record)
    except WorkError:
        return None  # its own decision says so
    if table.evidence is None or not table.evidence.adapts:
        return None
    plain = table.decide(
        table.alpha,
        method=table.method,
        cohort=beside.cohort,
        apart=beside.apart,
        corrected=Corrected(),
    )
    assert plain.evidence is not None
    prior, usual = plain.evidence.prior, plain.adaptation or unadapted(plain.evidence.prior)
    over = prior.exceeding(plain.evidence.worst(plain.adaptation).values, usual.usual)
    odds, keep = -plain.measurements["score"], plain.keep
    above = float(odds[~keep].min()) if (~keep).any() else float(odds.max()) + 1
    below = float(odds[keep].max()) if keep.any() else above - 1
    rows = np.array([*marks.clean, *marks.bad], np.int64)
    bad = np.arange(len(rows)) >= len(marks.clean)
    return over[rows] - np.median(over, axis=0), odds[rows] - (above + below) / 2, bad
