"""Masks of users and of other tools, written here as those write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from rl2qc.errors import ImageError, UsageError
from rl2qc.images.tissue_masks import Frame, find_mask, read_mask

# A slide of 800 x 600 px, and its overview.
FRAME = Frame((800, 600), (0, 0, 800, 600), (60, 80))


@pytest.fixture
def truth() -> NDArray[np.bool_]:
    """(60, 80): a rectangle with a hole."""
    mask = np.zeros((60, 80), np.bool_)
    mask[10:40, 20:60] = True
    mask[20:25, 30:40] = False
    return mask


def png(path: Path, values: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path)
    return path


def geojson(path: Path, *features: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def polygon(*rings: list[tuple[float, float]], name: str | None = None) -> dict[str, Any]:
    about = {} if name is None else {"classification": {"name": name}}
    closed = [[*ring, ring[0]] for ring in rings]
    geometry = {"type": "Polygon", "coordinates": closed}
    return {"type": "Feature", "properties": about, "geometry": geometry}


def box(x: float, y: float, w: float, h: float) -> list[tuple[float, float]]:
    return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]


RECTANGLE, HOLE = box(200, 100, 400, 300), box(300, 200, 100, 50)


# ---------------------------------------------------------------- what they hold


@pytest.mark.parametrize(
    "written",
    [
        lambda m: m,
        lambda m: m.astype(np.uint8),
        lambda m: m.astype(np.uint8) * 255,
        lambda m: m.astype(np.uint16) * 65535,
        lambda m: np.repeat(m[..., None].astype(np.uint8) * 255, 3, axis=2),
        lambda m: m.repeat(4, axis=0).repeat(4, axis=1).astype(np.uint8) * 255,
    ],
    ids=["1 bit", "0 and 1", "0 and 255", "16 bit", "three channels", "four times as large"],
)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pictures(written: Any, suffix: str, truth: NDArray[np.bool_], tmp_path: Path) -> None:
    values = written(truth)
    path = tmp_path / f"case{suffix}"
    if suffix == ".png":
        png(path, values)
    else:
        tifffile.imwrite(path, values.astype(np.uint8) if values.dtype == bool else values)
    np.testing.assert_array_equal(read_mask(path, FRAME).mask, truth)


def test_a_palette_and_a_pyramid(truth: NDArray[np.bool_], tmp_path: Path) -> None:
    image = Image.fromarray(truth.astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "palette.png", FRAME).mask, truth)
    large = truth.repeat(4, axis=0).repeat(4, axis=1).astype(np.uint8) * 255
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as tiff:
        for step in (1, 2, 4, 8):
            tiff.write(large[::step, ::step])
    np.testing.assert_array_equal(read_mask(tmp_path / "pyramid.tif", FRAME).mask, truth)


def test_codes_of_other_tools(truth: NDArray[np.bool_], tmp_path: Path) -> None:
    use = png(tmp_path / "case.svs_mask_use.png", truth.astype(np.uint8) * 255)
    assert read_mask(use, FRAME).kind == "HistoQC's mask"
    np.testing.assert_array_equal(read_mask(use, FRAME).mask, truth)
    # GrandQC's tissue detection marks the background.
    found = png(tmp_path / "case.svs_MASK.png", (~truth).astype(np.uint8))
    np.testing.assert_array_equal(read_mask(found, FRAME).mask, truth)
    codes = np.where(truth, 1, 7).astype(np.uint8)
    codes[12:15, 22:30] = 4  # a pen on tissue
    artifacts = read_mask(png(tmp_path / "case.svs_mask.png", codes), FRAME)
    np.testing.assert_array_equal(artifacts.mask, truth)
    assert artifacts.kind == "GrandQC's artifacts"


def test_a_mask_of_the_scanned_part_and_of_the_whole_slide(tmp_path: Path) -> None:
    frame = Frame((1000, 600), (400, 100, 300, 400), (40, 30))
    part = np.zeros((40, 30), np.uint8)
    part[:20] = 255
    whole = np.zeros((60, 100), np.uint8)
    whole[10:30, 40:70] = 255
    for name, values in (("part", part), ("whole", whole)):
        mask = read_mask(png(tmp_path / f"{name}.png", values), frame).mask
        np.testing.assert_array_equal(mask, part > 0)


# ---------------------------------------------------------------- outlines


def test_outlines(truth: NDArray[np.bool_], tmp_path: Path) -> None:
    path = geojson(tmp_path / "case.geojson", polygon(RECTANGLE, HOLE))
    np.testing.assert_array_equal(read_mask(path, FRAME).mask, truth)


def test_classes_of_outlines(truth: NDArray[np.bool_], tmp_path: Path) -> None:
    marked = geojson(
        tmp_path / "a.geojson",
        polygon(RECTANGLE, name="Tumour"),
        polygon(HOLE, name="Ignore*"),
    )
    np.testing.assert_array_equal(read_mask(marked, FRAME).mask, truth)
    named = geojson(
        tmp_path / "b.geojson",
        polygon(RECTANGLE, HOLE, name="Tissue"),
        polygon(box(0, 0, 800, 600), name="Slide"),
    )
    np.testing.assert_array_equal(read_mask(named, FRAME).mask, truth)


def test_outlines_of_qupath_count_from_the_scanned_part(tmp_path: Path) -> None:
    frame = Frame((1000, 600), (400, 100, 300, 400), (40, 30))
    feature = polygon(box(0, 0, 300, 200))
    feature["properties"]["objectType"] = "annotation"
    mask = read_mask(geojson(tmp_path / "a.geojson", feature), frame).mask
    assert mask[:20].all()
    assert not mask[20:].any()
    # TRIDENT counts from the corner of level 0.
    other = geojson(tmp_path / "b.geojson", polygon(box(400, 100, 300, 200)))
    np.testing.assert_array_equal(read_mask(other, frame).mask, mask)


def test_points_are_left_out_and_small_outlines_named(tmp_path: Path) -> None:
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 4]}}
    read = read_mask(geojson(tmp_path / "a.geojson", polygon(box(0, 0, 90, 90)), point), FRAME)
    assert "1 points and lines are left out" in " ".join(read.warnings)
    assert "are they in px of level 0?" in " ".join(read.warnings)


# ---------------------------------------------------------------- what is wrong


def wrong(path: Path, word: str) -> None:
    with pytest.raises(ImageError, match=word) as caught:
        read_mask(path, FRAME)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pictures_that_are_no_mask(rng: np.random.Generator, tmp_path: Path) -> None:
    grey = rng.integers(0, 256, (60, 80)).astype(np.uint8)
    wrong(png(tmp_path / "grey.png", grey), "is no mask: it holds")
    colours = rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)
    wrong(png(tmp_path / "colours.png", colours), "a mask has one channel")
    wrong(png(tmp_path / "turned.png", np.eye(80, 60, dtype=np.uint8)), "is it turned")
    wrong(png(tmp_path / "square.png", np.eye(80, dtype=np.uint8)), "another shape")
    (tmp_path / "text.png").write_text("no picture")
    wrong(tmp_path / "text.png", "neither PNG nor TIFF")
    cut = png(tmp_path / "cut.png", grey)
    cut.write_bytes(cut.read_bytes()[:300])
    wrong(cut, "cannot be read as a mask")
    Image.fromarray(grey).save(tmp_path / "a.jpg")
    wrong(tmp_path / "a.jpg", "PNG, TIFF or GeoJSON is read")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "cannot be read as GeoJSON"),
        ("[" * 100_000, "nested too deep"),
        ("{}", "no GeoJSON"),
        ('{"type": "FeatureCollection", "features": []}', "no polygons"),
        ('{"type": "FeatureCollection", "features": [3]}', "no GeoJSON"),
        ('{"type": "Point", "coordinates": [1, 2]}', "no polygons"),
        ('{"type": "Polygon", "coordinates": [[[0, "a"], [1, 1], [2, 2]]]}', "no numbers"),
        (
            '{"type": "Polygon", "coordinates": [[[1%s, 0], [1, 1], [2, 2]]]}' % ("0" * 400),
            "no numbers",
        ),
        (
            '{"type": "Polygon", "coordinates": [[[true, false], [true, true], [false, true]]]}',
            "no numbers",
        ),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [9000, 0], [0, 9000]]]}', "another slide"),
    ],
)
def test_files_that_are_no_outlines(text: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "case.geojson"
    path.write_text(text)
    wrong(path, word)


# ---------------------------------------------------------------- where they are


@pytest.mark.parametrize(
    "place",
    [
        "case.png",
        "case.tiff",
        "case_mask.png",
        "case.svs_mask_use.png",
        "case.svs/case.svs_mask_use.png",
        "tis_det_mask/case.svs_MASK.png",
        "mask_qc/case.svs_mask.png",
        "contours_geojson/case.geojson",
        "case.geojson",
    ],
)
def test_masks_are_found_by_the_names_of_their_tools(place: str, tmp_path: Path) -> None:
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.touch()
    (tmp_path / "case-2.png").touch()
    assert find_mask(tmp_path, ["case.svs", "case"]) == file
    assert find_mask(file, ["other.svs", "other"]) == file


def test_no_mask_or_several(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no mask of case\.svs: expected case\.png"):
        find_mask(tmp_path, ["case.svs", "case"])
    with pytest.raises(UsageError, match="no such mask"):
        find_mask(tmp_path / "absent", ["case.svs", "case"])
    with pytest.raises(UsageError, match="no mask of"):
        find_mask(tmp_path, ["a" * 300])
    (tmp_path / "case.png").touch()
    (tmp_path / "case.geojson").touch()
    with pytest.raises(UsageError, match="holds several masks"):
        find_mask(tmp_path, ["case.svs", "case"])
