"""Write a table of tiles in the formats that other tools read.

Each format is an entry of :data:`FORMATS`; another one is another entry.
"""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from rl2qc.atomic import atomic_path
from rl2qc.slides.filtering import TileTable

__all__ = [
    "DEFAULT_FORMATS",
    "FORMATS",
    "ExportFormat",
    "dissolve",
    "export",
    "geojson_features",
    "overlay",
]

DEFAULT_FORMATS = ("csv", "geojson", "overlay")


@dataclass(frozen=True)
class ExportFormat:
    """A file that a table is written to.

    Attributes
    ----------
    filename
        Its name in the folder of the slide.
    write
        Writes the table to the path given, which becomes the file when it is complete.
    kinds
        The kinds of tables that it makes sense for.
    """

    filename: str
    write: Callable[[TileTable, Path], None]
    kinds: frozenset[str] = frozenset({"slide"})


def export(table: TileTable, folder: Path, formats: Sequence[str] = DEFAULT_FORMATS) -> list[Path]:
    """Write ``table`` in each of ``formats`` that suits it; the files' paths."""
    written = []
    for name in formats:
        kind = FORMATS[name]
        if table.kind in kind.kinds:
            with atomic_path(folder / kind.filename) as path:
                kind.write(table, path)
            written.append(folder / kind.filename)
    return written


def write_csv(table: TileTable, path: Path) -> None:
    """One row a tile; numbers keep every digit, ``keep`` is true or false."""
    columns = table.columns()
    columns["keep"] = np.where(table.keep, "true", "false")
    # File names need not be valid text; they are written as the bytes that they are.
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


# ---------------------------------------------------------------- QuPath

_CLASSES = {True: ("QC: kept", (0, 150, 60)), False: ("QC: rejected", (200, 0, 0))}


