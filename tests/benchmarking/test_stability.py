"""Sample sizes: values by other code, laws that are known, and the sentence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from rl2qc.benchmarking.stability import SIZES, SizeCurve, Stability, sample_sizes, stability


@pytest.fixture
def sets(rng):
    clean = rng.normal(size=(400, 6))
    shifted = 1.5 * clean + 1
    return (clean, 2 * clean), (shifted, 2 * shifted)


def test_sizes_are_those_that_fit_twice():
    assert sample_sizes(2000) == SIZES
    assert sample_sizes(1999) == SIZES[:-1]
    assert sample_sizes(100) == (25, 50)
    assert sample_sizes(49) == ()


def test_one_draw_is_what_other_code_gives(sets):
    clean, degraded = sets
    found = stability(clean, degraded, "a shift", sizes=(50, 200), n_repeats=1, seed=3)
    rng = np.random.default_rng(3)
    for row, size in enumerate((50, 200)):
        drawn = rng.permutation(400)[: 2 * size]
        x = clean[0][drawn[:size]]
        for other, field in ((clean, "baseline"), (degraded, "degraded")):
            y = other[0][drawn[size:]]
            got = {name: getattr(c, field)[row] for name, c in found.curves.items()}
            shift = x.mean(0) - y.mean(0)
            covariances = np.cov(x.T), np.cov(y.T)
            root = sqrtm(covariances[0] @ covariances[1]).real
            kernel = [(a @ b.T / 6 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
            within = [(k.sum() - np.trace(k)) / (size * (size - 1)) for k in kernel[:2]]
            assert got == pytest.approx(
                {
                    "rl2": 2 * np.linalg.norm(shift),
                    "fid": shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * root),
                    "kid": sum(within) - 2 * kernel[2].mean(),
                },
                rel=1e-6,
            )


def test_the_baselines_follow_their_laws(sets):
    """RL2 and its bias fall with the root of n, the bias of FID faster, and KID has none."""
    found = stability(*sets, "a shift", n_repeats=40)
    assert found.n == (25, 50, 100, 200)
    rl2, fid, kid = (np.array(found.curves[name].baseline) for name in ("rl2", "fid", "kid"))
    assert rl2[0] / rl2[2] == pytest.approx(2, rel=0.2)
    assert fid[0] / fid[2] == pytest.approx(4, rel=0.4)
    assert abs(kid[0]) < 4 * found.curves["kid"].baseline_std[0] / np.sqrt(40)
    spread = found.curves["rl2"].degraded_std
    assert spread[0] > spread[1] > spread[2]


def test_equal_seeds_give_equal_curves(sets):
    a, b, c = (stability(*sets, "", n_repeats=2, seed=s) for s in (1, 1, 2))
    assert a == b
    assert a != c


def test_the_sentence_says_what_the_curves_say():
    def curve(*values):
        return SizeCurve(values, (0.5, 0.25, 0.1, 0.1), (1.0, 0.5, 0.3, 0.2), (0.1,) * 4)

    found = Stability(
        "blur",
        (25, 200, 300, 500),
        1000,
        5,
        {"rl2": curve(3, 2.2, 2.1, 2.0), "fid": curve(8, 2, 2, 2), "kid": curve(0, 0, 0, 0)},
    )
    text = found.summary()
    assert text.count(".") == 1
    assert "value at 500 images a side: with 25 images RL2 150%, FID 400% and KID undef" in text
    assert "with 300 RL2 105%, FID 100% and KID undefined" in text
    assert "draws of 300 scatter by RL2 5%, FID 5%" in text
    assert "300 clean images against as many clean ones already give RL2 15%, FID 15%" in text
    assert found.to_dict()["summary"] == text


def test_bad_input(sets):
    clean, degraded = sets
    with pytest.raises(ValueError, match="same patches"):
        stability(clean, (degraded[0][:9], degraded[1]), "")
    with pytest.raises(ValueError, match="two sizes"):
        stability(*(tuple(a[:60] for a in s) for s in sets), "")
    with pytest.raises(ValueError, match="two sizes"):
        stability(clean, degraded, "", sizes=(100, 201))
