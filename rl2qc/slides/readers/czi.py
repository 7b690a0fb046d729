"""CZI of Zeiss's scanners, by Zeiss's own library: all scenes of a file in one plane, each where it
lay on the glass."""

from __future__ import annotations

import importlib.metadata
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.core.registry import Extra
from rl2qc.errors import SlideError
from rl2qc.slides.info import SlideInfo, settle_mpp
from rl2qc.slides.readers._ome import eight_bits
from rl2qc.slides.readers.base import ReaderSpec, SharedCache, register_reader
from rl2qc.slides.readers.pixel_shape import square_pixels
from rl2qc.slides.readers.pyramid import PyramidReader

__all__ = ["CziReader"]

_COLOURS: Mapping[str, np.dtype[np.generic]] = {
    "Bgr24": np.dtype(np.uint8),
    "Bgr48": np.dtype(np.uint16),
}
# A level holds this share of what was scanned, or it is none.
_LEVEL_SHARE = 0.95
# Levels are halves of each other, up to rounding.
_HALVES = 0.02


class CziReader(PyramidReader):
    """An open CZI file; threads may share it, and it pickles as its path.

    Level 0 begins at the corner of what was scanned, of all scenes together.

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
        self.path, self._mpp_override, self._icc = path, mpp_override, icc
        self._lock = threading.Lock()
        self._czi: Any = None
        try:
            czi = self._opened()
            kinds, box = czi.pixel_types, czi.total_bounding_box_no_pyramid
            area = czi.total_bounding_rectangle_no_pyramid
            self._blocks = _Blocks(czi)
            metadata = czi.metadata
            scenes = len(czi.scenes_bounding_rectangle)
        # Whatever a damaged file brings about in its library.
        except Exception as error:
            raise SlideError(f"{path} cannot be opened as a slide: {_line(error)}") from error
        kind = _COLOURS.get(kinds.get(0, ""))
        if kind is None or len(kinds) > 1:
            raise SlideError(
                f"{path} holds {len(kinds)} channels of {', '.join(sorted(set(kinds.values())))}: "
                "only stained slides are judged, whose channel is in colours"
            )
        self._origin = area.x, area.y
        self._plane = {"Z": (box["Z"][0] + box["Z"][1]) // 2, "T": box["T"][0]}
        self._scale = eight_bits(path, kind, _bits(metadata))
        planes = box["Z"][1] - box["Z"][0]
        about = _About(metadata, (area.w, area.h), planes, scenes)
        self.info = _info(path, about, self._blocks.downsamples(), mpp_override, icc=icc)

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self.path, self._mpp_override, self._icc)

    def close(self) -> None:
        """Release the file; a later read opens it again."""
        with self._lock:
            if self._czi is not None:
                self._czi.close()
                self._czi = None

    def _opened(self) -> Any:
        if self._czi is None:
            from pylibCZIrw.czi import CziReader as ZeissReader

            if not self.path.is_file():
                raise FileNotFoundError("no such file")
            self._czi = ZeissReader(str(self.path))
        return self._czi

    def read_layer(self, x: int, y: int, level: int, size: tuple[int, int]) -> Image.Image:
        """See :meth:`PyramidReader.read_layer`."""
        downsample = int(self.info.level_downsamples[level])
        left, top = self._origin[0] + x, self._origin[1] + y
        # From whole pixels of the level.
        left, top = (
            o + round((v - o) / downsample) * downsample
            for v, o in zip((left, top), self._origin, strict=True)
        )
        region = (left, top, size[0] * downsample, size[1] * downsample)
        try:
            with self._lock:
                found = self._opened().read(
                    region,
                    plane=self._plane,
                    zoom=1 / downsample,
                    background_pixel=(1.0, 1.0, 1.0),
                )
        except Exception as error:
            raise SlideError(
                f"{self.path} cannot be read at x {x}, y {y}, level {level}: {_line(error)}"
            ) from error
        pixels = found[: size[1], : size[0], ::-1]
        if self._scale is not None:
            pixels = np.rint(np.minimum(pixels * self._scale, 255)).astype(np.uint8)
        scanned = self._blocks.scanned(region, downsample, size)
        if scanned.all():
            return Image.fromarray(np.ascontiguousarray(pixels))
        return Image.fromarray(np.dstack([pixels, np.where(scanned, 255, 0).astype(np.uint8)]))


def _reopen(path: Path, mpp_override: float | None, icc: bool) -> CziReader:
    return CziReader(path, mpp_override=mpp_override, icc=icc)


class _Blocks:
    """Where the blocks of a file lie: its levels, and what was scanned."""

    def __init__(self, czi: Any) -> None:
        places, areas = list[tuple[int, int, int, int]](), defaultdict[int, int](int)

        def note(index: int, block: Any) -> bool:
            place, size = block.logicalRect, block.physicalSize
            downsample = place.w / max(1, size.w)
            halvings = round(np.log2(max(downsample, 1)))
            if abs(downsample / 2**halvings - 1) <= _HALVES:
                areas[2**halvings] += place.w * place.h
            if halvings == 0:
                places.append((place.x, place.y, place.w, place.h))
            return True

        czi.enumerate_subblocks(note)
        if not places:
            raise ValueError("it holds no pixels")
        self._places, self._areas = np.array(places, np.int64), dict(areas)

    def downsamples(self) -> list[int]:
        """Of the levels that hold all that was scanned."""
        whole = _LEVEL_SHARE * self._areas[1]
        found = [1]
        while self._areas.get(2 * found[-1], 0) >= whole:
            found.append(2 * found[-1])
        return found

    def scanned(
        self, region: tuple[int, int, int, int], downsample: int, size: tuple[int, int]
    ) -> NDArray[np.bool_]:
        """Which pixels (h, w) of a region, in px of a level, were scanned."""
        x, y, width, height = region
        ends = self._places[:, :2] + self._places[:, 2:]
        meets = (self._places[:, 0] < x + width) & (ends[:, 0] > x)
        meets &= (self._places[:, 1] < y + height) & (ends[:, 1] > y)
        found = np.zeros(size[::-1], np.bool_)
        for (left, top), (right, bottom) in zip(
            self._places[meets, :2].tolist(), ends[meets].tolist(), strict=True
        ):
            x0, y0 = max(0, (left - x) // downsample), max(0, (top - y) // downsample)
            found[y0 : -(-(bottom - y) // downsample), x0 : -(-(right - x) // downsample)] = True
        return found


class _About:
    """What a file says of itself."""

    def __init__(
        self, metadata: Mapping[str, Any], size: tuple[int, int], planes: int, scenes: int
    ) -> None:
        self.size, self.planes, self.scenes = size, planes, scenes
        self.mpp = dict(_lengths(metadata))
        self.scanner = _scanner(metadata)


def _lengths(metadata: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The axes and the microns of a pixel along each."""
    found = _within(metadata, "ImageDocument", "Metadata", "Scaling", "Items", "Distance")
    for item in found if isinstance(found, list) else [found]:
        with suppress(TypeError, ValueError, KeyError):
            # In metres.
            length = float(item["Value"]) * 1e6
            if length > 0:
                yield str(item["@Id"]), length


