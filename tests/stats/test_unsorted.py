"""Clean and damaged scores are taken apart, and what calibrates keeps as many as was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from rl2qc.model.calibration import conformal_p_values
from rl2qc.stats.unsorted import clean_probabilities, stand_for_clean

ALPHA = 0.05


def clean_shortfalls(n: int, rng: np.random.Generator, degrees: float) -> np.ndarray:
    """Two scores a patch that go together, in standard deviations, with a tail as of t."""
    both = rng.standard_normal((n, 1)) * 0.7 + rng.standard_normal((n, 2)) * 0.7
    both /= np.sqrt(rng.chisquare(degrees, (n, 1)) / degrees)
    return np.logaddexp(0, -both).sum(1)


def damaged_shortfalls(n: int, rng: np.random.Generator) -> np.ndarray:
    """From what looks clean to what is far beyond."""
    return np.exp(rng.uniform(np.log(1.5), np.log(300), n))


@pytest.mark.parametrize("degrees", [5.0, 30.0])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_new_clean_patches_are_kept_as_asked_for(
    share: float, degrees: float, rng: np.random.Generator
) -> None:
    n, fresh = 2000, 4000
    bad = round(share * n)
    scores = np.r_[damaged_shortfalls(bad, rng), clean_shortfalls(n - bad, rng, degrees)]
    clean = clean_probabilities(scores)
    assert clean.sum() == pytest.approx(n - bad, abs=0.03 * n)
    stands = stand_for_clean(clean, scores)
    assert stands.sum() == pytest.approx(clean.sum(), abs=1)

    new = clean_shortfalls(fresh, rng, degrees)
    kept = np.mean(conformal_p_values(-new, -scores[stands]) > ALPHA)
    # What calibrates is as random as what is judged; two points more for the mixture's own error.
    low, high = binom.ppf([0.001, 0.999], len(scores), 1 - ALPHA) / len(scores)
    assert low - 0.02 < kept < high + 0.02
    # To leave out whatever is doubtful rejects more than was asked for.
    if share:
        narrow = scores[clean > 0.95]
        assert np.mean(conformal_p_values(-new, -narrow) > ALPHA) < kept
    # And damage is found as by a calibration with the clean ones alone.
    worse = damaged_shortfalls(fresh, rng)
    found, best = (
        np.mean(conformal_p_values(-worse, -of) <= ALPHA) for of in (scores[stands], scores[bad:])
    )
    assert abs(found - best) < 0.06


def test_what_is_not_finite_is_damaged_and_few_are_clean() -> None:
    found = clean_probabilities([1.0, 1.2, np.inf, np.nan, 1.1])
    np.testing.assert_array_equal(found > 0.5, [True, True, False, False, True])
    assert clean_probabilities([]).shape == (0,)
    assert not clean_probabilities([np.inf]).any()


def test_as_many_stand_for_the_clean_as_are_clean(rng: np.random.Generator) -> None:
    shortfalls, clean = rng.permutation(500).astype(float), rng.uniform(size=500)
    stands = stand_for_clean(clean, shortfalls)
    order = np.argsort(shortfalls)
    sums, taken = clean[order].cumsum(), stands[order].cumsum()
    assert np.abs(sums - taken).max() <= 0.5 + 1e-9
    assert stand_for_clean(np.ones(9), np.arange(9.0)).all()
    assert not stand_for_clean(np.zeros(9), np.arange(9.0)).any()
