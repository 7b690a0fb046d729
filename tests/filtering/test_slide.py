from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from slide_helpers import BrightnessModel, damage, shrink, tissue_like, write_slide

from rl2qc.errors import SlideError, UsageError
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.slide import filter_slide
from rl2qc.images.quantity_names import QUANTITIES


@pytest.fixture
def pixels(rng: np.random.Generator) -> np.ndarray:
    return tissue_like(rng, 320, 448, (slice(64, 320), slice(128, 448)))


@pytest.fixture
def path(tmp_path: Path, pixels: np.ndarray) -> Path:
    return write_slide(tmp_path / "case.tif", pixels, levels=2)


def test_every_tissue_tile_is_measured_on_its_own_pixels(path: Path, pixels: np.ndarray) -> None:
    table = filter_slide(path, BrightnessModel(), batch_size=5)
    expected = [(x, y) for y in range(64, 320, 64) for x in range(128, 448, 64)]
    assert list(zip(table.x.tolist(), table.y.tolist(), strict=True)) == expected
    for x, y, value in zip(table.x, table.y, table.measurements["log_likelihood"], strict=True):
        assert value == pixels[y : y + 64, x : x + 64, 0].mean()
    assert (table.width == 64).all()
    assert (table.height == 64).all()
    assert table.tissue_fraction == pytest.approx(1, abs=0.05)
    assert (table.name, table.path, table.kind) == ("case", path, "slide")
    assert (table.mpp, table.slide_mpp, table.level, table.scale) == (0.5, 0.5, 0, 1.0)
    assert table.tissue_coverage == pytest.approx(256 * 320 / (320 * 448), abs=0.02)
    assert table.warnings == ()
    assert table.unreadable == 0


