"""The tiles of a cohort that a person should look at, the most suspicious first, on a page that
takes marks: ``rl2qc review``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.results import CohortResult
from rl2qc.cohort.store.tables import read_table
from rl2qc.core.arguments import check, check_path
from rl2qc.core.files import atomic_path
from rl2qc.core.outputs import check_targets
from rl2qc.core.progress import Progress, track
from rl2qc.core.settings import Interval
from rl2qc.core.text import printable
from rl2qc.errors import Rl2qcError, UsageError
from rl2qc.filtering.decision import adjusted
from rl2qc.filtering.drawing_map import draw_around
from rl2qc.filtering.pixels import TilePixels
from rl2qc.filtering.table import TileTable
from rl2qc.html.environment import encode
from rl2qc.html.review_page import LIMIT, ReviewTile, review_page, without_picture

__all__ = ["CORRECTIONS", "LIMIT", "REVIEW", "ReviewTile", "ReviewedTiles", "review"]

REVIEW, CORRECTIONS = "review.html", "corrections.csv"
_SIDE, _AROUND, _TIMES = 160, 260, 3.0


@dataclass(frozen=True)
class ReviewedTiles:
    """What a review shows.

    Attributes
    ----------
    folder
        The results.
    tiles
        The most suspicious first.
    total, kept
        How many tiles there are, and how many of them are kept.
    alpha
        That they were decided with.
    failures
        Results that could not be read, and why.
    path
        The page; None where it is served.
    """

    folder: Path
    tiles: tuple[ReviewTile, ...]
    total: int
    kept: int
    alpha: float
    failures: tuple[tuple[str, str], ...] = ()
    path: Path | None = None

    def __repr__(self) -> str:
        return f"<ReviewedTiles {str(self.folder)!r}: {len(self.tiles)} of {self.total} tiles>"

    @property
    def unseen(self) -> str:
        """How many of the tiles have no picture, and why; "" where all have one."""
        return without_picture(self.tiles)

    def page(self, *, served: bool = False) -> str:
        """The page's text; ``served``: it saves to the server that it comes from."""
        shown, slides = len(self.tiles), len({tile.slide for tile in self.tiles})
        inputs = "1 input" if slides == 1 else f"{slides} inputs"
        about = [
            f"{shown:,} of {self.total:,} tiles, the most suspicious first, these of {inputs} "
            f"({self.kept:,} of all are kept at \N{GREEK SMALL LETTER ALPHA} = {self.alpha:g})."
        ]
        if self.total > shown:
            about.append(
                f"The other {self.total - shown:,} are neither as suspicious nor as near to "
                "\N{GREEK SMALL LETTER ALPHA}, and left out (--limit)."
            )
        return review_page(
            self.tiles,
            about=about,
            saved=CORRECTIONS,
            command=f"rl2qc decide {printable(self.folder.name)} --corrections {CORRECTIONS}",
            served=served,
        )


def review(
    results: str | Path | CohortResult,
    path: str | Path | None = None,
    *,
    limit: int = LIMIT,
    overwrite: bool = False,
    progress: bool | Progress = False,
) -> ReviewedTiles:
    """Write a page for a person to mark tiles on: everything that ``rl2qc review`` does.

    The most suspicious tiles come first, kept and rejected alike. The page needs nothing but a
    browser; it saves a list that :func:`rl2qc.decide` takes as ``corrections``, and
    :func:`rl2qc.train` as ``exclude``.

    Parameters
    ----------
    results
        What ``rl2qc filter`` wrote: its folder, or what :func:`rl2qc.filter_cohort` returned.
    path
        Where the page goes; ``review.html`` in the folder by default.
    limit
        Tiles on the page at most.
    overwrite
        Replace a page that is there.
    progress
        True shows a bar; a function is called with (tiles done, all, what).

    Raises
    ------
    UsageError
        No results, or a page that is there.

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
    >>> _ = rl2qc.filter_cohort(place / "set", place / "out", Dark(), alpha=0.1, mpp=0.5)
    >>> found = review(place / "out")
    >>> found, found.tiles[0].file[-7:], found.tiles[0].keep
    (<ReviewedTiles '...out': 2 of 2 tiles>, '240.png', False)
    """
    folder = results.folder if isinstance(results, CohortResult) else check_path("results", results)
    place = Path(folder) / REVIEW if path is None else check_path("path", path)
    check_targets({"--html": place}, overwrite=overwrite)
    found = find_tiles(folder, limit=limit, progress=progress)
    with atomic_path(place) as temporary:
        temporary.write_text(found.page(), encoding="utf-8")
    return ReviewedTiles(**{**vars(found), "path": place})


