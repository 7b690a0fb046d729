"""Outlines in GeoJSON, as QuPath and TRIDENT write them, drawn as a mask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import ImageError

__all__ = ["read_outlines"]

Mask = NDArray[np.bool_]
Rings = list[NDArray[np.float64]]

# Classes that say what is no tissue; QuPath ends the names of those that it ignores by a star.
_NO_TISSUE = ("background", "glass", "ignore", "exclude", "outside")
# Drawn at several times the overview's scale, since whole pixels are drawn along edges: up to so
# many times and so many px a side, with fractions of a pixel of so many bits.
_FINER, _SIDE, _SHIFT = 8, 6144, 4
# Outlines may reach this share of the slide beyond its edge.
_BEYOND = 0.02
# Outlines that all lie within this share of the slide are those of a smaller level, perhaps.
_CORNER = 0.25


def read_outlines(
    path: Path,
    dimensions: tuple[int, int],
    bounds: tuple[int, int, int, int],
    shape: tuple[int, int],
) -> tuple[Mask, list[str]]:
    """Draw polygons of a GeoJSON file, in px of level 0, on the overview of a slide.

    Where some are classified as tissue ("Tissue", "Normal Tissue"), these count alone; else all
    do but what is classified as background, glass, or to be ignored, which is cut out. QuPath
    counts from the scanned part of a slide that records one.

    Parameters
    ----------
    path
        The file.
    dimensions
        Width and height of the slide at level 0 in px.
    bounds
        x, y, width, height at level 0 of the part that the overview shows.
    shape
        Height and width of the overview in px.

    Returns
    -------
    (h, w) bool, and warnings.

    Raises
    ------
    ImageError
        A file that is no GeoJSON, has no polygons, or reaches beyond the slide.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "case.geojson"
    >>> square = [[[0, 0], [50, 0], [50, 100], [0, 100], [0, 0]]]
    >>> _ = file.write_text(json.dumps({"type": "Polygon", "coordinates": square}))
    >>> read_outlines(file, (100, 100), (0, 0, 100, 100), (1, 2))[0].tolist()
    [[True, False]]
    """
    features = list(_features(path, _parsed(path)))
    polygons = [(c, q, list(_polygons(path, g))) for c, q, g in features]
    skipped = sum(not rings for _, _, rings in polygons)
    if skipped == len(polygons):
        raise ImageError(f"{path} holds no polygons: outlines of tissue are needed")
    polygons = [p for p in polygons if p[2]]
    named = [p for p in polygons if "tissue" in p[0] and not _is_out(p[0])]
    wanted = named or [p for p in polygons if not _is_out(p[0])]
    unwanted = [] if named else [p for p in polygons if _is_out(p[0])]
    if not wanted:
        raise ImageError(f"{path} outlines only what is no tissue ({polygons[0][0]})")
    by_qupath = any(q for _, q, _ in polygons)
    origin = (bounds[0], bounds[1]) if by_qupath else (0, 0)
    span = (bounds[2], bounds[3]) if by_qupath else dimensions
    warnings = _checked(path, [r for _, _, rings in wanted for r in rings], span)
    if skipped:
        warnings.append(f"{path.name}: {skipped} points and lines are left out")
    away = np.array([origin[0] - bounds[0], origin[1] - bounds[1]], np.float64)
    mask = _drawn(wanted, away, bounds, shape) & ~_drawn(unwanted, away, bounds, shape)
    return mask, warnings


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise ImageError(f"{path} cannot be read as GeoJSON: {reason}") from error


def _features(path: Path, value: Any) -> Iterator[tuple[str, bool, Any]]:
    """Class in lower case, whether QuPath wrote it, and geometry of each feature."""
    items = value
    if isinstance(value, dict):
        items = value.get("features") if value.get("type") == "FeatureCollection" else [value]
    if not isinstance(items, list):
        raise ImageError(f"{path} is no GeoJSON: no features are in it")
    for item in items:
        if not isinstance(item, dict):
            raise ImageError(f"{path} is no GeoJSON: no features are in it")
        if item.get("type") == "Feature":
            about = item.get("properties")
            about = about if isinstance(about, dict) else {}
            kind = about.get("classification")
            kind = kind.get("name") if isinstance(kind, dict) else kind
            qupath = "objectType" in about or "object_type" in about
            yield str(kind or "").lower(), qupath, item.get("geometry")
        else:
            yield "", False, item


def _polygons(path: Path, geometry: Any) -> Iterator[Rings]:
    """The rings of each polygon; nothing of points and lines."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind == "GeometryCollection" and isinstance(geometry.get("geometries"), list):
        for part in geometry["geometries"]:
            if isinstance(part, dict) and part.get("type") in ("Polygon", "MultiPolygon"):
                yield from _polygons(path, part)
    elif kind in ("Polygon", "MultiPolygon"):
        try:
            parts = geometry["coordinates"]
            for part in [parts] if kind == "Polygon" else parts:
                found = [np.asarray(ring) for ring in part]
                # Integers too long for a machine are objects.
                if any(ring.dtype.kind not in "iuf" for ring in found):
                    raise ValueError("no numbers")
                rings = [ring.astype(np.float64) for ring in found]
                if not all(r.ndim == 2 and r.shape[1] >= 2 and np.isfinite(r).all() for r in rings):
                    raise ValueError("not pairs of numbers")
                yield [r[:, :2] for r in rings if len(r) >= 3]
        except (KeyError, TypeError, ValueError) as error:
            raise ImageError(f"{path} has a polygon whose points are no numbers") from error
    elif kind not in ("Point", "MultiPoint", "LineString", "MultiLineString"):
        raise ImageError(f"{path} is no GeoJSON: {str(kind)[:40]!r} is no geometry")


