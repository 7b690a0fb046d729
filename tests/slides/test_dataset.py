from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from slide_helpers import BrightnessModel, shrink, tissue_like, write_slide
from torch.utils.data import DataLoader

from rl2qc.errors import SlideError, UsageError
from rl2qc.slides import dataset as module
from rl2qc.slides.cohort import run_cohort
from rl2qc.slides.dataset import KeptTiles
from rl2qc.slides.filtering import FilterSettings
from rl2qc.slides.jobs import find_jobs

SIZES = {"a": (128, 192), "b": (192, 192), "c": (64, 64)}


@pytest.fixture
def pixels(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Slides of which some tiles are darker."""
    made = {name: tissue_like(rng, *size) for name, size in SIZES.items()}
    made["a"][:64, :64] -= 50
    made["c"] -= 50
    return made


@pytest.fixture
def results(tmp_path: Path, pixels: dict[str, np.ndarray]) -> Path:
    for name, image in pixels.items():
        write_slide(tmp_path / f"{name}.tif", image, levels=2)
    (tmp_path / "set").mkdir()
    for i in range(2):
        Image.fromarray(pixels["b"][i : i + 70, :90]).save(tmp_path / "set" / f"{i}.png")
    jobs, _ = find_jobs([*sorted(tmp_path.glob("*.tif")), tmp_path / "set"])
    # The mean of the red channel is 170, 120 in dark tiles.
    run_cohort(jobs, BrightnessModel(), tmp_path / "out", FilterSettings(alpha=0.6))
    return tmp_path / "out"


def test_the_kept_tiles_and_no_others(results: Path, pixels: dict[str, np.ndarray]) -> None:
    tiles = KeptTiles(results)
    assert tiles.sources == ["a", "b", "c", "set"]
    assert np.bincount(tiles.source_of, minlength=4).tolist() == [5, 9, 0, 2]
    assert len(tiles) == 16
    for i in range(14):
        tile = tiles.tile(i)
        expected = pixels[tile.slide][tile.y : tile.y + 64, tile.x : tile.x + 64]
        np.testing.assert_array_equal(tiles.pixels(i), expected)
        assert tile.p_value == expected[..., 0].mean() / 255
    assert (0, 0) not in [(tiles.tile(i).x, tiles.tile(i).y) for i in range(5)]
    assert tiles.tile(15).path.name == "1.png"
    np.testing.assert_array_equal(tiles.pixels(-1), pixels["b"][4:68, 13:77])
    with pytest.raises(IndexError):
        tiles[16]
    assert len(list(tiles)) == 16  # iteration ends


def test_one_slide(results: Path) -> None:
    assert KeptTiles(results / "b").sources == ["b"]
    assert len(KeptTiles(results / "b")) == 9
    assert len(KeptTiles(results / "c")) == 0


def test_a_tile_is_a_tensor_or_what_the_transform_makes(results: Path) -> None:
    image = KeptTiles(results)[3]
    assert (image.shape, image.dtype) == ((3, 64, 64), torch.float32)
    expected = torch.from_numpy(KeptTiles(results).pixels(3).astype(np.float32) / 255)
    assert torch.equal(image.permute(1, 2, 0), expected)
    assert KeptTiles(results, transform=lambda image: image.size)[0] == (64, 64)


def test_tiles_are_what_the_model_saw(tmp_path: Path, pixels: dict[str, np.ndarray]) -> None:
    """At another level, with a resolution that the file does not record."""
    write_slide(tmp_path / "a.tif", pixels["b"], levels=2, mpp=None)
    jobs, _ = find_jobs([tmp_path])
    settings = FilterSettings(alpha=0.1, mpp_override=0.25)
    run_cohort(jobs, BrightnessModel(), tmp_path / "out", settings)
    tiles = KeptTiles(tmp_path / "out")
    assert len(tiles) == 1
    np.testing.assert_array_equal(tiles.pixels(0), shrink(pixels["b"], 2)[:64, :64])


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers(results: Path, start: str) -> None:
    tiles = KeptTiles(results)
    expected = torch.stack([tiles[i] for i in range(len(tiles))])  # slides are open here
    loader = DataLoader(tiles, batch_size=4, num_workers=2, multiprocessing_context=start)
    assert torch.equal(torch.cat(list(loader)), expected)


def test_it_pickles_with_open_slides(results: Path) -> None:
    tiles = KeptTiles(results)
    copy = pickle.loads(pickle.dumps((tiles, tiles[0])))
    assert torch.equal(copy[0][0], copy[1])


def test_few_slides_are_open_at_a_time(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OPEN_SLIDES", 1)
    tiles = KeptTiles(results)
    first = tiles[0]
    tiles[6]
    assert len(tiles._readers) == 1
    assert torch.equal(tiles[0], first)


def test_slides_that_moved(results: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a.tif").rename(tmp_path / "elsewhere" / "a.tif")
    with pytest.raises(SlideError, match="is gone"):
        KeptTiles(results)[0]
    assert KeptTiles(results, slides=tmp_path / "elsewhere")[0].shape == (3, 64, 64)


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no results"):
        KeptTiles(tmp_path)
