"""Which images below a folder make which set."""

from __future__ import annotations

import pytest
from PIL import Image

from rl2qc.benchmarking.artifact_folders import find_artifacts
from rl2qc.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    names = ["pen/a.png", "pen/deep/b.tif", "pen/cutouts/no.png", "ink/c.jpg", "loose.png",
             "cutouts/thread/2.png", "cutouts/thread/1.png", "cutouts/thread/3.tif",
             "cutouts/spot/x.png", ".hidden/d.png", "empty/readme.txt",
             "ink/notes.txt"]  # fmt: skip
    for name in names:
        path = tmp_path / "artifacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no image")
        else:
            Image.new("RGB", (8, 8)).save(path)
    return tmp_path / "artifacts"


def names(sets):
    return {name: [p.name for p in paths] for name, paths in sets.items()}


def test_a_set_for_each_folder(folder):
    found = find_artifacts(folder)
    assert names(found.real) == {
        "artifacts": ["loose.png"], "ink": ["c.jpg"], "pen": ["a.png", "b.tif"]}  # fmt: skip
    assert names(found.cutouts) == {"spot": ["x.png"], "thread": ["1.png", "2.png", "3.tif"]}
    assert found.warnings == (f"no images in folder {folder / 'empty'}",)


def test_positions(folder):
    assert names(find_artifacts(folder, "even").cutouts) == {
        "spot": ["x.png"], "thread": ["1.png", "3.tif"]}  # fmt: skip
    odd = find_artifacts(folder, "odd")
    assert names(odd.cutouts) == {"thread": ["2.png"]}
    assert "cut-outs spot: none at odd positions of 1" in odd.warnings


def test_one_folder_of_images_and_the_cutouts_alone(folder, monkeypatch):
    assert names(find_artifacts(folder / "ink").real) == {"ink": ["c.jpg"]}
    alone = find_artifacts(folder / "cutouts")
    assert set(alone.cutouts) == {"spot", "thread"}
    assert not alone.real
    monkeypatch.chdir(folder / "ink")
    assert set(find_artifacts(".").real) == {"ink"}


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "no such folder"), ("loose.png", "no such folder"), ("empty", "no images in")],
)
def test_nothing_there(folder, name, message):
    with pytest.raises(UsageError, match=message) as error:
        find_artifacts(folder / name)
    assert name in str(error.value)
