"""OME-Zarr (NGFF 0.4 and 0.5): a folder that is a slide, or several."""

from __future__ import annotations

import importlib.metadata
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.files import read_json
from rl2qc.core.names import stays_inside
from rl2qc.core.registry import Extra
from rl2qc.errors import SlideError
from rl2qc.slides.info import SlideInfo, settle_mpp
from rl2qc.slides.readers._ome import Channel, colour_order, eight_bits, to_micrometres
from rl2qc.slides.readers._zarr_store import METADATA, ZarrStore, is_zipped_zarr
from rl2qc.slides.readers.base import ReaderSpec, SharedCache, register_reader
from rl2qc.slides.readers.blocks import BlockReader
from rl2qc.slides.readers.pixel_shape import square_pixels
from rl2qc.slides.scenes import split_scene

__all__ = ["OmeZarrReader"]

# Sides of an image, in px, as of TIFF.
_MOST_SIDE = 2**24
_BLOCK_LIMIT = 2**26
# So many files of pixels stand for all of them in a slide's identity.
_SAMPLED = 500
_SERIES = 1000


class OmeZarrReader(BlockReader):
    """An open slide of an OME-Zarr; threads may share it, and it pickles as its path.

    Raises
    ------
    SlideError
        A folder or archive that is damaged, that holds no stained slide, or has no resolution.
    """

    def __init__(
        self,
        path: Path,
        *,
        mpp_override: float | None = None,
        icc: bool = False,
        cache: SharedCache | None = None,
    ) -> None:
        super().__init__(cache)
        self.path, self._mpp_override, self._icc = path, mpp_override, icc
        folder, scene = split_scene(path)
        store = ZarrStore(folder)
        images = _images(store)
        if not 0 <= (scene or 0) < len(images):
            raise SlideError(f"{folder} holds {len(images)} slides, and none is {path.name}")
        try:
            image = _Image(store, images[scene or 0])
        except SlideError:
            raise
        # Whatever a damaged file brings about in its library.
        except Exception as error:
            raise SlideError(f"{folder} cannot be opened as a slide: {_line(error)}") from error
        self._file, self._image = folder, image
        self._scale = eight_bits(folder, image.levels[0].dtype, None)
        self._order = image.order(folder)
        self.block_sizes = tuple(image.block(level) for level in image.levels)
        self.info = _info(folder, image, mpp_override, icc=icc)

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self.path, self._mpp_override, self._icc)

    def read_block(self, level: int, column: int, row: int) -> NDArray[np.uint8]:
        """See :meth:`BlockReader.read_block`."""
        width, height = self.block_sizes[level]
        x, y = column * width, row * height
        try:
            pixels = self._image.read(level, slice(y, y + height), slice(x, x + width))
        except Exception as error:
            raise SlideError(
                f"{self._file} cannot be read at x {x}, y {y}, level {level}: {_line(error)}"
            ) from error
        pixels = pixels[..., self._order]
        if self._scale is None:
            return np.ascontiguousarray(pixels)
        return np.rint(pixels * self._scale).astype(np.uint8)


def _reopen(path: Path, mpp_override: float | None, icc: bool) -> OmeZarrReader:
    return OmeZarrReader(path, mpp_override=mpp_override, icc=icc)


