"""Images in arrays of numpy's files and of HDF5: (n, h, w, 3) or (n, 3, h, w) of uint8."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rl2qc.core.registry import Extra
from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources.containers import Container, called_apart, register_container
from rl2qc.images.sources.images import Image

_MOST_RATIO = 1100
# A compressed array of a .npz is held in memory as a whole.
_MOST_IN_MEMORY = 8 << 30
# Rows of a dataset of HDF5 that are read at once.
_BLOCK = 32
_ERRORS = (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile)


class _Array(Protocol):
    """What is asked of an array before its pixels."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, index: int) -> Any: ...


class ArrayImages(Container):
    """The images of the arrays of a file, by the name of the array and their number.

    The array's name is left out where the file holds one array of images alone.
    """

    def __init__(self, path: Path, arrays: Mapping[str, tuple[int, ...]]) -> None:
        self.path = path
        images = {name: shape for name, shape in arrays.items() if _is_images(shape)}
        one = len(images) == 1
        self._at = [(name, row) for name, shape in images.items() for row in range(shape[0])]
        self.names = tuple(str(row) if one else f"{name}/{row}" for name, row in self._at)
        self._shapes = images
        self._opened: tuple[int, Any] | None = None
        if not images:
            held = ", ".join(f"{name} {shape}" for name, shape in arrays.items()) or "no arrays"
            raise UsageError(
                f"{path} holds no images (n, h, w, 3) or (n, 3, h, w) of uint8, but {held}"
            )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def __getitem__(self, index: int) -> Image:
        name, row = self._at[index]
        try:
            found = np.asarray(self._arrays()[name][row])
        except _ERRORS as error:
            raise ImageError(f"{self.called(index)} cannot be read: {error}") from None
        return np.ascontiguousarray(found.transpose(1, 2, 0) if _first(found.shape) else found)

    def header(self, index: int) -> tuple[int, int]:
        shape = self._shapes[self._at[index][0]][1:]
        return (shape[1], shape[2]) if _first(shape) else (shape[0], shape[1])

    def _arrays(self) -> Mapping[str, _Array]:
        # Files that are open are not shared between processes.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), self.open()
        arrays: Mapping[str, _Array] = self._opened[1]
        return arrays

    def open(self) -> Mapping[str, _Array]:
        """The arrays of images of the file."""
        raise NotImplementedError


class NpyImages(ArrayImages):
    """The images of a .npy file, which is not read as a whole."""

    def __init__(self, path: Path) -> None:
        array = _mapped(path)
        # A single image is a set of one.
        self._single = _is_images((1, *array.shape)) and array.ndim == 3
        shape = (1, *array.shape) if self._single else array.shape
        super().__init__(path, _of_uint8({"array": shape}, {"array": array.dtype}, path))

    def open(self) -> Mapping[str, _Array]:
        array = _mapped(self.path)
        return {"array": array[None] if self._single else array}


class NpzImages(ArrayImages):
    """The images of the arrays of a .npz archive."""

    def __init__(self, path: Path) -> None:
        shapes, dtypes = {}, {}
        try:
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    name = info.filename.removesuffix(".npy")
                    shapes[name], dtypes[name] = _npz_header(archive, info)
        except _ERRORS as error:
            raise ImageError(f"{path} is no .npz archive, or a damaged one: {error}") from None
        super().__init__(path, _of_uint8(shapes, dtypes, path))
        self.warnings = _left_out(shapes, dtypes, path)

    def open(self) -> Mapping[str, _Array]:
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                return {name: archive[name] for name in self._shapes}
        except (*_ERRORS, MemoryError) as error:
            raise ImageError(f"{self.path} cannot be read: {error}") from None


