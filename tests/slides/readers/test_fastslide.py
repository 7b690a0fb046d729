"""fastslide, for who asks for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.cohort.dataset import KeptTiles
from rl2qc.cohort.filter import filter_cohort
from rl2qc.errors import SlideError, UsageError
from rl2qc.filtering.slide import filter_slide
from rl2qc.slides.readers.base import READERS, open_slide, reader_of


def test_it_is_never_taken_unasked(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_slide(tmp_path / "a.tif", tissue_like(rng, 128, 192))
    assert reader_of(path).name == "openslide"
    spec = READERS.get("fastslide")
    assert not spec.suffixes and not spec.ambiguous and not spec.sniff(path)
    with pytest.raises(UsageError, match=r"reader must be .*fastslide"):
        filter_slide(path, BrightnessModel(), reader="fastslid")
    if not spec.extra.installed:
        with pytest.raises(UsageError, match="pip install 'fastslide'"):
            open_slide(path, reader="fastslide")


def test_its_tiles_are_nearly_those_of_openslide(tmp_path: Path, rng: np.random.Generator) -> None:
    pytest.importorskip("fastslide", reason="has wheels for one version of Python")
    pixels = tissue_like(rng, 256, 320)
    path = write_slide(tmp_path / "a.tif", pixels, levels=2)
    with open_slide(path, reader="fastslide") as slide:
        assert slide.info.dimensions == (320, 256)
        region = slide.read_region(290, 200, (64, 64))
        assert np.abs(region.rgb[:56, :30].astype(int) - pixels[200:, 290:]).max() <= 20
        assert region.valid == pytest.approx(56 * 30 / 64**2, abs=0.01)
        assert "compare results of one reader alone" in slide.info.warnings[0]
    out = tmp_path / "out"
    result = filter_cohort([path], out, BrightnessModel(), reader="fastslide", report=False)
    plain = filter_slide(path, BrightnessModel())
    table = result.tables["a"]
    assert table.reader == "fastslide"
    np.testing.assert_array_equal(table.x, plain.x)
    assert KeptTiles(out)[0].shape == (3, 64, 64)
    with pytest.raises(SlideError, match="cannot be opened"):
        open_slide(tmp_path / "out" / "a" / "tiles.csv", reader="fastslide")
