"""The coordinates that TRIDENT or CLAM cut a slide by, from their HDF5 files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.registry import Extra
from rl2qc.errors import UsageError
from rl2qc.slides.hdf5 import attributes_of, open_dataset

__all__ = ["Coords", "find_coords", "look_up_coords", "read_coords"]

_COORDS = "coords"
# No pixel lies farther away, no tile is larger (level-0 px), no slide has more levels.
_FARTHEST, _LARGEST_TILE, _MOST_LEVELS = 2**31 - 1, 2**16, 64
_MOST = 2.0**31


@dataclass(frozen=True)
class Coords:
    """Where the tiles of a slide lie, as a file says.

    The corners are read when they are asked for: those of a thousand slides need not be held.

    Attributes
    ----------
    path
        The file they come from.
    sha256
        Hash of the file.
    layout
        The tool whose file it is.
    patch_size
        Side of a tile, in px of ``level``, or of level 0 if ``level`` is None.
    level
        The level that ``patch_size`` counts pixels of, None for level 0.
    downsample
        Level-0 px per pixel of ``level`` where the file records it.
    mpp
        Microns per pixel that the tiles were meant to be read at, from the nominal magnification;
        None where the file does not say.
    attributes
        Everything the file says about ``coords``, in types that JSON knows.
    """

    path: Path
    sha256: str
    layout: Literal["trident", "clam"]
    patch_size: int
    level: int | None
    downsample: float | None
    mpp: float | None
    attributes: dict[str, Any]

    @property
    def about(self) -> dict[str, Any]:
        """What a table keeps of it: layout and attributes."""
        return {"layout": self.layout, "attributes": self.attributes}

    def corners(self) -> NDArray[np.int64]:
        """(n, 2) int64, the tiles' top left corners in level-0 px, in the file's order.

        Raises
        ------
        UsageError
            They are no whole numbers, or the file has changed since :func:`read_coords`.
        """
        if _sha256(self.path) != self.sha256:
            raise UsageError(f"{self.path} has changed since the run began: start it again")
        with open_dataset(self.path, _COORDS) as dataset:
            return _corners(self.path, dataset)

    def side(self, level_downsamples: Sequence[float]) -> int:
        """Side of a tile in level-0 px.

        Raises
        ------
        UsageError
            The file names a level that the slide does not have.
        """
        if self.level is None:
            return self.patch_size
        if not 0 <= self.level < len(level_downsamples):
            raise UsageError(
                f"{self.path} counts pixels of level {self.level}, and the slide has "
                f"{len(level_downsamples)} levels: is it another slide's file?"
            )
        return max(1, round(self.patch_size * (self.downsample or level_downsamples[self.level])))

    @property
    def slide_size(self) -> tuple[float, float] | None:
        """Width and height of the slide at ``level`` (0 for None) where the file records them."""
        recorded = (
            self.attributes.get("level_dim")
            if self.layout == "clam"
            else [self.attributes.get(f"level0_{name}") for name in ("width", "height")]
        )
        match recorded:
            case [int() | float() as width, int() | float() as height] if min(width, height) > 0:
                return width, height
        return None


def read_coords(path: str | Path) -> Coords:
    """Read an HDF5 file of TRIDENT or CLAM, told apart by the attributes of ``coords``.

    TRIDENT's readers take a tile's side from ``patch_size`` at the target magnification and
    ``patch_size_level0``; CLAM's ``patch_size`` counts pixels of ``patch_level``, times
    ``custom_downsample`` in old files of its kind.

    Raises
    ------
    UsageError
        No such file, no HDF5, no usable ``coords``, or h5py is not installed.
    """
    path = Path(path)
    Extra("h5py", "rl2qc[h5]").require("reading coordinates")
    if not path.is_file():
        raise UsageError(f"no such file of coordinates: {path}")
    with open_dataset(path, _COORDS) as dataset:
        attributes = {n: _plain(value) for n, value in attributes_of(path, dataset).items()}
        shape: tuple[int, ...] = (0,) if dataset.shape is None else dataset.shape
        kind = dataset.dtype
        if 0 not in shape and (len(shape) != 2 or shape[1] != 2 or kind.kind not in "iuf"):
            raise UsageError(f"{path}: coords must be numbers (n, 2), got {kind} {shape}")
        _corners(path, dataset)
    about = _trident(path, attributes) or _clam(path, attributes)
    if about is None:
        raise UsageError(
            f"{path} says nothing about the size of its tiles: 'coords' needs the attributes "
            "patch_size_level0 (TRIDENT), or patch_size and patch_level (CLAM)"
        )
    return Coords(path, _sha256(path), attributes=attributes, **about)


def _trident(path: Path, attributes: dict[str, Any]) -> dict[str, Any] | None:
    if "patch_size_level0" not in attributes:
        return None
    target = _number(path, attributes, "target_magnification", optional=True)
    return {
        "layout": "trident",
        "patch_size": _side(path, "patch_size_level0", attributes),
        "level": None,
        "downsample": None,
        "mpp": 10 / target if target else None,
    }


def _clam(path: Path, attributes: dict[str, Any]) -> dict[str, Any] | None:
    if "patch_level" not in attributes or "patch_size" not in attributes:
        return None
    custom = _number(path, attributes, "custom_downsample", optional=True) or 1
    level = attributes["patch_level"]
    if not _is_number(level) or not 0 <= level <= _MOST_LEVELS or level != round(level):
        raise UsageError(f"{path}: attribute patch_level must be a level, got {level!r}")
    given = attributes.get("downsample")
    one = {"downsample": given[0] if isinstance(given, list) and given else given}
    return {
        "layout": "clam",
        "patch_size": _side(path, "patch_size", attributes, custom),
        "level": int(level),
        "downsample": _number(path, one, "downsample", optional=True),
        "mpp": None,
    }


def _side(path: Path, name: str, attributes: dict[str, Any], times: float = 1) -> int:
    """Side of a tile, px."""
    side = round((_number(path, attributes, name) or 0) * times)
    if not 1 <= side <= _LARGEST_TILE:
        raise UsageError(f"{path}: attribute {name} gives tiles of {side} px")
    return side


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _corners(path: Path, dataset: Any) -> NDArray[np.int64]:
    xy = np.asarray(dataset[()])
    if not xy.size:
        return np.empty((0, 2), np.int64)
    if xy.dtype.kind == "f" and not np.array_equal(xy, np.rint(xy)):
        raise UsageError(f"{path}: coords must be whole level-0 px")
    if not -_FARTHEST <= xy.min() <= xy.max() <= _FARTHEST:
        raise UsageError(f"{path}: coords lie outside of any slide")
    return xy.astype(np.int64)


def find_coords(place: str | Path, name: str) -> Path:
    """The file of coordinates for the slide ``name``: ``place`` itself, or in the folder ``place``
    ``{name}_patches.h5`` (TRIDENT) or ``{name}.h5`` (CLAM), ``patches/`` in it included.

    Raises
    ------
    UsageError
        There is none.
    """
    place = Path(place)
    file = look_up_coords(place, name) if place.is_dir() else place
    if file is None:
        raise UsageError(f"no {name}_patches.h5 and no {name}.h5 in {place}")
    return file


def look_up_coords(folder: Path, *names: str) -> Path | None:
    """The file in ``folder`` for the first of ``names`` that has one: ``{name}_patches.h5`` or
    ``{name}.h5``, there or in ``patches/``; None without one."""
    files = (
        place / f"{name}{end}"
        for name in names
        for place in (folder, folder / "patches")
        for end in ("_patches.h5", ".h5")
    )
    for file in files:
        # A slide's name may be too long for a file with more than it.
        with suppress(OSError):
            if file.is_file():
                return file
    return None


def _number(
    path: Path, attributes: dict[str, Any], name: str, *, optional: bool = False
) -> float | None:
    value: Any = attributes.get(name)
    if optional and (value is None or value == "None"):
        return None
    if _is_number(value) and 0 < value <= _MOST:
        return float(value)
    shown = repr(value)[:60]
    raise UsageError(f"{path}: attribute {name} must be a positive number, got {shown}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: Any) -> Any:
    """An attribute in types that JSON knows."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist()) if value.dtype.kind != "V" else str(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) else str(value)
