"""A flow fitted to features alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from rl2qc.errors import UsageError
from rl2qc.model.training.density_alone import FEWEST, fit_density_alone


@pytest.fixture(scope="module")
def gaussian():
    rng = np.random.default_rng(3)
    scale = np.array([5.0, 2.0, 1.0, 0.5])
    return (rng.normal(size=(1200, 4)) * scale + 7).astype(np.float32), scale


def test_it_is_near_the_density_that_drew_the_features(gaussian):
    x, scale = gaussian
    fitted = fit_density_alone(x[:800])
    truth = multivariate_normal(np.full(4, 7.0), np.diag(scale**2)).logpdf(x[800:])
    found = fitted.log_likelihood(x[800:])
    assert abs(found.mean() - truth.mean()) < 0.25
    assert np.corrcoef(found, truth)[0, 1] > 0.9


def test_latents_are_those_of_its_density_and_standard(gaussian):
    x, _ = gaussian
    fitted = fit_density_alone(x[:800])
    z = fitted.latents(x[800:])
    assert np.allclose(z, fitted.density.latents_of(x[800:]))
    assert np.abs(z.mean(0)).max() < 0.3 and np.abs(z.std(0) - 1).max() < 0.3


def test_p_values_are_uniform_on_what_is_like_it(gaussian):
    x, _ = gaussian
    fitted = fit_density_alone(x[:800])
    assert fitted.n_train + len(fitted.held) == 800 and 150 < len(fitted.held) < 170
    p = fitted.p_values(x[800:])
    assert 0.01 < np.mean(p <= 0.05) < 0.12
    assert fitted.p_values(x[:3] + 100).max() <= 1 / 150


def test_whole_groups_are_held_out(gaussian):
    x, _ = gaussian
    groups = np.repeat([f"slide {i}" for i in range(10)], 10)
    fitted = fit_density_alone(x[:100], groups)
    assert fitted.n_train % 10 == 0 and 10 <= len(fitted.held) <= 40
    alone = fit_density_alone(x[:100], np.repeat(["a", "b"], 50))
    assert 0 < len(alone.held) < 50


def test_one_seed_gives_one_density(gaussian):
    x, _ = gaussian
    a, b, c = (fit_density_alone(x[:100], seed=seed).latents(x[:5]) for seed in (1, 1, 2))
    assert np.array_equal(a, b) and not np.allclose(a, c)


def test_too_few_images_are_refused(gaussian):
    with pytest.raises(UsageError, match=f"at least {FEWEST} images, got 39"):
        fit_density_alone(gaussian[0][:39])
