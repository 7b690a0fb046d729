"""General models whose evidence holds long straight lines: what is stored, measured and decided."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from toy_general import toy_prior, write_toy_general

from rl2qc.filtering.evidence import Evidence, judge_evidence
from rl2qc.images.cells import CellMap, encode_cells
from rl2qc.images.lines import line_responses
from rl2qc.model.checkpoint import read_checkpoint, write_checkpoint
from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.model.quality import QualityModel


def lined(images: np.ndarray) -> np.ndarray:
    """The same with a dark band, as a fold or a thread has, across each."""
    found = images.copy()
    side = images.shape[1]
    y, x = np.mgrid[:side, :side]
    for number, image in enumerate(found):
        angle = 0.3 + number
        across = (x - side / 2) * np.cos(angle) + (y - side / 2) * np.sin(angle)
        image[np.abs(across) < 5] //= 2
    return found


@pytest.fixture(scope="module")
def general(tiny_model_file, tmp_path_factory) -> QualityModel:
    folder = tmp_path_factory.mktemp("lines")
    return write_toy_general(tiny_model_file, folder / "general.safetensors", lines=True)


def test_lines_stand_behind_the_evidence_of_the_map(general, tiny_model_file, tmp_path, stained):
    images = stained(3, 224)
    rows = general.extractor.of_batch(images)
    assert rows.shape == (3, general.extractor.width) == (3, STATISTICS_DIM + 5 * 3 + 4)
    np.testing.assert_array_equal(rows[:, -4:], line_responses(images))
    without = write_toy_general(tiny_model_file, tmp_path / "older.safetensors")
    np.testing.assert_array_equal(without.extractor.of_batch(images), rows[:, :-4])


def test_what_is_read_is_what_was_written(general, tmp_path, stained):
    general.save(tmp_path / "again.safetensors")
    again = QualityModel.load(tmp_path / "again.safetensors", device="cpu", runtime="torch")
    assert again.prior is not None and again.prior.lines
    images = stained(3, 224)
    for name, values in general.measure(images).items():
        np.testing.assert_array_equal(again.measure(images)[name], values)


def test_a_model_of_the_former_lines_is_told(general, tmp_path, tiny_model_file):
    """Those were steps; a prior that was taught on them says nothing of bands."""
    path = tmp_path / "former.safetensors"
    general.save(path)
    tensors, config, _ = read_checkpoint(path)
    del tensors["detector.evidence.apart"]
    write_checkpoint(path, tensors, config)
    with pytest.warns(UserWarning, match=r"former\.safetensors was trained with lines"):
        QualityModel.load(path, device="cpu", runtime="torch")
    # Without lines, nothing has changed.
    write_toy_general(tiny_model_file, path)
    tensors, config, _ = read_checkpoint(path)
    del tensors["detector.evidence.apart"]
    write_checkpoint(path, tensors, config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        QualityModel.load(path, device="cpu", runtime="torch")


def test_a_line_is_worse(general, stained):
    images = stained(6, 224)
    plain, worse = (general.measure(each)["score"] for each in (images, lined(images)))
    assert (worse < plain).all() and np.median(plain - worse) > 0.2


def test_evidence_with_lines_is_kept_and_decided_on(tmp_path):
    prior, rng = toy_prior(lines=True), np.random.default_rng(0)
    values = rng.uniform(0.0, 0.1, (60, len(prior.names))).astype(np.float32)
    values[:, -4:] = rng.uniform(0.5, 0.6, (60, 4))
    values[7, -2] = 0.99
    cells = CellMap(prior.classes, encode_cells(np.zeros((60, 2, 2, 3)), prior.cells))
    evidence = Evidence(prior, values, cells)
    evidence.save(tmp_path / "evidence.npz")
    again = Evidence.load(tmp_path / "evidence.npz")
    for kept in (evidence, again):
        adaptation, columns = judge_evidence(kept, "auto", None)
        assert adaptation is not None and len(adaptation.usual) == len(prior.names)
        assert columns["p_value"].argmin() == 7 and columns["p_value"][7] < 0.01


def test_the_shipped_model_sees_lines(stained):
    general = QualityModel.load("general", device="cpu")
    assert general.prior is not None and general.prior.lines
    images = stained(6, 224, seed=4)
    plain, worse = (general.measure(each)["score"] for each in (images, lined(images)))
    assert np.median(worse) < np.median(plain)
