"""What no listing takes for images, whoever lists; it is counted and named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from rl2qc.cohort.filter import filter_cohort
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.errors import UsageError
from rl2qc.filtering.patches import filter_patches
from rl2qc.images.sources.base import as_source
from rl2qc.images.sources.files import list_images
from rl2qc.images.sources.listing import list_files
from rl2qc.scoring.dice import dice


@pytest.fixture
def folder(tmp_path, stained):
    """Six images, and a way to put another somewhere."""
    top = tmp_path / "set"
    top.mkdir()
    images = stained(12, 64, seed=8)
    for i in range(6):
        # Grey, so that they may serve as masks, too.
        Image.fromarray(images[i]).convert("L").save(top / f"{i}.png")
    return top


def put(path: Path, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".ipynb_checkpoints/0-checkpoint.png", "1 picture in a hidden folder is left out"),
        ("deep/.thumbnails/a/b.png", "hidden folder"),
        (".Trash-1000/files/x.png", "hidden folder"),
        ("$RECYCLE.BIN/S-1-5/x.png", "1 picture in a folder of deleted or system files"),
        ("#recycle/x.jpg", "deleted"),
        ("a/@Recycle/x.jpg", "deleted"),
        ("a/lost+found/x.png", "deleted"),
        ("@eaDir/0.png/SYNOPHOTO.jpg", "deleted or system"),
        ("__MACOSX/x.png", "deleted or system"),
        (".x.png", "1 hidden picture"),
        ("x.heic", r"not read as images of patches is left out (.heic 1)"),
        ("x.psd", "(.psd 1)"),
        ("no_suffix", "(no suffix 1)"),
        ("x.png.bak", "(.bak 1)"),
        ("x.isyntax", "(.isyntax 1)"),
        ("x.KFB", "(.kfb 1)"),
        ("x.svs.gz", "(.svs.gz 1)"),
        ("x.png.zst", "(.png.zst 1)"),
        ("more/b.tar.gz", "1 archive is left out, such as"),
        (".x.png.icloud", "not fetched from the cloud"),
    ],
)
def test_all_commands_leave_it_out_and_say_so(folder, name, said):
    put(folder / name, format="PNG")
    listed = list_files(folder)
    assert len(listed.files) == len(list_images(folder)) == 6
    [item], warnings = find_inputs(folder)
    assert len(item.images) == 6
    for lines in (listed.warnings, warnings, as_source(folder).warnings):
        assert [said in line and name.split("/")[0] in line for line in lines] == [True], lines
    # On the terminal of those that list for themselves, and in the record.
    assert any(said in line for line in dice(folder, folder).warnings)


@pytest.mark.parametrize(
    "name", ["._0.png", ".git/annex/objects/a.png", "notes.txt", "Thumbs.db", "notes.txt.gz"]
)
def test_what_is_no_picture_is_not_spoken_of(folder, name):
    put(folder / name, format="PNG")
    assert list_files(folder).warnings == []
    assert len(list_files(folder).files) == 6


def test_the_record_and_the_page_say_it(folder, tmp_path, red_model):
    put(folder / "$RECYCLE.BIN" / "x.png")
    result = filter_cohort(folder, tmp_path / "out", mpp=0.5)
    said = "1 picture in a folder of deleted or system files is left out"
    assert any(said in warning for warning in result.warnings)
    assert any(
        said in line for line in json.loads((tmp_path / "out/run.json").read_text())["warnings"]
    )
    assert said in (tmp_path / "out" / "report.html").read_text()
    assert any(said in warning for warning in filter_patches(folder, mpp=0.5).warnings)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JIF", ".webp", ".jp2", ".gif", ".pgm"])
def test_other_suffixes_of_pictures_are_read(folder, suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    kinds = {".jfif": "JPEG", ".jpe": "JPEG", ".JIF": "JPEG", ".pgm": "PPM", ".jp2": "JPEG2000"}
    Image.fromarray(pixels).save(
        folder / f"x{suffix}", format=kinds.get(suffix, suffix[1:].upper())
    )
    assert len(as_source(folder)) == len(find_inputs(folder)[0][0].images) == 7


# ---------------------------------------------------------------- what rl2qc wrote


def test_results_beside_the_images_are_no_images(folder, red_model):
    for _ in range(2):
        filter_cohort(folder, folder / "out", mpp=0.5, overwrite=True)
        assert len(find_inputs(folder)[0][0].images) == len(as_source(folder)) == 6


def test_the_pictures_of_a_slides_result_are_no_images(slide, red_model, tmp_path):
    out = tmp_path / "out"
    filter_cohort(slide, out, formats=["csv", "overlay", "tiles", "histoqc"])
    assert (out / "case" / "overlay.png").exists()
    with pytest.raises(UsageError, match=r"no images .* pictures that rl2qc wrote are left out"):
        list_images(out)
    with pytest.raises(UsageError, match="rl2qc wrote"):
        list_images(f"{out}/*/*.png")
    # Tiles that were kept are images for whoever names them.
    kept = list_images(out / "case" / "tiles")
    assert len(kept) == 6


def test_the_curve_beside_a_model_is_no_patch_and_a_picture_of_that_name_is_one(folder):
    drawn = PngImagePlugin.PngInfo()
    drawn.add_text("Software", "Matplotlib version3.10, https://matplotlib.org/")
    put(folder / "mine.png", pnginfo=drawn)
    put(folder / "mine.review.png")
    put(folder / "colon.png")
    for name in ("mine.safetensors", "colon.safetensors", "mine.review.csv"):
        (folder / name).touch()
    listed = list_files(folder)
    assert {file.name for file in listed.files} == {*(f"{i}.png" for i in range(6)), "colon.png"}
    assert "2 pictures that rl2qc wrote are left out" in listed.warnings[0]


# ---------------------------------------------------------------- odd trees


def test_dangling_links_are_images_that_fail(folder, red_model):
    (folder / "gone.png").symlink_to("../store/gone.png")
    table = filter_patches(folder, mpp=0.5)
    assert (len(table), len(table.failures)) == (6, 1)
    assert "gone.png is a link that leads nowhere" in " ".join(table.warnings)


def test_pipes_are_named_and_nothing_waits(folder):
    os.mkfifo(folder / "pipe.png")
    listed = list_files(folder)
    assert len(listed.files) == 6
    assert "1 pipe, socket or device is left out" in listed.warnings[0]


@pytest.fixture
def deep(tmp_path, stained):
    """An image below 1,200 folders, which are removed again: what cleans up stumbles, too."""
    here = Path.cwd()
    os.chdir(tmp_path)
    for _ in range(1200):
        Path("d").mkdir()
        os.chdir("d")
    Image.fromarray(stained(1, 64)[0]).save("x.png")
    os.chdir(here)
    yield tmp_path
    os.chdir(f"{tmp_path}/" + "d/" * 1200)
    Path("x.png").unlink()
    for _ in range(1200):
        os.chdir("..")
        Path("d").rmdir()
    os.chdir(here)


def test_folders_deeper_than_the_stack_of_python(deep):
    assert len(list_images(deep)) == 1
    assert len(find_inputs(deep)[0][0].images) == 1
    with pytest.raises(UsageError, match="too deep"):
        list_images(f"{deep}/**/*.png")


def test_names_with_nul_are_refused(folder):
    for name in ("a\0.png", f"{folder}/\0*"):
        with pytest.raises(UsageError, match="NUL"):
            list_images(name)
        with pytest.raises(UsageError, match="NUL"):
            find_inputs(name)
