"""Slides by fastslide, for who asks for it: it is fast, and knows formats that OpenSlide does not,
but its pixels are not quite those of other readers."""

from __future__ import annotations

import importlib.metadata
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rl2qc.core.registry import Extra
from rl2qc.errors import SlideError
from rl2qc.slides.info import SlideInfo, settle_mpp
from rl2qc.slides.readers.base import ReaderSpec, SharedCache, register_reader
from rl2qc.slides.readers.pixel_shape import square_pixels
from rl2qc.slides.readers.pyramid import PyramidReader

__all__ = ["FastSlideReader"]

_CACHE_BYTES = 128 * 2**20


class FastSlideReader(PyramidReader):
    """An open slide; threads may share it, and it pickles as its path.

    Raises
    ------
    SlideError
        A file that fastslide cannot read, that is no stained slide, or has no resolution.
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
        self._slide: Any = None
        try:
            slide = self._opened()
            channels, kind = slide.num_channels, slide.dtype
        # Whatever a damaged file brings about in its library.
        except Exception as error:
            raise SlideError(f"{path} cannot be opened as a slide: {_line(error)}") from error
        if channels not in (3, 4) or kind != "uint8":
            raise SlideError(
                f"{path} holds {channels} channels of {kind}: only stained slides are judged"
            )
        self.info = _info(path, slide, mpp_override)

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self.path, self._mpp_override, self._icc)

    def close(self) -> None:
        """Release the file; a later read opens it again."""
        with self._lock:
            # Not closed by hand: a thread may still be reading.
            self._slide = None

    def _opened(self) -> Any:
        if self._slide is None:
            import fastslide

            self._slide = fastslide.FastSlide.from_file_path(
                str(self.path), apply_icc=self._icc, cache=_CACHE_BYTES
            )
        return self._slide

    def read_layer(self, x: int, y: int, level: int, size: tuple[int, int]) -> Image.Image:
        """See :meth:`PyramidReader.read_layer`."""
        downsample = self.info.level_downsamples[level]
        left, top = round(x / downsample), round(y / downsample)
        width, height = self.info.level_dimensions[level]
        x0, x1 = max(0, left), min(width, left + size[0])
        y0, y1 = max(0, top), min(height, top + size[1])
        whole = Image.new("RGBA", size)
        if x0 >= x1 or y0 >= y1:
            return whole
        try:
            with self._lock:
                slide = self._opened()
            found = slide.read_region((x0, y0), level, (x1 - x0, y1 - y0))
            pixels = np.asarray(found.to_interleaved().numpy())[..., :3]
        except Exception as error:
            raise SlideError(
                f"{self.path} cannot be read at x {x}, y {y}, level {level}: {_line(error)}"
            ) from error
        image = Image.fromarray(np.ascontiguousarray(pixels))
        if image.size == size:
            return image
        whole.paste(image, (x0 - left, y0 - top))
        return whole


def _reopen(path: Path, mpp_override: float | None, icc: bool) -> FastSlideReader:
    return FastSlideReader(path, mpp_override=mpp_override, icc=icc)


def _info(file: Path, slide: Any, override: float | None) -> SlideInfo:
    x, y = (float(v) if v and np.isfinite(v) and v > 0 else None for v in slide.mpp)
    recorded, said, stretch = square_pixels(file, x, y, overridden=override is not None)
    mpp, source, warnings = settle_mpp(file, recorded, "fastslide.mpp", override)
    sizes = tuple((int(w), int(h)) for w, h in slide.level_dimensions)
    (left, top), (width, height) = slide.bounds
    scanned = width > 0 and height > 0
    return SlideInfo(
        vendor=str(slide.format),
        dimensions=sizes[0],
        level_dimensions=sizes,
        level_downsamples=tuple(map(float, slide.level_downsamples)),
        mpp=mpp,
        mpp_source=source,
        bounds=(int(left), int(top), int(width), int(height)) if scanned else (0, 0, *sizes[0]),
        warnings=(
            f"read by fastslide {_versions()['fastslide']}, whose pixels differ from those of "
            "other readers: compare results of one reader alone",
            *warnings,
            *said,
        ),
        stretch=stretch,
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _versions() -> dict[str, str]:
    return {"fastslide": importlib.metadata.version("fastslide")}


register_reader(
    # No suffix is its own: it is asked for by name.
    ReaderSpec(
        "fastslide",
        FastSlideReader,
        extra=Extra("fastslide", "fastslide"),
        versions=_versions,
        may_crash=True,
        order=99,
    )
)