def write_geojson(table: TileTable, path: Path) -> None:
    """A FeatureCollection for QuPath, one feature a line."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for i, feature in enumerate(geojson_features(table)):
            file.write(",\n" if i else "\n")
            json.dump(feature, file, separators=(",", ":"), allow_nan=False)
        file.write("\n]}\n")


def geojson_features(table: TileTable) -> Iterator[dict[str, Any]]:
    """A tile object for each tile, and one annotation for each class, in QuPath's terms.

    Coordinates are level-0 px relative to the scanned bounds, since QuPath crops slides to them.
    Ids depend on the slide's name and the tile alone: writing again replaces, not duplicates.
    """
    left, top = table.bounds[:2] if table.bounds else (0, 0)
    xs, ys = table.x - left, table.y - top
    columns = {
        **{name: values.tolist() for name, values in table.measurements.items()},
        "tissue_fraction": table.tissue_fraction.tolist(),
    }
    for i, (x, y, width, height, keep) in enumerate(
        zip(
            xs.tolist(),
            ys.tolist(),
            table.width.tolist(),
            table.height.tolist(),
            table.keep.tolist(),
            strict=True,
        )
    ):
        # QuPath takes numbers only: what is not finite is left out.
        measurements = {n: v[i] for n, v in columns.items() if np.isfinite(v[i])}
        ring = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]
        yield _feature(
            table,
            "tile",
            f"x{x}_y{y}",
            {"type": "Polygon", "coordinates": [ring]},
            keep,
            measurements,
        )
    for keep in (True, False):
        chosen = table.keep == keep
        if chosen.any():
            polygons = dissolve(xs[chosen], ys[chosen], table.width[chosen], table.height[chosen])
            geometry = (
                {"type": "Polygon", "coordinates": polygons[0]}
                if len(polygons) == 1
                else {"type": "MultiPolygon", "coordinates": polygons}
            )
            count = {"tiles": int(chosen.sum())}
            yield _feature(table, "annotation", _CLASSES[keep][0], geometry, keep, count)


def _feature(
    table: TileTable,
    kind: str,
    name: str,
    geometry: dict[str, Any],
    keep: bool,
    measurements: dict[str, Any],
) -> dict[str, Any]:
    label, color = _CLASSES[keep]
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"rl2qc:{table.name!a}:{kind}:{name}")),
        "geometry": geometry,
        "properties": {
            "objectType": kind,
            "name": name,
            "classification": {"name": label, "color": list(color)},
            "isLocked": True,
            "measurements": measurements,
        },
    }


Ring = list[list[int]]

# Steps along an outline, clockwise on the screen: the cell outlined is on the right hand.
_RIGHT, _DOWN, _LEFT, _UP = range(4)
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def dissolve(
    x: NDArray[np.int64], y: NDArray[np.int64], width: NDArray[np.int64], height: NDArray[np.int64]
) -> list[list[Ring]]:
    """The union of axis-parallel rectangles as valid polygons.

    Rectangles may overlap. Those that touch at a corner alone stay apart, so that every ring is
    simple; a ring is closed (its last point is its first).

    Returns
    -------
    Polygons, each its outline followed by its holes.

    Example
    -------
    >>> two = np.array([0, 2]), np.array([0, 0]), np.array([2, 2]), np.array([2, 2])
    >>> dissolve(*two)
    [[[[0, 0], [4, 0], [4, 2], [0, 2], [0, 0]]]]
    """
    xs, ys = np.unique([x, x + width]), np.unique([y, y + height])
    labels = _label_cells(
        np.searchsorted(xs, x),
        np.searchsorted(xs, x + width),
        np.searchsorted(ys, y),
        np.searchsorted(ys, y + height),
        (len(ys), len(xs)),
    )
    outlines: dict[int, list[Ring]] = {}
    holes: dict[int, list[Ring]] = {}
    for label, ring in _trace(labels):
        points = [[int(xs[column]), int(ys[row])] for column, row in ring]
        rings = outlines if _signed_area(points) > 0 else holes
        rings.setdefault(label, []).append([*points, points[0]])
    return [outlines[label] + holes.get(label, []) for label in sorted(outlines)]


def _label_cells(
    x0: NDArray[np.int64],
    x1: NDArray[np.int64],
    y0: NDArray[np.int64],
    y1: NDArray[np.int64],
    shape: tuple[int, int],
) -> NDArray[np.int32]:
    """Number the parts of the union that hang together by edges; 0 is outside, a border of it
    included."""
    changes = np.zeros((shape[0] + 1, shape[1] + 1), np.int64)
    for rows, columns, change in ((y0, x0, 1), (y0, x1, -1), (y1, x0, -1), (y1, x1, 1)):
        np.add.at(changes, (rows + 1, columns + 1), change)
    covered = changes.cumsum(axis=0).cumsum(axis=1) > 0
    labels: NDArray[np.int32] = ndimage.label(covered)[0]
    return labels


def _trace(labels: NDArray[np.int32]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Follow the outlines of the labelled cells: label, and the corners (column, row) in turn."""
    # The four cells around each corner of the grid.
    south_east, south_west = labels[1:, 1:], labels[1:, :-1]
    north_west, north_east = labels[:-1, :-1], labels[:-1, 1:]
    # For each direction, the cell on the right hand, and the one on the left, which is empty.
    sides = {
        _RIGHT: (south_east, north_east),
        _DOWN: (south_west, south_east),
        _LEFT: (north_west, south_west),
        _UP: (north_east, north_west),
    }
    leaving: dict[tuple[int, int], dict[int, int]] = {}
    for direction, (right, left) in sides.items():
        for row, column in np.argwhere((right > 0) & (left == 0)).tolist():
            leaving.setdefault((column, row), {})[direction] = int(right[row, column])

    todo = {(corner, direction): None for corner, ways in leaving.items() for direction in ways}
    while todo:
        corner, direction = next(iter(todo))
        label = leaving[corner][direction]
        steps = []
        while (corner, direction) in todo:
            del todo[corner, direction]
            steps.append((corner, direction))
            corner = (corner[0] + _STEPS[direction][0], corner[1] + _STEPS[direction][1])
            ways = leaving[corner]
            if len(ways) == 1:
                (direction,) = ways
            elif len(set(ways.values())) == 1:
                # One part meets itself at this corner: turning left keeps its hole a ring apart.
                direction = (direction - 1) % 4
            else:
                # Two parts meet: turning right stays with this one.
                direction = (direction + 1) % 4
        turns = zip(steps, [steps[-1], *steps[:-1]], strict=True)
        yield label, [at for (at, way), (_, last) in turns if way != last]


def _signed_area(points: Ring) -> int:
    """Twice the area, negative for a hole."""
    following = points[1:] + points[:1]
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, following, strict=True))


# ---------------------------------------------------------------- the picture

_PICTURE_SIDES = (800, 1600)
_KEPT, _REJECTED, _INK, _PAPER = (0, 150, 60), (200, 0, 0), (30, 30, 30), (255, 255, 255)
_TINT = (30, 130)