def _is_out(name: str) -> bool:
    return name.endswith("*") or any(word in name for word in _NO_TISSUE)


def _checked(path: Path, polygons: list[Rings], span: tuple[int, int]) -> list[str]:
    """ImageError for outlines beyond the slide; a warning if they may be of a smaller level."""
    points = [ring for rings in polygons for ring in rings]
    if not points:
        raise ImageError(f"{path} holds no polygons: outlines of tissue are needed")
    low = np.min([p.min(axis=0) for p in points], axis=0)
    high = np.max([p.max(axis=0) for p in points], axis=0)
    if (low < -_BEYOND * np.array(span)).any() or (high > (1 + _BEYOND) * np.array(span)).any():
        raise ImageError(
            f"{path} reaches from {low[0]:.0f}, {low[1]:.0f} to {high[0]:.0f}, {high[1]:.0f}, and "
            f"the slide has {span[0]} x {span[1]} px at level 0: is it another slide's?"
        )
    if (high < _CORNER * np.array(span)).all():
        return [
            f"{path.name}: all outlines end at {high[0]:.0f}, {high[1]:.0f} of {span[0]} x "
            f"{span[1]} px: are they in px of level 0?"
        ]
    return []


def _drawn(
    features: list[tuple[str, bool, list[Rings]]],
    away: NDArray[np.float64],
    bounds: tuple[int, int, int, int],
    shape: tuple[int, int],
) -> Mask:
    """(h, w) where half of a pixel, or more, lies in a polygon moved by ``away``."""
    finer = int(np.clip(_SIDE // max(shape), 1, _FINER))
    scale = finer * np.array([shape[1] / bounds[2], shape[0] / bounds[3]])
    fine = np.zeros((shape[0] * finer, shape[1] * finer), np.uint8)
    # OpenCV's coordinates are of centres of pixels.
    limit = 2.0**30
    for _, _, polygons in features:
        for rings in polygons:
            moved = [((r + away) * scale - 0.5) * 2**_SHIFT for r in rings]
            points = [np.clip(np.rint(m), -limit, limit).astype(np.int32) for m in moved]
            if points:
                # All rings at once: holes stay as they are.
                cv2.fillPoly(fine, points, 255, cv2.LINE_8, _SHIFT)
    small = cv2.resize(fine, shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small >= 128)
