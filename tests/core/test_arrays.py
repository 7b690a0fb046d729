"""Arrays in files, against numpy's own reader; files that lie."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rl2qc.core.arrays import read_arrays, write_arrays
from rl2qc.errors import WorkError

ARRAYS = {
    "numbers": np.arange(12, dtype=np.float32).reshape(3, 4),
    "none": np.empty((0, 5), np.int8),
    "one": np.array(True),
    "names": np.array(["ink", "fold"]),
}


def test_numpy_reads_what_is_written_and_the_other_way_round(tmp_path: Path) -> None:
    write_arrays(tmp_path / "ours.npz", ARRAYS)
    np.savez_compressed(tmp_path / "numpys.npz", **ARRAYS)  # type: ignore[arg-type]
    with np.load(tmp_path / "ours.npz") as stored:
        ours = dict(stored)
    for found in (ours, read_arrays(tmp_path / "ours.npz"), read_arrays(tmp_path / "numpys.npz")):
        assert found.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(found[name], array)


def test_equal_arrays_make_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_arrays(tmp_path / "a.npz", ARRAYS)
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_arrays(tmp_path / "b.npz", ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def header_of(shape: str) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.zeros(4, np.float32))
    return file.getvalue().replace(b"(4,), }" + b" " * (len(shape) - 4), f"{shape}, }}".encode())


@pytest.mark.parametrize("shape", ["(4000000000000,)", "(5,)", "(-1,)"])
def test_more_is_claimed_than_the_bytes_hold(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header_of(shape))
    with pytest.raises(WorkError, match="is damaged"):
        read_arrays(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_arrays(path, {"x": np.zeros(10)})
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("x.npy").file_size
    # The size in the central directory, which is what a reader goes by.
    at = data.rindex(size.to_bytes(4, "little"))
    path.write_bytes(data[:at] + (2**31).to_bytes(4, "little") + data[at + 4 :])
    with pytest.raises(WorkError, match="is damaged"):
        read_arrays(path)


def test_no_pickle_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(WorkError, match="is damaged"):
        read_arrays(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(WorkError, match="is damaged"):
        read_arrays(tmp_path / "a.npz")
