"""One SpatialData store a slide, as LazySlide and wsidata open it beside the slide.

``open_wsi(slide, store="results/spatialdata")`` finds it. As LazySlide embeds every tile of the
element that it is given, ``tiles`` holds the KEPT tiles alone, with the specification that its
readers take pixels by. Beside it lie

``qc_tiles``
    Every tile that was measured: decision, reason and measurements in columns.
``qc_artifacts``, ``qc_mask``
    Outlines of the damage, with class and square microns; the label mask in GrandQC's codes. Both
    of models with a map only.

All lie in level-0 px of the whole slide. What LazySlide has put into a store since is carried over
when it is written again, and stays when ours is removed.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rl2qc.core.opening import read_file_text
from rl2qc.core.registry import Extra
from rl2qc.core.text import valid_text
from rl2qc.filtering.exports.geometry import tile_pixels, tile_side
from rl2qc.filtering.exports.map import artifact_features
from rl2qc.filtering.exports.registry import ExportFormat, register_format
from rl2qc.filtering.slide_mask import slide_mask
from rl2qc.filtering.table import TileTable

__all__ = ["carry_over", "remove_store", "write_spatialdata"]

_OURS = ("shapes/tiles", "shapes/qc_tiles", "shapes/qc_artifacts", "labels/qc_mask")
_KINDS = ("images", "labels", "points", "shapes", "tables")
_SPEC, _ABOUT = "tile_spec", "rl2qc"


def write_spatialdata(table: TileTable, path: Path) -> None:
    """Write the store; it is a folder."""
    with _quietly():
        import spatialdata

        shapes, labels = _tiles(table), {}
        if table.maps:
            shapes |= _artifacts(table)
            labels = {"qc_mask": _mask(table)}
        attrs = {
            _SPEC: {name: _spec(table) for name in ("tiles", "qc_tiles") if name in shapes},
            _ABOUT: {
                "slide": valid_text(table.name),
                "alpha": table.alpha,
                "tiles": len(table),
                "kept": int(table.keep.sum()),
                "codes": "GrandQC",
            },
        }
        spatialdata.SpatialData(shapes=shapes, labels=labels, attrs=attrs).write(path)


def carry_over(old: Path, new: Path) -> None:
    """Take what others have in one store into another, and their attributes."""
    foreign = _foreign(old)
    theirs, ours = _attributes(old), _attributes(new)
    if not foreign and theirs.keys() <= ours.keys():
        return
    for name in foreign:
        shutil.copytree(old / name, new / name)
        group = Path(name).parent / "zarr.json"
        if not (new / group).exists() and (old / group).exists():
            shutil.copyfile(old / group, new / group)
    attributes = {**theirs, **ours}
    attributes[_SPEC] = {**theirs.get(_SPEC, {}), **ours.get(_SPEC, {})}
    _write_attributes(new, attributes)


def remove_store(path: Path) -> None:
    """Remove a store; of one that others have written to, what is ours."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    if not _foreign(path):
        shutil.rmtree(path)
        return
    for name in _OURS:
        if (path / name).is_dir():
            shutil.rmtree(path / name)
    attributes = _attributes(path)
    attributes.pop(_ABOUT, None)
    named = {Path(name).name for name in _OURS}
    specs = attributes.get(_SPEC, {})
    attributes[_SPEC] = {name: spec for name, spec in specs.items() if name not in named}
    _write_attributes(path, attributes)


def _foreign(store: Path) -> list[str]:
    found = (folder for kind in _KINDS for folder in sorted((store / kind).glob("*/")))
    names = (folder.relative_to(store).as_posix() for folder in found)
    return [name for name in names if name not in _OURS]


def _attributes(store: Path) -> dict[str, Any]:
    """Those of the whole store, without what SpatialData itself keeps there."""
    try:
        content = json.loads(read_file_text(store / "zarr.json"))
        attributes = dict(content["attributes"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    attributes.pop("spatialdata_attrs", None)
    return attributes


def _write_attributes(store: Path, attributes: dict[str, Any]) -> None:
    """Change the attributes, and list anew what the store holds."""
    with _quietly():
        import zarr

        group = zarr.open_group(str(store), mode="r+", use_consolidated=False)
        own = group.attrs.asdict().get("spatialdata_attrs")
        group.attrs.put({**attributes, **({"spatialdata_attrs": own} if own else {})})
        zarr.consolidate_metadata(str(store))


def _tiles(table: TileTable) -> dict[str, Any]:
    from geopandas import GeoDataFrame
    from shapely import box
    from spatialdata.models import ShapesModel

    if not len(table):
        return {}
    frame = GeoDataFrame(
        {
            "tile_id": np.arange(len(table)),
            "x": table.x,
            "y": table.y,
            "tissue_id": np.zeros(len(table), np.int64),
            "keep": table.keep,
            "reason": [str(reason) for reason in table.reasons],
            "tissue_fraction": table.tissue_fraction,
            **table.measurements,
            "geometry": box(table.x, table.y, table.x + table.width, table.y + table.height),
        }
    )
    found = {"qc_tiles": ShapesModel.parse(frame)}
    if table.keep.any():
        kept = frame[frame["keep"]].reset_index(drop=True)
        # Its users number tiles from 0.
        kept["tile_id"] = np.arange(len(kept))
        found["tiles"] = ShapesModel.parse(kept)
    return found


def _spec(table: TileTable) -> dict[str, Any]:
    """wsidata's ``TileSpec``: it rounds sides down, so that the factors lean upwards."""
    size, side = tile_pixels(table), tile_side(table)
    stride = max(1, size - table.overlap)
    scale = table.scale or side / size
    return {
        "height": size,
        "width": size,
        "stride_height": stride,
        "stride_width": stride,
        "mpp": table.mpp,
        "ops_level": table.level or 0,
        "ops_downsample": (round(size * scale) + 1e-6) / size if scale != 1 else 1.0,
        "base_level": 0,
        "base_downsample": (side + 1e-6) / size if side != size else 1.0,
        "tissue_name": None,
    }


def _artifacts(table: TileTable) -> dict[str, Any]:
    from geopandas import GeoDataFrame
    from shapely import affinity
    from shapely.geometry import shape
    from spatialdata.models import ShapesModel

    left, top = table.bounds[:2] if table.bounds else (0, 0)
    rows: list[dict[str, Any]] = []
    for feature in artifact_features(table):
        about = feature["properties"]
        rows.append(
            {
                "class": about["classification"]["name"].removeprefix("QC: "),
                "area_um2": about["measurements"]["area_um2"],
                "id": feature["id"],
                "geometry": affinity.translate(shape(feature["geometry"]), left, top),
            }
        )
    return {"qc_artifacts": ShapesModel.parse(GeoDataFrame(rows))} if rows else {}


def _mask(table: TileTable) -> Any:
    from spatialdata.models import Labels2DModel
    from spatialdata.transformations import Scale

    mask = slide_mask(table)
    place = {"global": Scale(list(mask.step), axes=("x", "y"))}
    return Labels2DModel.parse(mask.codes(), dims=("y", "x"), transformations=place)


@contextmanager
def _quietly() -> Iterator[None]:
    """What the libraries say of themselves is of no use to whom asks for a file."""
    logger = logging.getLogger("spatialdata")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


register_format(
    ExportFormat(
        "spatialdata",
        "spatialdata/{name}.zarr",
        write_spatialdata,
        shared=True,
        square=True,
        extra=Extra("spatialdata", "rl2qc[spatialdata]"),
        remove=remove_store,
        carry=carry_over,
        order=9,
    )
)
