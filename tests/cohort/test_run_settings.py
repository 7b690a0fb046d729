"""Options of a run and of a decision, and what records are asked of them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from rl2qc.cohort.settings import DecideSettings, RunSettings
from rl2qc.errors import UsageError
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.table import TileTable


def test_what_can_be_decided_again_is_an_option_of_decide_and_stands_in_a_table() -> None:
    decision = FilterSettings.names("decision")
    assert decision == DecideSettings.names("decision")
    assert set(decision) <= {f.name for f in fields(TileTable)}


def test_phases() -> None:
    assert FilterSettings.names("speed") == ("batch_size", "num_workers")
    assert FilterSettings.names(per_input=True) == (
        "mpp_override",
        "tissue_mask",
        "edges",
        "coords",
        "covering",
    )
    assert not {"batch_size", "num_workers"} & FilterSettings().record().keys()
    # How a run goes about its work stands in no key.
    assert RunSettings().record() == {}
    assert not set(RunSettings.names()) & set(FilterSettings.names())


def test_formats_as_a_list_or_as_text() -> None:
    assert RunSettings(formats=["clam", "csv", "clam"]).formats == ("clam", "csv")
    assert RunSettings(formats="csv, clam").formats == ("csv", "clam")  # type: ignore[arg-type]
    assert DecideSettings(formats=["clam", "csv", "clam"]).formats == ("clam", "csv")
    for settings in (RunSettings, DecideSettings):
        with pytest.raises(UsageError, match="no format 'clamp', perhaps 'clam'"):
            settings(formats=["clamp"])
    with pytest.raises(UsageError, match="format tiles takes the pixels of the slides"):
        DecideSettings(formats=["tiles"])


def test_a_decision_needs_an_alpha() -> None:
    for settings in (DecideSettings(), DecideSettings(method="bh", formats=("clam",))):
        with pytest.raises(UsageError, match="a decision needs an alpha"):
            settings.check_alpha()
    DecideSettings(formats=("clam",)).check_alpha()
    DecideSettings(drop_area=0.3).check_alpha()
    DecideSettings(max_rejected=0.3).check_alpha()
    DecideSettings(alpha=0.1, method="bh").check_alpha()


def test_the_part_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (RunSettings().part, RunSettings(shard="2/5").part) == ((0, 1), (1, 5))
    assert RunSettings(shard="2/5").changes(report=False).part == (1, 5)
    for name, value in (("ID", "7"), ("COUNT", "2"), ("MIN", "6")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert RunSettings().part == (1, 2)
    with pytest.raises(UsageError, match="--shard must be i/n"):
        RunSettings(shard="3/2")
