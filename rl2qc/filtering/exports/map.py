"""The map of a slide as files: a label mask for machines, one for eyes, outlines, and what the
numbers mean."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.text import valid_text
from rl2qc.filtering.exports.dissolve import Ring, dissolve
from rl2qc.filtering.exports.registry import ExportFormat, register_format
from rl2qc.filtering.slide_mask import BACKGROUND, GRANDQC, TISSUE, SlideMask, slide_mask
from rl2qc.filtering.table import TileTable
from rl2qc.images.reasons import DAMAGE_REASONS, FOREIGN, REASON_COLORS

__all__ = [
    "artifact_features",
    "write_artifacts",
    "write_legend",
    "write_mask",
    "write_picture",
]

_TILE = 256
_GLASS, _CLEAN = (255, 255, 255), (238, 200, 214)
# Regions of fewer cells are one annotation together: there may be thousands.
_SMALL = 16

_MEASURES = (
    "classes count the cells of this mask, each alike; slide_shares and slide_area_um2, as in "
    "summary.csv and report, weigh tiles by the tissue in them, and count all of a tile that "
    "mostly shows a kind of damage"
)


def write_mask(table: TileTable, path: Path) -> None:
    """The codes of GrandQC as an 8-bit TIFF, tiled and in levels, with its microns per pixel."""
    import tifffile

    mask = slide_mask(table)
    level, mpp = mask.codes(), mask.mpp
    with tifffile.TiffWriter(path) as tiff:
        first = True
        while first or max(level.shape) > _TILE:
            if not first:
                # Of labels, neighbours have no mean.
                level, mpp = np.ascontiguousarray(level[::2, ::2]), 2 * mpp
            tiff.write(
                level,
                tile=(_TILE, _TILE),
                photometric="minisblack",
                compression="deflate",
                resolution=(1e4 / mpp, 1e4 / mpp),
                resolutionunit="CENTIMETER",
                subfiletype=0 if first else 1,
                metadata=None,
            )
            first = False


def write_picture(table: TileTable, path: Path) -> None:
    """All classes in their colours as a PNG."""
    from PIL import Image

    mask = slide_mask(table)
    colours = [_GLASS, _CLEAN, *(_colour(name) for name in mask.classes)]
    picture = Image.fromarray(mask.labels).convert("P")
    picture.putpalette([part for colour in colours for part in colour])
    picture.save(path, format="PNG")


def write_legend(table: TileTable, path: Path) -> None:
    """What the numbers of mask and picture mean, and how much there is of each, as JSON."""
    mask = slide_mask(table)
    counts, areas = mask.counts(), mask.areas()
    tissue = sum(counts.values())

    def about(name: str, label: int, code: int | None) -> dict[str, Any]:
        share = counts[name] / tissue if tissue else 0.0
        known = {"name": DAMAGE_REASONS.get(name, name), "picture": label, "code": code}
        return {**known, "share_of_tissue": share, "area_um2": areas[name]}

    classes = {"tissue": about("tissue", TISSUE, TISSUE)}
    for label, name in enumerate(mask.classes, TISSUE + 1):
        classes[name] = about(name, label, GRANDQC.get(name))
    content = {
        "slide": valid_text(table.name),
        "codes": "GrandQC",
        "background": BACKGROUND,
        "without_code": [name for name in mask.classes if name not in GRANDQC],
        "mpp": mask.mpp,
        "level0_px": mask.step[0] if mask.step[0] == mask.step[1] else mask.step,
        "height": mask.labels.shape[0],
        "width": mask.labels.shape[1],
        "measures": _MEASURES,
        "classes": classes,
        "slide_shares": dict(table.areas),
        "slide_area_um2": dict(table.area_um2),
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_artifacts(table: TileTable, path: Path) -> None:
    """A FeatureCollection for QuPath: an annotation for each region of damage, one a line."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for i, feature in enumerate(artifact_features(table)):
            file.write(",\n" if i else "\n")
            file.write(json.dumps(feature, separators=(",", ":"), allow_nan=False))
        file.write("\n]}\n")


def artifact_features(table: TileTable) -> Iterator[dict[str, Any]]:
    """The regions of each class, dissolved, in QuPath's terms.

    Coordinates are level-0 px relative to the scanned bounds, since QuPath crops slides to them.
    Ids depend on the slide's name, the class and the place. Small regions of a class are one
    annotation.
    """
    mask = slide_mask(table)
    offset = table.bounds[:2] if table.bounds else (0, 0)
    for label, name in enumerate(mask.classes, TISSUE + 1):
        small: list[list[Ring]] = []
        for polygon in _polygons(mask, label, offset):
            if _cells(polygon, mask.step) < _SMALL:
                small.append(polygon)
            else:
                yield _feature(table, name, [polygon], mask)
        if small:
            yield _feature(table, name, small, mask, "small")


def _polygons(mask: SlideMask, label: int, offset: tuple[int, int]) -> list[list[Ring]]:
    """Runs of cells, row by row, dissolved."""
    padded = np.pad(mask.labels == label, ((0, 0), (1, 1))).astype(np.int8)
    turns = np.diff(padded, axis=1)
    rows, starts = np.nonzero(turns == 1)
    _, ends = np.nonzero(turns == -1)

    def level0(cells: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
        return np.asarray(np.rint(cells * mask.step[axis]), np.int64) - offset[axis]

    x0, x1 = level0(starts, 0), level0(ends, 0)
    y0, y1 = level0(rows, 1), level0(rows + 1, 1)
    return dissolve(x0, y0, x1 - x0, y1 - y0)


def _feature(
    table: TileTable, name: str, polygons: list[list[Ring]], mask: SlideMask, what: str = ""
) -> dict[str, Any]:
    word = DAMAGE_REASONS.get(name, name)
    first = polygons[0][0][0]
    key = f"rl2qc:{table.name!a}:artifact:{name}:{what or f'{first[0]},{first[1]}'}"
    area = sum(_area(polygon) for polygon in polygons) * mask.mpp**2 / math.prod(mask.step)
    one = len(polygons) == 1
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, key)),
        "geometry": {
            "type": "Polygon" if one else "MultiPolygon",
            "coordinates": polygons[0] if one else polygons,
        },
        "properties": {
            "objectType": "annotation",
            "name": f"{word}, small" if what else word,
            "classification": {"name": f"QC: {word}", "color": list(_colour(name))},
            "isLocked": True,
            "measurements": {"area_um2": area},
        },
    }


def _area(polygon: list[Ring]) -> float:
    """Level-0 px squared, holes taken off."""
    rings = [np.array(ring, np.float64) for ring in polygon]
    return abs(sum(float(_cross(ring)) for ring in rings)) / 2


def _cross(ring: NDArray[np.float64]) -> float:
    x, y = ring.T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())


def _cells(polygon: list[Ring], step: tuple[float, float]) -> float:
    return _area(polygon) / math.prod(step)


def _colour(name: str) -> tuple[int, int, int]:
    return REASON_COLORS.get(DAMAGE_REASONS.get(name, name), REASON_COLORS[FOREIGN])


register_format(
    ExportFormat(
        "map",
        "mask.tiff",
        write_mask,
        maps=True,
        brings=("map-picture", "map-legend", "map-outlines", "histoqc"),
        order=6,
    )
)
register_format(
    ExportFormat("map-picture", "mask.png", write_picture, maps=True, listed=False, order=6)
)
register_format(
    ExportFormat("map-legend", "mask.json", write_legend, maps=True, listed=False, order=6)
)
register_format(
    ExportFormat(
        "map-outlines", "artifacts.geojson", write_artifacts, maps=True, listed=False, order=6
    )
)