class _Image:
    """One image of several resolutions."""

    def __init__(self, store: ZarrStore, place: str) -> None:
        folder, about = store.path, _attributes(store, place)
        multiscale = about["multiscales"][0]
        axes = [a if isinstance(a, str) else a["name"] for a in multiscale["axes"]]
        self.axes = [axis.lower() for axis in axes]
        self.units = [None if isinstance(a, str) else a.get("unit") for a in multiscale["axes"]]
        self.omero: Mapping[str, Any] = about.get("omero", {})
        self.levels = list[Any]()
        for dataset in multiscale["datasets"]:
            within = Path(place, dataset["path"])
            if not stays_inside(within):
                raise SlideError(f"{folder} names a level outside itself: {dataset['path']!r}")
            self.levels.append(store.array(within.as_posix()))
        self._folder = folder
        self._scales = [_scale(part, len(axes)) for part in (multiscale["datasets"][0], multiscale)]
        if not set("yx") <= set(self.axes) <= set("tczyx") or len(set(self.axes)) < len(axes):
            raise SlideError(f"{folder} has the axes {', '.join(axes)}, and a slide has y and x")
        sizes = [self.size(level) for level in self.levels]
        if not all(0 < side <= _MOST_SIDE for size in sizes for side in size):
            raise SlideError(f"{folder} says that its levels have {sizes} px, so it is damaged")
        (width, height), *others = sizes
        if any(abs(width / w - height / h) > 0.1 * width / w for w, h in others if min(w, h) > 32):
            raise SlideError(f"{folder} has levels of different shapes, {sizes} px: it is damaged")

    @property
    def focal_planes(self) -> int:
        """How many there are."""
        return int(self.levels[0].shape[self.axes.index("z")]) if "z" in self.axes else 1

    def size(self, level: Any) -> tuple[int, int]:
        """Width and height of a level."""
        return int(level.shape[self.axes.index("x")]), int(level.shape[self.axes.index("y")])

    def block(self, level: Any) -> tuple[int, int]:
        """Width and height of a level's blocks, whole chunks of it."""
        width, height = (int(level.chunks[self.axes.index(axis)]) for axis in "xy")
        if width * height > _BLOCK_LIMIT:
            raise SlideError(
                f"{self._folder} has chunks of {width} x {height} px, too large to be read in part"
            )
        return width, height

    def mpp(self) -> tuple[float | None, float | None]:
        """Microns per pixel in x and in y, as recorded."""
        found = []
        for axis in "xy":
            i = self.axes.index(axis)
            unit = self.units[i]
            # What is said of a level, times what is said of all of them.
            said = [scale[i] for scale in self._scales if scale is not None]
            found.append(to_micrometres(math.prod(said), unit) if unit and said else None)
        return found[0], found[1]

    def order(self, folder: Path) -> list[int]:
        """Which channels are red, green and blue."""
        count = self.levels[0].shape[self.axes.index("c")] if "c" in self.axes else 1
        if count == 1:
            return [0, 0, 0]
        channels = [
            Channel(str(c.get("label", "")), _colour(c.get("color")))
            for c in self.omero.get("channels", ())
        ]
        if not channels and count == 3:
            # Nothing is said of three channels of a picture: they are its colours.
            return [0, 1, 2]
        return list(colour_order(folder, channels or [Channel()] * count))

    def read(self, level: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Pixels (h, w, channels), in the middle focal plane, at the first time."""
        array = self.levels[level]
        where: dict[str, Any] = {"y": rows, "x": columns, "c": slice(None), "t": 0}
        where["z"] = array.shape[self.axes.index("z")] // 2 if "z" in self.axes else 0
        pixels = np.asarray(array[tuple(where[axis] for axis in self.axes)])
        left = [axis for axis in self.axes if axis in "cyx"]
        order = [left.index(axis) for axis in ("y", "x", *(["c"] if "c" in left else []))]
        pixels = pixels.transpose(order)
        return pixels if pixels.ndim == 3 else pixels[..., None]


def _scale(part: Mapping[str, Any], axes: int) -> list[float] | None:
    """A number for each axis; None where nothing is said, which is no scale of 1."""
    for transformation in part.get("coordinateTransformations") or ():
        if transformation.get("type") == "scale" and len(transformation["scale"]) == axes:
            return [float(value) for value in transformation["scale"]]
    return None


def _colour(text: object) -> tuple[int, int, int] | None:
    if not isinstance(text, str) or len(text) != 6:
        return None
    with suppress(ValueError):
        red, green, blue = bytes.fromhex(text)
        return red, green, blue
    return None


def _attributes(store: ZarrStore, place: str) -> Mapping[str, Any]:
    """What a group says of itself, of either version; {} of what is none."""
    for name in METADATA:
        with suppress(OSError, ValueError, RecursionError, zipfile.BadZipFile):
            content = json.loads(store.text(PurePosixPath(place, name).as_posix()))
            found = content.get("attributes", {}) if name == "zarr.json" else content
            if isinstance(found, dict):
                return found.get("ome", found) if isinstance(found.get("ome", {}), dict) else found
    return {}


def _images(store: ZarrStore) -> list[str]:
    """Places of the images in it, those of labels aside.

    Raises
    ------
    SlideError
        It holds none.
    """
    if "multiscales" in _attributes(store, ""):
        return [""]
    # As bioformats2raw lays several out.
    found: list[str] = []
    while len(found) < _SERIES and "multiscales" in _attributes(store, str(len(found))):
        found.append(str(len(found)))
    if not found:
        raise SlideError(f"{store.path} cannot be opened as a slide: it holds no image of OME-Zarr")
    return found


def _info(folder: Path, image: _Image, override: float | None, *, icc: bool) -> SlideInfo:
    recorded, said, stretch = square_pixels(folder, *image.mpp(), overridden=override is not None)
    mpp, source, warnings = settle_mpp(folder, recorded, "ome.scale", override)
    warnings += said
    if image.focal_planes > 1:
        warnings += (f"of {image.focal_planes} focal planes the middle one is read",)
    if "c" not in image.axes or image.levels[0].shape[image.axes.index("c")] == 1:
        warnings += ("the slide has a single channel, which is taken for red, green and blue",)
    if icc:
        warnings += ("the slide has no ICC profile: its colours are taken as they are",)
    sizes = tuple(image.size(level) for level in image.levels)
    return SlideInfo(
        vendor="ome-zarr",
        dimensions=sizes[0],
        level_dimensions=sizes,
        level_downsamples=_downsamples(sizes),
        mpp=mpp,
        mpp_source=source,
        bounds=(0, 0, *sizes[0]),
        warnings=warnings,
        stretch=stretch,
    )


def _downsamples(sizes: Sequence[tuple[int, int]]) -> tuple[float, ...]:
    (width, height), *others = sizes
    return (1.0, *((width / w + height / h) / 2 for w, h in others))


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _is_spatialdata(folder: Path) -> bool:
    """Whether it is a store of SpatialData, as LazySlide keeps one beside each slide."""
    root = read_json(folder / "zarr.json").get("attributes") or read_json(folder / ".zattrs")
    return isinstance(root, dict) and "spatialdata_attrs" in root


def _scenes(path: Path) -> int:
    with suppress(SlideError):
        return len(_images(ZarrStore(path)))
    return 1


def _files(path: Path) -> list[Path]:
    """What it says of itself, and files of pixels spread over all of it."""
    folder = split_scene(path)[0]
    if not folder.is_dir():
        return [folder]
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    about = [file for file in files if file.name in ("zarr.json", ".zattrs", ".zarray", ".zgroup")]
    pixels = [file for file in files if file not in set(about)]
    return about + pixels[:: max(1, len(pixels) // _SAMPLED)]


def _versions() -> dict[str, str]:
    return {"zarr": importlib.metadata.version("zarr")}


register_reader(
    ReaderSpec(
        "ome-zarr",
        OmeZarrReader,
        suffixes=frozenset({".ozx"}),
        sniff=is_zipped_zarr,
        folders=frozenset({".zarr"}),
        files=_files,
        beside=_is_spatialdata,
        scenes=_scenes,
        extra=Extra("zarr", "rl2qc[ome]"),
        versions=_versions,
    )
)
