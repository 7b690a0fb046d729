"""Slides that OpenSlide reads, as RGB pixels, safe against its traps.

What goes wrong when OpenSlide is used plainly, and is settled here once: transparent pixels turn
black, one failed read poisons the handle, metadata cannot be asked for afterwards, ICC profiles
ride along with every region, and a missing physical resolution goes unnoticed.
"""

from __future__ import annotations

import importlib.metadata
import math
import threading
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import openslide
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import TiffImageFile

from rl2qc.core.read_ahead import read_ahead
from rl2qc.errors import SlideError
from rl2qc.images.sources.files import IMAGE_SUFFIXES
from rl2qc.slides.files import is_dicom, slide_files
from rl2qc.slides.readers._colours import on_background, to_srgb
from rl2qc.slides.readers._openslide_properties import describe_slide
from rl2qc.slides.readers.base import Overview, ReaderSpec, Region, SharedCache, register_reader

__all__ = ["OpenSlideReader"]

# A row of tiles of a wide slide must fit, or its encoded blocks are decoded once for each row of
# tiles that touches them; OpenSlide's own 32 MiB hold a row of about 30,000 px.
_CACHE_BYTES = 128 * 2**20
# Side of the blocks in which an overview is read, in px of the level. It is also what one damaged
# byte costs the overview, and small slides should not lose all of it.
_BLOCK = 256
_OVERVIEW_THREADS = 2
# The tag that tells a TIFF with tiles from one in strips.
_TILE_WIDTH = 322


