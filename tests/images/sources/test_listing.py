"""The one listing of image files: all who list agree."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from rl2qc.benchmarking.artifact_folders import find_artifacts
from rl2qc.cohort.inputs.discovery import look_into
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.job import identify
from rl2qc.errors import UsageError
from rl2qc.images.sources.base import as_source, open_images
from rl2qc.images.sources.exclusion import Exclusion
from rl2qc.images.sources.files import list_files, list_images

JUDGED = ["A.PNG", "b.png", "link.png", "set/c.Tiff", "set/deep/d.jpeg", "set/e.png"]


@pytest.fixture
def tree(tmp_path, stained):
    """What is judged, and beside it what is not."""
    top = tmp_path / "tree"
    images = iter(stained(20, 64, seed=9))
    for name in (
        *(n for n in JUDGED if n != "link.png"),
        "._0.png",
        ".hidden.png",
        "set/._c.Tiff",
        ".thumbnails/b.png",
        "set/.trash/old/c.png",
        "folder.png/._inside.png",
    ):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(next(images)).save(top / name)
    for name in ("notes.txt", "set/Thumbs.db", "._notes.txt"):
        (top / name).write_text("no image")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("f.png", "._f.png"):
        Image.fromarray(next(images)).save(elsewhere / name)
    (top / "link.png").symlink_to(elsewhere / "f.png")
    return top


def names(files, top):
    return sorted(os.path.relpath(file, top) for file in files)


def test_all_ways_of_listing_agree(tree):
    ways = {
        "listing": list_files(tree).files,
        "images": list_images(tree),
        "source": as_source(tree).names,
        "discovery": look_into(tree).images,
        "filter": find_inputs(tree)[0][0].images,
        "artifacts": [p for found in find_artifacts(tree).real.values() for p in found],
    }
    assert {way: names(files, tree) for way, files in ways.items()} == dict.fromkeys(ways, JUDGED)


def test_a_file_that_nobody_judges_changes_no_identity(tree):
    """A hidden file written by a Macintosh made all patches be judged again."""
    [item], _ = find_inputs(tree)
    before = identify(item)
    for name in ("._b.png", ".DS_Store", ".thumbnails/new.png", "set/._e.png", "more.txt"):
        (tree / name).write_bytes(b"x" * 4096)
    [item], _ = find_inputs(tree)
    assert identify(item) == before
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tree / "new.png")
    [item], _ = find_inputs(tree)
    assert identify(item) != before


def test_links_to_folders_are_followed_by_all(tree, tmp_path):
    (tree / "linked").symlink_to(tmp_path / "elsewhere")
    expected = sorted([*JUDGED, "linked/f.png"])
    assert names(list_images(tree), tree) == expected
    assert names(look_into(tree).images, tree) == expected
    assert names(list_files(tree).files, tree) == expected
    assert names(find_inputs(tree)[0][0].images, tree) == expected
    assert names(as_source(tree, 64).names, tree) == expected
    # A set of artifacts may be a link, as may whatever is named.
    assert names(find_artifacts(tree).real["linked"], tree) == ["linked/f.png"]
    assert names(list_images(tree / "linked"), tree) == ["linked/f.png"]


def test_link_loops_end_and_folders_above_are_named(tree):
    (tree / "set" / "loop").symlink_to(tree)
    (tree / "above").symlink_to(tree.parent)
    found = list_files(tree)
    assert names(found.files, tree) == JUDGED
    assert [w for w in found.warnings if "holds" in w] == [
        f"{tree / 'above'} is left out: it links to a folder that holds {tree}"
    ]


def test_a_hidden_folder_that_is_named_is_read(tree):
    assert names(list_images(tree / ".thumbnails"), tree) == [".thumbnails/b.png"]
    assert names(list_images(tree / "._0.png"), tree) == ["._0.png"]


def test_the_order_is_that_of_the_paths(tree):
    listed = list_images(tree)
    assert listed == sorted(listed)
    assert [p.name for p in list_images([tree / "b.png", tree])][:2] == ["b.png", "A.PNG"]


def test_exclusion_knows_what_is_listed(tree, tmp_path):
    (tmp_path / "list.txt").write_text("\n".join(f"tree/{name}" for name in JUDGED[1:]))
    left = Exclusion([tmp_path / "list.txt"])
    assert names(left(as_source(tree)).names, tree) == ["A.PNG"]
    assert left.missing == []


def test_what_cannot_be_listed_is_said(tree, monkeypatch):
    real = os.scandir

    def refuse(place):
        if os.fspath(place) == str(tree / "set"):
            raise PermissionError(13, "Permission denied", os.fspath(place))
        return real(place)

    monkeypatch.setattr(os, "scandir", refuse)
    found = list_files(tree)
    assert f"{tree / 'set'} is left out: it cannot be listed (Permission denied)" in found.warnings
    assert names(found.files, tree) == ["A.PNG", "b.png", "link.png"]


def test_a_tree_without_visible_images(tmp_path):
    (tmp_path / "._0.png").write_bytes(b"")
    (tmp_path / ".in").mkdir()
    (tmp_path / ".in" / "a.png").write_bytes(b"")
    with pytest.raises(UsageError, match="no images in folder"):
        list_images(tmp_path)


def test_images_that_are_named_again_are_counted(tmp_path, stained):
    for i, image in enumerate(stained(3)):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    first = str(tmp_path / "0.png")
    for items, n in (([first, first, first], 2), ([tmp_path, first], 1), ([first, tmp_path], 1)):
        found = as_source(items)
        assert len(found) == len(set(found.names))
        (said,) = found.warnings
        which = "1 image is" if n == 1 else f"{n} images are"
        assert said == f"{which} named again and taken once, such as {first}"
    assert as_source([tmp_path]).warnings == ()


def test_images_of_a_source_without_a_size_get_one(tmp_path, stained):
    for i, image in enumerate(stained(2, 96)):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    source = open_images(tmp_path)
    assert source.size == 0
    assert as_source(source).size == 96
    assert as_source(source, 64).size == 64
