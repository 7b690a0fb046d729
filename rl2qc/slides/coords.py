"""The coordinates that TRIDENT or CLAM cut a slide by, from their HDF5 files."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import UsageError

__all__ = ["Coords", "find_coords", "read_coords"]


@dataclass(frozen=True, eq=False)
class Coords:
    """Where the tiles of a slide lie.

    Attributes
    ----------
    path
        The file they come from.
    layout
        The tool whose file it is.
    xy
        (n, 2) int64, top left corners in level-0 px, in the file's order.
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
    layout: Literal["trident", "clam"]
    xy: NDArray[np.int64]
    patch_size: int
    level: int | None
    downsample: float | None
    mpp: float | None
    attributes: dict[str, Any]

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
    if importlib.util.find_spec("h5py") is None:
        raise UsageError("reading coordinates needs h5py: pip install 'rl2qc[h5]'")
    import h5py

    if not path.is_file():
        raise UsageError(f"no such file of coordinates: {path}")
    try:
        with h5py.File(path, "r") as file:
            dataset = file.get("coords")
            if not isinstance(dataset, h5py.Dataset):
                raise UsageError(
                    f"{path} has no dataset 'coords': it is no file of TRIDENT or CLAM"
                )
            values = dataset[()]
            attributes = {name: _plain(value) for name, value in dataset.attrs.items()}
    except OSError as error:
        raise UsageError(f"{path} cannot be read as HDF5: {error}") from error
    xy = np.asarray(values)
    if not xy.size:
        xy = np.empty((0, 2), np.int64)
    if xy.ndim != 2 or xy.shape[1] != 2 or xy.dtype.kind not in "iuf":
        raise UsageError(f"{path}: coords must be numbers (n, 2), got {xy.dtype} {xy.shape}")
    if xy.dtype.kind == "f" and not np.array_equal(xy, np.rint(xy)):
        raise UsageError(f"{path}: coords must be whole level-0 px")
    xy = xy.astype(np.int64)
    if "patch_size_level0" in attributes:
        target = _number(path, attributes, "target_magnification", optional=True)
        return Coords(
            path,
            "trident",
            xy,
            round(_number(path, attributes, "patch_size_level0") or 0),
            None,
            None,
            10 / target if target else None,
            attributes,
        )
    if "patch_level" in attributes and "patch_size" in attributes:
        custom = _number(path, attributes, "custom_downsample", optional=True) or 1
        size = round((_number(path, attributes, "patch_size") or 0) * custom)
        downsample = attributes.get("downsample")
        if isinstance(downsample, list):
            downsample = downsample[0]
        return Coords(
            path,
            "clam",
            xy,
            size,
            int(attributes["patch_level"]),
            float(downsample) if downsample else None,
            None,
            attributes,
        )
    raise UsageError(
        f"{path} says nothing about the size of its tiles: 'coords' needs the attributes "
        "patch_size_level0 (TRIDENT), or patch_size and patch_level (CLAM)"
    )


def find_coords(place: str | Path, name: str) -> Path:
    """The file of coordinates for the slide ``name``: ``place`` itself, or in the folder ``place``
    ``{name}_patches.h5`` (TRIDENT) or ``{name}.h5`` (CLAM), ``patches/`` in it included.

    Raises
    ------
    UsageError
        There is none.
    """
    place = Path(place)
    file = _look_up(place, name) if place.is_dir() else place
    if file is None:
        raise UsageError(f"no {name}_patches.h5 and no {name}.h5 in {place}")
    return file


def _look_up(folder: Path, *names: str) -> Path | None:
    """The file of the first name that has one."""
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
    value = attributes.get(name)
    if optional and value in (None, "None"):
        return None
    if isinstance(value, int | float) and value > 0:
        return value
    raise UsageError(f"{path}: attribute {name} must be a positive number, got {value!r}")


def _plain(value: Any) -> Any:
    """An attribute in types that JSON knows."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist()) if value.dtype.kind != "V" else str(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) else str(value)
