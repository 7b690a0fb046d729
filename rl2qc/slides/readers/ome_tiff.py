"""OME-TIFF as OpenSlide does not read it: pyramids in sub-files, colours in pages of their own,
several slides in a file, 16 bits. What OpenSlide reads well stays with it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from rl2qc.core.registry import Extra
from rl2qc.errors import SlideError
from rl2qc.slides.info import SlideInfo, settle_mpp
from rl2qc.slides.readers._ome import Channel, colour_order, eight_bits, to_micrometres
from rl2qc.slides.readers.base import ReaderSpec, SharedCache, register_reader
from rl2qc.slides.readers.blocks import BlockReader
from rl2qc.slides.readers.pixel_shape import square_pixels
from rl2qc.slides.scenes import split_scene

__all__ = ["OmeTiffReader"]

# Smaller images beside the largest are labels, macro pictures and thumbnails.
_SMALLEST = 0.04
_ASIDE = ("label", "macro", "thumbnail", "overview")
_TILE_LIMIT = 2**26


class OmeTiffReader(BlockReader):
    """An open slide of an OME-TIFF; threads may share it, and it pickles as its path.

    Raises
    ------
    SlideError
        A file that is damaged, that holds no stained slide, or has no resolution.
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
        self._file, scene = split_scene(path)
        self._lock = threading.Lock()
        self._tiff: Any = None
        try:
            tiff = self._opened()
            found = _slides(tiff)
            if not 0 <= (scene or 0) < len(found):
                raise SlideError(f"{self._file} holds {len(found)} slides, and none is {path.name}")
            series = found[scene or 0]
            self._levels = [_Level(self._file, level) for level in series.levels]
            about = _about(tiff, series)
        except SlideError:
            raise
        # Whatever a damaged file brings about in its library.
        except Exception as error:
            raise SlideError(f"{self._file} cannot be opened as a slide: {_line(error)}") from error
        self._order, self._scale = _colours(self._file, self._levels[0], about)
        self.block_sizes = tuple(level.block for level in self._levels)
        self.info = _info(self._file, self._levels, about, mpp_override, icc=icc)

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self.path, self._mpp_override, self._icc)

    def close(self) -> None:
        """Release the file; a later read opens it again."""
        with self._lock:
            if self._tiff is not None:
                self._tiff.close()
                self._tiff = None

    def _opened(self) -> Any:
        if self._tiff is None:
            self._tiff = tifffile.TiffFile(self._file)
        return self._tiff

    def read_block(self, level: int, column: int, row: int) -> NDArray[np.uint8]:
        """See :meth:`BlockReader.read_block`."""
        where = self._levels[level]
        try:
            planes = [
                self._decode(page, sample, where, column, row) for page, sample in where.planes
            ]
        except Exception as error:
            x, y = (n * b for n, b in zip((column, row), where.block, strict=True))
            raise SlideError(
                f"{self._file} cannot be read at x {x}, y {y}, level {level}: {_line(error)}"
            ) from error
        pixels: NDArray[Any] = (
            planes[0][..., :3] if len(planes) == 1 else np.concatenate(planes, axis=2)
        )
        pixels = pixels[..., self._order]
        if self._scale is None:
            return np.ascontiguousarray(pixels)
        return np.asarray(np.rint(np.minimum(pixels * self._scale, 255)), np.uint8)

    def _decode(
        self, page: Any, sample: int, level: _Level, column: int, row: int
    ) -> NDArray[np.generic]:
        """A tile (h, w, samples) of a page."""
        index = (sample * level.rows + row) * level.columns + column
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        with self._lock:
            handle = self._opened().filehandle
            if offset + count > handle.size:
                raise ValueError("the file ends before its tile does")
            handle.seek(offset)
            data = handle.read(count)
        if not count:
            # Never written: nothing was scanned.
            return np.full((*level.block[::-1], page.samplesperpixel), 255, page.dtype)
        decoded: NDArray[Any] = np.asarray(page.decode(data, index, jpegtables=page.jpegtables)[0])
        tile: NDArray[np.generic] = decoded[0]
        return tile


def _reopen(path: Path, mpp_override: float | None, icc: bool) -> OmeTiffReader:
    return OmeTiffReader(path, mpp_override=mpp_override, icc=icc)


