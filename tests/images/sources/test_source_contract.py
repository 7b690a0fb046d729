"""Every image source against one contract; one of somebody else's beside ours."""

from __future__ import annotations

import os
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from contracts.source import check_source
from PIL import Image

from rl2qc.core.registry import Extra
from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources.base import (
    SOURCES,
    ImageSource,
    PatchSource,
    as_source,
    open_images,
    register_source,
)
from rl2qc.images.sources.files import read_image
from rl2qc.images.sources.images import Images


@pytest.fixture
def pixels(stained):
    return stained(4, 72, seed=5)


@pytest.fixture
def folder(pixels, tmp_path):
    place = tmp_path / "folder"
    place.mkdir()
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(place / f"{i}.png")
    return place


def test_files_hold_the_contract(folder, tmp_path):
    def damage(item):
        (item / "1.png").write_bytes((item / "1.png").read_bytes()[:200])
        return item

    def change(item):
        Image.fromarray(read_image(item / "0.png") // 2).save(item / "0.png")
        os.utime(item / "0.png", ns=(1, 1))

    check_source(SOURCES.get("files"), folder, change=change, nothing=tmp_path / "nowhere")
    check_source(SOURCES.get("files"), folder, damage=damage)


class Zipped(Images):
    """Somebody else's: images in a ZIP file, read one by one."""

    def __init__(self, path, members):
        self.path, self.members = path, members

    def __len__(self):
        return len(self.members)

    def __getitem__(self, index):
        with zipfile.ZipFile(self.path) as archive:
            content = archive.read(self.members[index])
        try:
            return np.asarray(Image.open(BytesIO(content)).convert("RGB"))
        except OSError as error:
            raise ImageError(f"{self.path}/{self.members[index]} is no image") from error

    def digest(self, index):
        with zipfile.ZipFile(self.path) as archive:
            return archive.getinfo(self.members[index]).CRC.to_bytes(32, "big")


def open_zip(item):
    path = next(p for p in (Path(item), *Path(item).parents) if p.suffix.lower() == ".zip")
    with zipfile.ZipFile(path) as archive:
        members = sorted(archive.namelist())
    if path != Path(item):
        members = [str(Path(item).relative_to(path))]
    return PatchSource(Zipped(path, members), 0, tuple(f"{path}/{m}" for m in members))


@pytest.fixture
def archives():
    yield register_source(ImageSource("ZIP files", open_zip, suffixes=(".zip",)))
    SOURCES.unregister("ZIP files")


def pack(path, images, damaged=None):
    with zipfile.ZipFile(path, "w") as archive:
        for i, image in enumerate(images):
            png = BytesIO()
            Image.fromarray(image).save(png, "PNG")
            archive.writestr(f"in/{i}.png", b"none" if i == damaged else png.getvalue())
    return path


def test_a_source_from_outside_by_suffix(archives, pixels, tmp_path):
    def change(item):
        pack(item, [pixels[0] // 2, *pixels[1:]])

    item = pack(tmp_path / "set.ZIP", pixels)
    check_source(archives, item, damage=lambda item: pack(item, pixels, damaged=1))
    check_source(archives, pack(item, pixels), change=change)


def test_a_folder_of_that_suffix_is_a_folder(archives, folder):
    place = folder.rename(folder.with_suffix(".zip"))
    assert len(as_source(place)) == 4
    assert as_source(place).names[0] == str(place / "0.png")


def test_a_source_from_outside_by_prefix(memory, pixels):
    def change(item):
        memory.keep("four", np.stack([pixels[0] // 2, *pixels[1:]]))

    check_source(memory, "memory:four", change=change)


def test_sources_mix(memory, archives, folder, pixels, tmp_path):
    pack(tmp_path / "set.zip", pixels[:2])
    mixed = as_source([str(folder / "3.png"), "memory:four", tmp_path / "set.zip", folder], 64)
    assert len(mixed) == 1 + 4 + 2 + 3
    assert [name.rpartition("/")[2] for name in mixed.names] == [
        "3.png", "0", "1", "2", "3", "0.png", "1.png", "0.png", "1.png", "2.png"
    ]  # fmt: skip
    for row, image in ((0, 3), (1, 0), (4, 3), (6, 1), (9, 2)):
        np.testing.assert_array_equal(mixed[row], pixels[image][4:68, 4:68])
    assert mixed.digest(0) is not None
    assert mixed.digest(1) is None


def test_what_a_source_lacks_is_said():
    source = ImageSource(
        "rows", lambda item: None, prefix="rows:", extra=Extra("no_such_module", "rl2qc[rows]")
    )
    register_source(source)
    try:
        with pytest.raises(UsageError, match=r"rows:a: rows needs .* pip install 'rl2qc\[rows\]'"):
            open_images("rows:a")
    finally:
        SOURCES.unregister("rows")


def test_two_of_one_name_are_refused():
    with pytest.raises(UsageError, match="already"):
        register_source(ImageSource("files", open_zip))
