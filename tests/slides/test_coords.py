"""Coordinates of TRIDENT and CLAM: read, measured, and written back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cohort_helpers import run_cohort
from slide_helpers import BrightnessModel, shrink, tissue_like, write_slide

from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.inputs.own_files import match_coords
from rl2qc.cohort.store.tables import read_table
from rl2qc.errors import UsageError
from rl2qc.filtering.exports.files import export
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.slide import filter_slide
from rl2qc.slides.coords import find_coords, read_coords

# In no order that a grid would give, glass included.
XY = np.array([[256, 128], [0, 0], [64, 64], [320, 192], [128, 0]], np.int64)


def write_trident(path: Path, xy: np.ndarray = XY, **changes: Any) -> Path:
    """As TRIDENT's ``coords_to_h5`` does."""
    attributes = {
        "patch_size": 64,
        "patch_size_level0": 64,
        "level0_magnification": 20,
        "target_magnification": 20,
        "overlap": 0,
        "name": "case",
        "savetodir": "/elsewhere/20x_64px_0px_overlap",
        "level0_width": 384,
        "level0_height": 256,
        **changes,
    }
    return write(path, xy, attributes)


def write_clam(path: Path, xy: np.ndarray = XY, **changes: Any) -> Path:
    """As CLAM's ``process_contours`` does."""
    attributes = {
        "patch_size": 64,
        "patch_level": 0,
        "downsample": (1.0, 1.0),
        "downsampled_level_dim": (384, 256),
        "level_dim": (384, 256),
        "name": "case",
        "save_path": "/elsewhere/patches",
        **changes,
    }
    return write(path, xy, attributes)


