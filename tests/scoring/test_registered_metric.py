"""A metric from a script: its own number everywhere, and never another metric's."""

from __future__ import annotations

import json
from itertools import pairwise

import jsonschema
import numpy as np
import pytest
from contracts.metric import check_metric

from rl2qc import MetricSpec, ScoreSettings, compare, register_metric, score
from rl2qc.errors import UsageError
from rl2qc.metrics.matrices import Matrices
from rl2qc.scoring.scorecard import schema
from rl2qc.scoring.spec import METRICS, Value, chosen_metrics
from rl2qc.stats.baseline import real_baseline
from rl2qc.stats.resampling import subsample


class Grey:
    """One number a patch: its mean grey."""

    name, dim, identity = "grey", 1, "grey v1"

    def extract(self, source, *, progress=False):
        return np.array([[source[i].mean()] for i in range(len(source))], np.float32)


def darker(real, generated, settings):
    return float(real.features.mean() - generated.features.mean())


def spec(**fields):
    usual = {
        "name": "darker",
        "needs": "features",
        "higher_is_better": None,
        "meaning": "by how much the images are darker",
        "below": "lighter than real",
        "above": "darker than real",
        "compute": darker,
    }
    return MetricSpec(**usual | fields)


@pytest.fixture
def registered():
    """Register metrics for one test."""
    names = []

    def register(**fields):
        names.append(register_metric(spec(**fields)).name)
        return METRICS.get(names[-1])

    yield register
    for name in names:
        METRICS.unregister(name)


@pytest.fixture(scope="module")
def images():
    """Flat patches: real ones of grey 180 to 219, generated ones that are darker by 46.7."""

    def flat(greys):
        return np.array(greys, np.uint8)[:, None, None, None] + np.zeros(
            (len(greys), 64, 64, 3), np.uint8
        )

    rng = np.random.default_rng(0)
    greys = rng.permutation(np.repeat(np.arange(180, 220), 2))
    shift = np.where(np.arange(40) % 10 < 7, 47, 46)  # 46.7 in the mean
    return {"real": flat(greys), "generated": flat(rng.permutation(np.arange(180, 220)) - shift)}


@pytest.fixture
def settings():
    return ScoreSettings(features=Grey(), n_resamples=40, cache=False)


def test_it_gets_its_own_number_interval_and_baseline(registered, images, settings, tiny_model):
    registered()
    card = score(images["generated"], images["real"], tiny_model, settings, metrics=["darker"])
    row = card.metrics["darker"]
    assert row.value == pytest.approx(46.7, abs=1e-4)
    assert "46.7" in card.table()
    x, y = (Grey().extract(images[n]).ravel().astype(float) for n in ("real", "generated"))

    def plain(a, b):
        return float(a.mean() - b.mean())

    found = subsample(plain, x, y, n_resamples=40, value=plain(x, y))
    assert (row.low, row.high) == pytest.approx((found.low, found.high), abs=1e-4)
    beside = real_baseline(plain, x, y, n_resamples=40)
    assert row.baseline == pytest.approx(beside.value, abs=1e-4)
    assert row.observed == pytest.approx(beside.observed, abs=1e-4)
    assert (row.percentile, row.verdict) == (100, "darker than real (few images)")


def test_it_goes_through_every_file(registered, images, settings, tiny_model, tmp_path):
    registered()
    card = score(images["generated"], images["real"], tiny_model, settings, metrics=["darker"])
    card.to_json(tmp_path / "card.json")
    data = json.loads((tmp_path / "card.json").read_text())
    jsonschema.validate(data, schema())
    assert data["metrics"]["darker"]["value"] == pytest.approx(46.7, abs=1e-4)
    assert "darker" in data["against_n"]
    card.to_html(tmp_path / "card.html")
    assert "by how much the images are darker" in (tmp_path / "card.html").read_text()
    sets = {"a": images["generated"], "b": images["real"][:40]}
    found = compare(sets, images["real"][40:], tiny_model, settings, metrics=["darker"])
    difference = found.differences["darker"]["b"]
    assert difference.value == pytest.approx(found.values["darker"][0] - found.values["darker"][1])
    assert difference.significant and "a higher" in found.table()


def test_it_is_shown_behind_the_others_without_being_asked_for(registered):
    registered()
    assert chosen_metrics(None)[-1].name == "darker"
    registered(name="costly", shown="on request")
    registered(name="secret", needs=("features", "unseen"), shown="with unseen")
    default, more = (
        {s.name for s in chosen_metrics(None, unseen=unseen)} for unseen in (False, True)
    )
    assert "darker" in default and not {"costly", "secret"} & default
    assert more - default == {"secret", "nearer_train"}


