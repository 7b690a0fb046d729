"""Scores against the number of images: the limit where it holds, and warnings."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl2qc.images.sources.base import as_source
from rl2qc.metrics.frechet import fid
from rl2qc.metrics.frechet_limit import fid_infinity
from rl2qc.scoring import rows as stacks
from rl2qc.scoring import sample_size
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.rows import Stacks
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import METRICS

SETTINGS = ScoreSettings(n_resamples=10)


def curves(names, pair, settings=SETTINGS):
    stacks = Stacks(pair, settings)
    return sample_size.curves([stacks.of(METRICS.get(name)) for name in names])


def size_warnings(names, sets):
    return sample_size.size_warnings([METRICS.get(name) for name in names], sets)


def image_set(features, **options) -> ImageSet:
    """A set of which the pictures do not matter."""
    pictures = np.zeros((len(features), 64, 64, 3), np.uint8)
    return ImageSet(as_source(pictures), {"features": np.asarray(features, np.float32)}, **options)


@pytest.fixture
def pair(rng):
    """24 dimensions, 150 and 120 images; the true distance is 24 * 0.5^2."""
    return image_set(rng.normal(size=(150, 24))), image_set(rng.normal(0, 1.5, size=(120, 24)))


def test_fid_is_extrapolated_where_there_are_more_images_than_dimensions(pair):
    found = curves(["fid", "precision"], pair)
    x, y = (s.features for s in pair)
    fid_curve = found["fid"]
    assert fid_curve.values[-1] == pytest.approx(fid(x, y).value, rel=1e-6)
    assert list(fid_curve.values) == sorted(fid_curve.values, reverse=True)
    assert fid_curve.limit == fid_infinity(x, y, n_points=6).value
    assert "linear in 1/N from 30 to 120 images" in fid_curve.note
    assert abs(fid_curve.limit - 6) < abs(fid_curve.values[-1] - 6) / 3
    assert math.isnan(found["precision"].limit)  # follows no known law


def test_the_limit_is_that_of_all_images_not_of_those_resampled(pair, monkeypatch):
    monkeypatch.setattr(stacks, "RESAMPLED_AT_MOST", 40)
    found = curves(["fid"], pair)
    assert found["fid"].n[-1] == 40
    assert found["fid"].limit == fid_infinity(*(s.features for s in pair), n_points=6).value


def test_no_limit_without_enough_images(pair):
    few = tuple(image_set(s.features[:30]) for s in pair)
    found = curves(["fid"], few)
    assert math.isnan(found["fid"].limit)
    assert "no estimate" in found["fid"].note


def test_no_curves_of_a_handful_of_images_or_without_resamples(pair):
    few = tuple(image_set(s.features[:19]) for s in pair)
    assert curves(["fid"], few) == {}
    alone = ScoreSettings(n_resamples=0)
    assert curves(["fid"], pair, alone) == {}


@pytest.mark.parametrize("name", [spec.name for spec in METRICS if spec.enough])
def test_every_metric_that_needs_many_images_is_named(name, rng):
    enough = METRICS.get(name).enough
    for n, warned in ((enough - 1, True), (enough, False)):
        sets = {"generated": image_set(rng.normal(size=(n, 2)))}
        text = " ".join(size_warnings([name], sets))
        assert (f"{name} ({enough})" in text) == warned


def test_sizes_slides_and_dimensions_are_warned_of(rng):
    slides = np.repeat(["s1", "s2"], 10)
    sets = {"a": image_set(rng.normal(size=(20, 32)), groups=slides),
            "real": image_set(rng.normal(size=(400, 32)))}  # fmt: skip
    few, slides = size_warnings(["fid", "rl2", "kid", "precision", "recall"], sets)
    assert few.startswith("20 a images are few; wanted: fid, rl2 (300); precision, recall (100); ")
    assert "recall (100); kid (50). Compare" in few
    assert few.endswith("published values; so few in 32 dimensions bias fid")
    assert "2 slides in the a set are few" in slides
    enough = {"a": image_set(rng.normal(size=(400, 32)))}
    assert size_warnings(["fid", "rl2", "precision"], enough) == []


@pytest.mark.parametrize("name", ["fid", "r_fid"])
def test_a_covariance_wants_more_images_than_dimensions(name, rng):
    sets = {t: image_set(rng.normal(size=(400, 512))) for t in ("generated", "real")}
    (text,) = size_warnings([name], sets)
    assert text.startswith("400 generated and 400 real images are few")
    assert f"{name} (513)" in text
    assert f"so few in 512 dimensions bias {name}" in text


def test_the_ratio_of_fid_has_no_curve(pair):
    found = curves(["fid", "r_fid"], pair)
    assert list(found) == ["fid"]
