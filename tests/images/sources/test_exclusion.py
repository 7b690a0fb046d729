"""Lists of patches to leave out: their forms, and the ways to name a patch."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest
from PIL import Image

from rl2qc.errors import UsageError
from rl2qc.images.sources.base import as_source
from rl2qc.images.sources.exclusion import Exclusion, read_paths
from rl2qc.images.sources.tiles import cut_tiles


@pytest.fixture
def folder(tmp_path, rng, monkeypatch):
    for name in ("a.png", "b, c.png", "sub/d.png"):
        path = tmp_path / "patches" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "patches"


@pytest.mark.parametrize(
    "content",
    [
        "a.png\nb, c.png\n",
        "\ufeffa.png\r\n\r\n  b, c.png  ",
        'file\na.png\n"b, c.png"\n',
        'rank,file,score\n1,a.png,-3\n2,"b, c.png",-2\n',
        "rank;file;score\n1;a.png;-3,1\n2;b, c.png;-2\n",
        "file\tscore\na.png\t-3\nb, c.png\t-2\n\n",
    ],
)
def test_forms_of_a_list(tmp_path, content):
    (tmp_path / "list").write_bytes(content.encode())
    assert read_paths(tmp_path / "list") == ["a.png", "b, c.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot read --exclude"), ("", "names no patch"), ("file,score\n", "names no patch")],
)
def test_lists_of_nothing(tmp_path, content, message):
    if content is not None:
        (tmp_path / "list").write_text(content)
    with pytest.raises(UsageError, match=message):
        read_paths(tmp_path / "list")
    with pytest.raises(UsageError, match="cannot read"):
        read_paths(tmp_path)


def test_paths_as_given_as_resolved_and_beside_the_list(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    by_every_way = [
        "patches/a.png",
        "./patches/../patches/a.png",
        str(folder / "a.png"),
        "link/a.png",
        str(tmp_path / "link" / "a.png"),
    ]
    for given in ("patches", folder, "link", "./patches"):
        for entry in by_every_way:
            (tmp_path / "list.txt").write_text(entry)
            left = Exclusion(["list.txt"])
            kept = left(as_source(given))
            assert [os.path.basename(n) for n in kept.names] == ["b, c.png", "d.png"]  # noqa: PTH119
            assert (left.count, left.missing) == (1, [])
    (folder / "list.txt").write_text("sub/d.png\n")
    assert len(Exclusion([folder / "list.txt"])(as_source(folder))) == 2


def test_names_alone_and_strangers_are_missing(folder, tmp_path):
    (tmp_path / "list.txt").write_text("a.png\nnowhere/a.png\npatches/a.png")
    left = Exclusion([tmp_path / "list.txt"])
    assert len(left(as_source(folder))) == 2
    assert (len(left), left.missing) == (3, ["a.png", "nowhere/a.png"])


def test_several_lists_over_several_sources(folder, tmp_path):
    for name in ("a.png", "sub/d.png"):
        (tmp_path / f"{name[-5]}.txt").write_text(f"patches/{name}")
    left = Exclusion([tmp_path / "a.txt", tmp_path / "d.txt"])
    assert [len(left(as_source(folder / n))) for n in ("a.png", "sub", "b, c.png")] == [0, 0, 1]
    assert (left.count, left.missing) == (2, [])


def test_a_name_that_is_no_text(tmp_path, rng):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / name)
    except OSError:
        pytest.skip("this file system wants names of valid text")
    with (tmp_path / "list.csv").open("w", errors="surrogateescape", newline="") as file:
        csv.writer(file).writerows([["file"], [str(tmp_path / name)]])
    assert len(Exclusion([tmp_path / "list.csv"])(as_source(tmp_path))) == 0


def test_rows_of_arrays_and_tiles_of_images(tmp_path, rng):
    source = as_source(rng.integers(0, 256, (4, 64, 128, 3), dtype=np.uint8), 64)
    (tmp_path / "list.txt").write_text("2\n0")
    assert Exclusion([tmp_path / "list.txt"])(source).names == ("1", "3")
    (tmp_path / "list.txt").write_text("2\n0@64,0")
    left = Exclusion([tmp_path / "list.txt"])(cut_tiles(source))
    assert left.names == ("0@0,0", "1@0,0", "1@64,0", "3@0,0", "3@64,0")


def test_corrections_leave_out_what_is_bad_and_keep_what_is_clean(folder, tmp_path):
    said = tmp_path / "corrections.csv"
    said.write_text(
        "slide,x,y,file,label\ns,0,0,patches/a.png,bad\ns,0,0,patches/sub/d.png,clean\n"
    )
    (tmp_path / "review.csv").write_text("file\npatches/sub/d.png\n")
    left = Exclusion([said, "review.csv"], include=[said])
    kept = left(as_source("patches"))
    assert [os.path.basename(n) for n in kept.names] == ["b, c.png", "d.png"]  # noqa: PTH119
    assert (left.count, left.missing) == (1, [])
    said.write_text("file,label\npatches/a.png,clean\n")
    with pytest.raises(UsageError, match=r"--exclude .* calls no patch bad"):
        Exclusion([said])
    with pytest.raises(UsageError, match="cannot read --include"):
        Exclusion([], include=[tmp_path / "nothing"])
