"""How much JPEG or blur moves real images as far: against distances whose answer is known."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

import rl2qc
from rl2qc.images.sources.base import as_source
from rl2qc.scoring import yardstick
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import METRICS


def stepped(levels, values, wanted, none=0.0):
    """What a ruler says whose levels are as far as ``values``, and how often it was asked."""
    asked = []

    def at(ruler, level):
        asked.append(level)
        return values[levels.index(level)]

    ruler = yardstick.Ruler("r", none, levels, None, "{:.2g}", "under {:.2g}", "over {:.2g}")
    return *yardstick._reached(ruler, wanted, 1.0, at), asked


@pytest.mark.parametrize(
    ("wanted", "level", "words"),
    [
        (0.5, 0.0, "under 1"),
        (1.0, 0.0, "under 1"),
        (2.0, 0.5, "under 1"),
        (3.0, 1.0, "1"),
        (4.0, 1.5, "1.5"),
        (11.0, 3.5, "3.5"),
        (13.0, 4.0, "4"),
        (13.1, math.nan, "over 4"),
    ],
)
def test_levels_between_two_are_interpolated(wanted, level, words):
    found, said, asked = stepped((1.0, 2.0, 3.0, 4.0), (3.0, 5.0, 9.0, 13.0), wanted)
    assert said == words and found == pytest.approx(level, nan_ok=True)
    assert len(asked) == len(set(asked)) <= 3


def test_falling_levels_such_as_jpeg_are_read_as_well():
    found, said, _ = stepped((90.0, 50.0), (2.0, 4.0), 3.0, none=100.0)
    assert (found, said) == (70.0, "70")


def mean_gradient(real, generated, settings):
    """A distance that blur moves: of the mean steps between neighbouring pixels."""
    steps = [
        np.mean([np.abs(np.diff(s.source[i].astype(float), axis=0)).mean() for i in range(len(s))])
        for s in (real, generated)
    ]
    return abs(steps[0] - steps[1])


@pytest.mark.parametrize("sigma", [0.7, 1.2, 2.4])
def test_blurred_real_images_are_as_far_as_that_blur(sigma, monkeypatch, stained):
    images = stained(60, 64)
    blurred = np.stack([gaussian_filter(i, (sigma, sigma, 0)) for i in images])
    real, generated = (ImageSet(as_source(x, size=64)) for x in (images, blurred))
    spec = METRICS.get("rl2")
    monkeypatch.setattr(yardstick, "_value", lambda _, a, b, s: mean_gradient(a, b, s))

    def again(some, change):
        pixels = np.stack([change(some.source[i]) for i in range(len(some))])
        return ImageSet(as_source(pixels, size=64))

    found = yardstick.as_far_as(spec, real, generated, again, ScoreSettings())
    assert found.blur == pytest.approx(sigma, rel=0.2)


def test_a_card_says_it_of_rl2(tiny_model, stained, tmp_path):
    real = stained(60)
    coded = []
    for image in stained(60, seed=1):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=15)
        coded.append(np.array(Image.open(file)))
    card = rl2qc.score(np.stack(coded), real, tiny_model, metrics=["rl2", "fid"], n_resamples=20)
    row = card.metrics["rl2"]
    assert row.as_far_as.startswith("as far as ") and row.as_far_as.endswith("moves real images")
    assert row.as_jpeg < 60 or math.isnan(row.as_jpeg)
    assert f"rl2: {row.as_far_as}" in card.table() and not card.metrics["fid"].as_far_as
    card.to_html(tmp_path / "card.html")
    assert row.as_far_as in (tmp_path / "card.html").read_text(encoding="utf-8")
    without = rl2qc.score(np.stack(coded), real, tiny_model, metrics=["rl2"], n_resamples=0)
    assert not without.metrics["rl2"].as_far_as and math.isnan(without.metrics["rl2"].as_blur)
