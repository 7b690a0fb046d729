"""Slides that are read in a process which may die."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from slide_helpers import BrightnessModel, damage, tissue_like, write_slide
from toy_killer import spec

from rl2qc.cohort.dataset import KeptTiles
from rl2qc.cohort.filter import filter_cohort
from rl2qc.core import apart
from rl2qc.core.apart import ISOLATION_VARIABLE
from rl2qc.errors import SlideError, UsageError
from rl2qc.filtering.slide import filter_slide
from rl2qc.slides.readers.base import READERS, ReaderDied, SharedCache, open_slide, register_reader
from rl2qc.slides.readers.isolated import IsolatedReader
from rl2qc.slides.readers.openslide import OpenSlideReader

Make = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _killer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(ISOLATION_VARIABLE, raising=False)
    register_reader(spec())
    yield
    READERS.unregister("killer")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(name: str) -> Path:
        pixels = tissue_like(np.random.default_rng(len(name)), 512, 640)
        path = tmp_path / "slides" / name
        path.parent.mkdir(exist_ok=True)
        return write_slide(path, pixels, levels=2)

    return write


def columns(table: Any) -> dict[str, list[Any]]:
    return {name: values.tolist() for name, values in table.measurements.items()}


def test_pixels_are_those_of_the_reader_itself(make: Make) -> None:
    path = make("a.tif")
    damage(path, 3)
    with open_slide(path) as slide, OpenSlideReader(path) as plain:
        assert isinstance(slide, IsolatedReader)
        assert slide.info == plain.info
        for place in ((0, 0, (64, 32)), (-20, 300, (64, 64)), (500, 500, (200, 100))):
            found, wanted = slide.read_region(*place), plain.read_region(*place)
            assert found.valid == wanted.valid and (found.rgb == wanted.rgb).all()
        seen, wanted = slide.read_overview(8), plain.read_overview(8)
        assert (seen.rgb == wanted.rgb).all() and (seen.readable == wanted.readable).all()
        with pytest.raises(SlideError, match=r"a\.tif cannot be read at x 192, y 0"):
            slide.read_region(192, 0, (64, 64))
        assert slide.read_region(0, 0, (8, 8)).rgb.shape == (8, 8, 3)
        again = pickle.loads(pickle.dumps(slide))
        assert again.info == slide.info
        slide.close()
        assert slide.read_region(0, 0, (8, 8)).rgb.shape == (8, 8, 3)


@pytest.mark.parametrize("batch_size", [3, 32])
def test_a_filter_gives_the_same_with_and_without(
    make: Make, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    path = make("a.tif")
    damage(path, 3)
    apart_ = filter_slide(path, BrightnessModel(), stride=40, batch_size=batch_size)
    monkeypatch.setenv(ISOLATION_VARIABLE, "off")
    within = filter_slide(path, BrightnessModel(), stride=40, batch_size=batch_size)
    assert columns(apart_) == columns(within)
    assert apart_.failures == within.failures and len(apart_.failures) > 0
    assert (apart_.thumbnail == within.thumbnail).all()


def test_announced_tiles_are_read_once_each_and_others_besides(make: Make) -> None:
    with open_slide(make("a.tif")) as slide:
        assert isinstance(slide, IsolatedReader)
        corners = np.array([(x, y) for y in range(0, 512, 64) for x in range(0, 640, 64)])
        corners = np.concatenate([corners, corners[:3]])  # some twice
        slide.expect(corners, (64, 64), level=0, scale=1.0, workers=2, window=20)
        for x, y in [*corners.tolist(), (7, 9), (0, 0)]:
            assert (slide.read_region(x, y, (64, 64)).rgb >= 0).all()
        with OpenSlideReader(slide._slide.path) as plain:
            wanted = plain.read_region(640 - 64, 0, (64, 64)).rgb
        assert (slide.read_region(640 - 64, 0, (64, 64)).rgb == wanted).all()


@pytest.mark.parametrize(
    ("name", "signal"), [("opens-badly-open.toy", "SIGABRT"), ("bad-tile.toy", "SIGSEGV")]
)
def test_a_killer_fails_by_its_name_and_the_rest_goes_on(
    make: Make, tmp_path: Path, name: str, signal: str
) -> None:
    for other in ("a.tif", name, "z.toy"):
        make(other)
    for _ in range(2):  # and again
        result = filter_cohort(tmp_path / "slides", tmp_path / "out", BrightnessModel())
        rows = {row.name: row for row in result.rows}
        failed = rows.pop(Path(name).stem)
        assert failed.status == "failed"
        assert f"{name} killed the process that reads it twice ({signal})" in failed.error
        assert len(rows) == 2 and all(row.tiles == 80 for row in rows.values())


def test_a_slide_that_kills_once_is_done_again(make: Make) -> None:
    path = make("once.toy")
    table = filter_slide(path, BrightnessModel())
    assert path.with_suffix(".died").exists()
    assert columns(table) == columns(filter_slide(path, BrightnessModel()))
    assert len(table) == 80 and not table.failures


def test_a_killer_among_slides_that_share_a_helper(make: Make) -> None:
    cache = SharedCache()
    good, bad = (open_slide(make(name), cache=cache) for name in ("a.toy", "bad-tile.toy"))
    for _ in range(3):
        with pytest.raises(ReaderDied, match=r"bad-tile\.toy killed .* twice \(SIGSEGV\)"):
            bad.read_region(128, 64, (64, 64))
        assert good.read_region(128, 64, (64, 64)).rgb.shape == (64, 64, 3)


def damaged_results(make: Make, place: Path) -> None:
    """Results of a slide that is well, of one that kills by now, and of one that is gone."""
    slides = [make(name) for name in ("a.toy", "b.toy", "c.toy")]
    filter_cohort(slides, place / "out", BrightnessModel())
    killer = make("bad-tile.toy").rename(slides[1])
    (place / "bad-tile").mkdir()
    # Its name is that of the record, and its real one says what it does.
    slides[1].symlink_to(killer.rename(place / "bad-tile" / "x.toy"))
    slides[2].unlink()


@pytest.mark.parametrize("workers", [0, 2])
def test_kept_tiles_skip_what_kills_and_count_it(make: Make, tmp_path: Path, workers: int) -> None:
    damaged_results(make, tmp_path)
    tiles = KeptTiles(tmp_path / "out", unreadable="skip")
    count, sources = len(tiles), tiles.sources
    assert sources == ["a", "b", "c"] and tiles.skipped == {}
    for shuffle in (False, True):
        loader = torch.utils.data.DataLoader(
            tiles, batch_size=16, shuffle=shuffle, num_workers=workers
        )
        batches = list(loader)
        assert len(batches) == -(-count // 16) and all(map(len, batches))
    of_b = np.flatnonzero(tiles.source_of == 1)
    read = sum(1 for i in of_b if not tiles._skipped[i])
    assert tiles.skipped["b"] == len(of_b) - read > 0
    assert tiles.skipped["c"] == (tiles.source_of == 2).sum() and "a" not in tiles.skipped


def test_kept_tiles_raise_unless_told_otherwise(make: Make, tmp_path: Path) -> None:
    damaged_results(make, tmp_path)
    tiles = KeptTiles(tmp_path / "out")
    with pytest.raises(SlideError, match=r"twice|gone"):
        list(torch.utils.data.DataLoader(tiles, batch_size=16))
    with pytest.raises(UsageError, match="unreadable must be raise or skip"):
        KeptTiles(tmp_path / "out", unreadable="ignore")


def test_one_helper_serves_slides_one_after_another(make: Make) -> None:
    before = len(apart._idle)
    for i in range(6):
        with open_slide(make(f"{i}.tif")) as slide:
            slide.read_region(0, 0, (64, 64))
    assert len(apart._idle) <= max(1, before)
