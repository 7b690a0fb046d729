"""Tiles larger than what a model sees are looked at in parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slide_helpers import BrightnessModel, MappedModel, damage, tissue_like, write_slide
from test_evidence import toy_evidence

from rl2qc.cohort.dataset import KeptTiles
from rl2qc.cohort.filter import filter_cohort
from rl2qc.cohort.store.results import read_results
from rl2qc.errors import WorkError
from rl2qc.filtering.evidence import Evidence, judge_evidence
from rl2qc.filtering.looks import cover_tiles
from rl2qc.filtering.pixels import TilePixels
from rl2qc.filtering.slide import filter_slide
from rl2qc.filtering.slide_mask import slide_mask
from rl2qc.stats.adaptation import judge

h5py = pytest.importorskip("h5py")


@given(st.integers(8, 60), st.integers(4, 20), st.integers(0, 90), st.integers(0, 90))
def test_squares_show_all_of_a_tile_within_the_slide(side: int, seen: int, x: int, y: int) -> None:
    width, height = 120, 100
    looks, of = cover_tiles(np.array([[x, y], [0, 0]]), side, seen, (width, height))
    assert set(of.tolist()) == {0, 1}
    shown = np.zeros((300, 300), bool)
    # Of tiles at the corner, what lies outside is seen, too.
    for left, top in np.maximum(looks[of == 0], 0):
        shown[top : top + seen, left : left + seen] = True
    inside = (slice(y, min(y + side, height)), slice(x, min(x + side, width)))
    # A twentieth of a square may be left along each side, and what rounding leaves.
    missing = ~shown[inside]
    rows, columns = missing.all(axis=1), missing.all(axis=0)
    assert max(rows.sum(), columns.sum()) <= 0.05 * seen + 1
    assert not missing[~rows][:, ~columns].any()
    if side > 1.05 * seen and min(width - x, height - y) >= side:
        assert (looks[of == 0] >= [x, y]).all()
        assert (looks[of == 0] + seen <= [x + side, y + side]).all()


def test_no_more_squares_than_it_takes() -> None:
    for side, count in ((224, 1), (230, 1), (256, 4), (448, 4), (458, 4), (512, 9), (896, 16)):
        assert len(cover_tiles(np.array([[0, 0]]), side, 224, (9999, 9999))[0]) == count


def given_tiles(path: Path, corners: np.ndarray, side: int) -> Path:
    with h5py.File(path, "w") as file:
        coords = file.create_dataset("coords", data=corners)
        coords.attrs.update(patch_size=side, patch_size_level0=side, target_magnification=20)
    return path


@pytest.fixture
def pixels(rng: np.random.Generator) -> np.ndarray:
    return tissue_like(rng, 256, 384)


def test_the_worst_part_decides(tmp_path: Path, pixels: np.ndarray) -> None:
    slide = write_slide(tmp_path / "case.tif", pixels)
    corners = np.array([[0, 0], [128, 64], [256, 0]])
    file = given_tiles(tmp_path / "case.h5", corners, 128)
    table = filter_slide(slide, BrightnessModel(), coords=file)
    assert (table.width == 128).all()
    assert (table.covered, table.tile_size, table.patch_size) == (True, 128, 64)
    parts = [(dx, dy) for dy in (0, 64) for dx in (0, 64)]
    for i, (x, y) in enumerate(corners):
        images = np.stack([pixels[y + b : y + b + 64, x + a : x + a + 64] for a, b in parts])
        measured = BrightnessModel().measure(images)
        worst = measured["p_value"].argmin()
        assert table.measurements["log_likelihood"][i] == measured["log_likelihood"][worst]
        expected = 1 - (1 - measured["p_value"][worst]) ** 4
        assert table.measurements["p_value"][i] == pytest.approx(expected)
    said = "all of each is looked at in parts, and the worst decides"
    assert any(said in warning for warning in table.warnings)


def test_a_tile_whose_parts_cannot_all_be_read_has_failed(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    slide = write_slide(tmp_path / "case.tif", pixels)
    damage(slide, 3)
    file = given_tiles(tmp_path / "case.h5", np.array([[0, 0], [128, 0], [256, 0]]), 128)
    table = filter_slide(slide, BrightnessModel(), coords=file)
    assert 0 < len(table) < 3
    assert len(table) + table.unreadable == 3
    assert len(dict(table.failures)) == table.unreadable
    assert "cannot be read" in table.failures[0][1]


def test_parts_beyond_the_slide_are_not_looked_at(tmp_path: Path, pixels: np.ndarray) -> None:
    slide = write_slide(tmp_path / "case.tif", pixels)
    file = given_tiles(tmp_path / "case.h5", np.array([[320, 128]]), 128)
    model = BrightnessModel()
    table = filter_slide(slide, model, coords=file)
    assert sum(model.batches) == 2
    values = [pixels[y : y + 64, 320:384, 0].mean() for y in (128, 192)]
    assert table.measurements["log_likelihood"][0] in values


def test_all_of_it_is_shown_and_read(tmp_path: Path, pixels: np.ndarray) -> None:
    slide = write_slide(tmp_path / "case.tif", pixels)
    file = given_tiles(tmp_path / "case.h5", np.array([[0, 0], [128, 64]]), 128)
    out = tmp_path / "out"
    filter_cohort([slide], out, BrightnessModel(), coords=file, alpha=0.0)
    table = read_results(out).tables["case"]
    assert table.covered
    with TilePixels(table) as shown:
        np.testing.assert_array_equal(shown[1], pixels[64:192, 128:256])
    kept = KeptTiles(out, transform=np.asarray)
    np.testing.assert_array_equal(kept[1], pixels[64:192, 128:256])


def _covered(parts: np.ndarray, places: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Where any of the parts, each at its place, is true."""
    found = np.zeros(shape, bool)
    for part, (x, y) in zip(parts, places, strict=True):
        found[y : y + part.shape[0], x : x + part.shape[1]] |= part
    return found


