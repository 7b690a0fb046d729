"""Scores by a flow that was fitted to one half of the real set."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest

import rl2qc
from rl2qc.errors import UsageError
from rl2qc.metrics.matrices import halves
from rl2qc.metrics.rl2 import rl2
from rl2qc.model.training.density_alone import fit_density_alone
from rl2qc.scoring import scorecard


@pytest.fixture(scope="module")
def sets(stained_sets):
    return stained_sets


@pytest.fixture(scope="module")
def stained_sets(patches):
    real = np.concatenate([patches, patches[:, ::-1], patches[:, :, ::-1]])[:100]
    return (real[::3] // 3 * 2).copy(), real.copy()


def test_rl2_is_by_one_half_of_the_other(sets, tiny_model):
    generated, real = sets
    card = rl2qc.score(
        generated, real, tiny_model, metrics=["rl2"], fit=True, n_resamples=0, group_pattern="none"
    )
    first, second = halves(np.arange(len(real)), None, 0)
    fitted = fit_density_alone(tiny_model.features(real[first]))
    z, y = (fitted.latents(tiny_model.features(x)) for x in (generated, real[second]))
    assert card["rl2"] == pytest.approx(rl2(y, z).value, rel=1e-4)
    assert card.provenance["n_real"] == len(second)
    assert card.provenance["fitted"] == {"n_real": len(first), "groups": None}


def test_card_methods_and_json_say_what_was_fitted(sets, tiny_model):
    card = rl2qc.score(
        *sets, tiny_model, metrics=["rl2", "fid"], fit=True, n_resamples=0, group_pattern="none"
    )
    said = "with its flow fitted to 50 other real images"
    assert said in card.describe() and said in card.methods()
    jsonschema.validate(json.loads(json.dumps(card.to_dict())), scorecard.schema())
    plain = rl2qc.score(*sets, tiny_model, metrics=["rl2"], n_resamples=0)
    assert plain.provenance["fitted"] is None and "fitted" not in plain.describe()


def test_whole_groups_are_fitted_to_and_the_others_scored(sets, tiny_model, tmp_path):
    from PIL import Image

    generated, real = sets
    for i, image in enumerate(real):
        Image.fromarray(image).save(tmp_path / f"s{i % 4}__{i}.png")
    card = rl2qc.score(
        generated,
        tmp_path,
        tiny_model,
        metrics=["rl2"],
        fit=True,
        n_resamples=0,
        group_pattern="^(.+?)__",
    )
    assert card.provenance["fitted"] == {"n_real": 50, "groups": 2}
    assert card.provenance["groups"]["real"] == 2


def test_other_extractors_see_the_same_half(sets, tiny_model):
    card = rl2qc.score(
        *sets,
        tiny_model,
        features=["model", "model:normalized"],
        fit=True,
        n_resamples=0,
        group_pattern="none",
    )
    assert {row.irs_real.n_train + row.irs_real.n_queries for row in card.extractors.rows} == {50}


def test_a_model_unlike_the_real_set_is_told_of_it(tiny_model, sets):
    generated, real = sets
    strange = np.random.default_rng(0).integers(0, 256, real.shape, dtype=np.uint8)
    card = rl2qc.score(generated, strange, tiny_model, metrics=["mean_log_likelihood_real"])
    assert any("--fit" in warning for warning in card.warnings)


def test_halves_of_uneven_groups_are_refused(sets, tiny_model, tmp_path):
    """Of one large slide and a few small ones a half would be next to nothing."""
    from PIL import Image

    generated, real = sets
    for i, image in enumerate(real):
        slide = "large" if i < 96 else f"small{i}"
        Image.fromarray(image).save(tmp_path / f"{slide}__{i}.png")
    with pytest.raises(UsageError, match=r"got \d+ and \d+ in halves of whole groups \(5 groups\)"):
        rl2qc.score(generated, tmp_path, tiny_model, fit=True, group_pattern="^(.+?)__")


@pytest.mark.parametrize("features", ["latents", "model,latents:normalized"])
def test_latents_of_another_flow_are_not_mixed_in(sets, tiny_model, features):
    with pytest.raises(UsageError, match="of the model's own flow"):
        rl2qc.score(*sets, tiny_model, fit=True, features=features)


@pytest.mark.parametrize(
    ("n", "metrics", "said"),
    [(60, ["rl2"], "80 real images at least"), (100, ["swd"], "metrics of latents")],
)
def test_what_cannot_be_fitted_is_wrong_usage(sets, tiny_model, n, metrics, said):
    generated, real = sets
    with pytest.raises(UsageError, match=said):
        rl2qc.score(
            generated, real[:n], tiny_model, metrics=metrics, fit=True, group_pattern="none"
        )