class OpenSlideReader:
    """An open slide; threads may share one reader.

    It pickles as its path and is opened again on the other side, since OpenSlide's handles do not
    travel.

    Parameters
    ----------
    path
        A slide file, or a folder of one DICOM slide.
    mpp_override
        Microns per pixel at level 0, in place of what the file records.
    icc
        Take colours through the slide's ICC profile to sRGB.
    cache
        For decoded blocks, shared by several slides; None gives this one a cache of its own.

    Raises
    ------
    SlideError
        A file that OpenSlide cannot read, or a slide without a resolution.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        mpp_override: float | None = None,
        icc: bool = False,
        cache: SharedCache | None = None,
    ) -> None:
        self.path = Path(path)
        self._cache = (cache or SharedCache()).get(__name__, _new_cache)
        self._mpp_override, self._icc = mpp_override, icc
        self._file = _slide_file(self.path)
        handle = self._open()
        try:
            self.info = describe_slide(handle, self._file, mpp_override)
            self._to_srgb = to_srgb(lambda: handle.color_profile, self._file) if icc else None
        except openslide.OpenSlideError as error:
            raise SlideError(f"{self._file} cannot be read: {_one_line(error)}") from error
        self._handle: openslide.OpenSlide | None = handle
        if icc and self._to_srgb is None:
            said = "the slide has no ICC profile: its colours are taken as they are"
            self.info = replace(self.info, warnings=(*self.info.warnings, said))
        self._lock = threading.Lock()

    def __enter__(self) -> OpenSlideReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self.path, self._mpp_override, self._icc)

    def close(self) -> None:
        """Release the file; a later read opens it again."""
        with self._lock:
            # Not closed by hand: a thread may still be reading, and the last reference closes it.
            self._handle = None

    def read_region(
        self, x: int, y: int, size: tuple[int, int], *, level: int = 0, scale: float = 1.0
    ) -> Region:
        """See :meth:`rl2qc.slides.readers.base.SlideReader.read_region`."""
        if scale == 1.0:
            layer = self._read(x, y, level, size)
            rgb, alpha = self._flatten(layer)
        else:
            extent = (size[0] * scale, size[1] * scale)
            layer = self._read(x, y, level, (math.ceil(extent[0]), math.ceil(extent[1])))
            rgb, alpha = self._flatten(layer)
            rgb = rgb.resize(size, Image.Resampling.BICUBIC, box=(0, 0, *extent))
        valid = 1.0 if alpha is None else float(np.asarray(alpha).mean() / 255)
        return Region(np.asarray(rgb), valid)

    def read_overview(self, downsample: float) -> Overview:
        """Read the scanned part at about ``downsample`` level-0 px per pixel.

        It is read block by block from the best level, so that memory stays bounded for slides
        without a pyramid, too, and a damaged block costs no more than itself.

        Raises
        ------
        SlideError
            No block can be read.
        """
        left, top, width, height = self.info.bounds
        downsample = max(1.0, downsample)
        columns, rows = max(1, round(width / downsample)), max(1, round(height / downsample))
        step_x, step_y = width / columns, height / rows
        level = _best_level(self.info.level_downsamples, downsample)
        level_downsample = self.info.level_downsamples[level]
        scale_x, scale_y = step_x / level_downsample, step_y / level_downsample
        side_x, side_y = max(1, int(_BLOCK / scale_x)), max(1, int(_BLOCK / scale_y))

        rgb = np.empty((rows, columns, 3), np.uint8)
        rgb[:] = self.info.background
        valid = np.zeros((rows, columns), np.float32)
        readable = np.ones((rows, columns), np.bool_)

        def fill(corner: tuple[int, int]) -> SlideError | None:
            x0, y0 = corner
            size = (min(side_x, columns - x0), min(side_y, rows - y0))
            block = np.s_[y0 : y0 + size[1], x0 : x0 + size[0]]
            # Blocks begin at whole level-0 px; the fraction left over is cut off when the block
            # is reduced.
            x, y = x0 * step_x, y0 * step_y
            skip_x, skip_y = (x % 1) / level_downsample, (y % 1) / level_downsample
            right, bottom = skip_x + size[0] * scale_x, skip_y + size[1] * scale_y
            box = (skip_x, skip_y, right, bottom)
            try:
                layer = self._read(
                    left + int(x), top + int(y), level, (math.ceil(right), math.ceil(bottom))
                )
            except SlideError as error:
                readable[block] = False
                return error
            image, alpha = self._flatten(layer)
            rgb[block] = np.asarray(image.resize(size, Image.Resampling.BOX, box=box))
            valid[block] = (
                1.0
                if alpha is None
                else np.asarray(alpha.resize(size, Image.Resampling.BOX, box=box)) / 255
            )
            return None

        corners = ((x, y) for y in range(0, rows, side_y) for x in range(0, columns, side_x))
        errors = read_ahead(fill, corners, workers=_OVERVIEW_THREADS, window=4 * _OVERVIEW_THREADS)
        failures = [error for error in errors if error is not None]
        if failures and not readable.any():
            raise failures[-1]
        return Overview(rgb, valid, readable, (step_x, step_y))

    def _open(self) -> openslide.OpenSlide:
        handle = _open(self._file)
        handle.set_cache(self._cache)
        return handle

    def _flatten(self, layer: Image.Image) -> tuple[Image.Image, Image.Image | None]:
        """RGB on the background, in sRGB if that was asked for, and the alpha if there is any."""
        rgb, alpha = on_background(layer, self.info.background)
        if self._to_srgb is not None:
            ImageCms.applyTransform(rgb, self._to_srgb, inPlace=True)
            if alpha is not None:
                # The background is no colour of the scanner's.
                rgb.paste(self.info.background, mask=alpha.point(lambda a: 255 - a))
        return rgb, alpha

    def _read(self, x: int, y: int, level: int, size: tuple[int, int]) -> Image.Image:
        with self._lock:
            if self._handle is None:
                self._handle = self._open()
            shared = self._handle
        try:
            return shared.read_region((x, y), level, size)
        except openslide.OpenSlideError:
            # The first failed read poisons a handle for every thread that shares it, so this
            # failure may be another region's. A handle of our own gives the verdict.
            with self._lock:
                if self._handle is shared:
                    self._handle = None
        fresh = self._open()
        try:
            layer = fresh.read_region((x, y), level, size)
        except openslide.OpenSlideError as error:
            raise SlideError(
                f"{self._file} cannot be read at x {x}, y {y}, level {level}: {_one_line(error)}"
            ) from error
        with self._lock:
            if self._handle is None:
                self._handle = fresh
        return layer


def _new_cache() -> openslide.OpenSlideCache:
    """A cache that holds a row of tiles of a wide slide."""
    return openslide.OpenSlideCache(_CACHE_BYTES)


def _reopen(path: Path, mpp_override: float | None, icc: bool) -> OpenSlideReader:
    return OpenSlideReader(path, mpp_override=mpp_override, icc=icc)


def _slide_file(path: Path) -> Path:
    """The file to open: of a DICOM folder any one will do, OpenSlide finds the others."""
    if not path.is_dir():
        return path
    file = _dicom_file(path)
    if file is None:
        raise SlideError(f"{path} is a folder without a DICOM slide")
    return file


def _dicom_file(folder: Path) -> Path | None:
    files = sorted(folder.iterdir())
    return next((f for f in files if openslide.OpenSlide.detect_format(f) == "dicom"), None)


def _open(file: Path) -> openslide.OpenSlide:
    try:
        handle = openslide.OpenSlide(file)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise SlideError(f"{file} cannot be opened as a slide: {_unsupported(file)}") from error
    except (openslide.OpenSlideError, OSError) as error:
        raise SlideError(f"{file} cannot be opened as a slide: {_one_line(error)}") from error
    return handle


def _unsupported(file: Path) -> str:
    """Why OpenSlide may not know a file."""
    if not file.exists():
        return "no such file"
    with (
        warnings.catch_warnings(action="ignore"),  # Pillow's, of many pixels
        suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError),
        Image.open(file) as image,
    ):
        if isinstance(image, TiffImageFile) and _TILE_WIDTH not in image.tag_v2:
            return "it is a TIFF without tiles: make it a pyramid (vips tiffsave --tile --pyramid)"
    return "it is truncated, or in a format that OpenSlide does not know"


def _best_level(downsamples: tuple[float, ...], downsample: float) -> int:
    """The coarsest level that is not coarser than asked for, 1 % aside."""
    return max(
        (i for i, d in enumerate(downsamples) if d <= downsample * 1.01),
        key=lambda i: downsamples[i],
        default=0,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _sniff(path: Path) -> bool:
    """Whether OpenSlide knows a TIFF file, or a DICOM file of any name, or a folder of them."""
    if path.is_dir():
        return _dicom_file(path) is not None
    suffix = path.suffix.lower()
    if suffix in _AMBIGUOUS:
        return openslide.OpenSlide.detect_format(path) is not None
    return (
        suffix not in IMAGE_SUFFIXES
        and is_dicom(path)
        and openslide.OpenSlide.detect_format(path) == "dicom"
    )


def _versions() -> dict[str, str]:
    package = importlib.metadata.version("openslide-python")
    return {"openslide": openslide.__library_version__, "openslide-python": package}


_AMBIGUOUS = frozenset({".tif", ".tiff"})

register_reader(
    ReaderSpec(
        "openslide",
        OpenSlideReader,
        suffixes=frozenset(
            {".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".dcm", ".vms", ".vmu", ".svslide", ".czi"}
        ),
        ambiguous=_AMBIGUOUS,
        sniff=_sniff,
        files=slide_files,
        versions=_versions,
        may_crash=True,
        last_resort=True,
    )
)
