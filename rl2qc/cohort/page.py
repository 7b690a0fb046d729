"""A cohort on one self-contained page: what was kept, what is odd, and tiles to look at."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from rl2qc.cohort.contact_sheet import SHEETS, ContactSheets, SheetTile
from rl2qc.cohort.rejected import RejectedTiles
from rl2qc.cohort.store.folder import FAILED, PAGE, TILES_PAGE, RunFolder
from rl2qc.cohort.store.record import RECORD
from rl2qc.cohort.store.summary import SummaryRow, run_warnings
from rl2qc.cohort.store.tables import read_table
from rl2qc.errors import Rl2qcError, UsageError, WorkError
from rl2qc.filtering.drift import DRIFT_ALARM, MIN_TILES, score_drift
from rl2qc.filtering.exports.tables import TILES
from rl2qc.filtering.table import TileTable
from rl2qc.filtering.verdict import VERDICTS
from rl2qc.html.charts import RANK_STEPS, StackedBars, stacked_bars
from rl2qc.html.environment import Picture, encode, script, write_page
from rl2qc.images.reasons import ALL_REASONS, REASON_COLORS

__all__ = [
    "ReasonShare",
    "bring_up_to_date",
    "is_current",
    "reason_shares",
    "write_cohort_page",
]

# Longer sides of the pictures in px: a thousand slides must fit on a page that a browser opens.
_THUMBNAIL, _OVERLAY = 200, 460
# Inputs with pictures, the worst first: of more than these, the others have a line in a table.
_PICTURED = 30
# Rejected tiles that the page names; of more, a page beside it has as many as a browser can take.
_NAMED = 2000
# Longer lists are folded.
_LONG = 12


@dataclass(frozen=True)
class ReasonShare:
    """How many tiles were rejected for a reason, and their share of all rejected ones."""

    reason: str
    tiles: int
    share: float


@dataclass(frozen=True)
class _Slide:
    """What the page shows of one input."""

    row: SummaryRow
    thumbnail: Picture | None
    overlay: Picture | None
    bars: StackedBars
    reasons: tuple[ReasonShare, ...]
    alarm: bool
    maps: bool = False
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Scanner:
    """What the page shows of all slides of one scanner."""

    name: str
    slides: int
    tiles: int
    kept_share: float
    drift: float
    bars: StackedBars
    reasons: tuple[ReasonShare, ...]
    alarm: bool


def write_cohort_page(out: str | Path, path: str | Path | None = None) -> Path:
    """Write ``report.html`` into a folder of results, from what is there.

    Scores are shown as their ranks among the reference's held-out clean scores, that is as
    p-values: the reference itself is flat. Tiles are read from the slides again; where a slide is
    gone, its tiles are left out.

    Parameters
    ----------
    out
        The output folder of ``rl2qc filter``.
    path
        The page; ``report.html`` in that folder by default.

    Raises
    ------
    UsageError
        No results there.
    """
    out = Path(out)
    path = out / PAGE if path is None else Path(path)
    rows = RunFolder(out).rows()
    if not rows:
        raise UsageError(f"{out} holds no results of rl2qc filter")
    sheets = ContactSheets(np.random.default_rng(0))
    ranks: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    kept: defaultdict[str, list[NDArray[np.bool_]]] = defaultdict(list)
    tallies: defaultdict[str, list[SummaryRow]] = defaultdict(list)
    slides: list[_Slide] = []
    rejected = RejectedTiles()
    # What needs a person's eye comes first.
    rows = sorted(rows, key=lambda row: (-_worst(row), not row.flags))
    for row in rows:
        pictured = len(slides) < _PICTURED
        table = _table(out, row, thumbnail=pictured)
        if table is None:
            continue
        sheets.add(table)
        rejected.add(table)
        scanner = row.scanner or ("images" if row.kind == "patches" else "not recorded")
        ranks[scanner].append(table.measurements["p_value"])
        kept[scanner].append(table.keep)
        tallies[scanner].append(row)
        if pictured:
            slides.append(_slide(row, table, _files(out / row.name, path.parent)))
    scanners = [
        _scanner(name, tallies[name], np.concatenate(ranks[name]), np.concatenate(kept[name]))
        for name in sorted(ranks)
    ]
    content = _content(out, rows, slides, scanners, sheets)
    numbers = {slide.row.name: i for i, slide in enumerate(slides, 1)}
    content["inputs"] = [
        (row, numbers.get(row.name), _files(out / row.name, path.parent))
        for row in rows
        if row.status != "failed"
    ]
    with RunFolder(out).hold():
        _write(path, content, rejected)
    return path


def _write(path: Path, content: dict[str, Any], rejected: RejectedTiles) -> None:
    """The page, and the one beside it where there are more tiles than it holds."""
    lists = script("report.js")
    addresses = {
        row.name: f"#s{number}" if number else files.get(TILES, "")
        for row, number, files in content["inputs"]
    }
    named = rejected.listed(addresses, _NAMED)
    beside = path.with_name(TILES_PAGE if path.name == PAGE else f"{path.stem}_{TILES_PAGE}")
    report = quote(os.fsencode(path.name))
    if named.complete:
        beside.unlink(missing_ok=True)
    else:
        known = {n: f"{report}{a}" if a.startswith("#") else a for n, a in addresses.items()}
        every = rejected.listed(known)
        write_page(beside, "tiles.html.j2", scripts=(lists,), rejected=every, report=report)
    address = "" if named.complete else quote(os.fsencode(beside.name))
    write_page(
        path,
        "cohort.html.j2",
        scripts=(lists, script("zoom.js")),
        rejected=named,
        beside_page=address,
        **content,
    )


def bring_up_to_date(out: Path, *, anew: bool) -> tuple[Path | None, list[str]]:
    """Write the report of a folder, or leave one that shows what is there.

    Parameters
    ----------
    out
        The output folder.
    anew
        Write it even where it is up to date.

    Returns
    -------
    The page, and what went wrong with it, since the results do not depend on it.
    """
    try:
        if anew or not is_current(out):
            write_cohort_page(out)
    except (Rl2qcError, OSError) as error:
        return None, [f"no report: {error}"]
    return out / PAGE, []


def is_current(out: Path) -> bool:
    """Whether ``report.html`` is there and no result or failure in ``out`` is newer."""
    page = out / PAGE
    shown = (*out.glob(f"*/{RECORD}"), *(out / FAILED).glob("*.json"))
    return page.exists() and page.stat().st_mtime_ns >= max(
        (path.stat().st_mtime_ns for path in shown), default=0
    )


def reason_shares(rows: Sequence[SummaryRow]) -> tuple[ReasonShare, ...]:
    """The reasons of the rejections in ``rows``, in the order of ``ALL_REASONS``; () for none.

    Examples
    --------
    >>> reason_shares([SummaryRow("a", "slide", "done", reasons={"ink or pen": 3})])
    (ReasonShare(reason='ink or pen', tiles=3, share=1.0),)
    """
    counts = {name: sum(row.reasons.get(name, 0) for row in rows) for name in ALL_REASONS}
    total = sum(counts.values())
    return tuple(ReasonShare(name, n, n / total) for name, n in counts.items() if n)


def _table(out: Path, row: SummaryRow, *, thumbnail: bool) -> TileTable | None:
    if row.status == "failed":
        return None
    try:
        return read_table(out / row.name, thumbnail=thumbnail)
    # Another process may be replacing it just now.
    except WorkError:
        return None


def _files(folder: Path, page: Path) -> dict[str, str]:
    """Where the page finds what is beside it of an input: names and relative addresses."""
    return {
        name: quote(os.fsencode(Path(os.path.relpath(folder / name, page)).as_posix()))
        for name in (TILES, "overlay.png")
        if (folder / name).exists()
    }


def _slide(row: SummaryRow, table: TileTable, files: Mapping[str, str]) -> _Slide:
    thumbnail = picture = None
    if table.thumbnail is not None:
        thumbnail = encode(table.thumbnail, _THUMBNAIL, kind="overview")
        drawn = table.overlay()
        # Without the legend below it, which the page gives once.
        height = round(drawn.width * table.thumbnail.shape[0] / table.thumbnail.shape[1])
        slide = drawn.crop((0, 0, drawn.width, min(height, drawn.height)))
        picture = encode(slide, _OVERLAY, kind="overview")
    bars = stacked_bars(table.measurements["p_value"], table.keep)
    alarm = _alarm(row.drift, row.tiles)
    return _Slide(row, thumbnail, picture, bars, reason_shares([row]), alarm, table.maps, files)


def _scanner(
    name: str,
    rows: Sequence[SummaryRow],
    ranks: NDArray[np.float64],
    keep: NDArray[np.bool_],
) -> _Scanner:
    drift, tiles = score_drift(ranks), sum(row.tiles for row in rows)
    return _Scanner(
        name,
        len(rows),
        tiles,
        sum(row.kept for row in rows) / tiles if tiles else math.nan,
        drift,
        stacked_bars(ranks, keep),
        reason_shares(rows),
        _alarm(drift, tiles),
    )


def _alarm(drift: float, tiles: int) -> bool:
    return tiles >= MIN_TILES and drift >= DRIFT_ALARM


def _content(
    out: Path,
    rows: Sequence[SummaryRow],
    slides: Sequence[_Slide],
    scanners: Sequence[_Scanner],
    sheets: ContactSheets,
) -> dict[str, Any]:
    run = RunFolder(out).manifest()
    settings = run.get("settings", {})
    tiles = sum(row.tiles for row in rows)
    read = sheets.read()
    return {
        "model": run.get("model", {}),
        "settings": settings,
        "versions": run.get("versions", {}),
        "finished": run.get("finished", False),
        "warnings": run_warnings(run, rows),
        "corrections": _corrections(run),
        "alpha": float(settings.get("alpha", 0.05)),
        "alarm": DRIFT_ALARM,
        "steps": RANK_STEPS,
        "slides": slides,
        "scanners": scanners,
        "reasons": reason_shares(rows),
        "reason_names": ALL_REASONS,
        # Where no slide has a map, no row has areas by it.
        "maps": any(slide.maps for slide in slides),
        "shown_reasons": [n for n in ALL_REASONS if any(n in row.areas for row in rows)],
        "reason_colors": [REASON_COLORS[name] for name in ALL_REASONS],
        "failed": [row for row in rows if row.status == "failed"],
        "flagged": [row for row in rows if row.flagged],
        "ranks": {word: VERDICTS.index(word) for word in VERDICTS},
        "long": _LONG,
        "verdicts": {v: [r for r in rows if r.verdict == v] for v in reversed(VERDICTS)},
        "done": sum(row.status != "failed" for row in rows),
        "tiles": tiles,
        "kept": sum(row.kept for row in rows),
        "sheets": {name: list(_sheet(read[name])) for name in SHEETS},
        "unread": sum(tile.image is None for name in SHEETS for tile in read[name]),
    }


def _corrections(run: dict[str, Any]) -> str:
    """What a person's corrections changed when it was decided last; "" without any."""
    decided = [one for one in run.get("runs", ()) if one.get("what") == "decide"]
    about = decided[-1].get("corrections") if decided else None
    return str(about.get("said", "")) if isinstance(about, dict) else ""


def _worst(row: SummaryRow) -> int:
    return VERDICTS.index(row.verdict) if row.verdict in VERDICTS else 0


def _sheet(tiles: Sequence[SheetTile]) -> Iterator[dict[str, Any]]:
    for tile in tiles:
        if tile.image is not None:
            about = {k: getattr(tile, k) for k in ("slide", "place", "p_value", "keep", "reason")}
            yield {**about, "picture": encode(tile.image)}
