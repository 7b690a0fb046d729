"""The files that make up a slide: some formats spread one over many."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["dicom_series", "slide_files"]

# DICOM's Series Instance UID as it stands in a file; the header precedes all pixels.
_DICOM_SERIES = re.compile(rb"\x20\x00\x0e\x00UI(..)([0-9.]{1,64})", re.DOTALL)
_DICOM_HEADER = 2**16
# Hamamatsu's index files name their images as "ImageFile=slide.jpg".
_NAMED = re.compile(rb"=\s*([^\r\n=]+?)\s*$", re.MULTILINE)


def slide_files(path: Path) -> list[Path]:
    """Every file that belongs to a slide, in order.

    The folder beside an MRXS file, the files of the same DICOM series (of a folder: all its
    files), and what a Hamamatsu index (VMS, VMU) names; of any other format the file itself.

    Raises
    ------
    OSError
        A folder that cannot be listed.

    Example
    -------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a.vms", "a.jpg", "b.jpg"):
    ...     _ = (folder / name).write_text("[Slide]\\nImageFile=a.jpg\\n")
    >>> [file.name for file in slide_files(folder / "a.vms")]
    ['a.vms', 'a.jpg']
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    if suffix == ".mrxs" and path.with_suffix("").is_dir():
        beside = path.with_suffix("").rglob("*")
        return [path, *sorted(file for file in beside if file.is_file())]
    if suffix == ".dcm":
        series = dicom_series(path)
        files = (file for file in path.parent.iterdir() if file.suffix.lower() == suffix)
        return sorted(file for file in files if dicom_series(file) == series)
    if suffix in (".vms", ".vmu") and path.is_file():
        names = (name.decode("latin-1") for name in _NAMED.findall(path.read_bytes()))
        # The names are bare, and anything else that follows an equals sign is no file.
        named = {path.parent / name for name in names if Path(name).name == name}
        return [path, *sorted(file for file in named if file.is_file() and file != path)]
    return [path]


def dicom_series(file: Path) -> bytes:
    """The Series Instance UID of a DICOM file; b"" without one."""
    try:
        with file.open("rb") as opened:
            found = _DICOM_SERIES.search(opened.read(_DICOM_HEADER))
    except OSError:
        return b""
    return found[2] if found else b""
