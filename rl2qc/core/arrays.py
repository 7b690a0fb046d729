"""Named arrays in a file: numpy's .npz, the same bytes for the same arrays, and read with care."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import WorkError

__all__ = ["read_arrays", "write_arrays"]

# Deflate makes nothing smaller than a thousandth.
_MOST_RATIO = 1100
_SUFFIX = ".npy"
# What zipfile, zlib and numpy make of damaged files. NotImplementedError is a RuntimeError.
_ERRORS = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


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
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            return {m.filename.removesuffix(_SUFFIX): _read(archive, m) for m in members}
    except _ERRORS as error:
        raise WorkError(f"{path} is damaged ({error})") from error


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.file_size > _MOST_RATIO * max(member.compress_size, 1):
        raise ValueError(f"{member.filename} claims {member.file_size} bytes")
    content = BytesIO(archive.read(member))
    version = np.lib.format.read_magic(content)
    if version != (1, 0):
        raise ValueError(f"{member.filename} has format {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(content)
    # numpy would set memory aside for whatever a header claims.
    if math.prod(shape) * dtype.itemsize != member.file_size - content.tell():
        raise ValueError(f"{member.filename} does not hold {shape} {dtype}")
    content.seek(0)
    return np.asarray(np.lib.format.read_array(content, allow_pickle=False))
