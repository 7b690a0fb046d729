"""Likelihood rows of a card against the standard library."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from contracts.metric import SETTINGS, image_set

from rl2qc.scoring.rows import Stacks
from rl2qc.scoring.spec import METRICS
from rl2qc.scoring.values import full_values


@pytest.mark.parametrize("title", ["real", "generated"])
def test_means_medians_and_shares_are_those_of_the_set(title):
    sets = {"real": image_set(21, 4), "generated": image_set(30, 1)}
    of = sets[title]
    expected = {
        "mean_log_likelihood": statistics.fmean(of.log_likelihood.tolist()),
        "median_log_likelihood": statistics.median(of.log_likelihood.tolist()),
        "kept_fraction": statistics.fmean(of.keep.tolist()),
    }
    stacks = Stacks([*sets.values()], SETTINGS)
    found = full_values([stacks.of(METRICS.get(f"{name}_{title}")) for name in expected])
    for name, value in expected.items():
        row = found[f"{name}_{title}"]
        assert row.value == pytest.approx(value)
        counts = (row.n_real, row.n_generated)
        assert counts == ((21, 0) if title == "real" else (0, 30))


def test_what_is_not_finite_has_a_note():
    broken = image_set(12, 0, log_likelihood=np.full(12, np.nan))
    name = "mean_log_likelihood_generated"
    found = full_values([Stacks([broken, broken], SETTINGS).of(METRICS.get(name))])[name]
    assert np.isnan(found.value) and "not defined" in found.note
