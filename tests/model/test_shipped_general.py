"""The shipped general model, on drawn tissue that it has never seen."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from rl2qc.errors import CheckpointError
from rl2qc.images.digest import digests_of
from rl2qc.model.quality import QualityModel
from rl2qc.model.zoo import shipped_checkpoints
from rl2qc.synthetic.teaching import CLASSES


@pytest.fixture(scope="module")
def general() -> QualityModel:
    return QualityModel.load("general", device="cpu")


def test_it_is_shipped_and_whole(general) -> None:
    assert "general" in shipped_checkpoints()
    assert general.classes == CLASSES
    assert (general.patch_size, general.mpp, general.adapts) == (224, 0.5, True)
    assert general.filter_score == "evidence" and "combined" not in general.detectors_.names
    assert np.isfinite(general.calibration_["evidence"]).all()


def test_it_knows_the_images_that_taught_it(general, tmp_path) -> None:
    assert general.taught_ is not None and general.taught_.shape[1] == 8
    assert len(digests_of(general.taught_)) == len(general.taught_) > 3000
    model = tmp_path / "own.safetensors"
    shutil.copy(shipped_checkpoints()["general"], model)
    assert QualityModel.load(model, device="cpu").taught_ is None
    np.save(tmp_path / "own.taught.npy", np.zeros((3, 9), np.uint8))
    with pytest.raises(CheckpointError, match=r"own\.taught\.npy: digests are \(3, 9\)"):
        QualityModel.load(model, device="cpu")


def test_its_features_for_scores_are_those_of_histology_nearly(general, stained) -> None:
    """The branch was fitted to them; one that is stored in another order has nothing of them."""
    images = np.concatenate([stained(12, 224, seed=seed) for seed in (1, 2, 3)])
    found, wanted = general.features(images), QualityModel.load("histology").features(images)
    found, wanted = found - found.mean(0), wanted - wanted.mean(0)
    assert (found * wanted).sum() > 0.3 * np.sqrt((found**2).sum() * (wanted**2).sum())


def test_what_is_damaged_is_worse_and_found_where_it_is(general, stained) -> None:
    clean = stained(8, 224, seed=5)
    inked = clean.copy()
    inked[:, 64:160, 96:192] = (10, 40, 120)
    scores = [general.measure(images)["score"] for images in (clean, inked)]
    assert np.median(scores[1]) < scores[0].min()
    cells = general.artifact_map(inked)[..., [CLASSES.index("ink"), CLASSES.index("pen")]].max(-1)
    inside, outside = cells[:, 9:19, 13:23].mean(), cells[:, 22:, :10].mean()
    assert inside > 0.5 > outside
