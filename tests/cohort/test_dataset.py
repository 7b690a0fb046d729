from __future__ import annotations

import csv
import json
import os
import pickle
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import openslide
import pytest
import torch
from cohort_helpers import run_cohort
from PIL import Image
from slide_helpers import BrightnessModel, damage, shrink, tissue_like, write_slide
from torch.utils.data import DataLoader

from rl2qc.cohort import dataset as module
from rl2qc.cohort.dataset import KeptTiles
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.store.tables import read_table
from rl2qc.core.files import read_json, write_json
from rl2qc.errors import SlideError, UsageError, WorkError
from rl2qc.filtering.settings import FilterSettings

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
    jobs, _ = find_inputs([*sorted(tmp_path.glob("*.tif")), tmp_path / "set"])
    # The mean of the red channel is 170, 120 in dark tiles.
    run_cohort(jobs, BrightnessModel(), tmp_path / "out", FilterSettings(alpha=0.6))
    return tmp_path / "out"


def test_the_kept_tiles_and_no_others(results: Path, pixels: dict[str, np.ndarray]) -> None:
    tiles = KeptTiles(results)
    assert tiles.sources == ["a", "b", "c", "set"]
    assert np.bincount(tiles.source_of, minlength=4).tolist() == [5, 9, 0, 2]
    assert len(tiles) == 16
    assert repr(tiles).endswith(": 16 tiles>")
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
    jobs, _ = find_inputs([tmp_path])
    settings = FilterSettings(alpha=0.1, mpp_override=0.25)
    run_cohort(jobs, BrightnessModel(), tmp_path / "out", settings)
    tiles = KeptTiles(tmp_path / "out")
    assert len(tiles) == 4  # three of them moved inwards from over the edges
    np.testing.assert_array_equal(tiles.pixels(0), shrink(pixels["b"], 2)[:64, :64])


class RecordingModel(BrightnessModel):
    """Keeps what it is shown."""

    def __init__(self, **options: float) -> None:
        super().__init__(**options)
        self.seen: list[np.ndarray] = []

    def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self.seen.extend(images.copy())
        return super().measure(images)


def measure_given(
    tmp_path: Path, pixels: np.ndarray, side: int, mpp: float, covering: str = "centre"
) -> RecordingModel:
    """Filter a slide at the coordinates of an imported file of tiles of ``side`` level-0 px."""
    write_slide(tmp_path / "a.tif", pixels, levels=2)
    corners = [(x, y) for y in (0, 41) for x in (64, 3, 60)]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        coords = file.create_dataset("coords", data=corners)
        coords.attrs.update(patch_size=side, patch_level=0)
    model = RecordingModel(mpp=mpp)
    settings = FilterSettings(alpha=0.0, coords=str(tmp_path / "a.h5"), covering=covering)
    run_cohort(find_inputs([tmp_path / "a.tif"])[0], model, tmp_path / "out", settings)
    assert len(model.seen) == len(corners) * (4 if covering == "whole" and side == 128 else 1)
    return model


# Tiles as large as the model's, twice as large, smaller, odd against even, and resampled.
@pytest.mark.parametrize(
    ("side", "mpp"), [(64, 0.5), (128, 0.5), (40, 0.5), (99, 0.5), (128, 0.9), (128, 1.0)]
)
def test_imported_tiles_are_what_the_model_saw(
    tmp_path: Path, rng: np.random.Generator, side: int, mpp: float
) -> None:
    model = measure_given(tmp_path, tissue_like(rng, 192, 192), side, mpp)
    for results in (tmp_path / "out", tmp_path / "out" / "a"):
        tiles = KeptTiles(results)
        assert len(tiles) == len(model.seen)
        for i, seen in enumerate(model.seen):
            np.testing.assert_array_equal(tiles.pixels(i), seen)
    assert (tiles.tile(1).x, tiles.tile(1).y) == (3, 0)  # the imported tile's, not the centre's


