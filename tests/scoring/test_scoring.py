"""Scorecards from Python: verdicts, baselines, curves, and the schema."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace

import jsonschema
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from scipy.stats import binomtest, norm

from rl2qc.errors import UsageError
from rl2qc.features.inception import InceptionFeatures
from rl2qc.images.sources.base import as_source
from rl2qc.metrics.frechet import fid
from rl2qc.metrics.frechet_ratio import r_fid
from rl2qc.metrics.inception import inception_score
from rl2qc.metrics.kernel import kid
from rl2qc.metrics.ms_ssim import msssim_diversity
from rl2qc.metrics.rl2 import rl2
from rl2qc.scoring import rows as stacks
from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.score import score
from rl2qc.scoring.scorecard import Scorecard, schema
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import METRICS, chosen_metrics
from rl2qc.scoring.verdict import standing, verdict
from rl2qc.stats.baseline import real_baseline
from rl2qc.stats.resampling import bootstrap
from rl2qc.synthetic.corruptions import corrupt


@pytest.fixture(scope="module")
def sets(stained):
    rng = np.random.default_rng(0)
    images = stained(100, seed=12)
    return {
        "real": images[:60],
        "noisy": np.stack([corrupt(p, "noise", 0.15, rng) for p in images[60:]]),
    }


@pytest.fixture(scope="module")
def card(sets, tiny_model):
    settings = ScoreSettings(n_resamples=30, cache=False, seed=4)
    return score(sets["noisy"], sets["real"], tiny_model, settings)


def test_interval_and_baseline_are_those_of_the_resampling_functions(card, sets, tiny_model):
    x, y = (tiny_model.latents(sets[n]) for n in ("real", "noisy"))

    def distance(a, b):
        return rl2(a, b).value

    expected = bootstrap(distance, x, y, n_resamples=30, seed=4)
    beside = real_baseline(distance, x, y, n_resamples=30, seed=4)
    m = card.metrics["rl2"]
    got = (m.value, m.low, m.high, m.baseline, m.baseline_low, m.baseline_high, m.observed)
    wanted = (expected.value, expected.low, expected.high, beside.value, beside.low, beside.high,
              beside.observed)  # fmt: skip
    assert got == pytest.approx(wanted, rel=1e-4)
    assert m.percentile == beside.percentile
    assert (
        (m.baseline_n_real, m.baseline_n_generated)
        == (beside.n_real, beside.n_generated)
        == (30, 30)
    )


def test_the_ratio_of_fid_mirrors_fid(card):
    distance, ratio = card.metrics["fid"], card.metrics["r_fid"]
    assert ratio.baseline == 1
    assert ratio.baseline_low <= 1 <= ratio.baseline_high
    assert ratio.percentile == 100 - distance.percentile
    assert ratio.value == ratio.observed == distance.baseline / distance.observed
    assert (ratio.n_real, ratio.n_generated) == (30, 30)
    assert "do not determine a covariance" in ratio.note


def test_the_ratio_of_fid_is_that_of_the_public_function(card, sets, tiny_model):
    x, y = (tiny_model.features(sets[n]) for n in ("real", "noisy"))
    expected = r_fid(x, y, n_splits=30, seed=4)
    assert card["r_fid"] == pytest.approx(expected.value, rel=1e-4)
    assert expected.warnings[0] in card.metrics["r_fid"].note
    settings = ScoreSettings(n_resamples=0, cache=False, metrics=["r_fid"])
    alone = score(sets["noisy"], sets["real"], tiny_model, settings)
    assert alone["r_fid"] == pytest.approx(r_fid(x, y).value, rel=1e-4)
    assert "do not determine a covariance" in alone.metrics["r_fid"].note
    assert any("r_fid (513)" in w for w in alone.warnings)


def test_copies_have_no_ratio_of_fid(stained, tiny_model):
    same = np.repeat(stained(1, seed=9), 20, axis=0)
    settings = ScoreSettings(n_resamples=4, cache=False, metrics=["r_fid"])
    row = score(same, same, tiny_model, settings).metrics["r_fid"]
    assert math.isnan(row.value)
    assert "undefined" in row.note


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
        if name != "kid":  # whose value is a mean over subsets
            assert curve.values[-1] == pytest.approx(card[name], rel=1e-4), name
    # 40 images do not determine a covariance in 512 dimensions.
    assert math.isnan(card.against_n["fid"].limit)
    assert "no estimate" in card.against_n["fid"].note
    assert math.isnan(card.against_n["rl2"].limit)


def test_resamples_of_large_sets_are_bounded(sets, tiny_model, monkeypatch):
    monkeypatch.setattr(stacks, "RESAMPLED_AT_MOST", 25)
    settings = ScoreSettings(n_resamples=10, cache=False, metrics=["rl2", "precision"])
    card = score(sets["noisy"], sets["real"], tiny_model, settings)
    assert card.metrics["rl2"].n_real == 60
    assert card.metrics["rl2"].baseline_n_generated == 12
    x, y = (tiny_model.latents(sets[n]) for n in ("real", "noisy"))
    assert card["rl2"] == pytest.approx(rl2(x, y).value)
    assert "at most 25 images of a set" in " ".join(card.table().split())
    assert "curves end at 25 images" in card.curve_table()


@pytest.mark.parametrize("slides", [None, 20])
def test_intervals_of_large_sets_are_those_of_all_images(
    stained, tiny_model, monkeypatch, tmp_path, slides
):
    """The textbook error of a mean of 100 images, or of 20 slides of 5 equal ones; 30 are drawn."""
    units = stained(slides or 100, seed=14)
    for i in range(100):
        Image.fromarray(units[i % len(units)]).save(tmp_path / f"p{i % len(units)}_{i}.png")
    monkeypatch.setattr(stacks, "RESAMPLED_AT_MOST", 30)
    settings = ScoreSettings(
        n_resamples=400,
        cache=False,
        metrics=["mean_log_likelihood_generated", "mean_log_likelihood_real"],
        group_pattern=r"^(p\d+)_" if slides else None,
    )
    folder = str(tmp_path)
    card = score(folder, folder, tiny_model, settings)
    error = tiny_model.score_samples(units).std() / math.sqrt(len(units))
    for row in card.metrics.values():
        assert row.high - row.low == pytest.approx(2 * 1.96 * error, rel=0.35)
        assert row.low < row.value < row.high


def test_an_interval_of_a_share_stays_within_its_bounds(sets, tiny_model, monkeypatch):
    monkeypatch.setattr(stacks, "RESAMPLED_AT_MOST", 20)
    settings = ScoreSettings(n_resamples=20, cache=False, metrics=["kept_fraction_real"])
    row = score(sets["noisy"], sets["real"], tiny_model, settings).metrics["kept_fraction_real"]
    assert 0 <= row.low <= row.value <= row.high <= 1


@pytest.mark.parametrize("title", ["real", "generated"])
def test_a_share_of_one_set_counts_on_the_images_of_that_set(stained, tiny_model, title):
    """None of 80 images is kept, whatever the number of images in the other set."""
    many, few = np.zeros((80, 64, 64, 3), np.uint8), stained(12)
    name = f"kept_fraction_{title}"
    settings = ScoreSettings(n_resamples=20, cache=False, metrics=[name])
    real, generated = (many, few) if title == "real" else (few, many)
    row = score(generated, real, tiny_model, settings).metrics[name]
    assert (row.value, row.low) == (0, 0)
    assert row.high == pytest.approx(binomtest(0, 80).proportion_ci().high)


def test_slides_widen_the_bounds_of_the_occupancy_model(sets, tiny_model, tmp_path):
    for i, image in enumerate(sets["real"]):
        Image.fromarray(image).save(tmp_path / f"p{i // 10}_{i}.png")
    cards = [
        score(
            sets["noisy"],
            str(tmp_path),
            tiny_model,
            ScoreSettings(
                n_resamples=20, cache=False, metrics=["irs_alpha", "irs_inf"], group_pattern=pattern
            ),
        ).metrics
        for pattern in (None, r"^(p\d)_")
    ]
    for name in ("irs_alpha", "irs_inf"):
        plain, grouped = (card[name] for card in cards)
        assert (plain.method, grouped.method) == ("occupancy", "subsample by slide")
        assert grouped.value == plain.value
        assert grouped.low <= plain.low and grouped.high >= plain.high


def test_deviations_are_those_of_the_public_functions(card, sets, tiny_model):
    x, y = (tiny_model.features(sets[n]) for n in ("real", "noisy"))
    assert card.metrics["kid"].std == pytest.approx(kid(x, y, seed=4).std, rel=1e-3)
    assert math.isnan(card.metrics["fid"].std)
    assert card.to_dict()["metrics"]["fid"]["std"] is None


def test_ms_ssim_stands_beside_that_of_the_real_set(sets, tiny_model):
    rows = {}
    for level in (0.5, 0.95):
        settings = ScoreSettings(n_resamples=10, cache=False, metrics=["ms_ssim"], level=level)
        rows[level] = score(sets["noisy"], sets["real"], tiny_model, settings).metrics["ms_ssim"]
    wide, narrow = rows[0.95], rows[0.5]
    known = {n: msssim_diversity(sets[n], n_pairs=200) for n in sets}
    assert (wide.value, wide.std) == (known["noisy"].value, known["noisy"].std)
    assert wide.baseline == known["real"].value
    assert (wide.baseline_n_real, wide.baseline_n_generated) == (60, 40)
    quantiles = norm.ppf([0.975, 0.75])
    for (a, b), (c, d) in (
        ((wide.low, wide.high), (narrow.low, narrow.high)),
        ((wide.baseline_low, wide.baseline_high), (narrow.baseline_low, narrow.baseline_high)),
    ):
        assert (b - a) / (d - c) == pytest.approx(quantiles[0] / quantiles[1])
    # Twenty pairs of 40 images are counted on, thirty of 60.
    errors = known["noisy"].std / math.sqrt(20), known["real"].std / math.sqrt(30)
    z = (known["noisy"].value - known["real"].value) / math.hypot(*errors)
    assert wide.percentile == pytest.approx(100 * norm.cdf(z))
    assert wide.verdict


def test_one_field_shifted_and_turned_hides_from_ms_ssim(stained, tiny_model):
    """Images compared place by place look varied; their features lie close together."""
    rng = np.random.default_rng(3)

    def crop(field):
        y, x = rng.integers(0, len(field) - 64 + 1, 2)
        return np.rot90(field[y : y + 64, x : x + 64], rng.integers(4))

    fields = stained(121, size=160, seed=22)
    real, repeated = [crop(f) for f in fields[1:]], [crop(fields[0]) for _ in range(60)]
    settings = ScoreSettings(
        n_resamples=40, cache=False, metrics=["ms_ssim", "wad_div_zero", "irs_alpha"]
    )
    found = score(np.stack(repeated), np.stack(real), tiny_model, settings).metrics
    assert found["ms_ssim"].percentile < 97.5
    assert found["wad_div_zero"].verdict.startswith(METRICS.get("wad_div_zero").below)
    assert found["irs_alpha"].verdict.startswith(METRICS.get("irs_alpha").below)


def test_swd_says_what_it_does_not_see(card):
    assert "colour, brightness or contrast that all images share is not seen" in (
        card.metrics["swd"].note
    )


def test_json_follows_the_schema_and_the_schema_the_code(card):
    jsonschema.Draft202012Validator.check_schema(schema())
    data = json.loads(json.dumps(card.to_dict(), allow_nan=False))
    jsonschema.validate(data, schema())
    assert set(schema()["$defs"]["metric"]["required"]) == {f.name for f in fields(MetricResult)}
    assert data["schema_version"] == 2
    assert set(schema()["properties"]["provenance"]["required"]) == set(data["provenance"])
    options = schema()["properties"]["provenance"]["properties"]["settings"]["required"]
    assert set(options) == set(data["provenance"]["settings"])
    del data["metrics"]["rl2"]["baseline"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema())


def test_every_metric_of_the_issue_is_there():
    assert {
        "rl2", "wad_div_zero", "wad_div_exponential", "wad_div_empirical", "wad_div_normalized",
        "irs_alpha", "irs_inf", "irs_adjusted", "fid", "r_fid", "kid", "swd", "inception_score",
        "precision", "recall", "density", "coverage", "authenticity",
    } <= {spec.name for spec in chosen_metrics(None)}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "percentile", "words"),
    [
        ("fid", 100, "farther from real than real sets are from each other (3.0 x the baseline)"),
        ("fid", 0, "nearer to real than real sets are to each other: copies?"),
        ("fid", 50, "like real"),
        ("fid", 97.5, "like real"),
        ("coverage", 0, "fewer real images are covered than by other real ones"),
        ("wad_div_ratio", 100, "more dispersed than real: more varied, or noisier"),
        ("kept_fraction_real", math.nan, ""),
    ],
)
def test_verdicts(name, percentile, words):
    spec = METRICS.get(name)
    metric = MetricResult(
        6.0, spec.higher_is_better, "", baseline=2.0, observed=6.0, percentile=percentile
    )
    assert verdict(METRICS.get(name), metric, 300) == words
    assert verdict(METRICS.get(name), replace(metric, value=math.nan), 300) == "not computed"


@pytest.mark.parametrize(
    ("name", "n", "words"),
    [
        ("fid", 299, "not told apart from real (few images)"),
        ("coverage", 100, "like real"),
        ("coverage", 99, "not told apart from real (few images)"),
        # No number of images in the catalogue: a handful still says nothing.
        ("mean_log_likelihood_generated", 50, "like real"),
        ("mean_log_likelihood_generated", 49, "not told apart from real (few images)"),
    ],
)
def test_a_few_images_are_not_like_real(name, n, words):
    assert verdict(METRICS.get(name), MetricResult(1.0, True, "", percentile=50.0), n) == words
    far = verdict(METRICS.get(name), MetricResult(1.0, True, "", percentile=0.0), n)
    few = " (few images)" if words.startswith("not told") else ""
    assert far == METRICS.get(name).below + few


def test_a_clipped_value_is_not_called_like_real():
    clipped = MetricResult(1.0, True, "", baseline=1.0, observed=1.0, percentile=66.0)
    words = "at least as dispersed as real: see wad_div_ratio"
    assert verdict(METRICS.get("wad_div_normalized"), clipped, 600) == words
    assert (
        verdict(METRICS.get("wad_div_normalized"), replace(clipped, value=0.98), 600) == "like real"
    )
    less = replace(clipped, value=0.4, percentile=0.0)
    assert verdict(METRICS.get("wad_div_normalized"), less, 600) == "less varied than real"


def test_copies_are_in_every_verdict_that_would_praise():
    alike = MetricResult(1.0, True, "", baseline=1.0, percentile=50.0, n_generated=600)
    assert (
        verdict(METRICS.get("authenticity"), alike, 300, 1)
        == "copies: 1 of 600 generated images equal a real one"
    )
    assert verdict(METRICS.get("fid"), alike, 300, 1) == "like real"
    assert verdict(METRICS.get("fid"), alike, 300, 100) == "like real, to which copies add"


def test_nothing_is_judged_by_a_model_that_does_not_know_the_real_images(tiny_model, stained):
    real, generated = np.zeros((60, 64, 64, 3), np.uint8), stained(60)
    settings = ScoreSettings(n_resamples=20, cache=False)
    for of_real, judged in ((real, False), (stained(60, seed=5), True)):
        card = score(generated, of_real, tiny_model, settings)
        kept = card["kept_fraction_real"]
        assert (kept >= 0.5) == judged
        for name in ("mean_log_likelihood", "median_log_likelihood", "kept_fraction"):
            row = card.metrics[f"{name}_generated"]
            said = f"not judged: of the real images the model keeps {kept:.0%}"
            assert (row.verdict == said) == (not judged)
            assert judged or standing(row) == ""


@pytest.mark.parametrize("percentile", [6.0, 94.0, 96.0])
def test_few_images_that_lean_are_not_called_like_real(percentile):
    """FID of 45 images at 94 % of real against real, beside RL2 at 2.7 x its baseline."""
    row = MetricResult(6.0, False, "", baseline=2.0, observed=6.0, percentile=percentile)
    said = verdict(METRICS.get("fid"), row, 45)
    assert said.startswith("perhaps ") and said.endswith(", too few images to tell")
    assert ("farther" in said) == (percentile > 50)
    assert verdict(METRICS.get("fid"), row, 600) == "like real"


@pytest.mark.parametrize("percentile", [0.0, 50.0, 100.0])
def test_no_praise_where_authenticity_sees_copies(percentile):
    row = MetricResult(0.5, True, "", baseline=0.5, observed=0.5, percentile=percentile)
    for name in ("irs_alpha", "irs_inf", "irs_adjusted", "coverage", "recall"):
        spec = METRICS.get(name)
        said = verdict(spec, row, 600, memorised=True)
        assert ("to which copies add" in said) == (percentile > 0)
        assert "copies" not in verdict(spec, row, 600)


@pytest.mark.parametrize("name", ["rl2", "fid", "kid", "swd", "authenticity"])
def test_paired_scenes_are_no_copies(name):
    spec = METRICS.get(name)
    row = MetricResult(0.5, spec.higher_is_better, "", baseline=0.5, observed=0.5, percentile=0.0)
    assert verdict(spec, row, 600).endswith("copies?")
    assert verdict(spec, row, 600, paired=True).endswith("as paired scenes are")
    assert verdict(spec, row, 18).endswith("copies? (few images)")


def test_an_interval_of_wad_div_keeps_within_its_bounds(tiny_model, stained):
    """Two clusters, one of them drawn or not: resamples of the ratio reach far."""
    rng = np.random.default_rng(3)
    near = np.clip(stained(1).astype(int) + rng.integers(-1, 2, (18, 64, 64, 3)), 0, 255)
    generated = np.concatenate([near.astype(np.uint8), stained(4, seed=8)])
    settings = ScoreSettings(
        n_resamples=60, cache=False, metrics=["wad_div_normalized"], group_pattern="none"
    )
    row = score(generated, stained(60, seed=9), tiny_model, settings).metrics["wad_div_normalized"]
    assert METRICS.get("wad_div_normalized").bounds == (0, 1)
    assert 0 <= row.low <= row.value <= row.high <= 1


def test_the_table_has_a_line_a_metric_and_its_notes(card):
    lines = card.table().splitlines()
    rows = [line.split()[0] for line in lines[1 : lines.index("")] if not line.startswith(" ")]
    assert rows == [name for name in card.metrics if name != "inception_score"]
    assert not any(line.startswith("inception_score") for line in lines)
    short = card.table(short=True).splitlines()
    rows = [line.split()[0] for line in short[1 : short.index("")] if not line.startswith(" ")]
    assert rows == [name for name in card.metrics if METRICS.get(name).recommended]
    assert short[-1].startswith(f"{len(card.shown()) - len(rows)} more metrics: --all")
    assert "↓" in next(line for line in lines if line.startswith("fid"))


def _bare_card(**metrics):
    made = {"n_real": 4000, "n_generated": 4000, "resampled_images_at_most": 1000}
    return Scorecard(metrics, {**made, "settings": {"level": 0.95}}, ())


def test_the_table_shows_the_pair_that_the_verdict_speaks_of():
    """All 4,000 images score 2.9; the baseline of 500 images is 17.1, where they score 18.9."""
    row = MetricResult(2.86, False, "", baseline=17.1, observed=18.9, percentile=100.0,
                       baseline_n_real=500, baseline_n_generated=500, n_real=4000,
                       n_generated=4000)  # fmt: skip
    other = MetricResult(0.5, True, "", baseline=0.4, observed=0.4, percentile=50.0,
                         baseline_n_real=4000, baseline_n_generated=4000)  # fmt: skip
    words = verdict(METRICS.get("fid"), row, 4000)
    assert words.endswith("(1.1 x the baseline)")
    table = _bare_card(fid=replace(row, verdict=words), kid=row, authenticity=other).table()
    header, line, more = table.splitlines()[:3]
    assert header.split() == ["metric", "value", "interval", "at", "n", "baseline", "%", "below",
                              "verdict"]  # fmt: skip
    assert line.split()[2:7] == ["2.86", "-", "18.9", "17.1", "100"]
    assert f"{line.split('100  ')[1]} {more.strip()}" == words
    text = " ".join(table.split())
    assert "Baselines: 500 real images against 500; authenticity 4000 against 4000." in text
    assert "at most 1,000 images of a set" in text


def test_the_table_keeps_to_its_width(card):
    assert max(map(len, card.table().split("\n\n")[0].splitlines())) <= 132


def test_one_warning_of_small_samples_names_the_metrics(card):
    (text,) = [w for w in card.warnings if "are few" in w]
    assert text.startswith("40 generated and 60 real images are few")
    assert "irs_inf" in text and "(100)" in text
    assert "so few in 512 dimensions bias fid and r_fid" in text
    assert "inception_score" not in text  # it has no value to beware of


def test_groups_reach_the_baseline(sets, tiny_model, tmp_path):
    for i, image in enumerate(sets["real"]):
        Image.fromarray(image).save(tmp_path / f"p{i // 15}_{i}.png")
    settings = ScoreSettings(
        n_resamples=10, cache=False, metrics=["rl2", "irs_adjusted"], group_pattern=r"^(p\d)_"
    )
    card = score(sets["noisy"], str(tmp_path), tiny_model, settings)
    assert card.provenance["groups"] == {"generated": None, "real": 4}
    assert card.metrics["rl2"].method == "bootstrap by slide"
    assert "30 real images as training set, 30 unseen" in card.metrics["irs_adjusted"].note


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": []}, "no metrics chosen"),
        ({"metrics": ["psnr"]}, "no metric 'psnr'"),
        ({"k": 0}, "k must be at least 1"),
        ({"level": 1.0}, r"level must lie in \(0, 1\)"),
        ({"n_resamples": 1}, "n_resamples must be 0 or at least 2"),
        ({"seed": -1}, "seed must be at least 0"),
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


def test_inception_features_give_probabilities_of_both_sets(sets, tiny_model):
    classifier = _Classifier()
    settings = ScoreSettings(
        n_resamples=10, cache=False, features=classifier, metrics=["fid", "inception_score", "rl2"]
    )
    card = score(sets["noisy"], sets["real"], tiny_model, settings)
    x, y = (classifier.extract(as_source(sets[n])) for n in ("real", "noisy"))
    assert card["fid"] == pytest.approx(fid(x, y).value)
    assert card["inception_score"] == pytest.approx(
        inception_score(classifier.probabilities(y)).value
    )
    assert card.metrics["inception_score"].baseline > 1
    latents = [tiny_model.latents(sets[n]) for n in ("real", "noisy")]
    assert card["rl2"] == pytest.approx(rl2(*latents).value)
    assert card.provenance["features_identity"] == "colours"
