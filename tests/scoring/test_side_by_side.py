"""Several extractors on the same images, each held against a card of its own."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest

import rl2qc
from rl2qc.errors import UsageError
from rl2qc.metrics.neighbors import kneighbors
from rl2qc.scoring import comparison, scorecard
from rl2qc.scoring.settings import ScoreSettings

FEATURES = ["model", "latents", "model:normalized"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory, patches):
    images = np.concatenate([patches, patches[::-1, ::-1], patches[:, :, ::-1]])
    return images[::2].copy(), images[1::2].copy() // 3 * 2


@pytest.fixture(scope="module")
def card(sets, tiny_model):
    return rl2qc.score(*sets, tiny_model, features=FEATURES, n_resamples=20)


def test_each_row_is_what_a_card_of_its_own_says(card, sets, tiny_model):
    assert card.extractors.features == tuple(FEATURES)
    for row in card.extractors.rows:
        own = rl2qc.score(
            *sets, tiny_model, features=row.features, n_resamples=20, metrics=list(row.metrics)
        )
        assert {"fid", "r_fid", "kid"} < set(row.metrics) == set(own.metrics)
        for name, metric in row.metrics.items():
            wanted = own.metrics[name]
            for part in ("value", "baseline", "observed", "low", "high", "percentile"):
                found = getattr(metric, part)
                assert found == pytest.approx(getattr(wanted, part), rel=1e-6, nan_ok=True), name


def test_the_card_itself_is_of_the_first(card, sets, tiny_model):
    own = rl2qc.score(*sets, tiny_model, n_resamples=20, metrics=["fid"])
    assert card["fid"] == own["fid"] and card.provenance["features"] == "model"
    assert card.provenance["settings"]["features"] == ",".join(FEATURES)
    assert own.extractors is None and own.to_dict()["extractors"] is None


def test_agreement_counts_equal_nearest_images(card, sets, tiny_model):
    generated, real = sets
    of = [lambda x: tiny_model.features(x), lambda x: tiny_model.latents(x)]
    nearest = []
    for features in of:
        x, y = (features(s).astype(np.float64) for s in (generated, real))
        nearest.append(((x[:, None] - y[None]) ** 2).sum(-1).argmin(1))
    assert card.extractors.agreement[0, 1] == pytest.approx(np.mean(nearest[0] == nearest[1]))
    assert card.extractors.n_queries == len(generated)
    assert np.array_equal(card.extractors.agreement, card.extractors.agreement.T)


def test_irs_real_is_what_unseen_images_retrieve(sets, tiny_model):
    generated, real = sets
    unseen, train = real[:10], real[10:]
    card = rl2qc.score(
        generated, train, tiny_model, unseen=unseen, features=["model", "latents"], n_resamples=0
    )
    x, y = (tiny_model.features(s) for s in (unseen, train))
    n, m = len(train), len(unseen)
    gap = card.extractors.rows[0].irs_real
    assert gap.share == len(set(kneighbors(x, y, 1).indices[:, 0])) / n
    assert gap.ideal == pytest.approx(1 - (1 - 1 / n) ** m)
    assert (gap.n_train, gap.n_queries) == (n, m)


def test_json_table_and_page_hold_them(card, tmp_path):
    data = json.loads(json.dumps(card.to_dict()))
    jsonschema.validate(data, scorecard.schema())
    assert [row["features"] for row in data["extractors"]["rows"]] == FEATURES
    table = card.extractors.table()
    for said in (*FEATURES, "IRS_real (ideal)", "consensus", "fid ↓ (real)"):
        assert said in table
    card.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Extractors side by side" in page and "model:normalized" in page


def test_a_comparison_has_a_row_a_generator_and_extractor(sets, tiny_model):
    generated, real = sets
    found = rl2qc.compare(
        {"a": generated, "b": generated[:, ::-1] // 2},
        real,
        tiny_model,
        features="model,latents",
        metrics=["fid"],
        n_resamples=0,
    )
    rows = [(row.generator, row.features) for row in found.extractors.rows]
    assert rows == [("a", "model"), ("a", "latents"), ("b", "model"), ("b", "latents")]
    by_model = [r.metrics["fid"].value for r in found.extractors.rows if r.features == "model"]
    assert by_model == pytest.approx(list(found.values["fid"]))
    jsonschema.validate(json.loads(json.dumps(found.to_dict())), comparison.schema())
    assert "b          latents" in found.table()
    assert np.isnan(found.extractors.agreed)


def test_a_folder_whose_name_has_a_comma_is_one(tmp_path):
    (folder := tmp_path / "a, b").mkdir()
    assert ScoreSettings(features=str(folder)).extractors == (str(folder),)
    assert ScoreSettings(features="a, b").extractors == ("a", "b")


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (["model", "latent"], "no features 'latent'"),
        ("a" * 6000, "no features 'a"),
        (f"model,{'a' * 6000}", "no features 'a"),
        ("model,model", "are those of model"),
        ([], "no features chosen"),
    ],
)
def test_what_names_no_extractors_is_wrong_usage(sets, tiny_model, features, said):
    with pytest.raises(UsageError, match=said):
        rl2qc.score(*sets, tiny_model, features=features)


def test_who_takes_one_says_so(sets, tiny_model):
    with pytest.raises(UsageError, match="one extractor here, got 2"):
        rl2qc.ImageSetScorer(sets[1], tiny_model, features=("model", "latents"))
