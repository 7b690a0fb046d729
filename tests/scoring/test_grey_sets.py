"""Sets of which one has no colour, or more bits: named as such, weighed, brought to one."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from rl2qc.images.recipes import Recipe
from rl2qc.scoring.score import score
from rl2qc.scoring.settings import ScoreSettings

SETTINGS = ScoreSettings(n_resamples=0, cache=False, metrics=["rl2", "mean_log_likelihood_real"])


@pytest.mark.parametrize("which", ["real", "generated"])
def test_grey_beside_colour_is_named_and_not_taken_for_jpeg(stained, tiny_model, which):
    sets = {"real": stained(60, seed=71), "generated": stained(60, seed=72)}
    luma = (sets[which] @ [0.299, 0.587, 0.114]).round().astype(np.uint8)
    sets[which] = np.repeat(luma[..., None], 3, axis=3)
    card = score(sets["generated"], sets["real"], tiny_model, SETTINGS)
    differences = card.provenance["encoding"]["differences"]["generated"]
    assert differences == [f"{which} images have no colour"]
    # What was lost cannot be given back, so real images have a control where they lose it.
    assert np.isfinite(card.metrics["rl2"].control) == (which == "generated")
    same = score(sets["generated"], sets["real"], tiny_model, SETTINGS, harmonize=True)
    assert same.provenance["encoding"]["differences"]["generated"] == []


def test_two_grey_sets_are_alike(stained, tiny_model):
    grey = Recipe(grey=True)
    real, generated = (np.stack([grey(i) for i in stained(60, seed=s)]) for s in (71, 72))
    card = score(generated, real, tiny_model, SETTINGS)
    assert card.provenance["encoding"]["differences"]["generated"] == []


def test_the_control_measures_what_its_rows_need(stained, tiny_model, monkeypatch):
    """Evidence of likelihoods costs a quarter more, and no control row is of it."""
    asked = []
    of_model = type(tiny_model).measure_statistics
    monkeypatch.setattr(
        type(tiny_model),
        "measure_statistics",
        lambda self, rows: asked.append(len(rows)) or of_model(self, rows),
    )
    grey = np.stack([Recipe(grey=True)(i) for i in stained(50, seed=72)])
    card = score(grey, stained(60, seed=71), tiny_model, SETTINGS)
    assert np.isfinite(card.metrics["rl2"].control)
    assert sorted(asked) == [50, 60]


@pytest.mark.parametrize("deep", ["real", "generated"])
def test_sets_of_another_bit_depth_are_brought_to_one(stained, tiny_model, tmp_path, deep):
    sets = {"real": stained(20, seed=71), "generated": stained(20, seed=72)}
    for title, images in sets.items():
        (tmp_path / title).mkdir()
        for i, image in enumerate(images):
            stored = image.astype(np.uint16) * 257 if title == deep else image
            tifffile.imwrite(tmp_path / title / f"{i}.tif", stored, photometric="rgb")
    generated, real = (str(tmp_path / title) for title in ("generated", "real"))
    settings = ScoreSettings(n_resamples=0, cache=False, metrics=["rl2"])
    card = score(generated, real, tiny_model, settings)
    assert len(card.provenance["encoding"]["differences"]["generated"]) == 1
    same = score(generated, real, tiny_model, settings, harmonize=True)
    assert same.provenance["encoding"]["differences"]["generated"] == []
    assert same.provenance["encoding"]["harmonized"] == {deep: ["8 bits"]}
    assert same["rl2"] == card["rl2"]
