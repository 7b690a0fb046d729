"""HistoQC's layout: a mask of usable pixels a slide, and ``results.tsv`` for the run.

HistoQC calls a slide by the whole name of its file, "case.svs", in the table as on the disk:
``case.svs/case.svs_mask_use.png``. Its results page looks there, and a second run of it
(``histoqc --basepath SLIDES results.tsv``) finds the slides by the first column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.files import atomic_path, safe_cell
from rl2qc.core.opening import open_file
from rl2qc.filtering.exports.registry import (
    ExportedResult,
    ExportedRun,
    ExportFormat,
    register_format,
)
from rl2qc.filtering.slide_mask import slide_mask
from rl2qc.filtering.table import TileTable

__all__ = [
    "MASK_SUFFIX",
    "RESULTS",
    "has_results",
    "use_mask",
    "write_results",
    "write_thumb",
    "write_use_mask",
]

MASK_SUFFIX, RESULTS = "_mask_use.png", "results.tsv"
# HistoQC works at 1.25x.
_MASK_MPP = 8.0
_MASK_PIXELS = 10_000
_COLUMNS = ("filename", "comments", "type", "height", "width", "mpp_x", "mpp_y", "pixels_to_use")
_BREAKS = re.compile(r"\s*[\t\r\n]\s*")


def use_mask(table: TileTable) -> NDArray[np.uint8]:
    """(h, w) uint8 of the whole slide at 8 um/px (1.25x): 255 in kept tiles, 0 elsewhere.

    A kept tile is usable to its edges, glass in it included; where there is a map, but for what is
    damaged in it.

    Raises
    ------
    ValueError
        A table without dimensions, such as one of patches.
    """
    if table.dimensions is None:
        raise ValueError(f"{table.name} has no dimensions to draw a mask of")
    width, height = table.dimensions
    # In microns, pixels of the slide need not be square.
    across, down = (side / s for side, s in zip(table.dimensions, table.stretch, strict=True))
    downsample = max(_MASK_MPP / (table.slide_mpp or 0.5), max(across, down) / _MASK_PIXELS, 1.0)
    shape = max(1, round(down / downsample)), max(1, round(across / downsample))
    mask = np.zeros(shape, np.uint8)
    scale_x, scale_y = shape[1] / width, shape[0] / height
    # Rounded alike, neighbours share their edge: neither gap nor overlap.
    x0 = np.rint(table.x * scale_x).astype(np.int64).clip(0)
    y0 = np.rint(table.y * scale_y).astype(np.int64).clip(0)
    x1 = np.rint((table.x + table.width) * scale_x).astype(np.int64).clip(0)
    y1 = np.rint((table.y + table.height) * scale_y).astype(np.int64).clip(0)
    for i in np.flatnonzero(table.keep):
        mask[y0[i] : y1[i], x0[i] : x1[i]] = 255
    if table.maps:
        mask[_damaged(table, shape)] = 0
    return mask


def _damaged(table: TileTable, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(h, w) whether at least half of a pixel's cells are damaged."""
    # Here, since every command would wait for it.
    import cv2

    cells = slide_mask(table)
    height, width = cells.labels.shape
    # The last cells may reach over the edge of the slide.
    assert table.dimensions is not None
    inside = (
        width * cells.step[0] / table.dimensions[0],
        height * cells.step[1] / table.dimensions[1],
    )
    size = round(shape[1] * inside[0]), round(shape[0] * inside[1])
    share = cv2.resize(cells.damaged.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(share[: shape[0], : shape[1]] >= 0.5)


def write_thumb(table: TileTable, path: Path, longest: int = 1600) -> None:
    """The whole slide as a picture, what was not scanned white."""
    from PIL import Image

    if table.thumbnail is None or table.bounds is None or table.dimensions is None:
        raise ValueError(f"{table.name} has no thumbnail")
    sides = [side / s for side, s in zip(table.dimensions, table.stretch, strict=True)]
    zooms = [longest / max(sides) / s for s in table.stretch]
    size = [max(1, round(d * zoom)) for d, zoom in zip(table.dimensions, zooms, strict=True)]
    left, top, width, height = (
        round(part * zoom) for part, zoom in zip(table.bounds, 2 * zooms, strict=True)
    )
    canvas = Image.new("RGB", (size[0], size[1]), (255, 255, 255))
    scanned = Image.fromarray(table.thumbnail).resize((max(1, width), max(1, height)))
    canvas.paste(scanned, (left, top))
    canvas.save(path, format="PNG")


def write_use_mask(table: TileTable, path: Path) -> None:
    """:func:`use_mask` as an 8-bit PNG."""
    from PIL import Image

    Image.fromarray(use_mask(table)).save(path, format="PNG")


def has_results(out: Path) -> bool:
    """Whether ``results.tsv`` is there and :func:`write_results` wrote it, not HistoQC."""
    try:
        with open_file(out / RESULTS) as file:
            return b"#pipeline:\trl2qc" in file.read(4096)
    except OSError:
        return False


def write_results(run: ExportedRun) -> None:
    """Write ``results.tsv`` from the masks of a run.

    Every slide with a mask has a row; ``filename`` is the name of the slide's file, under which
    HistoQC's tools look for ``{filename}/{filename}_mask_use.png``.
    """
    with (
        atomic_path(run.path / RESULTS) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        for name, value in (
            ("start_time", run.started),
            ("pipeline", "rl2qc"),
            ("outdir", "."),
            ("config_file", "run.json"),
            ("command_line_args", ""),
        ):
            file.write(f"#{name}:\t{value}\n")
        file.write("#dataset:" + "\t".join([*_COLUMNS, "warnings"]) + "\n")
        for result in run.exported():
            for row in _rows(result):
                file.write("\t".join(map(_cell, row)) + "\n")


def _cell(value: Any) -> str:
    """A cell in one line; the table is opened in spreadsheets more often than by HistoQC."""
    return str(safe_cell(_BREAKS.sub(" ", str(value))))


def _rows(result: ExportedResult) -> Iterator[list[Any]]:
    """The row of a slide; none of one without a mask."""
    from PIL import Image

    for mask in result.files:
        if mask.name.endswith(MASK_SUFFIX) and mask.exists():
            with open_file(mask) as file, Image.open(file, formats=("PNG",)) as image:
                pixels = int(np.count_nonzero(np.asarray(image)))
            filename = mask.name.removesuffix(MASK_SUFFIX)
            width, height = result.table.get("dimensions") or ("", "")
            mpp, stretch = result.table.get("slide_mpp"), result.table.get("stretch") or (1.0, 1.0)
            mpps = [mpp / s if mpp else "" for s in stretch]
            warnings = "; ".join(result.warnings)
            yield [filename, "", "", height, width, *mpps, pixels, warnings]
            return


register_format(
    ExportFormat(
        "histoqc",
        "{file}/{file}" + MASK_SUFFIX,
        write_use_mask,
        shared=True,
        finish=write_results,
        run_file=RESULTS,
        is_ours=has_results,
        brings=("histoqc-thumb", "histoqc-thumb-small"),
        order=9,
    )
)
for _name, _suffix, _longest in (("", "", 1600), ("-small", "_small", 500)):
    register_format(
        ExportFormat(
            f"histoqc-thumb{_name}",
            "{file}/{file}_thumb" + _suffix + ".png",
            partial(write_thumb, longest=_longest),
            shared=True,
            decided=False,
            listed=False,
            order=9,
        )
    )
