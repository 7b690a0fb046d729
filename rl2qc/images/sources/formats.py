"""Which files are pictures, by their names and by their first bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from PIL import Image, features

__all__ = [
    "HEAD",
    "IMAGE_SUFFIXES",
    "TAR_SUFFIXES",
    "TIFF_SUFFIXES",
    "ZIP_SUFFIXES",
    "is_archive",
    "is_picture",
    "opens_in_c",
    "other_kind",
    "other_picture",
    "pillow_formats",
]

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
_JPEG_2000 = frozenset({".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c"})
# What Pillow may lack, by the feature that brings it.
_OPTIONAL = {"jpg_2000": _JPEG_2000, "webp": frozenset({".webp"}), "avif": frozenset({".avif"})}


HEAD = 12
"""Bytes that tell a picture."""


def _has(feature: str) -> bool:
    return feature in features.get_supported()


IMAGE_SUFFIXES = (
    frozenset({".png", ".apng", ".bmp", ".dib", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"})
    | frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif"})
    | TIFF_SUFFIXES
).union(*(suffixes for feature, suffixes in _OPTIONAL.items() if _has(feature)))
"""Ends of names, in lower case, of the pictures that are read."""

# Pictures in formats that are not read: what a camera, a drawing program or a microscope writes.
_NOT_READ = (
    frozenset({".avif", ".webp", *_JPEG_2000, ".jpm", ".mj2", ".jls", ".jxl", ".jxr", ".hdp"})
    | frozenset({".wdp", ".heic", ".heif", ".hif", ".qoi", ".pfm", ".exr", ".hdr", ".dng", ".cr2"})
    | frozenset({".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".psd", ".psb", ".xcf"})
    | frozenset({".svg", ".eps", ".ps", ".ai", ".emf", ".wmf", ".pcx", ".tga", ".sgi", ".pict"})
    | frozenset({".pct", ".ico", ".cur", ".dds", ".fits", ".fit", ".btf", ".tf2", ".tf8", ".lsm"})
    | frozenset({".lif", ".oib", ".oif", ".stk", ".nd2", ".vsi", ".zvi", ".ims"})
    # Of scanners.
    | frozenset({".isyntax", ".i2syntax", ".kfb", ".sdpc", ".dyqx", ".mds", ".mdsx", ".tmap"})
    | frozenset({".tron", ".ndpis"})
) - IMAGE_SUFFIXES
# Packed one by one, as servers and backups do; slides among them, which rooms above this one read.
_PACKED = frozenset({".gz", ".bz2", ".xz", ".zst", ".lz4"})
_SLIDES = frozenset({".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide", ".vms", ".vmu"}) | (
    frozenset({".czi", ".dcm"})
)
# Not looked into: whatever these hold, it is no picture.
_NO_PICTURE = (
    frozenset({".txt", ".csv", ".tsv", ".json", ".jsonl", ".geojson", ".xml", ".yaml", ".yml"})
    | frozenset({".toml", ".ini", ".md", ".rst", ".html", ".htm", ".css", ".js", ".py", ".ipynb"})
    | frozenset({".r", ".m", ".sh", ".log", ".npy", ".npz", ".h5", ".hdf5", ".pt", ".pth", ".pkl"})
    | frozenset({".parquet", ".safetensors", ".onnx", ".zip", ".gz", ".tar", ".xz", ".bz2", ".7z"})
    | frozenset({".db", ".sqlite", ".lock", ".xlsx", ".xls", ".docx", ".pdf", ".mp4", ".avi"})
)
ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""Ends of names, in lower case, of the archives that are read."""
_SIGNATURES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"GIF8",
    b"\0\0\0\x0cjP  \r\n",
    b"\xff\x4f\xff\x51",
)


@cache
def pillow_formats() -> tuple[str, ...]:
    """The formats that Pillow may take a file for.

    An explicit list: among all that it knows are some for which it starts other programs, such as
    Ghostscript for a file that begins with ``%!PS-Adobe``, whatever its name.

    Examples
    --------
    >>> "PNG" in pillow_formats(), "EPS" in pillow_formats()
    (True, False)
    """
    wanted = ("PNG", "JPEG", "MPO", "TIFF", "BMP", "DIB", "GIF", "PPM", "WEBP", "JPEG2000", "AVIF")
    Image.init()
    return tuple(name for name in wanted if name in Image.OPEN)


def opens_in_c(path: Path) -> bool:
    """Whether C code sees a file as soon as it is opened, and not only when its pixels are read."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return False
        with path.open("rb") as file:
            head = file.read(12)
    except (OSError, ValueError):
        return False
    return seen_by_c(head)


def seen_by_c(head: bytes) -> bool:
    """:func:`opens_in_c` of the first bytes of a file."""
    return head[:4] == b"RIFF" or head[4:8] == b"ftyp"


def is_picture(name: str) -> bool:
    """Whether a file is a picture that is read, by its name, in upper or lower case.

    Examples
    --------
    >>> is_picture("a.JFIF"), is_picture("a.txt")
    (True, False)
    """
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def is_archive(name: str) -> bool:
    """Whether a file is an archive that is read, by its name.

    Examples
    --------
    >>> is_archive("a.TAR.gz"), is_archive("a.png.gz")
    (True, False)
    """
    return name.lower().endswith(ZIP_SUFFIXES + TAR_SUFFIXES)


def other_picture(path: Path) -> str:
    """What a file that is not read as a picture is all the same: its suffix, "" for no picture.

    Examples
    --------
    >>> other_picture(Path("a.heic")), other_picture(Path("notes.txt"))
    ('.heic', '')
    """

    def head() -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(HEAD)
        except OSError:
            return b""

    return other_kind(path.name, head)


def other_kind(name: str, head: Callable[[], bytes]) -> str:
    """:func:`other_picture` of a name, and of the first :data:`HEAD` bytes, which are asked for
    where the name does not tell.

    Examples
    --------
    >>> other_kind("a", lambda: b"GIF89a"), other_kind("a.cls", lambda: b"7")
    ('no suffix', '')
    >>> other_kind("a.svs.gz", bytes), other_kind("notes.txt.gz", bytes)
    ('.svs.gz', '')
    """
    suffix = Path(name).suffix.lower()
    if suffix in _PACKED:
        inner = Path(Path(name).stem).suffix.lower()
        return f"{inner}{suffix}" if inner in IMAGE_SUFFIXES | _NOT_READ | _SLIDES else ""
    if suffix in _NOT_READ:
        return suffix
    if suffix in _NO_PICTURE or suffix in IMAGE_SUFFIXES:
        return ""
    first = head()
    known = first.startswith(_SIGNATURES) or (first[:4] == b"RIFF" and first[8:12] == b"WEBP")
    return (suffix or "no suffix") if known else ""