def write(path: Path, xy: np.ndarray, attributes: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("coords", data=xy, maxshape=(None, xy.shape[1]))
        for name, value in attributes.items():
            if value is not None:
                dataset.attrs[name] = value
    return path


@pytest.fixture
def pixels(rng: np.random.Generator) -> np.ndarray:
    return tissue_like(rng, 256, 384, (slice(None), slice(64, 384)))


@pytest.fixture
def slide(tmp_path: Path, pixels: np.ndarray) -> Path:
    return write_slide(tmp_path / "case.tif", pixels, levels=2)


# ---------------------------------------------------------------- reading


def test_trident(tmp_path: Path) -> None:
    coords = read_coords(write_trident(tmp_path / "a.h5", target_magnification=10))
    assert (coords.layout, coords.level, coords.patch_size, coords.mpp) == ("trident", None, 64, 1)
    np.testing.assert_array_equal(coords.corners(), XY)
    assert coords.attributes["savetodir"] == "/elsewhere/20x_64px_0px_overlap"
    assert coords.side((1.0, 2.0)) == 64


@pytest.mark.parametrize(
    ("changes", "side"),
    [
        ({}, 64),
        ({"patch_level": 1, "downsample": (2.0, 2.0)}, 128),
        ({"patch_level": 1, "downsample": None}, 128),  # the slide says it
        ({"custom_downsample": 2}, 128),
    ],
)
def test_clam(tmp_path: Path, changes: dict[str, Any], side: int) -> None:
    coords = read_coords(write_clam(tmp_path / "a.h5", **changes))
    assert (coords.layout, coords.mpp) == ("clam", None)
    assert coords.side((1.0, 2.0)) == side
    np.testing.assert_array_equal(coords.corners(), XY)


def test_other_kinds_of_numbers(tmp_path: Path) -> None:
    for xy in (XY.astype(np.int32), XY.astype(float), XY[:0]):
        coords = read_coords(write_trident(tmp_path / "a.h5", xy))
        assert coords.corners().dtype == np.int64
        np.testing.assert_array_equal(coords.corners(), xy)
    assert read_coords(write_trident(tmp_path / "a.h5", np.empty((0, 2)))).corners().shape == (0, 2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p, "no such file of coordinates"),
        (lambda p: p.write_bytes(b"text"), "cannot be read as HDF5"),
        (lambda p: h5py.File(p, "w").close(), "has no dataset 'coords'"),
        (lambda p: write(p, XY, {"patch_size": 64}), "nothing about the size of its tiles"),
        (lambda p: write_trident(p, patch_size_level0=0), "patch_size_level0 must be a positive"),
        (lambda p: write_trident(p, XY + 0.5), "whole level-0 px"),
        (lambda p: write_trident(p, np.zeros((3, 4), int)), r"numbers \(n, 2\)"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, make: Any, said: str) -> None:
    path = tmp_path / "a.h5"
    make(path)
    with pytest.raises(UsageError, match=said) as caught:
        read_coords(path)
    assert "\n" not in str(caught.value)


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_trident(tmp_path / "a.h5")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'rl2qc\[h5\]'"):
        read_coords(path)


def test_the_file_of_a_slide(tmp_path: Path) -> None:
    file = write_trident(tmp_path / "case_patches.h5")
    assert find_coords(file, "other") == file
    assert find_coords(tmp_path, "case") == file
    (tmp_path / "patches").mkdir()
    other = write_clam(tmp_path / "patches" / "other.h5")
    assert find_coords(tmp_path, "other") == other
    with pytest.raises(UsageError, match=r"no third_patches\.h5 and no third\.h5"):
        find_coords(tmp_path, "third")


def test_each_slide_has_its_file(slide: Path, tmp_path: Path) -> None:
    other = shutil.copy(slide, tmp_path / "other.tif")
    (tmp_path / "h5" / "patches").mkdir(parents=True)
    file = write_trident(tmp_path / "h5" / "patches" / "case_patches.h5")
    jobs, _ = find_inputs([slide, other])
    assert [job.coords for job in match_coords(tmp_path / "h5", jobs)] == [file, None]
    assert match_coords(file, jobs[:1]) == jobs[:1]
    with pytest.raises(UsageError, match="of one slide and there are 2: name the folder"):
        match_coords(file, jobs)


def test_one_file_for_two_slides_of_one_name(slide: Path, tmp_path: Path) -> None:
    slides = [tmp_path / place / "a.tif" for place in "xy"]
    for path in slides:
        path.parent.mkdir()
        shutil.copy(slide, path)
    jobs, _ = find_inputs(slides)
    folder = tmp_path / "h5"
    folder.mkdir()
    write_clam(folder / "a.h5", name="a")
    with pytest.raises(UsageError, match=r"call their files x__a_patches\.h5 and y__a_patches\.h5"):
        match_coords(folder, jobs)
    for i, name in enumerate(("x__a", "y__a")):
        write_trident(folder / f"{name}_patches.h5", XY[i : i + 1], name=name)
    jobs = match_coords(folder, jobs)
    rows = run_cohort(jobs, BrightnessModel(), tmp_path / "out", FilterSettings(coords=str(folder)))
    assert [(row.name, row.tiles, row.warnings) for row in rows] == [
        ("x__a", 1, ()),
        ("y__a", 1, ()),
    ]
    for i, row in enumerate(rows):
        table = read_table(tmp_path / "out" / row.name)
        assert [*table.x, *table.y] == XY[i].tolist()


def test_a_dicom_slide_goes_by_its_folder(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "slides" / "CMU-1-dicom"
    (tmp_path / "h5").mkdir()
    about = {"name": "CMU-1-dicom", "level0_width": 2220, "level0_height": 2967}
    file = write_trident(tmp_path / "h5" / "CMU-1-dicom_patches.h5", **about)
    (job,) = match_coords(tmp_path / "h5", find_inputs([folder])[0])
    assert job.coords == file
    for path in (folder, job.path):
        table = filter_slide(path, BrightnessModel(mpp=0.499), coords=tmp_path / "h5")
        assert (table.name, len(table)) == ("CMU-1-dicom", len(XY))


# ---------------------------------------------------------------- measuring


@pytest.mark.parametrize("make", [write_trident, write_clam])
def test_given_tiles_are_measured_in_their_order(
    slide: Path, pixels: np.ndarray, tmp_path: Path, make: Any
) -> None:
    table = filter_slide(slide, BrightnessModel(), coords=make(tmp_path / "a.h5"))
    np.testing.assert_array_equal(np.stack([table.x, table.y], axis=1), XY)
    assert (table.width == 64).all()
    expected = [pixels[y : y + 64, x : x + 64, 0].mean() for x, y in XY]
    assert table.measurements["log_likelihood"].tolist() == expected
    # Glass is measured, too: it was asked for.
    assert table.tissue_fraction[1] < 0.1
    assert table.warnings == ()


def test_of_larger_tiles_the_centre_is_measured_if_that_is_asked_for(
    slide: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    file = write_trident(tmp_path / "a.h5", XY[1:3], patch_size=128, patch_size_level0=128)
    table = filter_slide(slide, BrightnessModel(), coords=file, covering="centre")
    expected = [pixels[y + 32 : y + 96, x + 32 : x + 96, 0].mean() for x, y in XY[1:3]]
    assert table.measurements["log_likelihood"].tolist() == expected
    assert (table.width == 128).all()
    (warning,) = table.warnings
    assert warning == (
        "the coordinates are of tiles of 64 um and the model sees 32 um: "
        "the centre of each is measured"
    )


def test_of_smaller_tiles_the_surroundings_are_measured(
    slide: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    file = write_clam(tmp_path / "a.h5", np.array([[128, 64]]), patch_size=32)
    table = filter_slide(slide, BrightnessModel(), coords=file)
    assert table.measurements["log_likelihood"] == pixels[48:112, 112:176, 0].mean()
    assert "each is measured with what is around it" in table.warnings[0]


def test_coarser_models_read_their_own_level(
    slide: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    file = write_clam(tmp_path / "a.h5", XY[1:3], patch_level=1, downsample=(2.0, 2.0))
    table = filter_slide(slide, BrightnessModel(mpp=1.0), coords=file)
    coarse = shrink(pixels, 2)
    expected = [coarse[y : y + 64, x : x + 64, 0].mean() for x, y in XY[1:3] // 2]
    assert table.measurements["log_likelihood"].tolist() == expected


def test_coordinates_of_another_slide(slide: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"outside the slide of 384 x 256 px"):
        filter_slide(slide, BrightnessModel(), coords=write_trident(tmp_path / "a.h5", XY * 2))
    file = write_clam(tmp_path / "b.h5", patch_level=7)
    with pytest.raises(UsageError, match=r"level 7, and the slide has 2 levels"):
        filter_slide(slide, BrightnessModel(), coords=file)


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (write_trident, {"level0_width": 99999}),
        (write_trident, {"level0_height": 255}),
        # What a level is the size of is no size of level 0.
        (write_trident, {"level0_width": 192, "level0_height": 128}),
        (write_clam, {"level_dim": (385, 256)}),
        (write_clam, {"patch_level": 1, "downsample": (2.0, 2.0), "level_dim": (96, 64)}),
    ],
)
def test_coordinates_of_a_slide_of_another_size(
    slide: Path, tmp_path: Path, make: Any, changes: dict[str, Any]
) -> None:
    file = make(tmp_path / "a.h5", XY[1:2], **changes)
    with pytest.raises(UsageError, match=r"is of a slide of .* 384 x 256 px: .* another slide's"):
        filter_slide(slide, BrightnessModel(), coords=file)


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (write_trident, {"level0_width": None}),
        (write_trident, {"level0_width": "None"}),
        (write_clam, {"level_dim": None}),
        (write_clam, {"patch_level": 1, "downsample": (2.0, 2.0), "level_dim": (192, 128)}),
        (write_clam, {"patch_level": 1, "downsample": (2.0, 2.0)}),
    ],
)
def test_sizes_that_agree_or_are_not_recorded(
    slide: Path, tmp_path: Path, make: Any, changes: dict[str, Any]
) -> None:
    file = make(tmp_path / "a.h5", XY[1:2], **changes)
    assert len(filter_slide(slide, BrightnessModel(), coords=file)) == 1


@pytest.mark.parametrize(
    ("name", "warned"),
    [("case", False), ("case.tif", False), ("x__case", False), (None, False), ("case1", True)],
)
def test_the_name_in_the_file(slide: Path, tmp_path: Path, name: str | None, warned: bool) -> None:
    file = write_trident(tmp_path / "a.h5", name=name)
    warnings = filter_slide(slide, BrightnessModel(), coords=file).warnings
    said = f"the coordinates are of a slide called {name!r}, by what their file says"
    assert warnings == ((said,) if warned else ())


def test_no_coordinates_at_all(slide: Path, tmp_path: Path) -> None:
    file = write_trident(tmp_path / "a.h5", XY[:0])
    table = filter_slide(slide, BrightnessModel(), coords=file)
    assert len(table) == 0
    assert table.warnings == (f"{file} holds no coordinates",)


# ---------------------------------------------------------------- writing back


@pytest.mark.parametrize(("layout", "make"), [("trident", write_trident), ("clam", write_clam)])
def test_order_and_attributes_survive(slide: Path, tmp_path: Path, layout: str, make: Any) -> None:
    file = make(tmp_path / "a.h5")
    table = filter_slide(slide, BrightnessModel(), coords=file)
    table = table.decide(float(np.median(table.measurements["p_value"])))
    (written,) = export(table, tmp_path / "out" / "case", [layout])
    with h5py.File(file) as old, h5py.File(written) as new:
        np.testing.assert_array_equal(new["coords"][:], XY[table.keep])
        assert 0 < len(new["coords"]) < len(XY)
        np.testing.assert_array_equal(new["all/coords"][:], old["coords"][:])
        before, after = dict(old["coords"].attrs), dict(new["coords"].attrs)
    assert set(before) == set(after)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


def test_from_one_tool_to_the_other(slide: Path, tmp_path: Path) -> None:
    clam = write_clam(tmp_path / "a.h5", patch_level=1, downsample=(2.0, 2.0))
    table = filter_slide(slide, BrightnessModel(), coords=clam).decide(0.0)
    (written,) = export(table, tmp_path / "out" / "case", ["trident"])
    assert written.parent.parent.name == "20x_128px_0px_overlap"
    read = read_coords(written)
    assert (read.layout, read.side((1.0, 2.0)), read.mpp) == ("trident", 128, 0.5)
    np.testing.assert_array_equal(read.corners(), XY)


def test_attributes_that_are_missing(slide: Path, tmp_path: Path) -> None:
    file = write_trident(
        tmp_path / "a.h5", patch_size=None, target_magnification="None", overlap=None
    )
    assert read_coords(file).mpp is None
    table = filter_slide(slide, BrightnessModel(), coords=file)
    (written,) = export(table, tmp_path / "out" / "case", ["trident"])
    assert written.parent.parent.name == "20x_64px_0px_overlap"
    with h5py.File(written) as read:
        assert read["coords"].attrs["target_magnification"] == "None"
