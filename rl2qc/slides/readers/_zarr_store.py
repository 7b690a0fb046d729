"""Where an OME-Zarr lies: in a folder, or in a zip archive (``.ozx``)."""

from __future__ import annotations

import zipfile
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from rl2qc.core.opening import LARGEST_TEXT, open_file, read_file_text

__all__ = ["METADATA", "ZarrStore", "is_zipped_zarr"]

METADATA = ("zarr.json", ".zattrs")
"""Where a group says what it is, of the later version and of the earlier one."""
# Bytes that a member may become: a chunk of the largest block that is read, in 16 bits.
_LARGEST_MEMBER = 2**28


class ZarrStore:
    """An OME-Zarr by its path.

    Raises
    ------
    OSError, ValueError, zipfile.BadZipFile
        On use: what is asked for is not there, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def text(self, name: str) -> str:
        """A text that lies in it."""
        if self.path.is_dir():
            return read_file_text(self.path / name)
        place = str(PurePosixPath(self._root, name))
        with open_file(self.path) as file, zipfile.ZipFile(file) as archive:
            if place not in archive.NameToInfo:
                raise FileNotFoundError(place)
            if archive.getinfo(place).file_size > LARGEST_TEXT:
                raise ValueError(f"{place} is too large")
            return archive.read(place).decode("utf-8")

    def array(self, name: str) -> Any:
        """An array that lies in it, open to be read."""
        import zarr
        from zarr.storage import ZipStore

        if self.path.is_dir():
            return zarr.open_array(str(self.path / name), mode="r")
        where = str(PurePosixPath(self._root, name))
        return zarr.open_array(ZipStore(self.path, mode="r"), path=where, mode="r")

    @cached_property
    def _root(self) -> str:
        """The folder of the archive that holds all of it, "" for none."""
        with open_file(self.path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
        large = next((m.filename for m in members if m.file_size > _LARGEST_MEMBER), None)
        if large is not None:
            raise ValueError(f"{large} is too large for a chunk")
        return _root_of([member.filename for member in members]) or ""


def is_zipped_zarr(path: Path) -> bool:
    """Whether an archive holds an OME-Zarr, itself or in one folder."""
    if path.suffix.lower() != ".zip" or not path.is_file():
        return False
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            return _root_of(archive.namelist()) is not None
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):
        return False


def _root_of(names: list[str]) -> str | None:
    if any(name in METADATA for name in names):
        return ""
    tops = {name.split("/", 1)[0] for name in names}
    if len(tops) != 1:
        return None
    (top,) = tops
    return top if any(f"{top}/{name}" in names for name in METADATA) else None
