"""r_FID: the FID of real images against real ones over the observed one."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.metrics.frechet_ratio import r_fid


def test_r_fid_is_the_baseline_over_the_observed(rng):
    real, same = rng.normal(size=(400, 32)), rng.normal(size=(200, 32))
    alike, worse, worst = (r_fid(real, same + shift, n_splits=20) for shift in (0, 0.3, 1))
    assert 0.8 < alike.value < 1.25
    assert alike.value > worse.value > worst.value > 0
    assert worst.value == worst.baseline / worst.observed
    assert worst.value == pytest.approx(1 - (worst.observed - worst.baseline) / worst.observed)
    assert worst.observed - worst.baseline == pytest.approx(32, rel=0.1)  # each dimension by 1
    assert (worst.n_real, worst.n_generated, worst.n_splits) == (200, 200, 20)
    assert r_fid(real, same, seed=1) == r_fid(real, same, seed=np.random.default_rng(1))
    assert r_fid(real, same, seed=1) != r_fid(real, same, seed=2)


def test_r_fid_of_sets_without_distance():
    constant = np.ones((8, 3))
    assert r_fid(constant, constant).value == 1
    # The one generated pair equals the real pair left over, while the pair set aside does not.
    real, generated = [[0.0], [1.0], [5.0], [9.0]], [[0.0], [1.0]]
    assert np.inf in [r_fid(real, generated, n_splits=1, seed=s).value for s in range(40)]


def test_r_fid_splits_by_group(rng):
    offset = np.repeat(np.arange(10.0), 20)[:, None]
    real = offset + 0.1 * rng.normal(size=(200, 2))
    generated = rng.choice(np.arange(10.0), size=(100, 1)) + 0.1 * rng.normal(size=(100, 2))
    by_group = r_fid(real, generated, real_groups=offset.ravel())
    assert by_group.baseline > 3 * r_fid(real, generated).baseline


def test_the_ratio_hardly_depends_on_the_seed_of_its_splits():
    """Of 10 splits it varied by a third on the features of patches."""
    rng = np.random.default_rng(3)
    real = rng.standard_t(4, size=(60, 12)) * np.linspace(0.5, 2, 12)
    generated = rng.normal(0.2, 1, size=(50, 12))

    def spread(**options):
        values = [r_fid(real, generated, seed=seed, **options).value for seed in range(12)]
        return np.std(values) / np.mean(values)

    assert spread() < 0.6 * spread(n_splits=10)
    assert spread() < 0.06


def test_the_old_name_of_the_baseline_is_understood(rng):
    result = r_fid(rng.normal(size=(20, 2)), rng.normal(size=(10, 2)), n_splits=2)
    with pytest.warns(DeprecationWarning, match="floor is called baseline"):
        assert result.floor == result.baseline


GOOD = np.arange(12.0).reshape(6, 2) ** 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.empty((0, 2)), "empty"),
        (np.empty((5, 0)), "empty"),
        (GOOD[:1], "at least 2 images"),
        (GOOD[:, 0], "2-D"),
        (np.where(GOOD == 4, np.nan, GOOD), "finite"),
        (np.where(GOOD == 4, np.inf, GOOD), "finite"),
        (GOOD[:, :1], "same dimension"),
        ([["a", "b"]], "real numbers"),
    ],
)
def test_bad_features(bad, message):
    with pytest.raises(ValueError, match=message):
        r_fid(bad, GOOD)
    with pytest.raises(ValueError, match=message):
        r_fid(GOOD, bad)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: r_fid(GOOD[:3], GOOD), "real needs at least 4"),
        (lambda: r_fid(GOOD, GOOD, n_splits=0), "n_splits must be at least 1"),
        (lambda: r_fid(GOOD, GOOD, n_splits=2.5), "n_splits must be a whole number, got 2.5"),
        (lambda: r_fid(GOOD, GOOD, real_groups=[1, 2]), "one id an image"),
    ],
)
def test_bad_options(call, message):
    with pytest.raises(ValueError, match=message):
        call()