class Hdf5Images(ArrayImages):
    """The images of the datasets of an HDF5 file."""

    def __init__(self, path: Path) -> None:
        shapes, dtypes = called_apart(_datasets, path)
        super().__init__(path, _of_uint8(shapes, dtypes, path))
        self.warnings = _left_out(shapes, dtypes, path)

    def open(self) -> Mapping[str, _Array]:
        # Not kept open: others could not write the file meanwhile.
        return {name: _Blocks(self.path, name, shape) for name, shape in self._shapes.items()}


class _Blocks:
    """A dataset, of which some rows at a time are read: its chunks hold several."""

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, name: str, shape: tuple[int, ...]) -> None:
        self._path, self._name, self.shape = path, name, shape
        self._held: tuple[int, Any] | None = None

    def __getitem__(self, index: int) -> Any:
        start = index - index % _BLOCK
        # One look at the attribute: another thread may replace it meanwhile.
        held = self._held
        if held is None or held[0] != start:
            rows = called_apart(_rows, self._path, self._name, start, start + _BLOCK)
            held = self._held = start, rows
        return held[1][index - start]


def _datasets(path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """Shapes and types of all datasets of a file by name; links to other files are not followed."""
    import h5py

    shapes, dtypes = {}, {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            shapes[name], dtypes[name] = tuple(item.shape or ()), item.dtype

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except _ERRORS as error:
        raise ImageError(f"{path} is no HDF5 file, or a damaged one: {error}") from None
    return shapes, dtypes


def _rows(path: Path, name: str, start: int, stop: int) -> Any:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return file[name][start:stop]
    except _ERRORS as error:
        raise ImageError(f"{path}/{name} cannot be read: {error}") from None


def _is_images(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and (shape[3] == 3 or shape[1] == 3) and min(shape) > 0


def _first(shape: tuple[int, ...]) -> bool:
    """Whether the channels of one image come first."""
    return shape[0] == 3 and shape[2] != 3


def _of_uint8(
    shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, Any], path: Path
) -> Mapping[str, tuple[int, ...]]:
    """The shapes of arrays of uint8; UsageError where images are of another type alone."""
    kept = {name: shape for name, shape in shapes.items() if dtypes[name] == np.uint8}
    other = [name for name, shape in shapes.items() if name not in kept and _is_images(shape)]
    if other and not any(map(_is_images, kept.values())):
        raise UsageError(
            f"{path}: {other[0]} holds images of {dtypes[other[0]]}: save them as uint8"
        )
    return kept


def _left_out(
    shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, Any], path: Path
) -> tuple[str, ...]:
    """A line for each array of images that is not of uint8, beside those that are."""
    return tuple(
        f"{path}/{name} is left out: it holds {shape[0]} images of {dtypes[name]}: save them as "
        "uint8"
        for name, shape in shapes.items()
        if dtypes[name] != np.uint8 and _is_images(shape)
    )


def _mapped(path: Path) -> np.ndarray[Any, Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _ERRORS as error:
        raise ImageError(f"{path} is no .npy array, or a damaged one: {error}") from None
    if not isinstance(array, np.ndarray):
        raise ImageError(f"{path} is no .npy array but an archive of them: call it .npz")
    return array


def _npz_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[tuple[int, ...], Any]:
    """Shape and type of an array of an archive, from its first bytes; ValueError for a liar."""
    most = min(_MOST_IN_MEMORY, _MOST_RATIO * max(info.compress_size, 1))
    if info.file_size > most:
        raise ValueError(f"{info.filename} claims {info.file_size / 1e6:.0f} MB")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"{info.filename} has format {version}")
        shape, _, dtype = read(file)
        if not dtype.hasobject and math.prod(shape) * dtype.itemsize > info.file_size:
            raise ValueError(f"{info.filename} does not hold {shape} {dtype}")
    return shape, dtype


register_container("npy", (".npy",), NpyImages)
register_container("npz", (".npz",), NpzImages)
register_container("hdf5", (".h5", ".hdf5", ".hdf"), Hdf5Images, extra=Extra("h5py", "rl2qc[h5]"))