def test_evidence_of_all_looks_is_adapted_to_and_the_worst_decides(tmp_path: Path) -> None:
    single = toy_evidence(40)
    tiles = np.repeat(np.arange(10), 4)
    places = np.tile([[0, 0], [3, 0], [0, 3], [3, 3]], (10, 1))
    grouped = single.grouped(tiles, places)
    assert len(grouped) == 10
    grouped.save(tmp_path / "a.npz")
    again = Evidence.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.tiles, tiles)
    adaptation, found = judge_evidence(again, "slide", None)
    assert adaptation is not None
    assert adaptation.tiles == 40
    # The same looks, as if each were a tile.
    each = judge_evidence(single, "slide", None)[1]["p_value"].reshape(10, 4)
    np.testing.assert_allclose(found["p_value"], 1 - (1 - each.min(axis=1)) ** 4)
    worst = again.worst(adaptation)
    others = judge(single.values, adaptation, single.prior).p_value.reshape(10, 4)
    rows = 4 * np.arange(10) + others.argmin(axis=1)
    np.testing.assert_array_equal(worst.values, single.values[rows])
    # The cells of all looks, side by side; where looks overlap, the surest counts.
    down, across = single.cells.cells.shape[1:3]
    whole, parts = again.tile_cells.cells[..., 1], single.cells.cells[..., 1]
    assert whole.shape == (10, down + 3, across + 3) == again.mask(adaptation).shape
    for part, tile, (x, y) in zip(parts, tiles, places, strict=True):
        assert (whole[tile, y : y + down, x : x + across] >= part).all()
    damaged = _covered(parts[:4] > 0, places[:4], whole.shape[1:])
    np.testing.assert_array_equal(whole[0] > 0, damaged)
    grouped.grouped(tiles + 1, places).save(tmp_path / "b.npz")
    with pytest.raises(WorkError, match="not there"):
        Evidence.load(tmp_path / "b.npz")
    grouped.grouped(tiles, places - 1).save(tmp_path / "c.npz")
    with pytest.raises(WorkError, match="beside their tile"):
        Evidence.load(tmp_path / "c.npz")


class InkModel(MappedModel):
    """Finds green cells."""

    def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
        found = super().measure(images)
        means = images.reshape(len(images), 8, 8, 8, 8, 3).mean(axis=(2, 4))
        found["cells"][means[..., 1] > means[..., 0] + 60] = (1, 120)
        return found


class AdaptingInkModel(InkModel):
    """The same without a reference of its own."""

    adapts = True

    def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
        found = super().measure(images)
        found["evidence"] -= 6
        found["cells"][found["cells"][..., 0] == 0] = (0, -120)
        return found


@pytest.mark.parametrize("model", [InkModel, AdaptingInkModel])
@pytest.mark.parametrize("size", [128, 136, 160])
@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_ink_in_a_corner_is_drawn_there(
    tmp_path: Path, pixels: np.ndarray, model: type[MappedModel], size: int, corner: tuple[int, int]
) -> None:
    left, top = (24 + side * (size - 32) for side in corner)
    pixels[top : top + 32, left : left + 32] = (20, 160, 60)
    slide = write_slide(tmp_path / "case.tif", pixels)
    # A second tile, and one that the slide's edge cuts off: neither shows any.
    corners = np.array([[24, 24], [200, 40], [320, 200]])
    file = given_tiles(tmp_path / "case.h5", corners, size)
    table = filter_slide(slide, model(), coords=file)
    mask = slide_mask(table)
    assert mask.step == (8, 8)
    rows, columns = np.nonzero(mask.damaged)
    # To a cell, since looks need not begin where cells do.
    place = (columns.min() * 8, rows.min() * 8, columns.max() * 8 + 8, rows.max() * 8 + 8)
    assert np.abs(np.subtract(place, (left, top, left + 32, top + 32))).max() <= 8
    assert 9 <= mask.damaged.sum() <= 25
    shares = table.columns()["share_" + mask.classes[np.bincount(mask.labels.ravel())[2:].argmax()]]
    assert shares[0] == pytest.approx((32 / size) ** 2, rel=0.5)
    assert not shares[1:].any()
