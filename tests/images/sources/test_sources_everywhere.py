"""A source from outside wherever a path to images is taken."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rl2qc.model.quality import QualityModel
from rl2qc.scoring.score import score
from rl2qc.scoring.settings import ScoreSettings


@pytest.fixture
def kept(memory, patches, stained):
    """Sets under names of their own, by the name."""
    sets = {"many": patches, "generated": stained(30, seed=3)}
    for name, images in sets.items():
        memory.keep(name, images)
    return sets


def test_score_takes_it_as_files(kept, tiny_model):
    settings = ScoreSettings(n_resamples=0, metrics=("rl2", "fid"))
    ours = score("memory:generated", "memory:many", tiny_model, settings)
    theirs = score(kept["generated"], kept["many"], tiny_model, settings)
    assert {n: m.value for n, m in ours.metrics.items()} == {
        n: m.value for n, m in theirs.metrics.items()
    }


def test_commands_take_it(kept, tiny_model_file, patch_folder, rl2qc, tmp_path):
    out = tmp_path / "score.json"
    done = rl2qc("score", "memory:generated", "--real", "memory:many", "-m", tiny_model_file,
                 "--metrics", "rl2", "--n-resamples", 0, "--json", out)  # fmt: skip
    assert done.code == 0, done.err
    run = json.loads(out.read_text())
    assert "30" in done.out
    assert run["metrics"]["rl2"]["value"] > 0
    done = rl2qc("score", "memory:nowhere", "--real", patch_folder, "-m", tiny_model_file)
    assert (done.code, "nothing is kept as memory:nowhere" in done.error) == (2, True)


def test_a_model_learns_from_it(kept):
    ours, theirs = (
        QualityModel.fit(p, backbone="random", epochs=2, device="cpu")
        for p in ("memory:many", kept["many"])
    )
    images = kept["generated"]
    np.testing.assert_array_equal(ours.score_samples(images), theirs.score_samples(images))
