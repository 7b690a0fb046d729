"""The map of a slide: every cell in its place, codes, outlines, and what HistoQC is given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from toy_general import toy_prior

from rl2qc.filtering.evidence import Evidence
from rl2qc.filtering.exports.files import export
from rl2qc.filtering.exports.map import artifact_features
from rl2qc.filtering.exports.registry import with_brought
from rl2qc.filtering.slide_mask import slide_mask
from rl2qc.filtering.table import TileTable
from rl2qc.images.cells import CellMap, encode_cells

CLASSES = ("out_of_focus", "fold", "noise")


def mapped(table: TileTable, strongest: np.ndarray, margin: np.ndarray) -> TileTable:
    """The table with cells (n, 8, 8) of 64 px tiles."""
    prior = toy_prior(CLASSES)
    cells = np.stack([strongest, margin], -1).astype(np.int8)
    values = np.full((len(table), len(prior.names)), 0.1, np.float32)
    evidence = Evidence(prior, values, CellMap(CLASSES, cells))
    return replace(table, evidence=evidence, keep=np.ones(len(table), np.bool_))


@pytest.fixture
def two(table: TileTable) -> TileTable:
    """Two tiles side by side from 96, 48 on, and a fold that goes over the seam."""
    strongest, margin = np.zeros((2, 8, 8)), np.full((2, 8, 8), -20)
    strongest[:, 2:5] = 1
    margin[0, 2:5, 5:], margin[1, 2:5, :3] = 20, 20
    strongest[1, 7, 7], margin[1, 7, 7] = 2, 20
    glass = encode_cells(np.zeros((1, 1, 1, 3)), toy_prior(CLASSES).cells)[0, 0, 0]
    strongest[0, 0, 0], margin[0, 0, 0], *_ = glass
    pair = replace(
        table,
        **{name: getattr(table, name)[:2] for name in ("width", "height", "tissue_fraction")},
        x=np.array([96, 160]),
        y=np.array([48, 48]),
        measurements={name: values[:2] for name, values in table.measurements.items()},
    )
    return mapped(pair, strongest, margin)


def test_cells_lie_where_the_tiles_do(two: TileTable) -> None:
    mask = slide_mask(two)
    assert (mask.labels.shape, mask.step, mask.mpp) == ((38, 50), (8.0, 8.0), 4.0)
    expected = np.zeros((38, 50), np.uint8)
    expected[6:14, 12:28] = 1
    expected[8:11, 17:23] = 3
    expected[13, 27] = 4
    expected[6, 12] = 0
    np.testing.assert_array_equal(mask.labels, expected)
    codes = mask.codes()
    assert codes[0, 0] == 7
    assert codes[7, 13] == 1
    assert codes[9, 20] == 2
    assert codes[13, 27] == 1  # GrandQC has no code for noise
    assert mask.areas() == {"tissue": 108 * 16, "out_of_focus": 0, "fold": 18 * 16, "noise": 16}


def test_cells_are_square_in_microns_whatever_pixels_are(two: TileTable) -> None:
    wide = replace(
        two,
        **{name: 2 * getattr(two, name) for name in ("x", "width")},
        dimensions=(2 * two.dimensions[0], two.dimensions[1]),
        stretch=(2.0, 1.0),
    )
    mask, plain = slide_mask(wide), slide_mask(two)
    assert (mask.step, mask.mpp, mask.areas()) == ((16.0, 8.0), 4.0, plain.areas())
    np.testing.assert_array_equal(mask.labels, plain.labels)
    assert wide.area_um2 == two.area_um2
    for first, second in zip(artifact_features(two), artifact_features(wide), strict=True):
        assert first["properties"]["measurements"] == second["properties"]["measurements"]


def test_where_tiles_overlap_the_surest_damage_counts(two: TileTable) -> None:
    moved = replace(two, x=np.array([96, 136]))
    labels = slide_mask(moved).labels
    # The fold of the first is in columns 5 to 7, that of the second in its first three.
    np.testing.assert_array_equal(labels[9, 12:25] == 3, [*[False] * 5, *[True] * 3, *[False] * 5])
    assert labels[6, 12] == 0
    assert slide_mask(replace(moved, x=np.array([-16, 380]))).labels.shape == (38, 50)


def test_tiles_of_another_scale_leave_no_gap(table: TileTable) -> None:
    side = 83
    x = np.arange(4) * side
    fine = replace(
        table,
        **{name: np.repeat(getattr(table, name)[:1], 4) for name in ("tissue_fraction",)},
        measurements={name: values[:4] for name, values in table.measurements.items()},
        x=x,
        y=np.zeros(4, np.int64),
        width=np.full(4, side),
        height=np.full(4, side),
        slide_mpp=0.5 * 64 / side,
        dimensions=(4 * side, side),
    )
    labels = slide_mask(mapped(fine, np.zeros((4, 8, 8)), np.full((4, 8, 8), 20))).labels
    assert (labels == 2).all()
    assert labels.shape == (8, 32)


def test_outlines_are_the_mask(two: TileTable) -> None:
    found = list(artifact_features(two))
    fold, noise = found
    assert fold["geometry"]["type"] == "Polygon"
    assert noise["properties"]["name"] == "noise or compression, small"
    left, top = two.bounds[:2]
    ring = np.array(fold["geometry"]["coordinates"][0]) + np.array([left, top])
    assert (ring.min(0).tolist(), ring.max(0).tolist()) == ([136, 64], [184, 88])
    assert fold["properties"]["measurements"] == {"area_um2": 18 * 16.0}
    assert fold["properties"]["classification"]["name"] == "QC: fold"
    again = [feature["id"] for feature in artifact_features(two)]
    assert again == [feature["id"] for feature in found]
    assert len(set(again)) == 2


def test_files(two: TileTable, tmp_path: Path) -> None:
    folder = tmp_path / "case 1"
    export(two, folder, with_brought(["map"]))
    with tifffile.TiffFile(folder / "mask.tiff") as tiff:
        page = tiff.pages[0]
        assert page.is_tiled
        np.testing.assert_array_equal(page.asarray(), slide_mask(two).codes())
        per_cm, one = page.tags["XResolution"].value
        assert 1e4 / (per_cm / one) == pytest.approx(4.0, rel=1e-6)
    legend = json.loads((folder / "mask.json").read_text())
    assert legend["without_code"] == ["noise"]
    assert legend["classes"]["fold"]["code"] == 2
    assert legend["classes"]["fold"]["share_of_tissue"] == pytest.approx(18 / 127)
    # What summary and report say stands beside it, and how they differ.
    assert legend["slide_shares"] == two.areas
    assert legend["slide_area_um2"] == two.area_um2
    assert "weigh tiles by the tissue" in legend["measures"]
    with Image.open(folder / "mask.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), slide_mask(two).labels)
    outlines = json.loads((folder / "artifacts.geojson").read_text())
    assert len(outlines["features"]) == 2
    place = tmp_path / "case 1.svs"
    names = {path.name for path in place.iterdir()}
    assert names == {f"case 1.svs{end}.png" for end in ("_mask_use", "_thumb", "_thumb_small")}
    with Image.open(place / "case 1.svs_mask_use.png") as image:
        use = np.asarray(image)
    # 8 um are two cells: rows 8 to 10 and columns 17 to 22 are damaged.
    assert use.shape == (19, 25)
    assert use[4, 9] == 0
    assert use[3, 6] == 255
    assert use[0, 0] == 0


def test_a_table_without_a_map_is_refused(table: TileTable) -> None:
    with pytest.raises(ValueError, match="gives no map"):
        slide_mask(table)
