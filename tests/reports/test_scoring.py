"""Scorecards from Python: verdicts, floors, curves, and the schema."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace

import jsonschema
import numpy as np
import pytest
from scipy.special import softmax

from rl2qc.errors import UsageError
from rl2qc.images.degrade import degrade
from rl2qc.images.sources import as_source
from rl2qc.metrics.frechet import fid
from rl2qc.metrics.inception import inception_score
from rl2qc.metrics.resampling import bootstrap, null_distribution
from rl2qc.metrics.rl2 import rl2
from rl2qc.model.extractors import InceptionFeatures
from rl2qc.reports import image_sets
from rl2qc.reports.catalogue import CATALOGUE, chosen_metrics
from rl2qc.reports.image_sets import ScoreSettings
from rl2qc.reports.scorecard import Metric, schema, verdict
from rl2qc.reports.scoring import score


@pytest.fixture(scope="module")
def sets(stained):
    rng = np.random.default_rng(0)
    images = stained(100, seed=12)
    return {
        "real": images[:60],
        "noisy": np.stack([degrade(p, "noise", 0.15, rng) for p in images[60:]]),
    }


@pytest.fixture(scope="module")
def card(sets, tiny_model):
    settings = ScoreSettings(n_resamples=30, cache=False, seed=4)
    return score(sets["noisy"], sets["real"], tiny_model, settings)


def test_interval_and_floor_are_those_of_the_resampling_functions(card, sets, tiny_model):
    x, y = (tiny_model.latents(sets[n]) for n in ("real", "noisy"))

    def distance(a, b):
        return rl2(a, b).value

    expected = bootstrap(distance, x, y, n_resamples=30, seed=4)
    null = null_distribution(distance, x, y, n_resamples=30, seed=4)
    m = card.metrics["rl2"]
    got = (m.value, m.low, m.high, m.floor, m.floor_low, m.floor_high, m.observed)
    wanted = (expected.value, expected.low, expected.high, null.floor, null.low, null.high,
              null.observed)  # fmt: skip
    assert got == pytest.approx(wanted, rel=1e-4)
    assert m.null_percentile == null.percentile
    assert (m.null_n_real, m.null_n_generated) == (null.n_real, null.n_generated) == (30, 30)


def test_the_ratio_of_fid_mirrors_fid(card):
    distance, ratio = card.metrics["fid"], card.metrics["r_fid"]
    assert ratio.floor == 1
    assert ratio.floor_low <= 1 <= ratio.floor_high
    assert ratio.null_percentile == 100 - distance.null_percentile
    # 10 splits against 30: the same quantity.
    assert ratio.value == pytest.approx(distance.floor / distance.observed, rel=0.2)


def test_equal_seeds_give_equal_cards(card, sets, tiny_model):
    settings = ScoreSettings(n_resamples=30, cache=False, seed=4)
    again = score(sets["noisy"], sets["real"], tiny_model, settings)
    # As JSON, where what is not defined is equal to itself.
    assert again.to_dict()["metrics"] == card.to_dict()["metrics"]
    assert again.against_n["rl2"] == card.against_n["rl2"]


def test_curves_end_at_the_whole_sets(card):
    for name, curve in card.against_n.items():
        assert list(curve.n) == sorted(curve.n), name
        assert curve.n[-1] == 40
        if name not in ("kid", "r_fid"):  # whose values are means over subsets and splits
            assert curve.values[-1] == pytest.approx(card[name], rel=1e-4), name
    # 40 images do not determine a covariance in 512 dimensions.
    assert math.isnan(card.against_n["fid"].limit)
    assert "no estimate" in card.against_n["fid"].note
    assert math.isnan(card.against_n["rl2"].limit)


def test_resamples_of_large_sets_are_bounded(sets, tiny_model, monkeypatch):
    monkeypatch.setattr(image_sets, "RESAMPLED_AT_MOST", 25)
    settings = ScoreSettings(n_resamples=10, cache=False, metrics=["rl2", "precision"])
    card = score(sets["noisy"], sets["real"], tiny_model, settings)
    assert card.metrics["rl2"].n_real == 60
    assert card.metrics["rl2"].null_n_generated == 12
    x, y = (tiny_model.latents(sets[n]) for n in ("real", "noisy"))
    assert card["rl2"] == pytest.approx(rl2(x, y).value)


def test_json_follows_the_schema_and_the_schema_the_code(card):
    jsonschema.Draft202012Validator.check_schema(schema())
    data = json.loads(json.dumps(card.to_dict(), allow_nan=False))
    jsonschema.validate(data, schema())
    assert set(schema()["$defs"]["metric"]["required"]) == {f.name for f in fields(Metric)}
    assert set(schema()["properties"]["metrics"]["propertyNames"]["enum"]) == set(CATALOGUE)
    del data["metrics"]["rl2"]["floor"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema())


def test_every_metric_of_the_issue_is_there():
    assert {
        "rl2", "wad_div_zero", "wad_div_exponential", "wad_div_empirical", "wad_div_normalized",
        "irs_alpha", "irs_inf", "irs_adjusted", "fid", "r_fid", "kid", "swd", "inception_score",
        "precision", "recall", "density", "coverage", "authenticity",
    } <= set(chosen_metrics(None))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "percentile", "words"),
    [
        ("fid", 100, "farther from real than real sets are from each other (3.0 x the floor)"),
        ("fid", 0, "nearer to real than real sets are to each other: copies?"),
        ("fid", 50, "like real"),
        ("fid", 97.5, "like real"),
        ("coverage", 0, "fewer real images are covered than by held-out real ones"),
        ("wad_div_ratio", 100, "more dispersed than real: more varied, or noisier"),
        ("kept_fraction_real", math.nan, ""),
    ],
)
def test_verdicts(name, percentile, words):
    spec = CATALOGUE[name]
    metric = Metric(
        6.0, spec.higher_is_better, "", floor=2.0, observed=6.0, null_percentile=percentile
    )
    assert verdict(name, metric) == words
    assert verdict(name, replace(metric, value=math.nan)) == "not computed"


def test_a_filter_that_keeps_nothing_is_no_praise():
    kept = Metric(0.0, True, "", floor=0.0, observed=0.0, null_percentile=50.0)
    assert verdict("kept_fraction_generated", kept) == "none is kept, nor of the real images"
    assert verdict("kept_fraction_generated", replace(kept, value=0.9, floor=0.9)) == "like real"


def test_the_table_has_a_line_a_metric_and_its_notes(card):
    lines = card.table().splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(card.metrics)]] == list(card.metrics)
    assert any(line.startswith("inception_score: needs") for line in lines)
    assert "↓" in next(line for line in lines if line.startswith("fid"))


def test_small_samples_are_named_by_metric(card):
    text = " ".join(card.warnings)
    assert "40 generated images are few" in text
    assert "irs_inf (100)" in text
    assert "FID of 40 images in 512 dimensions is biased upwards" in text
    assert "inception_score" not in text  # it has no value to beware of


def test_groups_reach_the_floor(sets, tiny_model, tmp_path):
    from PIL import Image

    for i, image in enumerate(sets["real"]):
        Image.fromarray(image).save(tmp_path / f"p{i // 15}_{i}.png")
    settings = ScoreSettings(
        n_resamples=10, cache=False, metrics=["rl2", "irs_adjusted"], group_pattern=r"^(p\d)_"
    )
    card = score(sets["noisy"], str(tmp_path), tiny_model, settings)
    assert card.run["groups"] == {"generated": None, "real": 4}
    assert card.metrics["rl2"].method == "bootstrap by slide"
    assert "30 real images as training set, 30 held out" in card.metrics["irs_adjusted"].note


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": []}, "no metrics chosen"),
        ({"metrics": ["psnr"]}, "no metric 'psnr'"),
        ({"k": 0}, "k must be at least 1"),
        ({"level": 1.0}, "level must lie between 0 and 1"),
        ({"n_resamples": 1}, "n_resamples must be 0 or at least 2"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(UsageError, match=message):
        ScoreSettings(**options)


class _Classifier(InceptionFeatures):
    """Features and probabilities of colours, in place of a network that must be downloaded."""

    def __init__(self) -> None:
        self.name, self.dim, self.identity = "inception", 8, "colours"

    def extract(self, source, *, progress=False):
        images = np.stack([source[i] for i in range(len(source))]).astype(np.float32)
        quarters = images.reshape(len(images), 2, 32, 2, 32, 3).mean(axis=(2, 4))
        return quarters.reshape(len(images), -1)[:, :8]

    def probabilities(self, features):
        return softmax(np.asarray(features, dtype=np.float64), axis=1)


def test_inception_features_give_probabilities_of_both_sets(sets, tiny_model, monkeypatch):
    classifier = _Classifier()
    real_get = image_sets.get_extractor
    monkeypatch.setattr(
        image_sets,
        "get_extractor",
        lambda name, model: classifier if name == "inception" else real_get(name, model),
    )
    settings = ScoreSettings(
        n_resamples=10, cache=False, features="inception", metrics=["fid", "inception_score", "rl2"]
    )
    card = score(sets["noisy"], sets["real"], tiny_model, settings)
    x, y = (classifier.extract(as_source(sets[n])) for n in ("real", "noisy"))
    assert card["fid"] == pytest.approx(fid(x, y).value)
    assert card["inception_score"] == pytest.approx(
        inception_score(classifier.probabilities(y)).value
    )
    assert card.metrics["inception_score"].floor > 1
    latents = [tiny_model.latents(sets[n]) for n in ("real", "noisy")]
    assert card["rl2"] == pytest.approx(rl2(*latents).value)
    assert card.run["features_identity"] == "colours"
