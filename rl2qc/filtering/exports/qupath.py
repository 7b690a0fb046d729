"""QuPath GeoJSON: an object a tile, and one dissolved annotation for each class of tiles."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rl2qc.filtering.exports.dissolve import dissolve
from rl2qc.filtering.exports.registry import ExportFormat, register_format
from rl2qc.filtering.table import TileTable
from rl2qc.images.reasons import REASON_COLORS

__all__ = ["geojson_features", "write_geojson"]

_CLASSES = {True: ("QC: kept", (0, 150, 60)), False: ("QC: rejected", (200, 0, 0))}


def write_geojson(table: TileTable, path: Path) -> None:
    """A FeatureCollection for QuPath, one feature a line."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for i, feature in enumerate(geojson_features(table)):
            file.write(",\n" if i else "\n")
            file.write(json.dumps(feature, separators=(",", ":"), allow_nan=False))
        file.write("\n]}\n")


def geojson_features(table: TileTable) -> Iterator[dict[str, Any]]:
    """A tile object for each tile, and one annotation for each class, in QuPath's terms.

    A rejected tile's class names the likely reason, "QC: rejected: ink or pen". Coordinates are
    level-0 px relative to the scanned bounds, since QuPath crops slides to them.
    Ids depend on the slide's name and the tile alone: writing again replaces, not duplicates.
    Tiles of the same place, which coordinates of other tools may hold, are numbered.
    """
    left, top = table.bounds[:2] if table.bounds else (0, 0)
    xs, ys = table.x - left, table.y - top
    reasons, times = table.reasons, Counter[str]()
    columns = {
        **{name: values.tolist() for name, values in table.measurements.items()},
        "tissue_fraction": table.tissue_fraction.tolist(),
    }
    for i, (x, y, width, height, keep, reason) in enumerate(
        zip(
            xs.tolist(),
            ys.tolist(),
            table.width.tolist(),
            table.height.tolist(),
            table.keep.tolist(),
            reasons.tolist(),
            strict=True,
        )
    ):
        # QuPath takes numbers only: what is not finite is left out.
        measurements = {n: v[i] for n, v in columns.items() if np.isfinite(v[i])}
        name = f"x{x}_y{y}"
        times[name] += 1
        ring = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]
        yield _feature(
            table,
            "tile",
            name if times[name] == 1 else f"{name}_{times[name]}",
            {"type": "Polygon", "coordinates": [ring]},
            _class(keep, reason),
            measurements,
        )
    for keep, reason in ((True, ""), (False, ""), *((False, reason) for reason in REASON_COLORS)):
        chosen = (table.keep == keep) & (reasons == reason)
        if chosen.any():
            polygons = dissolve(xs[chosen], ys[chosen], table.width[chosen], table.height[chosen])
            geometry = (
                {"type": "Polygon", "coordinates": polygons[0]}
                if len(polygons) == 1
                else {"type": "MultiPolygon", "coordinates": polygons}
            )
            count = {"tiles": int(chosen.sum())}
            category = _class(keep, reason)
            yield _feature(table, "annotation", category[0], geometry, category, count)


def _class(keep: bool, reason: str) -> tuple[str, tuple[int, int, int]]:
    name, color = _CLASSES[keep]
    return (f"{name}: {reason}", REASON_COLORS[reason]) if reason else (name, color)


def _feature(
    table: TileTable,
    kind: str,
    name: str,
    geometry: dict[str, Any],
    category: tuple[str, tuple[int, int, int]],
    measurements: dict[str, Any],
) -> dict[str, Any]:
    label, color = category
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


register_format(ExportFormat("geojson", "tiles.geojson", write_geojson, order=3))
