"""Patches and a network for the tests of extractors."""

from __future__ import annotations

import pytest
import torch
import torchvision

from rl2qc.images.sources.base import as_source


@pytest.fixture(scope="module")
def source(patches):
    return as_source(patches[:12])


@pytest.fixture(scope="module")
def inception():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return torchvision.models.inception_v3(weights=None, init_weights=False).eval()
