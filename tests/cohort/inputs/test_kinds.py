"""Patches and slides told apart; lists that contradict themselves."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
from PIL import Image
from slide_helpers import write_slide

from rl2qc.cohort.filter import filter_cohort
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.errors import UsageError


def kinds(inputs):
    return [(item.name, item.kind, len(item.images)) for item in find_inputs(inputs)[0]]


def write_tiled(path, image, **options):
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), compression="zlib", **options)


@pytest.mark.parametrize("side", [64, 128, 256, 512])
@pytest.mark.parametrize("mpp", [None, 0.5])
def test_small_tiffs_in_tiles_are_one_set_of_patches(tmp_path, stained, side, mpp):
    scale = {"resolution": (1e4 / mpp,) * 2, "resolutionunit": 3} if mpp else {}
    for i in range(3):
        write_tiled(
            tmp_path / "set" / f"{i}.tif", np.full((side, side, 3), 90 + i, np.uint8), **scale
        )
    assert kinds(tmp_path / "set") == [("set", "patches", 3)]
    assert kinds(str(tmp_path / "set" / "*.tif")) == [("set", "patches", 3)]
    # One that was cut off at the edge of a slide goes with them.
    write_tiled(tmp_path / "set" / "edge.tif", np.full((side, 48, 3), 90, np.uint8), **scale)
    assert kinds(tmp_path / "set") == [("set", "patches", 4)]


def test_a_pyramid_or_a_large_tiff_is_a_slide(tmp_path, stained):
    (tmp_path / "a").mkdir()
    write_slide(tmp_path / "a" / "a.tif", stained(1, 256)[0], levels=2)
    assert kinds(tmp_path / "a") == [("a", "slide", 0)]
    write_tiled(tmp_path / "b" / "b.tif", np.full((600, 600, 3), 90, np.uint8))
    assert kinds(tmp_path / "b") == [("b", "slide", 0)]


def test_a_stack_of_tiles_is_many_patches(tmp_path, stained):
    for folder, options in (("tiles", {"tile": (64, 64)}), ("strips", {})):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "s.tif", stained(4, 64), photometric="rgb", **options)
        assert kinds(tmp_path / folder) == [(folder, "patches", 4)]
    assert kinds(tmp_path / "strips" / "s.tif") == [("strips", "patches", 4)]
    assert kinds(f"{tmp_path}/strips/s.tif@page2") == [("s.tif@page2", "patches", 1)]


# ---------------------------------------------------------------- lists


@pytest.mark.parametrize("other", ["case.tif", "./case.tif", "sub/../case.tif", "link.tif"])
def test_two_resolutions_for_one_slide_are_refused(tmp_path, stained, other):
    write_slide(tmp_path / "case.tif", stained(1, 256)[0], levels=2, mpp=None)
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.tif").symlink_to("case.tif")
    listed = tmp_path / "list.csv"
    listed.write_text(f"wsi,mpp\ncase.tif,0.5\n{other},0.25\n")
    with pytest.raises(UsageError, match=r"two resolutions are given .* 0\.5 and 0\.25"):
        find_inputs(listed)
    listed.write_text(f"wsi,mpp\ncase.tif,0.5\n{other},0.5\n{other},\n")
    [item], _ = find_inputs(listed)
    assert item.mpp == 0.5


def test_two_lists_and_tables_must_not_contradict_each_other(tmp_path, stained):
    write_slide(tmp_path / "case.tif", stained(1, 256)[0], levels=2, mpp=None)
    for name, mpp in (("a.csv", 0.5), ("b.csv", 0.25)):
        (tmp_path / name).write_text(f"wsi;mpp\ncase.tif;{mpp}\n")
    with pytest.raises(UsageError, match="two resolutions"):
        find_inputs([tmp_path / "a.csv", tmp_path / "b.csv"])
    table = tmp_path / "table.csv"
    table.write_text(f"wsi,mpp\ncase,0.5\n{tmp_path / 'case.tif'},0.25\n")
    with pytest.raises(UsageError, match="which are one slide"):
        find_inputs(tmp_path / "case.tif", mpp_csv=table)


def test_a_list_of_patches_is_a_set_with_its_resolution(tmp_path, stained):
    for i, image in enumerate(stained(3, 64)):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    listed = tmp_path / "list.csv"
    listed.write_text("path,mpp\n0.png,0.5\n1.png,0.5\n2.png,0.5\n")
    [item], _ = find_inputs(listed)
    assert (item.kind, len(item.images), item.mpp) == ("patches", 3, 0.5)
    listed.write_text("path,mpp\n0.png,0.5\n1.png,0.25\n")
    with pytest.raises(UsageError, match="are one set"):
        find_inputs(listed)


def test_what_the_user_calls_a_slide_is_one_however_small(tmp_path, stained):
    write_tiled(tmp_path / "set" / "a.tif", stained(1, 256)[0])
    assert kinds(tmp_path / "set") == [("set", "patches", 1)]
    (tmp_path / "coords").mkdir()
    [item], _ = find_inputs(tmp_path / "set", coords=tmp_path / "coords")
    assert item.kind == "slide"
    listed = tmp_path / "list.csv"
    for line in ("set/a.tif", "set"):
        listed.write_text(f"wsi\n{line}\n")
        assert kinds(listed) == [("a", "slide", 0)]


@pytest.mark.parametrize("name", ["pipe.svs", "pipe.tif", "pipe.png", "pipe.csv", "pipe"])
def test_a_pipe_fails_by_name_and_is_not_waited_for(tmp_path, red_model, name):
    os.mkfifo(tmp_path / name)
    result = filter_cohort(tmp_path / name, tmp_path / "out", mpp=0.5)
    assert [row.status for row in result.rows] == ["failed"]
    assert "named pipe" in result.errors[0] and name in result.errors[0]
