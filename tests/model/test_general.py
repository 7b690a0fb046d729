"""A model with a map: stored and read, its measurements, and what training makes of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy_general import CLASSES, toy_prior, write_toy_general

from rl2qc.errors import CheckpointError, UsageError
from rl2qc.model.checkpoint import read_checkpoint, write_checkpoint
from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.model.quality import QualityModel
from rl2qc.stats.prior import logit


@pytest.fixture(scope="module")
def general(general_file) -> QualityModel:
    return QualityModel.load(general_file, device="cpu", runtime="torch")


def test_what_is_read_is_what_was_written(general, general_file, tmp_path, stained):
    images = stained(3)
    general.save(tmp_path / "again.safetensors")
    again = QualityModel.load(tmp_path / "again.safetensors", device="cpu", runtime="torch")
    assert again.classes == CLASSES
    np.testing.assert_array_equal(again.artifact_map(images), general.artifact_map(images))
    first, second = general.measure(images), again.measure(images)
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values)


def test_measurements_of_a_general_model(general, stained):
    images = stained(4)
    measured = general.measure(images)
    cells = general.artifact_map(images)
    assert cells.shape == (4, 8, 8, 3) and cells.dtype == np.float32
    assert general.filter_score == "evidence" and general.adapts
    evidence = general.statistics(images)[:, STATISTICS_DIM:]
    np.testing.assert_array_equal(measured["evidence"], evidence)
    np.testing.assert_allclose(measured["score"], -general.prior.scores(evidence))
    np.testing.assert_allclose(evidence[:, :3], cells.mean((1, 2)), rtol=1e-5)
    # The class that is farthest beyond its limit, here the log-odds themselves.
    np.testing.assert_array_equal(measured["cells"][..., 0], cells.argmax(-1))
    np.testing.assert_allclose(
        measured["cells"][..., 1] / 4, np.clip(logit(cells.max(-1)), -31, 31), atol=0.13
    )


def test_glass_has_no_damage(general, stained):
    images = stained(1).copy()
    images[0, :32] = 238
    assert (general.artifact_map(images)[0, :4] == 0).all()
    assert (general.artifact_map(images)[0, 4:] > 0).all()


def test_a_model_without_a_map_says_so(tiny_model, stained):
    assert tiny_model.classes == () and tiny_model.prior is None and not tiny_model.adapts
    with pytest.raises(UsageError, match="has no map of damage"):
        tiny_model.artifact_map(stained(1))
    assert "evidence" not in tiny_model.measure(stained(2))


def test_training_on_a_general_model_takes_its_evidence(general_file, patches, tmp_path, stained):
    own = QualityModel.fit(patches, backbone=general_file, epochs=3, device="cpu")
    assert {"combined", "stages", "probe", "evidence"} <= set(own.detectors_.names)
    assert own.filter_score == "combined" and not own.adapts
    assert own.classes == CLASSES
    scores = own.detectors_(own.statistics(patches), ["stages", "probe", "evidence", "combined"])
    shortfalls = [np.logaddexp(0, -scores[name]) for name in ("stages", "probe", "evidence")]
    np.testing.assert_allclose(scores["combined"], -sum(shortfalls))
    # In standard deviations of the reference's own clean patches.
    low, median = np.quantile(scores["evidence"], [0.1587, 0.5])
    assert median == pytest.approx(0, abs=1e-9) and low == pytest.approx(-1, abs=1e-6)
    own.save(tmp_path / "own.safetensors")
    again = QualityModel.load(tmp_path / "own.safetensors", device="cpu")
    images = stained(3)
    np.testing.assert_array_equal(again.measure(images)["p_value"], own.measure(images)["p_value"])


def test_joint_training_makes_a_network_of_its_own(general_file, patches):
    own = QualityModel.fit(patches, backbone=general_file, mode="joint", epochs=1, device="cpu")
    assert own.classes == () and "evidence" not in own.detectors_.names


def test_a_file_that_lacks_a_part_is_refused(general_file, tmp_path):
    tensors, config, _ = read_checkpoint(general_file)
    path = tmp_path / "cut.safetensors"
    for gone in ("head.whole.weight", "detector.evidence.weights"):
        write_checkpoint(path, {k: v for k, v in tensors.items() if k != gone}, config)
        with pytest.raises(CheckpointError, match="lacks a part of the model"):
            QualityModel.load(path)


def test_a_model_with_a_reference_keeps_its_p_values(tiny_model_file, tmp_path, stained):
    model = write_toy_general(tiny_model_file, tmp_path / "own.safetensors", adapts=False)
    assert not model.adapts and model.prior is not None
    assert model.prior.state().keys() == toy_prior().state().keys()
    assert model.measure(stained(2)).keys() >= {"p_value", "evidence", "cells"}


def test_empty_arrays_are_stored(tmp_path):
    tensors = {"none": torch.empty((0, 0)), "one": torch.ones(())}
    digest = write_checkpoint(tmp_path / "a.safetensors", tensors, {"x": 1})
    found, _, again = read_checkpoint(tmp_path / "a.safetensors")
    assert (found["none"].shape, found["one"].shape, again) == ((0, 0), (), digest)
