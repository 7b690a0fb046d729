"""Pretext tasks: views and their levels, losses against their definitions."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
pretext = importlib.import_module("pretext")


@pytest.fixture
def image(stained):
    return stained(1, 96)[0]


def batch(features, second=None, levels=None):
    n = len(features)
    return pretext.Batch(
        images=torch.zeros(n, 3, 8, 8),
        classes=torch.zeros(n, dtype=torch.long),
        levels=torch.zeros(n, 12) if levels is None else levels,
        features=features,
        stages={},
        second=lambda: features if second is None else second,
    )


def test_equal_generators_give_equal_views(image):
    make = pretext.Views(64, ("degradation", "artifacts"))
    (a, levels), (b, same), (c, _) = (make(image, np.random.default_rng(s)) for s in (1, 1, 2))
    assert a.shape == (64, 64, 3)
    assert np.array_equal(a, b) and levels == same
    assert not np.array_equal(a, c)


def test_views_are_damaged_only_where_a_task_asks(image):
    def levels(*tasks):
        make = pretext.Views(64, tasks)
        return np.array([make(image, np.random.default_rng(s))[1] for s in range(60)])

    n = len(pretext.DEGRADATIONS)
    assert not levels("classes").any() and not levels("barlow").any()
    degraded = levels("degradation")
    assert degraded[:, :n].any(0).all() and not degraded[:, n:].any()
    found = levels("degradation", "artifacts")
    assert found[:, :n].any() and (np.count_nonzero(found[:, n:], axis=1) <= 1).all()
    # "Not degraded" is 0 and the mildest degradation stands a step above it.
    assert found[found > 0].min() >= 0.1 and found.max() <= 1


def test_barlow_is_least_for_equal_decorrelated_views():
    task = pretext.Barlow(16).train()
    torch.manual_seed(0)
    x, y = torch.randn(2, 64, 512)
    assert task(batch(x)) < task(batch(x, second=y))


def test_levels_are_told_from_features():
    task = pretext.Levels(slice(0, 5))
    levels = torch.rand(8, 12)
    with torch.no_grad():
        task.head.weight.zero_()
        task.head.weight[:, :5] = torch.eye(5)
        task.head.bias.zero_()
    features = torch.zeros(8, 512)
    features[:, :5] = levels[:, :5]
    assert float(task(batch(features, levels=levels)).detach()) == pytest.approx(0, abs=1e-9)
    assert float(task(batch(features + 1, levels=levels)).detach()) > 1


def test_an_unknown_task_is_refused():
    with pytest.raises(SystemExit, match="unknown task 'beauty': add up some of classes"):
        pretext.make_tasks("classes+beauty", 3)
