"""The options of training."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl2qc.errors import UsageError
from rl2qc.model.training.settings import TrainSettings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "both"}, "mode must be frozen or joint, got 'both'"),
        ({"holdout": 1.5}, r"holdout must lie in \(0, 1\), got 1.5"),
        ({"holdout": 0}, "holdout must lie in"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"mpp": -1}, r"mpp must lie in \[0.01, 100\]"),
        ({"mpp": True}, "mpp must be a number"),
        ({"patch_size": 32}, "patch_size must be at least 64"),
        ({"n_components": 600}, r"n_components must lie in \[2, 512\]"),
        ({"seed": 1.5}, "seed must be a whole number"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(UsageError, match=message):
        TrainSettings(**options)


def test_the_old_word_is_understood():
    with pytest.warns(DeprecationWarning, match="slide_pattern is called group_pattern now"):
        assert TrainSettings.resolve(None, {"slide_pattern": "^s"}).group_pattern == "^s"


def test_one_list_or_several():
    assert TrainSettings().excluded == ()
    assert TrainSettings(exclude="a.csv").excluded == (Path("a.csv"),)
    assert TrainSettings(exclude=["a.csv", Path("b")]).excluded == (Path("a.csv"), Path("b"))
