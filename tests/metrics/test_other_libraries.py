"""FID, KID, Inception score and PRDC against the libraries that people use."""

from __future__ import annotations

import numpy as np
import ot
import prdc as naeem
import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from rl2qc.metrics.frechet import fid
from rl2qc.metrics.inception import inception_score
from rl2qc.metrics.kernel import kid
from rl2qc.metrics.prdc import prdc
from rl2qc.metrics.sliced import _sliced
from rl2qc.metrics.wad_div import wad_div


@pytest.fixture
def pair(rng):
    """Two overlapping sets: the second shifted, narrower and with other correlations."""
    mixing = rng.normal(size=(12, 12)) / np.sqrt(12)
    return rng.normal(size=(300, 12)), 0.4 + 0.8 * rng.normal(size=(240, 12)) @ mixing


def test_fid_of_torch_fidelity(pair):
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in pair]
    expected = fid_statistics_to_metric(*statistics, verbose=False)
    assert fid(*pair).value == pytest.approx(expected["frechet_inception_distance"], rel=1e-9)


def test_kid_of_torch_fidelity(pair):
    a, b = (torch.from_numpy(x[:240]) for x in pair)
    # One subset that is the whole set leaves nothing to chance.
    options = {"kid_subsets": 1, "kid_subset_size": 240, "rng_seed": 0, "verbose": False}
    expected = kid_features_to_metric(a, b, **options)["kernel_inception_distance_mean"]
    assert kid(a.numpy(), b.numpy()).unbiased == pytest.approx(expected, rel=1e-9)


def test_kid_over_subsets_of_torch_fidelity(pair):
    a, b = (torch.from_numpy(x) for x in pair)
    options = {"kid_subsets": 200, "kid_subset_size": 60, "rng_seed": 0, "verbose": False}
    expected = kid_features_to_metric(a, b, **options)
    found = kid(*pair, n_subsets=200, subset_size=60)
    error = expected["kernel_inception_distance_std"] * np.sqrt(2 / 200)
    assert found.value == pytest.approx(expected["kernel_inception_distance_mean"], abs=4 * error)
    assert found.std == pytest.approx(expected["kernel_inception_distance_std"], rel=0.3)


@pytest.mark.parametrize("splits", [1, 7])
def test_inception_score_of_torch_fidelity(splits, rng):
    logits = torch.from_numpy(3 * rng.normal(size=(210, 10)))
    expected = isc_features_to_metric(logits, splits=splits, shuffle=False)
    found = inception_score(logits.softmax(dim=1).numpy(), splits=splits, seed=None)
    assert found.value == pytest.approx(expected["inception_score_mean"], rel=1e-9)
    assert found.std == pytest.approx(expected["inception_score_std"], rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_of_torch_fidelity(pair, k):
    real, generated = (torch.from_numpy(x) for x in pair)
    expected = prc_features_to_metric(
        generated, real, prc_neighborhood=k, prc_batch_size=1000, save_cpu_ram=False, verbose=False
    )
    found = prdc(*pair, k, convention="kynkaanniemi")
    assert found.precision == pytest.approx(expected["precision"])
    assert found.recall == pytest.approx(expected["recall"])


@pytest.mark.parametrize("k", [1, 3, 5])
def test_the_four_of_the_prdc_package(pair, k, capsys):
    expected = naeem.compute_prdc(*pair, nearest_k=k)
    found = prdc(*pair, k)
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected)


def test_wasserstein_distances_of_pot(pair):
    real, generated = pair
    spacing = []
    for x in (generated, real[:240]):
        table = ot.dist(x, x, metric="euclidean")
        np.fill_diagonal(table, np.inf)
        spacing.append(np.sort(table, axis=1)[:, :3].ravel())
    expected = ot.wasserstein_1d(*spacing, p=1)
    found = wad_div(generated, real[:240], k=3)
    assert found.value == pytest.approx(float(expected), rel=1e-6)


def test_sliced_wasserstein_distance_of_pot(pair):
    a, b = (x.astype(np.float32) for x in pair)
    found = _sliced(a, b, 4000, np.random.default_rng(0))
    expected = ot.sliced_wasserstein_distance(a, b, n_projections=4000, p=1, seed=1)
    # Projections are drawn anew: the two agree up to their sampling.
    assert found == pytest.approx(expected, rel=0.03)
