"""Whitening and density against numpy, scipy and autograd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.density.whitening import Whitening
from rl2qc.model.training.flow import FLOW_STEPS, effective_rank, fit_density


@pytest.fixture
def features(rng):
    mixing = rng.normal(size=(12, 12))
    return torch.from_numpy((rng.normal(size=(400, 12)) @ mixing + 3).astype(np.float32))


def test_leading_components_are_white(features):
    z = Whitening(12, 5).fit(features)(features).double()
    covariance = torch.cov(z.T)
    assert torch.allclose(covariance[:5, :5], torch.eye(5).double(), atol=1e-3)
    assert torch.allclose(z.mean(0), torch.zeros(12).double(), atol=1e-4)
    # The rest shares one scale, so that its variance is 1 on average only.
    assert torch.diagonal(covariance)[5:].mean().item() == pytest.approx(1, abs=1e-3)


def test_whitened_gaussian_density_is_scipys(features):
    """At all components and before training, the density is the fitted Gaussian."""
    density = FeatureDensity(12, 12, layers=2, hidden=8)
    density.whitening.fit(features)
    x = features.double().numpy()
    expected = multivariate_normal(x.mean(0), np.cov(x.T)).logpdf(x)
    with torch.no_grad():
        assert density.log_prob(features).numpy() == pytest.approx(expected, abs=5e-3)


def test_log_prob_follows_the_change_of_variables(features):
    density = FeatureDensity(12, 6, layers=3, hidden=8).double()
    density.whitening.fit(features)
    with torch.no_grad():
        for parameter in density.parameters():
            parameter.normal_(0, 0.4, generator=torch.Generator().manual_seed(1))
    for row in features[:4].double():
        jacobian = torch.autograd.functional.jacobian(lambda v: density.latents(v[None])[0], row)
        z = density.latents(row[None])[0].detach().numpy()
        expected = multivariate_normal(np.zeros(12)).logpdf(z)
        expected += torch.linalg.slogdet(jacobian).logabsdet.item()
        assert density.log_prob(row[None]).item() == pytest.approx(expected, abs=1e-6)


def test_inverse_returns_the_features(features):
    density = FeatureDensity(12, 6, layers=3, hidden=8)
    density.whitening.fit(features)
    with torch.no_grad():
        for parameter in density.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
        assert torch.allclose(density.inverse(density.latents(features)), features, atol=1e-3)


def test_a_dead_feature_stays_finite(features):
    features = features.clone()
    features[:, 3] = 7.0
    density = FeatureDensity(12, 12, layers=2, hidden=8)
    density.whitening.fit(features)
    assert torch.isfinite(density.log_prob(features + 0.1)).all()


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="need more than 4"):
        Whitening(8, 4).fit(torch.zeros(4, 8))
    with pytest.raises(ValueError, match="between 2 and 8"):
        Whitening(8, 9)


def test_fit_finds_structure_that_a_gaussian_misses(rng):
    """Two well separated clusters: the optimum lies log 2 short of one cluster's entropy."""
    n = 1200
    side = rng.choice([-1.0, 1.0], size=(n, 1))
    x = np.concatenate([side * 3 + 0.3 * rng.normal(size=(n, 1)), rng.normal(size=(n, 1))], 1)
    x = torch.from_numpy(x.astype(np.float32))
    density = FeatureDensity(2, 2, layers=6, hidden=32)
    history = fit_density(
        density, x[:900], x[900:], replace(FLOW_STEPS, epochs=80, noise=0.05), seed=0
    )
    gaussian = multivariate_normal(x.mean(0).numpy(), np.cov(x.numpy().T))
    gaussian_nll = -gaussian.logpdf(x[900:].numpy()).mean() / 2
    optimum = (np.log(2) + np.log(0.3) + np.log(2 * np.pi * np.e)) / 2
    assert optimum - 0.1 < history.best < gaussian_nll - 0.2
    with torch.inference_mode():
        kept = float(-density.log_prob(x[900:]).mean()) / 2
    assert kept == pytest.approx(history.best, abs=1e-5)


def test_fit_is_seeded(features):
    losses = []
    for seed in (0, 0, 1):
        density = FeatureDensity(12, 4, layers=2, hidden=8, seed=seed)
        losses.append(
            fit_density(
                density, features[:300], features[300:], replace(FLOW_STEPS, epochs=3), seed=seed
            ).held_out
        )
    assert losses[0] == losses[1] != losses[2]


def test_effective_rank_of_equal_variances_is_their_number(rng):
    x = np.zeros((2000, 10))
    x[:, :4] = rng.normal(size=(2000, 4))
    assert effective_rank(torch.from_numpy(x)) == pytest.approx(4, abs=0.05)
    assert effective_rank(torch.ones(10, 3)) < 1.01