class _Level:
    """A level of a slide: its size, its blocks, and the pages that hold its planes."""

    def __init__(self, file: Path, level: Any) -> None:
        pages = [page.aspage() for page in _middle(file, level)]
        first = pages[0]
        self.size = int(first.imagewidth), int(first.imagelength)
        tiled = first.is_tiled
        width = int(first.tilewidth) if tiled else self.size[0]
        height = int(first.tilelength) if tiled else int(first.rowsperstrip or self.size[1])
        self.block = min(width, 2**16), min(height, self.size[1]) if not tiled else height
        if self.block[0] * self.block[1] > _TILE_LIMIT:
            raise SlideError(f"{file} is not stored in tiles: make it a pyramid of tiles")
        self.columns, self.rows = -(-self.size[0] // width), -(-self.size[1] // self.block[1])
        self.samples, self.kind = int(first.samplesperpixel), np.dtype(first.dtype)
        apart = self.samples > 1 and first.planarconfig == tifffile.PLANARCONFIG.SEPARATE
        # Every plane is a page, or a part of the one page.
        self.planes = [
            (page, sample)
            for page in pages
            for sample in (range(self.samples) if apart else range(1))
        ]


def _middle(file: Path, level: Any) -> list[Any]:
    """The pages of a level that hold its channels, in the middle focal plane, at the first time."""
    page = level.keyframe
    leading = level.axes[: len(level.shape) - len([a for a in page.axes if a in "YXS"])]
    sizes = level.shape[: len(leading)]
    grid = np.arange(int(np.prod(sizes, dtype=np.int64))).reshape(sizes)
    for axis, size in zip(reversed(leading), reversed(sizes), strict=True):
        at = leading.index(axis)
        if axis == "C":
            continue
        grid = np.take(grid, size // 2 if axis == "Z" else 0, axis=at)
        leading = leading.replace(axis, "", 1)
    return [level.pages[int(i)] for i in np.ravel(grid)]


def _slides(tiff: Any) -> list[Any]:
    """The series that are slides, and no label or thumbnail of one."""
    sizes = [_area(series) for series in tiff.series]
    return [
        series
        for series, area in zip(tiff.series, sizes, strict=True)
        if area >= _SMALLEST * max(sizes)
        and not any(word in str(series.name).lower() for word in _ASIDE)
    ] or list(tiff.series[:1])


def _area(series: Any) -> int:
    return int(series.keyframe.imagewidth) * int(series.keyframe.imagelength)


def _about(tiff: Any, series: Any) -> dict[str, Any]:
    """What OME's XML says of a series: sizes of pixels, channels, depth, focal planes."""
    pixels = _pixels_of(tiff, tiff.series.index(series))
    if pixels is None:
        return {"mpp": (None, None), "channels": [], "bits": None, "planes": 1}
    channels = []
    for found in pixels.findall("{*}Channel"):
        value = int(found.get("Color", "-1")) & 0xFFFFFFFF
        colour = (
            (value >> 24, (value >> 16) & 255, (value >> 8) & 255)
            if "Color" in found.attrib
            else None
        )
        channels.append(Channel(found.get("Name", ""), colour))
    bits = pixels.get("SignificantBits")
    return {
        "mpp": tuple(
            to_micrometres(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit"))
            for axis in "XY"
        ),
        "channels": channels,
        "bits": int(bits) if bits and bits.isdigit() else None,
        "planes": int(pixels.get("SizeZ", "1")),
    }


def _colour(text: str | None) -> tuple[int, int, int] | None:
    """A colour, which OME writes as a number of 32 bits with a sign: red first, alpha last."""
    if text is None:
        return None
    value = int(text) & 0xFFFFFFFF
    return value >> 24, (value >> 16) & 255, (value >> 8) & 255


def _pixels_of(tiff: Any, index: int) -> ElementTree.Element | None:
    root = ElementTree.fromstring(tiff.ome_metadata)
    images = root.findall("{*}Image")
    return images[index].find("{*}Pixels") if index < len(images) else None


def _colours(
    file: Path, level: _Level, about: dict[str, Any]
) -> tuple[list[int], NDArray[np.float64] | None]:
    """In which order planes are red, green and blue, and how they become 8 bits."""
    scale = eight_bits(file, level.kind, about["bits"])
    count = level.samples if len(level.planes) == 1 else len(level.planes)
    if level.samples in (3, 4) and len(level.planes) in (1, level.samples):
        return [0, 1, 2], scale
    if count == 1:
        return [0, 0, 0], scale
    return list(colour_order(file, about["channels"] or [Channel()] * count)), scale


def _info(
    file: Path,
    levels: Sequence[_Level],
    about: dict[str, Any],
    override: float | None,
    *,
    icc: bool,
) -> SlideInfo:
    recorded, said, stretch = square_pixels(file, *about["mpp"], overridden=override is not None)
    mpp, source, warnings = settle_mpp(file, recorded, "ome.PhysicalSizeX", override)
    warnings += said
    if len(levels[0].planes) == levels[0].samples == 1:
        warnings += ("the slide has a single channel, which is taken for red, green and blue",)
    if about["planes"] > 1:
        warnings += (f"of {about['planes']} focal planes the middle one is read",)
    if icc:
        warnings += ("the slide has no ICC profile: its colours are taken as they are",)
    sizes = tuple(level.size for level in levels)
    return SlideInfo(
        vendor="ome-tiff",
        dimensions=sizes[0],
        level_dimensions=sizes,
        level_downsamples=tuple(
            1.0 if i == 0 else (sizes[0][0] / w + sizes[0][1] / h) / 2
            for i, (w, h) in enumerate(sizes)
        ),
        mpp=mpp,
        mpp_source=source,
        bounds=(0, 0, *sizes[0]),
        warnings=warnings,
        stretch=stretch,
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _sniff(path: Path) -> bool:
    """Whether a file is an OME-TIFF that OpenSlide reads in part, or wrongly."""
    file, scene = split_scene(path)
    if file.suffix.lower() not in _SUFFIXES or importlib.util.find_spec("imagecodecs") is None:
        return False
    try:
        with tifffile.TiffFile(file) as tiff:
            if not tiff.is_ome:
                return False
            found = _slides(tiff)
            first, page = found[0], found[0].keyframe
            planes = len(first.pages) > 1 or page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
            below = len(first.levels) > 1 and first.levels[1].keyframe.is_subifd
            deep = np.dtype(page.dtype).itemsize > 1
            return bool(scene is not None or len(found) > 1 or planes or below or deep)
    except Exception:  # whatever a damaged file brings about
        return False


def _scenes(path: Path) -> int:
    try:
        with tifffile.TiffFile(path) as tiff:
            return len(_slides(tiff)) if tiff.is_ome else 1
    except Exception:
        return 1


def _files(path: Path) -> list[Path]:
    return [split_scene(path)[0]]


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("tifffile", "imagecodecs")}


_SUFFIXES = frozenset({".tif", ".tiff"})

register_reader(
    ReaderSpec(
        "ome-tiff",
        OmeTiffReader,
        sniff=_sniff,
        files=_files,
        scenes=_scenes,
        extra=Extra("imagecodecs", "rl2qc[ome]"),
        versions=_versions,
        may_crash=True,
        order=5,
    )
)
