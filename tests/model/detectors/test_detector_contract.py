"""Every registered detector against one contract; one of somebody else's beside ours."""

from __future__ import annotations

import numpy as np
import pytest
from contracts.detector import check_detector, clean_statistics, small_reference

from rl2qc.errors import UsageError
from rl2qc.model.detectors.base import DETECTORS, DetectorSpec, register_detector
from rl2qc.model.detectors.book import Calibration, DetectorSet


@pytest.fixture(scope="module")
def reference():
    return small_reference()


@pytest.mark.parametrize("name", DETECTORS.names())
def test_every_detector_holds_the_contract(name, reference):
    check_detector(name, reference)


class Distance:
    """The distance from the mean; larger is less normal, so its spec turns it round."""

    def fit(self, reference):
        self.mean = reference.clean.mean(0).astype(np.float32)
        self.n_fitted = len(reference)
        return self

    def scores(self, statistics):
        return np.linalg.norm(statistics - self.mean, axis=1)

    def state(self):
        return {"mean": self.mean, "n": np.array([self.n_fitted])}

    @classmethod
    def from_state(cls, state, density):
        made = cls()
        made.mean, made.n_fitted = state["mean"].astype(np.float32), int(state["n"][0])
        return made


@pytest.fixture
def distance():
    register_detector(DetectorSpec("distance", Distance, higher_is_normal=False))
    yield
    DETECTORS.unregister("distance")


def test_one_from_outside_holds_the_contract(distance, reference):
    check_detector("distance", reference)


def test_it_is_calibrated_out_of_fold(distance, reference):
    """Against the same fits, written out; in-sample distances would be smaller."""
    fitted, calibration = DetectorSet.fit(reference)
    expected = np.empty(len(reference))
    for fold in np.unique(reference.fold):
        rest, rows = reference.clean[reference.fold != fold], reference.fold == fold
        expected[rows] = -np.linalg.norm(reference.clean[rows] - rest.mean(0), axis=1)
    assert calibration["distance"] == pytest.approx(expected, rel=1e-4)
    assert expected.mean() < fitted(reference.clean, ["distance"])["distance"].mean()


def test_what_combines_others_from_outside(distance, reference):
    """A combination is calibrated by the combined scores of its parts."""
    spec = DetectorSpec("either", parts=("distance", "probe"), combine=lambda s: sum(s.values()))
    register_detector(spec)
    try:
        check_detector("either", reference)
    finally:
        DETECTORS.unregister("either")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            DetectorSpec("mixed", parts=("probe", "knn"), combine=lambda s: sum(s.values())),
            "parts of the detector 'mixed' are calibrated by different patches",
        ),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_name(reference, spec, message):
    register_detector(spec)
    try:
        with pytest.raises(UsageError, match=message):
            DetectorSet.fit(reference)
    finally:
        DETECTORS.unregister(spec.name)


def test_scores_of_another_shape_are_refused(reference):
    class Wide(Distance):
        def scores(self, statistics):
            return statistics

    register_detector(DetectorSpec("wide", Wide))
    try:
        with pytest.raises(UsageError, match=r"'wide' must give one score a patch"):
            DetectorSet.fit(reference)
    finally:
        DETECTORS.unregister("wide")


@pytest.mark.parametrize(
    "members",
    [{}, {"detector": Distance, "parts": ("probe",), "combine": max}, {"parts": ("probe",)}],
)
def test_half_a_spec_is_refused(members):
    with pytest.raises(UsageError, match="needs a class, or parts and combine"):
        DetectorSpec("half", **members)


def test_a_name_that_files_cannot_hold_is_refused():
    with pytest.raises(UsageError, match=r"'a\.b' must be without dots"):
        DetectorSpec("a.b", Distance)


@pytest.fixture(scope="module")
def fitted(reference):
    return DetectorSet.fit(reference)[0]


class TestNames:
    def test_the_filters_comes_first(self, fitted):
        assert fitted.names == DETECTORS.names()
        assert fitted.names[0] == "combined"

    def test_old_ones_are_understood_and_not_shown(self, fitted):
        x = clean_statistics(5, 7)
        assert np.array_equal(
            fitted(x, ["detector"])["detector"], fitted(x, ["combined"])["combined"]
        )
        assert "detector" not in fitted.names
        assert list(Calibration(combined=np.zeros(2))) == ["combined"]
        with pytest.raises(KeyError):
            Calibration(combined=np.zeros(2))["stages"]

    def test_unknown_ones_name_the_nearest(self, fitted):
        with pytest.raises(UsageError, match=r"no detector 'stage', perhaps 'stages'\? Choose"):
            fitted(clean_statistics(2, 7), ["stage"])

    def test_one_that_the_model_was_trained_without(self, fitted, distance):
        assert "distance" not in fitted.names
        with pytest.raises(UsageError, match="no detector 'distance', which it was trained with"):
            fitted.resolve("distance")


def test_a_model_keeps_what_is_not_registered_here(reference):
    """Its state goes through loading and saving; once registered it gives its scores."""
    register_detector(DetectorSpec("distance", Distance, higher_is_normal=False))
    fitted, calibration = DetectorSet.fit(reference)
    x = clean_statistics(5, 7)
    expected = fitted(x, ["distance"])["distance"]
    states = {name: dict(state) for name, state in fitted.states().items()}
    DETECTORS.unregister("distance")
    loaded = DetectorSet.from_states(states, calibration, fitted.density)
    assert loaded.names[-1] == "distance"
    with pytest.raises(UsageError, match="'distance' of the model is not registered here"):
        loaded(x, ["distance"])
    assert np.array_equal(loaded.states()["distance"]["mean"], states["distance"]["mean"])
    register_detector(DetectorSpec("distance", Distance, higher_is_normal=False))
    try:
        assert np.array_equal(loaded(x, ["distance"])["distance"], expected)
    finally:
        DETECTORS.unregister("distance")
