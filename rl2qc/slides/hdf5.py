"""HDF5 files of others, read with care: what a dataset claims is held against the file before
memory is set aside, and nothing outside the file is opened."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rl2qc.errors import UsageError

__all__ = ["attributes_of", "open_dataset"]

# Deflate makes nothing smaller than a thousandth.
_MOST_RATIO = 1100
# Of numbers in a dataset, and of bytes in an attribute.
_MOST_NUMBERS, _MOST_BYTES = 2**25, 2**20
# What h5py makes of damaged files.
_ERRORS = (OSError, LookupError, RuntimeError, ValueError, TypeError, ArithmeticError, MemoryError)


@contextmanager
def open_dataset(path: Path, name: str) -> Iterator[Any]:
    """A dataset of an HDF5 file, which is as large as it claims to be.

    Parameters
    ----------
    path
        A file; h5py must be installed.
    name
        Of the dataset, at the root of the file.

    Raises
    ------
    UsageError
        No HDF5, no such dataset, one that leads out of the file, or one that claims more than the
        file holds; and whatever is wrong with it while it is open.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            # Not opened before it is known to lie in this file.
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise UsageError(f"{path} has no dataset {name!r} of its own")
            dataset = file[name]
            if not isinstance(dataset, h5py.Dataset):
                raise UsageError(f"{path} has no dataset {name!r}")
            _check_size(path, dataset)
            yield dataset
    except _ERRORS as error:
        said = " ".join(str(error).split())
        raise UsageError(f"{path} cannot be read as HDF5: {said}") from error


def attributes_of(path: Path, dataset: Any) -> dict[str, Any]:
    """All attributes of a dataset.

    Raises
    ------
    UsageError
        One is larger than any that tools write.
    """
    found = {}
    for name in dataset.attrs:
        about = dataset.attrs.get_id(name)
        if max(about.get_storage_size(), math.prod(about.shape or ()) * 8) > _MOST_BYTES:
            raise UsageError(f"{path}: the attribute {name!r} is too large for what it says")
        found[name] = dataset.attrs[name]
    return found


def _check_size(path: Path, dataset: Any) -> None:
    if dataset.is_virtual or dataset.external:
        raise UsageError(f"{path}: {dataset.name} lies in other files")
    numbers = math.prod(dataset.shape or ())
    held = dataset.id.get_storage_size()
    ratio = 1 if dataset.chunks is None else _MOST_RATIO
    if numbers > _MOST_NUMBERS or numbers * dataset.dtype.itemsize > held * ratio:
        raise UsageError(
            f"{path}: {dataset.name} claims {' x '.join(map(str, dataset.shape))} numbers and "
            f"holds {held} bytes"
        )
    if held > path.stat().st_size:
        raise UsageError(f"{path}: {dataset.name} claims {held} bytes, more than the file has")
