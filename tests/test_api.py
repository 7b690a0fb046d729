"""The public names: a new one is added here on purpose, and none is lost by chance."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import rl2qc

CALLS = {
    "agree",
    "benchmark",
    "compare",
    "decide",
    "demo",
    "dice",
    "filter_cohort",
    "filter_patches",
    "filter_slide",
    "open_slide",
    "read_results",
    "reject",
    "review",
    "score",
    "train",
    "watch",
}
THINGS = {
    "Damaged",
    "FeatureCache",
    "ImageSetScorer",
    "KeptTiles",
    "LightningScores",
    "PatchSource",
    "QualityModel",
    "ScoreEvery",
}
SPECS = {
    "CorruptionSpec",
    "Detector",
    "DetectorSpec",
    "ExportFormat",
    "Extractor",
    "ExtractorSpec",
    "FeatureExtractor",
    "ImageSource",
    "MetricSpec",
    "ReaderSpec",
    "SlideReader",
    "TileModel",
}
REGISTER = {
    "register_corruption",
    "register_detector",
    "register_extractor",
    "register_format",
    "register_metric",
    "register_reader",
    "register_source",
}
RESULTS = {
    "Agreement",
    "Benchmark",
    "CohortResult",
    "Comparison",
    "Demo",
    "Dice",
    "Rejection",
    "Scorecard",
    "TileTable",
    "Watched",
}
SETTINGS = {
    "AgreeSettings",
    "BenchmarkSettings",
    "CompareSettings",
    "DecideSettings",
    "DiceSettings",
    "FilterSettings",
    "RejectSettings",
    "RunSettings",
    "ScoreSettings",
    "TrainSettings",
    "WatchSettings",
}
METRICS = {
    "authenticity",
    "fid",
    "fid_infinity",
    "fld",
    "fld_plus",
    "inception_score",
    "irs",
    "kid",
    "mifid",
    "ms_ssim",
    "msssim_diversity",
    "prdc",
    "r_fid",
    "rank_agreement",
    "rbf_mmd",
    "rl2",
    "swd",
    "vendi",
    "wad_div",
}
ERRORS = {
    "CheckpointError",
    "ExitCode",
    "ImageError",
    "Rl2qcError",
    "SlideError",
    "UsageError",
    "WorkError",
}
NAMES = CALLS | THINGS | SPECS | REGISTER | RESULTS | SETTINGS | METRICS | ERRORS


def test_these_names_are_public():
    assert set(rl2qc.__all__) == NAMES | {"__version__"}
    assert dir(rl2qc) == rl2qc.__all__ == sorted(rl2qc.__all__)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_public_name_is_what_it_is_called(name):
    thing = getattr(rl2qc, name)
    assert callable(thing)
    assert thing.__name__ == name
    assert inspect.isclass(thing) == name[0].isupper()


@pytest.mark.parametrize("name", sorted(NAMES))
def test_it_comes_from_the_module_that_defines_it(name):
    assert getattr(rl2qc, name).__module__ == rl2qc._names()[name]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_it_has_an_example_that_runs(name):
    said = inspect.getdoc(getattr(rl2qc, name)) or ""
    assert "\nExamples\n--------\n" in said and ">>> " in said


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rl2qc.nothing  # noqa: B018
    with pytest.raises(ImportError):
        from rl2qc import nothing  # noqa: F401


def test_the_version_is_that_of_the_citation():
    citation = Path(rl2qc.__file__).parents[1] / "CITATION.cff"
    assert f"version: {rl2qc.__version__}\n" in citation.read_text()