def find_tiles(
    results: str | Path, *, limit: int = LIMIT, progress: bool | Progress = False
) -> ReviewedTiles:
    """What :func:`review` shows."""
    check("limit", limit, int, within=Interval(1))
    folder = RunFolder(results)
    found = folder.results()
    if not found:
        raise UsageError(f"{folder.path} holds no results of rl2qc filter")
    p_values, numbers, rows = [], [], []
    total, kept, alpha = 0, 0, float("nan")
    failures = []
    for number, result in enumerate(found):
        try:
            table = read_table(result.path)
        except Rl2qcError as error:
            failures.append((result.name, str(error)))
            continue
        total, kept, alpha = total + len(table), kept + int(table.keep.sum()), table.alpha
        p = adjusted(table.measurements["p_value"], table.method)
        # Of each slide no more than the page can show.
        could = _most_in_doubt(p, table.alpha, limit, limit)
        p_values.append(p[could])
        numbers.append(np.full(len(could), number))
        rows.append(could)
    chosen: list[tuple[int, int]] = []
    if p_values:
        half = (limit + 1) // 2
        order = _most_in_doubt(np.concatenate(p_values), alpha, half, limit - half)
        of, places = np.concatenate(numbers)[order], np.concatenate(rows)[order]
        chosen = list(zip(of.tolist(), places.tolist(), strict=True))
    shown: dict[tuple[int, int], ReviewTile] = {}
    with track(progress, "tiles", len(chosen)) as step:
        for number in dict.fromkeys(number for number, _ in chosen):
            mine = [row for number_, row in chosen if number_ == number]
            for row, tile in _shown(read_table(found[number].path), mine):
                shown[number, row] = tile
                step(1)
    tiles = tuple(shown[place] for place in chosen)
    return ReviewedTiles(folder.path, tiles, total, kept, alpha, tuple(failures))


def _most_in_doubt(
    p: NDArray[np.float64], alpha: float, lowest: int, nearest: int
) -> NDArray[np.int64]:
    """Rows of so many of the lowest p-values, and so many others nearest to alpha, lowest first:
    where many are rejected, errors among those that are kept must be found, too."""
    order = np.argsort(p, kind="stable")
    first, rest = order[:lowest], order[lowest:]
    near = rest[np.argsort(_distance(p[rest], alpha), kind="stable")[:nearest]]
    return np.concatenate([first, near[np.argsort(p[near], kind="stable")]])


def _distance(p: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    return np.abs(np.log(np.maximum(p, 1e-12) / max(alpha, 1e-12)))


def _shown(table: TileTable, rows: Sequence[int]) -> Iterator[tuple[int, ReviewTile]]:
    """These tiles of one table with their pictures, where their slide can still be read."""
    p, reasons = adjusted(table.measurements["p_value"], table.method), table.reasons
    near = _distance(p, table.alpha)
    try:
        pixels: TilePixels | None = TilePixels(table)
    except (Rl2qcError, OSError):
        pixels = None
    try:
        for row in rows:
            yield (
                row,
                ReviewTile(
                    table.name,
                    int(table.x[row]),
                    int(table.y[row]),
                    table.shown(table.image_paths[row]) if table.kind == "patches" else "",
                    float(p[row]),
                    bool(table.keep[row]),
                    str(reasons[row]),
                    float(near[row]),
                    **_pictures(table, pixels, row),
                ),
            )
    finally:
        if pixels is not None:
            pixels.close()


def _pictures(table: TileTable, pixels: TilePixels | None, row: int) -> dict[str, Any]:
    if pixels is None:
        return {}
    try:
        tile = encode(pixels[row], _SIDE, kind="overview")
        times = _TIMES if table.kind == "slide" else 1.0
        around = pixels.around(row, times, _AROUND)
    except (Rl2qcError, OSError):
        return {}
    mask = None if table.evidence is None else table.artifact_mask[row]
    drawn = draw_around(around, times, mask, table.classes)
    return {"picture": tile, "large": encode(drawn, kind="overview")}
