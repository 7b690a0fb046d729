"""A cohort on one self-contained page: what was kept, what is odd, and tiles to look at."""

from __future__ import annotations

import base64
import io
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from rl2qc.cohort.contact_sheet import SHEETS, ContactSheets, SheetTile
from rl2qc.cohort.filter import folder_lock
from rl2qc.cohort.store.folder import RUN
from rl2qc.cohort.store.record import RECORD
from rl2qc.cohort.store.results import read_table
from rl2qc.cohort.store.summary import FAILED, SummaryRow, read_rows
from rl2qc.core.files import atomic_path, read_json
from rl2qc.errors import UsageError, WorkError
from rl2qc.filtering.drift import DRIFT_ALARM, MIN_TILES, score_drift
from rl2qc.filtering.exports import overlay
from rl2qc.filtering.table import TileTable
from rl2qc.images.reasons import REASONS

__all__ = [
    "PAGE",
    "Bar",
    "ReasonShare",
    "is_current",
    "rank_histogram",
    "reason_shares",
    "write_cohort_page",
]

PAGE = "report.html"
_BINS = 20
# Longer sides of the pictures in px: a thousand slides must fit on a page that a browser opens.
_THUMBNAIL, _OVERLAY = 200, 460


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram: its ``share`` of the tiles, and what of it is ``rejected``."""

    share: float
    rejected: float


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
    thumbnail: str
    overlay: str
    bars: tuple[Bar, ...]
    reasons: tuple[ReasonShare, ...]
    alarm: bool


@dataclass(frozen=True)
class _Scanner:
    """What the page shows of all slides of one scanner."""

    name: str
    slides: int
    tiles: int
    kept_share: float
    drift: float
    bars: tuple[Bar, ...]
    reasons: tuple[ReasonShare, ...]
    alarm: bool


def write_cohort_page(out: str | Path) -> Path:
    """Write ``report.html`` into a folder of results, from what is there.

    Scores are shown as their ranks among the reference's held-out clean scores, that is as
    p-values: the reference itself is flat. Tiles are read from the slides again; where a slide is
    gone, its tiles are left out.

    Parameters
    ----------
    out
        The output folder of ``rl2qc filter``.

    Raises
    ------
    UsageError
        No results there.
    """
    out = Path(out)
    rows = read_rows(out)
    if not rows:
        raise UsageError(f"{out} holds no results of rl2qc filter")
    sheets = ContactSheets(np.random.default_rng(0))
    ranks: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    kept: defaultdict[str, list[NDArray[np.bool_]]] = defaultdict(list)
    tallies: defaultdict[str, list[SummaryRow]] = defaultdict(list)
    slides = []
    for row in rows:
        table = _table(out, row)
        if table is None:
            slides.append(_Slide(row, "", "", (), (), False))
            continue
        sheets.add(table)
        scanner = row.scanner or ("images" if row.kind == "patches" else "not recorded")
        ranks[scanner].append(table.measurements["p_value"])
        kept[scanner].append(table.keep)
        tallies[scanner].append(row)
        slides.append(_slide(row, table))
    scanners = [
        _scanner(name, tallies[name], np.concatenate(ranks[name]), np.concatenate(kept[name]))
        for name in sorted(ranks)
    ]
    html = _render(out, rows, slides, scanners, sheets)
    with folder_lock(out), atomic_path(out / PAGE) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return out / PAGE


def is_current(out: Path) -> bool:
    """Whether ``report.html`` is there and no result or failure in ``out`` is newer."""
    page = out / PAGE
    shown = (*out.glob(f"*/{RECORD}"), *(out / FAILED).glob("*.json"))
    return page.exists() and page.stat().st_mtime_ns >= max(
        (path.stat().st_mtime_ns for path in shown), default=0
    )


def rank_histogram(
    p_values: ArrayLike, keep: NDArray[np.bool_], bins: int = _BINS
) -> tuple[Bar, ...]:
    """Shares of p-values in ``bins`` equal steps of (0, 1], and of rejected ones; () for none.

    Examples
    --------
    >>> rank_histogram([0.1, 0.5, 0.9, 1.0], np.array([False, True, True, True]), bins=2)
    (Bar(share=0.5, rejected=0.25), Bar(share=0.5, rejected=0.0))
    """
    p = np.asarray(p_values, np.float64)
    if not len(p):
        return ()
    # Steps are closed above, as the decision is: p = alpha is rejected.
    steps = np.clip(np.ceil(p * bins - 1e-9).astype(np.int64) - 1, 0, bins - 1)
    shares = np.bincount(steps, minlength=bins) / len(p)
    rejected = np.bincount(steps[~keep], minlength=bins) / len(p)
    return tuple(map(Bar, shares.tolist(), rejected.tolist()))


def reason_shares(rows: Sequence[SummaryRow]) -> tuple[ReasonShare, ...]:
    """The reasons of the rejections in ``rows``, in the order of ``REASONS``; () for none.

    Examples
    --------
    >>> reason_shares([SummaryRow("a", "slide", "done", reasons={"ink or pen": 3})])
    (ReasonShare(reason='ink or pen', tiles=3, share=1.0),)
    """
    counts = {name: sum(row.reasons.get(name, 0) for row in rows) for name in REASONS}
    total = sum(counts.values())
    return tuple(ReasonShare(name, n, n / total) for name, n in counts.items() if n)


def _table(out: Path, row: SummaryRow) -> TileTable | None:
    if row.status == "failed":
        return None
    try:
        return read_table(out / row.name)
    # Another process may be replacing it just now.
    except WorkError:
        return None


def _slide(row: SummaryRow, table: TileTable) -> _Slide:
    thumbnail = picture = ""
    if table.thumbnail is not None:
        thumbnail = _data_uri(Image.fromarray(table.thumbnail), _THUMBNAIL)
        drawn = overlay(table)
        # Without the legend below it, which the page gives once.
        height = round(drawn.width * table.thumbnail.shape[0] / table.thumbnail.shape[1])
        picture = _data_uri(drawn.crop((0, 0, drawn.width, min(height, drawn.height))), _OVERLAY)
    bars = rank_histogram(table.measurements["p_value"], table.keep)
    alarm = _alarm(row.drift, row.tiles)
    return _Slide(row, thumbnail, picture, bars, reason_shares([row]), alarm)


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
        rank_histogram(ranks, keep),
        reason_shares(rows),
        _alarm(drift, tiles),
    )


def _alarm(drift: float, tiles: int) -> bool:
    return tiles >= MIN_TILES and drift >= DRIFT_ALARM


def _render(
    out: Path,
    rows: Sequence[SummaryRow],
    slides: Sequence[_Slide],
    scanners: Sequence[_Scanner],
    sheets: ContactSheets,
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rl2qc.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    environment.filters["text"] = _text
    run = read_json(out / RUN)
    settings = run.get("settings", {})
    tiles = sum(row.tiles for row in rows)
    read = sheets.read()
    return environment.get_template("cohort.html.j2").render(
        model=run.get("model", {}),
        settings=settings,
        versions=run.get("versions", {}),
        finished=run.get("finished", False),
        alpha=float(settings.get("alpha", 0.05)),
        alarm=DRIFT_ALARM,
        bins=_BINS,
        # What needs a person's eye comes first.
        slides=sorted(slides, key=lambda slide: not slide.row.flags),
        scanners=scanners,
        reasons=reason_shares(rows),
        reason_names=REASONS,
        failed=[row for row in rows if row.status == "failed"],
        flagged=[row for row in rows if row.flags],
        done=sum(row.status != "failed" for row in rows),
        tiles=tiles,
        kept=sum(row.kept for row in rows),
        sheets={name: list(_sheet(read[name])) for name in SHEETS},
        unread=sum(tile.image is None for name in SHEETS for tile in read[name]),
    )


def _sheet(tiles: Sequence[SheetTile]) -> Iterator[dict[str, Any]]:
    for tile in tiles:
        if tile.image is not None:
            about = {k: getattr(tile, k) for k in ("slide", "place", "p_value", "keep", "reason")}
            yield {**about, "image": _data_uri(tile.image, max(tile.image.size))}


def _data_uri(picture: Image.Image, side: int) -> str:
    small = picture.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=78)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _percent(share: float) -> str:
    """A share in percent; small ones keep a digit, and 0 and 100 % mean none and all."""
    if math.isnan(share):
        return "-"
    shown = f"{share:.0%}" if 0.1 <= share <= 0.9 else f"{share:.1%}"
    if shown in ("0.0%", "100.0%") and share not in (0.0, 1.0):
        return "< 0.1%" if share < 0.5 else "> 99.9%"
    return shown.replace(".0%", "%") if share in (0.0, 1.0) else shown


def _text(name: object) -> str:
    """File names need not be valid text, and pages must be."""
    return os.fsencode(str(name)).decode("utf-8", "replace")
