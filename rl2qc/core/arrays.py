"""Named arrays in a file: numpy's .npz, the same bytes for the same arrays, and read with care."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.opening import open_file
from rl2qc.errors import WorkError

__all__ = ["checked_array", "read_array", "read_arrays", "write_arrays"]

# Deflate makes nothing smaller than a thousandth.
_MOST_RATIO = 1100
_SUFFIX = ".npy"
# What zipfile, zlib and numpy make of damaged files. NotImplementedError is a RuntimeError.
_ERRORS = (
    *(OSError, ValueError, LookupError, EOFError, RuntimeError, OverflowError, MemoryError),
    *(SyntaxError, TypeError, zipfile.BadZipFile, zlib.error),
)


def checked_array(
    state: Mapping[str, Any],
    name: str,
    shape: tuple[int | None, ...],
    *,
    above: float | None = None,
) -> NDArray[np.float64]:
    """A part of a state that was stored, with what is known of it beforehand.

    Parameters
    ----------
    state
        Arrays by name.
    name
        Of the part.
    shape
        Its shape; None is any length but 0.
    above
        All numbers lie above this.

    Raises
    ------
    KeyError
        The part is missing.
    ValueError
        It holds other things than finite numbers, has another shape, or too small numbers.

    Examples
    --------
    >>> checked_array({"scale": np.ones(2)}, "scale", (None,), above=0)
    array([1., 1.])
    >>> checked_array({"scale": np.zeros(2)}, "scale", (2,), above=0)
    Traceback (most recent call last):
    ValueError: scale must lie above 0
    """
    array = np.asarray(state[name])
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers")
    fits = len(array.shape) == len(shape) and all(
        (n > 0 if wanted is None else n == wanted)
        for n, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("n" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must have the shape ({wanted}), not {array.shape}")
    if above is not None and not (array > above).all():
        raise ValueError(f"{name} must lie above {above:g}")
    return np.asarray(array, np.float64)


def read_array(path: str | Path) -> NDArray[Any]:
    """The array of a .npy file, which is as large as it claims to be.

    Raises
    ------
    ValueError
        It is none, cannot be read, or claims another number of bytes than it has.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.npy"
    >>> np.save(path, np.arange(3))
    >>> read_array(path)
    array([0, 1, 2])
    """
    try:
        with open_file(path) as file:
            version = np.lib.format.read_magic(file)
            # numpy would set memory aside for whatever a header claims.
            _check_length(file, version, os.fstat(file.fileno()).st_size)
            file.seek(0)
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except (EOFError, OSError, OverflowError, MemoryError, RecursionError, SyntaxError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _check_length(file: IO[bytes], version: tuple[int, int], size: int) -> None:
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"its format is {version}")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size - file.tell():
        raise ValueError(f"it claims {shape} {dtype} and has {size - file.tell()} bytes of them")


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to ``path`` as a compressed .npz, without the time of day that numpy puts in.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.npz"
    >>> write_arrays(path, {"x": np.arange(3)})
    >>> read_arrays(path)["x"]
    array([0, 1, 2])
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}{_SUFFIX}")
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read what :func:`write_arrays` or numpy wrote; nothing is unpickled.

    Raises
    ------
    WorkError
        It is damaged, or claims more than its bytes can hold.
    """
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            return {m.filename.removesuffix(_SUFFIX): _read(archive, m) for m in members}
    except _ERRORS as error:
        raise WorkError(f"{path} is damaged ({error})") from error


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.file_size > _MOST_RATIO * max(member.compress_size, 1):
        raise ValueError(f"{member.filename} claims {member.file_size} bytes")
    content = BytesIO(archive.read(member))
    _check_length(content, np.lib.format.read_magic(content), member.file_size)
    content.seek(0)
    return np.asarray(np.lib.format.read_array(content, allow_pickle=False))
