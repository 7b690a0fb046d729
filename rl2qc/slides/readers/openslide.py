"""Slides that OpenSlide reads, as RGB pixels, safe against its traps.

What goes wrong when OpenSlide is used plainly, and is settled here once: transparent pixels turn
black, one failed read poisons the handle, metadata cannot be asked for afterwards, ICC profiles
ride along with every region, and a missing physical resolution goes unnoticed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import threading
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import openslide
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from rl2qc.core.apart import Died, apart
from rl2qc.errors import SlideError
from rl2qc.images.sources.formats import IMAGE_SUFFIXES, pillow_formats
from rl2qc.slides.files import is_dicom, slide_files
from rl2qc.slides.readers._openslide_properties import describe_slide
from rl2qc.slides.readers._tiff_geometry import check_geometry
from rl2qc.slides.readers.base import ReaderSpec, SharedCache, register_reader
from rl2qc.slides.readers.pyramid import PyramidReader, to_srgb

__all__ = ["OpenSlideReader"]

# A row of tiles of a wide slide must fit, or its encoded blocks are decoded once for each row of
# tiles that touches them; OpenSlide's own 32 MiB hold a row of about 30,000 px.
_CACHE_BYTES = 128 * 2**20
# The tag that tells a TIFF with tiles from one in strips.
_TILE_WIDTH = 322


class OpenSlideReader(PyramidReader):
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
        check_geometry(self._file)
        handle = self._open()
        try:
            self.info = describe_slide(handle, self._file, mpp_override)
            if icc:
                self.to_srgb = to_srgb(lambda: handle.color_profile, self._file)
        except openslide.OpenSlideError as error:
            raise SlideError(f"{self._file} cannot be read: {_one_line(error)}") from error
        self._handle: openslide.OpenSlide | None = handle
        if icc and self.to_srgb is None:
            said = "the slide has no ICC profile: its colours are taken as they are"
            self.info = replace(self.info, warnings=(*self.info.warnings, said))
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self.path, self._mpp_override, self._icc)

    def close(self) -> None:
        """Release the file; a later read opens it again."""
        with self._lock:
            # Not closed by hand: a thread may still be reading, and the last reference closes it.
            self._handle = None

    def _open(self) -> openslide.OpenSlide:
        handle = _open(self._file)
        handle.set_cache(self._cache)
        return handle

    def read_layer(self, x: int, y: int, level: int, size: tuple[int, int]) -> Image.Image:
        """RGBA, transparent where nothing was scanned."""
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
    return next((f for f in files if _format(f) in _DICOM), None)


# What would kill its process is for OpenSlide, too: it says so when it is to be opened.
_KILLER = "killer"
_DICOM = ("dicom", _KILLER)


def _format(file: Path) -> str | None:
    """What OpenSlide takes a file for; asked apart, since it may die of it."""
    try:
        return apart(_detect, file)
    except (Died, SlideError):
        return _KILLER


def _detect(file: Path) -> str | None:
    check_geometry(file)
    found: str | None = openslide.OpenSlide.detect_format(file)
    return found


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
    if file.suffix.lower() == ".czi" and importlib.util.find_spec("pylibCZIrw") is None:
        return "pip install 'rl2qc[czi]' to read CZI"
    with (
        warnings.catch_warnings(action="ignore"),  # Pillow's, of many pixels
        suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError),
        Image.open(file, formats=pillow_formats()) as image,
    ):
        if isinstance(image, TiffImageFile) and _TILE_WIDTH not in image.tag_v2:
            return "it is a TIFF without tiles: make it a pyramid (vips tiffsave --tile --pyramid)"
    return "it is truncated, or in a format that OpenSlide does not know"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _sniff(path: Path) -> bool:
    """Whether OpenSlide knows a TIFF file, or a DICOM file of any name, or a folder of them."""
    if path.is_dir():
        return _dicom_file(path) is not None
    suffix = path.suffix.lower()
    if suffix in _AMBIGUOUS:
        return _format(path) is not None
    return suffix not in IMAGE_SUFFIXES and is_dicom(path) and _format(path) in _DICOM


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
