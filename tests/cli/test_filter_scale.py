"""rl2qc filter on patches: their resolution against the model's."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from rl2qc.model.quality import QualityModel


class BrightModel:
    patch_size, name, sha256 = 64, "bright", "b" * 64

    def __init__(self, mpp):
        self.mpp = mpp

    def measure(self, images):
        bright = images.mean(axis=(1, 2, 3)) / 255
        return {"log_likelihood": bright, "p_value": bright}


@pytest.fixture
def patches(tmp_path, rng):
    folder = tmp_path / "set"
    folder.mkdir()
    for i in range(3):
        pixels = rng.integers(60, 180, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def slide(tmp_path, rng):
    pixels = rng.integers(60, 180, (128, 192, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "case.tif", pixels, tile=(64, 64), photometric="rgb")
    return tmp_path / "case.tif"


@pytest.mark.parametrize(
    ("model_mpp", "options", "said"),
    [
        (0.5, [], "the resolution of the patches is unknown"),
        (0.5, ["--mpp", "0.5"], None),
        (0.5, ["--mpp-override", "0.5"], None),
        (0.5, ["--mpp-override", "0.55"], "the patches are of 0.55 um/px and the model of 0.5"),
        (0.5, ["--mpp-override", "1", "--any-mpp"], "the patches are of 1 um/px"),
        (None, [], "the model does not record its resolution"),
        (None, ["--mpp", "0.25"], "the model does not record its resolution"),
    ],
)
def test_one_warning_or_none(rl2qc, monkeypatch, patches, tmp_path, model_mpp, options, said):
    monkeypatch.setattr(QualityModel, "load", lambda name: BrightModel(model_mpp))
    done = rl2qc("filter", patches, "-o", tmp_path / "out", *options)
    assert done.code == 0, done.err
    lines = [line for line in done.err.splitlines() if "warning" in line]
    assert [said in line for line in lines] == ([True] if said else [])


@pytest.mark.parametrize("options", [["--mpp", "0.25"], ["--mpp-override", "1"]])
def test_another_resolution_is_refused(rl2qc, monkeypatch, patches, tmp_path, options):
    monkeypatch.setattr(QualityModel, "load", lambda name: BrightModel(0.5))
    done = rl2qc("filter", patches, "-o", tmp_path / "out", *options)
    assert done.code == 2
    assert "bring them to 0.5 um/px" in done.error
    assert "--any-mpp" in done.error


def test_the_override_of_slides_is_not_about_patches(rl2qc, monkeypatch, patches, slide, tmp_path):
    monkeypatch.setattr(QualityModel, "load", lambda name: BrightModel(0.5))
    done = rl2qc("filter", patches, slide, "-o", tmp_path / "out", "--mpp-override", "0.25")
    assert done.code == 0, done.err
    monkeypatch.setattr(QualityModel, "load", lambda name: BrightModel(None))
    done = rl2qc("filter", patches, slide, "-o", tmp_path / "two", "--mpp-override", "0.5")
    assert done.code == 0, done.err
    assert done.err.count("the model does not record its resolution") == 1