def test_imported_tiles_that_were_looked_at_in_parts_are_whole(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    pixels = tissue_like(rng, 192, 192)
    model = measure_given(tmp_path, pixels, 128, 0.5, "whole")
    tiles = KeptTiles(tmp_path / "out")
    np.testing.assert_array_equal(tiles.pixels(1), pixels[:128, 3:131])
    parts = model.seen[4:8]
    whole = np.concatenate([np.hstack(parts[:2]), np.hstack(parts[2:])])
    np.testing.assert_array_equal(tiles.pixels(1), whole)


def test_imported_tiles_of_an_old_result(tmp_path: Path, rng: np.random.Generator) -> None:
    """Its record has one size, that of the tiles; run.json beside it has the model's."""
    model = measure_given(tmp_path, tissue_like(rng, 192, 192), 128, 0.5)
    record = read_json(tmp_path / "out" / "a" / "record.json")
    assert (record["slide"]["patch_size"], record["slide"]["tile_size"]) == (64, 128)
    record["slide"]["patch_size"] = record["slide"].pop("tile_size")
    write_json(tmp_path / "out" / "a" / "record.json", record)
    np.testing.assert_array_equal(KeptTiles(tmp_path / "out").pixels(0), model.seen[0])
    table = read_table(tmp_path / "out" / "a")
    assert (table.patch_size, table.tile_size) == (64, 128)
    (tmp_path / "out" / "a").rename(tmp_path / "alone")
    with pytest.raises(UsageError, match=r"run\.json.* is not there"):
        KeptTiles(tmp_path / "alone")
    assert read_table(tmp_path / "alone").patch_size is None


def test_a_new_result_stands_alone(tmp_path: Path, rng: np.random.Generator) -> None:
    model = measure_given(tmp_path, tissue_like(rng, 192, 192), 128, 0.5)
    (tmp_path / "out" / "a").rename(tmp_path / "alone")
    tiles = KeptTiles(tmp_path / "alone", slides=tmp_path)
    np.testing.assert_array_equal(tiles.pixels(0), model.seen[0])


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


def test_open_slides_share_one_cache(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches: dict[openslide.OpenSlide, openslide.OpenSlideCache] = {}
    plain = openslide.OpenSlide.set_cache

    def note(handle: openslide.OpenSlide, cache: openslide.OpenSlideCache) -> None:
        caches[handle] = cache
        plain(handle, cache)

    monkeypatch.setenv("RL2QC_ISOLATION", "off")  # to see them
    monkeypatch.setattr(openslide.OpenSlide, "set_cache", note)
    tiles = KeptTiles(results)
    tiles[0], tiles[6]
    assert len(caches) == 2
    assert len(set(caches.values())) == 1
    # A slide that fails is opened again; that handle shares it, too.
    damage(tmp_path / "a.tif", 1)
    tiles = KeptTiles(results)
    with pytest.raises(SlideError):
        tiles[0]
    caches.clear()
    tiles[6], tiles[2], tiles[7]
    assert len(caches) == 2
    assert len(set(caches.values())) == 1


def test_tiles_take_little_memory(results: Path, tmp_path: Path) -> None:
    """20 bytes for a slide's tile and 8 for its source, whatever is in the table beside it."""
    table = results / "b" / "tiles.csv"
    header, *rows = table.read_text().splitlines(keepends=True)
    table.write_text(header + "".join(rows) * 4000)
    record = json.loads((results / "b" / "record.json").read_text())
    record["row"]["tiles"] *= 4000
    del record["tables"]
    (results / "b" / "record.json").write_text(json.dumps(record))
    tracemalloc.start()
    tiles = KeptTiles(results)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(tiles) > 36_000
    assert len(pickle.dumps(tiles)) < 32 * len(tiles) + 20_000
    assert peak < 100 * len(tiles) + 200_000


def test_names_of_images_that_are_no_text(tmp_path: Path, pixels: dict[str, np.ndarray]) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    names = ["caf\udce9.png", "x" * 200 + ".png", "\u6f22.png"]
    for name in names:
        Image.fromarray(pixels["b"][:64, :64]).save(folder / "plain.png")
        (folder / "plain.png").rename(folder / name)
    run_cohort(find_inputs([folder])[0], BrightnessModel(), tmp_path / "out")
    tiles = KeptTiles(tmp_path / "out")
    assert sorted(os.fsencode(tiles.tile(i).path.name) for i in range(3)) == sorted(
        map(os.fsencode, names)
    )
    for i in range(3):
        np.testing.assert_array_equal(tiles.pixels(i), pixels["b"][:64, :64])


@pytest.mark.parametrize("harm", ["a column is gone", "a value is no number", "keep is gone"])
def test_a_damaged_table(results: Path, harm: str) -> None:
    table = results / "b" / "tiles.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if harm == "a value is no number":
            row["p_value"] = "?"
        else:
            del row["x" if harm == "a column is gone" else "keep"]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(WorkError, match="damaged result") as caught:
        KeptTiles(results)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("harm", ["cut short", "no JSON", "a table is gone"])
def test_damaged_records_are_named(results: Path, harm: str) -> None:
    def damage(name: str) -> None:
        record = results / name / "record.json"
        if harm == "a table is gone":
            (results / name / "tiles.csv").unlink()
        else:
            record.write_text(record.read_text()[:100] if harm == "cut short" else "[]")

    whole = KeptTiles(results).sources
    assert len(whole) > 1 and "a" in whole
    damage("a")
    with pytest.warns(UserWarning, match=rf"1 of {len(whole)} results in .* be read: a \("):
        assert KeptTiles(results).sources == [n for n in whole if n != "a"]
    for name in whole[1:]:
        damage(name)
    with pytest.raises(WorkError, match=r"cannot be read: a .*run rl2qc filter again"):
        KeptTiles(results)
    with pytest.raises(WorkError, match="1 of 1 results"):
        KeptTiles(results / "a")


def test_the_public_name() -> None:
    import rl2qc

    assert rl2qc.KeptTiles is KeptTiles
    assert "KeptTiles" in rl2qc.__all__


def test_slides_that_moved(results: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a.tif").rename(tmp_path / "elsewhere" / "a.tif")
    with pytest.raises(SlideError, match="is gone"):
        KeptTiles(results)[0]
    assert KeptTiles(results, slides=tmp_path / "elsewhere")[0].shape == (3, 64, 64)


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no results"):
        KeptTiles(tmp_path)