@pytest.mark.parametrize("needs", ["features", "latents", "likelihood", "pixels", "probabilities"])
def test_it_holds_the_contract_whatever_it_needs(registered, needs, stained, tiny_model):
    array = {"likelihood": "log_likelihood"}.get(needs, needs)

    def mean_of(real, generated, settings):
        x, y = (np.asarray(getattr(s, array), float) for s in (real, generated))
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ValueError("must be finite")
        first = (a.reshape(len(a), -1)[:, 0].mean() for a in (x, y))
        return float(abs(np.subtract(*first)))

    check_metric(
        registered(name="mean_of", needs=needs, compute=mean_of, depends_on_n=False),
        tiny_model,
        stained(130, seed=5),
    )


def test_rows_of_its_own_are_taken(registered, images, settings, tiny_model):
    calls = []

    def rows(matrices, real, generated, settings):
        assert isinstance(matrices, Matrices)
        calls.append(1)
        return float(matrices.features[real].mean() - matrices.features[generated].mean())

    slow = score(images["generated"], images["real"], tiny_model, settings,
                 metrics=[registered().name])  # fmt: skip
    fast = score(images["generated"], images["real"], tiny_model, settings,
                 metrics=[registered(name="fast", rows=rows).name])  # fmt: skip
    assert len(calls) > 100
    one, other = slow.metrics["darker"], fast.metrics["fast"]
    for name in ("value", "low", "high", "baseline", "observed", "percentile"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-4), name


def test_a_family_is_computed_once(registered, images, settings, tiny_model):
    calls = []

    def family(real, generated, settings):
        calls.append((len(real), len(generated)))
        mean = float(generated.features.mean())
        return {"first": mean, "second": Value(-mean, "the other way")}

    for name in ("first", "second"):
        registered(name=name, compute=family)
    card = score(images["generated"], images["real"], tiny_model, settings,
                 metrics=["first", "second"], n_resamples=10)  # fmt: skip
    assert card["first"] == -card["second"]
    assert card.metrics["second"].note == "the other way"
    # Once for the values; the resamples of the second metric are those of the first.
    alone = len(calls)
    calls.clear()
    score(images["generated"], images["real"], tiny_model, settings, metrics=["first"],
          n_resamples=10)  # fmt: skip
    assert alone == len(calls)


def test_what_it_cannot_be_computed_on_is_a_note(registered, images, settings, tiny_model):
    def refuses(real, generated, settings):
        raise ValueError("needs a longer ruler")

    registered(compute=refuses)
    row = score(
        images["generated"], images["real"], tiny_model, settings, metrics=["darker"]
    ).metrics["darker"]
    assert np.isnan(row.value)
    assert (row.note, row.verdict) == ("needs a longer ruler", "not computed")


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        (lambda *_: None, "darker must give a number, got NoneType"),
        (lambda *_: {"other": 1.0}, "the function of the metric darker gives no value of that"),
    ],
)
def test_what_is_no_number_is_an_error(registered, images, settings, tiny_model, gives, message):
    registered(compute=gives)
    with pytest.raises(UsageError, match=message):
        score(images["generated"], images["real"], tiny_model, settings, metrics=["darker"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "two words"}, "letters, digits and underscores, got 'two words'"),
        ({"name": ""}, "letters, digits"),
        ({"needs": "colour"}, "darker needs 'colour': choose from features"),
        ({"needs": "unseen"}, "must need something of the images"),
        ({"needs": "likelihood", "rows": darker}, "rows are of features, latents or pixels"),
        ({"of": "neither"}, "of must be one of both, generated, real"),
        ({"shown": "never"}, "shown must be one of always"),
        ({"resample": "jackknife"}, "resample must be subsample, bootstrap or None"),
        ({"bounds": (1, 0)}, "a lower and an upper one"),
    ],
)
def test_bad_specs(fields, message):
    with pytest.raises(UsageError, match=message):
        spec(**fields)


def test_two_of_one_name_are_refused(registered):
    with pytest.raises(UsageError, match="there is a metric 'fid' already"):
        register_metric(spec(name="fid"))
    first = registered()
    assert register_metric(first) is first


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="no metric 'fidd', perhaps 'fid'"):
        ScoreSettings(metrics=["fidd"])
    with pytest.raises(UsageError, match="no metric 'coverag', perhaps 'coverage'"):
        chosen_metrics(["coverag"])


def test_the_table_keeps_its_order():
    orders = [s.order for s in METRICS]
    assert all(a <= b for a, b in pairwise(orders))
    assert METRICS.names()[:2] == ("rl2", "wad_div_zero")
