"""Pictures that are decoded ahead, in a process that may die."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from slide_helpers import BrightnessModel

from rl2qc.core.apart import ISOLATION_VARIABLE
from rl2qc.errors import ImageError
from rl2qc.filtering.patches import filter_patches
from rl2qc.images.sources import ahead as module
from rl2qc.images.sources import decode
from rl2qc.images.sources import files as files_module
from rl2qc.images.sources.ahead import PicturesAhead
from rl2qc.images.sources.base import ImageSource, as_source, read_with_about

Make = Callable[[int], list[Path]]


_plain = decode._read_picture


def deadly_picture(path: Any) -> Any:
    """A decoder that dies of some pictures, by their names."""
    if "killer" in Path(path).name:
        os.kill(os.getpid(), signal.SIGBUS)
    return _plain(path)


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ISOLATION_VARIABLE, raising=False)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(count: int) -> list[Path]:
        files = [tmp_path / f"{i:03}.png" for i in range(count)]
        for i, file in enumerate(files):
            pixels = np.random.default_rng(i).integers(0, 256, (70, 80, 3), np.uint8)
            Image.fromarray(pixels).save(file)
        return files

    return write


def test_pictures_are_those_that_are_read_one_by_one(make: Make, tmp_path: Path) -> None:
    files = make(40)
    files[7].write_bytes(files[7].read_bytes()[:2000])
    ahead = PicturesAhead(files, workers=2, window=20)
    for file in [*files, files[0], tmp_path / "not-announced.png"]:
        try:
            pixels, about = read_with_about(file)
        except ImageError as error:
            with pytest.raises(ImageError) as caught:
                ahead.read(file)
            assert str(caught.value) == str(error)
            continue
        found, said = ahead.read(file)
        assert (found == pixels).all() and said == about


def test_sources_of_others_are_read_by_them(make: Make, memory: ImageSource) -> None:
    names = [*make(3), Path("memory:four/1")]
    ahead = PicturesAhead(names, workers=2, window=20)
    assert ahead.read(names[3])[0].shape == (72, 72, 3)
    assert ahead.read(names[0])[0].shape == (70, 80, 3)


def test_a_picture_that_kills_fails_alone(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make(40)
    for i in (3, 20):
        files[i].rename(tmp_path / f"{i:03}-killer.png")
    plain = module._decode

    def decode_there(names: list[Path], workers: int) -> Any:
        for name in names:
            if "killer" in name.name:
                os.kill(os.getpid(), signal.SIGBUS)
        return plain(names, workers)

    monkeypatch.setattr(module, "_decode", decode_there)
    monkeypatch.setattr(decode, "_read_picture", deadly_picture)
    table = filter_patches(tmp_path, BrightnessModel(), mpp=0.5)
    assert len(table) == 38
    reasons = {Path(what).name: reason for what, reason in table.failures}
    assert set(reasons) == {"003-killer.png", "020-killer.png"}
    assert all("killed the process that decodes it twice (SIGBUS)" in r for r in reasons.values())


@pytest.mark.parametrize("apart", ["on", "off"])
def test_all_patches_are_those_of_the_source(
    apart: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ISOLATION_VARIABLE, apart)
    files = make(40)
    source = as_source([str(file) for file in files], 64).take([3, 3, *range(39, -1, -1)])
    expected = np.stack([source[i] for i in range(len(source))])
    np.testing.assert_array_equal(module.all_patches(source), expected)
    files[5].write_bytes(files[5].read_bytes()[:2000])
    with pytest.raises(ImageError, match=r"005\.png"):
        module.all_patches(source)


def test_files_are_hashed_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    source = as_source([str(file) for file in make(3)], 64)
    opened = []
    digest = files_module.hashlib.file_digest
    monkeypatch.setattr(
        files_module.hashlib, "file_digest", lambda *given: opened.append(1) or digest(*given)
    )
    first = [source.digest(i) for i in range(3)]
    assert [source.take([2, 0]).digest(i) for i in range(2)] == [first[2], first[0]]
    assert len(opened) == 3