def test_tiles_come_from_the_level_of_the_models_resolution(path: Path, pixels: np.ndarray) -> None:
    table = filter_slide(path, BrightnessModel(mpp=1.0))
    assert (table.level, table.scale, table.mpp) == (1, 1.0, 1.0)
    assert (table.width == 128).all()
    coarse = shrink(pixels, 2)
    for x, y, value in zip(table.x, table.y, table.measurements["log_likelihood"], strict=True):
        tile = coarse[y // 2 : y // 2 + 64, x // 2 : x // 2 + 64, 0]
        assert value == tile.mean()


def test_tiles_are_resampled_where_no_level_fits(path: Path) -> None:
    table = filter_slide(path, BrightnessModel(mpp=0.75))
    assert (table.level, table.scale, table.mpp) == (0, 1.5, 0.75)
    assert (table.width == 96).all()
    assert len(table)


def test_min_tissue_and_stride(path: Path) -> None:
    assert len(filter_slide(path, BrightnessModel(), min_tissue=0.0)) == 5 * 7
    overlapping = filter_slide(path, BrightnessModel(), stride=32)
    assert set(np.diff(np.unique(overlapping.x))) == {32}
    assert (overlapping.tissue_fraction >= 0.1).all()


def test_the_decision_is_the_p_values(path: Path) -> None:
    alpha = float(np.median(filter_slide(path, BrightnessModel()).measurements["p_value"]))
    table = filter_slide(path, BrightnessModel(), alpha=alpha)
    p_values = table.measurements["p_value"]
    assert 0 < table.keep.sum() < len(table)
    np.testing.assert_array_equal(table.keep, p_values > alpha)
    assert table.kept_share == table.keep.mean()
    strict = table.decide(float(p_values.min()))
    assert strict.keep.sum() == (p_values > p_values.min()).sum()
    assert strict.alpha == p_values.min()
    assert strict.measurements is table.measurements


def test_batches_and_threads_do_not_change_the_result(path: Path) -> None:
    one, many = BrightnessModel(), BrightnessModel()
    a = filter_slide(path, one, batch_size=1, num_workers=1)
    b = filter_slide(path, many, batch_size=7, num_workers=4)
    assert one.batches == [1] * 20
    assert many.batches == [7, 7, 6]
    for name, column in a.columns().items():
        np.testing.assert_array_equal(column, b.columns()[name])


def test_progress_ends_at_the_total(path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    filter_slide(path, BrightnessModel(), batch_size=8, progress=lambda *c: calls.append(c))
    assert calls == [(done, 20, "case") for done in (0, 8, 16, 20)]


def test_tiles_over_the_edge_are_moved_inwards(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = tissue_like(rng, 150, 200)
    table = filter_slide(write_slide(tmp_path / "a.tif", pixels), BrightnessModel())
    expected = [(x, y) for y in (0, 64, 86) for x in (0, 64, 128, 136)]
    assert list(zip(table.x.tolist(), table.y.tolist(), strict=True)) == expected
    assert table.shifted.tolist() == [x == 136 or y == 86 for x, y in expected]
    assert table.columns()["shifted"].tolist() == table.shifted.tolist()
    for x, y, value in zip(table.x, table.y, table.measurements["log_likelihood"], strict=True):
        assert value == pixels[y : y + 64, x : x + 64, 0].mean()
    assert not [said for said in table.warnings if "not judged" in said]


def test_tiles_are_moved_for_tissue_that_others_do_not_show(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    # Up to the last whole tile, so that what one moved inwards would add is glass.
    pixels = tissue_like(rng, 128, 240, (slice(None), slice(0, 192)))
    table = filter_slide(write_slide(tmp_path / "a.tif", pixels), BrightnessModel())
    assert (len(table), table.shifted.any()) == (6, False)


def test_bounds_move_the_grid(fake_slide: Callable[..., Path], rng: np.random.Generator) -> None:
    # Of the three tiles within the bounds, the second holds the tissue.
    pixels = tissue_like(rng, 200, 300, (slice(20, 84), slice(74, 138)))
    names = ("x", "y", "width", "height")
    values = ("10", "20", "194", "64")
    bounds = {f"openslide.bounds-{n}": v for n, v in zip(names, values, strict=True)}
    table = filter_slide(fake_slide(pixels, bounds), BrightnessModel())
    assert (table.x.tolist(), table.y.tolist()) == ([74], [20])
    assert table.measurements["log_likelihood"][0] == pixels[20:84, 74:138, 0].mean()
    assert table.tissue_fraction[0] == pytest.approx(1, abs=0.05)
    assert table.bounds == (10, 20, 194, 64)


def test_resolution_warnings(path: Path) -> None:
    table = filter_slide(path, BrightnessModel(mpp=None))
    assert table.mpp == 0.5
    assert table.warnings == (
        "the model does not record its resolution: tiles are read at 0.5 um/px (20x); "
        "pass --mpp to choose",
    )
    assert filter_slide(path, BrightnessModel(mpp=None), mpp=0.5).warnings == ()
    (warning,) = filter_slide(path, BrightnessModel(mpp=0.55), mpp=0.5).warnings
    assert "trained at 0.55" in warning
    with pytest.raises(UsageError, match=r"far from the 1 um/px .* --any-mpp"):
        filter_slide(path, BrightnessModel(mpp=1.0), mpp=0.5)
    (warning,) = filter_slide(path, BrightnessModel(mpp=1.0), mpp=0.5, any_mpp=True).warnings
    assert "trained at 1" in warning
    (enlarged,) = filter_slide(path, BrightnessModel(mpp=0.42)).warnings
    assert "enlarged" in enlarged
    with pytest.raises(SlideError, match=r"case\.tif: the slide has 0\.5 um/px"):
        filter_slide(path, BrightnessModel(mpp=0.25))


def test_nothing_to_measure_is_said(tmp_path: Path, rng: np.random.Generator) -> None:
    glass = write_slide(tmp_path / "glass.tif", np.full((256, 256, 3), 240, np.uint8))
    table = filter_slide(glass, BrightnessModel())
    assert len(table) == 0
    assert math.isnan(table.kept_share)
    names = ["log_likelihood", "p_value", *QUANTITIES, "keep", "reason", "shifted"]
    assert list(table.columns())[5:] == names
    assert any("no tile holds" in warning for warning in table.warnings)
    table = filter_slide(glass, BrightnessModel(patch_size=300))
    assert any("smaller than one tile" in warning for warning in table.warnings)


def test_damaged_tiles_are_counted_and_the_rest_is_done(
    tmp_path: Path, path: Path, pixels: np.ndarray
) -> None:
    whole = filter_slide(path, BrightnessModel())
    damage(path, 7 + 3)  # the block at x 192, y 64; the overview reads level 1
    table = filter_slide(path, BrightnessModel(), num_workers=4)
    assert table.unreadable == 1
    assert table.failures[0][0] == "192, 64"
    assert "1 of 20 tiles cannot be read" in table.warnings
    assert len(table) == 19
    others = ~((whole.x == 192) & (whole.y == 64))
    for name in whole.measurements:
        np.testing.assert_array_equal(table.measurements[name], whole.measurements[name][others])


def test_what_the_overview_cannot_show_is_tried(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A slide of one level, so that the damage hits the overview, too.
    path = write_slide(tmp_path / "flat.tif", pixels)
    damage(path, 7 + 3)
    monkeypatch.setattr("rl2qc.slides.readers.pyramid._BLOCK", 64)
    monkeypatch.setenv("RL2QC_ISOLATION", "off")  # or the reader has blocks of its own
    table = filter_slide(path, BrightnessModel())
    assert table.unreadable == 1
    assert len(table) == 19


def test_a_slide_that_fails_midway(
    fake_slide: Callable[..., Path], rng: np.random.Generator
) -> None:
    pixels = tissue_like(rng, 256, 256)
    opened = 0

    def bad(x: int, y: int) -> bool:
        nonlocal opened
        opened += 1
        return y >= 128 and opened > 1  # the first read is the overview

    table = filter_slide(fake_slide(pixels, bad=bad), BrightnessModel(), num_workers=1)
    assert len(table) == table.unreadable == 8
    assert (table.y < 128).all()


def test_a_slide_of_which_no_tile_can_be_read(
    fake_slide: Callable[..., Path], rng: np.random.Generator
) -> None:
    reads = 0

    def bad(x: int, y: int) -> bool:
        nonlocal reads
        reads += 1
        return reads > 1  # the first is the overview

    with pytest.raises(SlideError, match="none of its 16 tiles can be read"):
        filter_slide(fake_slide(tissue_like(rng, 256, 256), bad=bad), BrightnessModel())


@pytest.mark.parametrize(
    "setting",
    [
        {"alpha": -0.1},
        {"alpha": 1.0},
        {"alpha": math.nan},
        {"mpp": 0.0},
        {"mpp_override": math.inf},
        {"mpp_override": 0.00025},
        {"mpp_override": 250.0},
        {"mpp": 0.0005},
        {"mpp": math.nan},
        {"min_tissue": 1.5},
        {"stride": 0},
        {"batch_size": 0},
        {"num_workers": 0},
    ],
)
def test_impossible_settings(setting: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(setting))):
        FilterSettings(**setting)  # type: ignore[arg-type]


def test_a_model_of_the_wrong_shape(path: Path) -> None:
    class Wrong(BrightnessModel):
        def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
            return {"p_value": np.zeros(1)}

    with pytest.raises(ValueError, match="must measure p_value"):
        filter_slide(path, Wrong())


def test_real_slide(shared_data: Path) -> None:
    path = shared_data / "slides" / "CMU-1-Small-Region.svs"
    table = filter_slide(path, BrightnessModel(patch_size=256))
    assert 30 < len(table) < 88
    assert table.mpp == 0.499
    assert table.tissue_coverage is not None
    assert 0.3 < table.tissue_coverage < 0.5