def _bits(metadata: Mapping[str, Any]) -> int | None:
    found = _within(metadata, "ImageDocument", "Metadata", "Information", "Image")
    with suppress(TypeError, ValueError, KeyError):
        return int(found["ComponentBitCount"])
    return None


def _scanner(metadata: Mapping[str, Any]) -> str:
    """Maker and kind of the scanner, and no number."""
    place = ("ImageDocument", "Metadata", "Information", "Instrument", "Microscopes", "Microscope")
    found = _within(metadata, *place)
    name = found.get("@Name") if isinstance(found, Mapping) else None
    return f"Zeiss {name}" if isinstance(name, str) and name else "Zeiss"


def _within(metadata: Any, *names: str) -> Any:
    for name in names:
        metadata = metadata.get(name) if isinstance(metadata, Mapping) else None
    return metadata


def _info(
    file: Path, about: _About, downsamples: list[int], override: float | None, *, icc: bool
) -> SlideInfo:
    recorded, said, stretch = square_pixels(
        file, about.mpp.get("X"), about.mpp.get("Y"), overridden=override is not None
    )
    mpp, source, warnings = settle_mpp(file, recorded, "czi.Scaling", override)
    warnings += said
    if about.planes > 1:
        warnings += (f"of {about.planes} focal planes the middle one is read",)
    if icc:
        warnings += ("the slide has no ICC profile: its colours are taken as they are",)
    width, height = about.size
    return SlideInfo(
        vendor="zeiss",
        dimensions=(width, height),
        level_dimensions=tuple((-(-width // d), -(-height // d)) for d in downsamples),
        level_downsamples=tuple(map(float, downsamples)),
        mpp=mpp,
        mpp_source=source,
        bounds=(0, 0, width, height),
        scanner=about.scanner,
        warnings=warnings,
        stretch=stretch,
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _versions() -> dict[str, str]:
    return {"pylibCZIrw": importlib.metadata.version("pylibCZIrw")}


register_reader(
    ReaderSpec(
        "czi",
        CziReader,
        suffixes=frozenset({".czi"}),
        extra=Extra("pylibCZIrw", "rl2qc[czi]"),
        versions=_versions,
        may_crash=True,
        order=5,
    )
)