def overlay(table: TileTable) -> Image.Image:
    """The slide's thumbnail with its tiles: kept ones outlined in green, rejected ones tinted red,
    the more strongly the smaller their p-value.

    Raises
    ------
    ValueError
        A table without a thumbnail, such as one of patches.
    """
    if table.thumbnail is None or table.bounds is None:
        raise ValueError(f"{table.name} has no thumbnail to draw on")
    picture = Image.fromarray(table.thumbnail)
    longest = max(picture.size)
    zoom = float(np.clip(longest, *_PICTURE_SIDES)) / longest
    size = (max(1, round(picture.width * zoom)), max(1, round(picture.height * zoom)))
    picture = picture.resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    left, top, width, height = table.bounds
    scale_x, scale_y = size[0] / width, size[1] / height

    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    x0, y0 = (table.x - left) * scale_x, (table.y - top) * scale_y
    x1, y1 = x0 + table.width * scale_x - 1, y0 + table.height * scale_y - 1
    boxes = np.stack([x0, y0, np.maximum(x0, x1), np.maximum(y0, y1)], axis=1).round()
    strengths = _strengths(table.measurements["p_value"], table.alpha)
    # Kept tiles first, so that no outline of theirs lies over a rejected one.
    for i in np.argsort(~table.keep, kind="stable"):
        box = tuple(boxes[i].tolist())
        thin = box[2] - box[0] < 8
        if table.keep[i]:
            draw.rectangle(box, (*_KEPT, 40 if thin else 0), None if thin else (*_KEPT, 150))
        else:
            fill = (*_REJECTED, int(strengths[i]))
            draw.rectangle(box, fill, None if thin else (*_REJECTED, 255))
    return _with_legend(Image.alpha_composite(picture, layer).convert("RGB"), table, scale_x)


def _strengths(p_values: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Opacity (of 255) of the tint: faint at alpha, strong at p = 0."""
    faint, strong = _TINT
    depth = 1 - np.clip(p_values / alpha, 0, 1) if alpha else np.ones_like(p_values)
    strengths: NDArray[np.float64] = faint + (strong - faint) * depth
    return strengths


def _with_legend(picture: Image.Image, table: TileTable, scale: float) -> Image.Image:
    """The picture with a strip below it that explains it."""
    font = ImageFont.load_default(18)
    kept, alpha = int(table.keep.sum()), table.alpha
    row, margin, swatch = 30, 12, 18
    ramp = swatch * 4
    height = picture.height + 4 * row + 2 * margin
    canvas = Image.new("RGB", (max(picture.width, 420), height), _PAPER)
    canvas.paste(picture, (0, 0))
    draw = ImageDraw.Draw(canvas)

    y = picture.height + margin
    draw.text((margin, y), table.name.encode("ascii", "replace").decode(), _INK, font)
    y += row
    draw.rectangle((margin + ramp - swatch, y, margin + ramp, y + swatch), _PAPER, _KEPT, 2)
    draw.text((margin + ramp + 10, y), f"{kept} tiles kept (p > {alpha:g})", _INK, font)
    y += row
    for i, opacity in enumerate(_strengths(np.linspace(alpha, 0, ramp), alpha)):
        mixed = tuple(round((c * opacity + 255 * (255 - opacity)) / 255) for c in _REJECTED)
        draw.line((margin + i, y, margin + i, y + swatch), mixed)
    draw.rectangle((margin, y, margin + ramp, y + swatch), None, _REJECTED, 2)
    text = f"{len(table) - kept} tiles rejected (p from {alpha:g} down to 0)"
    draw.text((margin + ramp + 10, y), text, _INK, font)
    if table.slide_mpp is not None:
        y += row
        microns, length = _scale_bar(table.slide_mpp / scale, canvas.width / 4)
        draw.rectangle((margin, y + 6, margin + length, y + 11), _INK)
        label = f"{microns:g} um" if microns < 1000 else f"{microns / 1000:g} mm"
        draw.text((margin + length + 10, y), label, _INK, font)
    return canvas


def _scale_bar(mpp: float, longest: float) -> tuple[float, float]:
    """The longest round length that fits: in microns and in px."""
    rounds = np.array([m * 10.0**e for e in range(0, 6) for m in (1, 2, 5)])
    microns = float(rounds[rounds <= max(mpp * longest, 1.0)].max())
    return microns, microns / mpp


def write_overlay(table: TileTable, path: Path) -> None:
    """:func:`overlay` as a PNG file."""
    overlay(table).save(path)


FORMATS: dict[str, ExportFormat] = {
    "csv": ExportFormat("tiles.csv", write_csv, frozenset({"slide", "patches"})),
    "geojson": ExportFormat("tiles.geojson", write_geojson),
    "overlay": ExportFormat("overlay.png", write_overlay),
}
"""The formats by the name that the command line takes."""
