"""A fit without its long parts, to see what a model is fitted to."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.model.network.statistics import StatisticsExtractor
from rl2qc.model.parts import History
from rl2qc.model.training import fit, reference
from rl2qc.model.training.settings import TrainSettings


@pytest.fixture
def fitted_to(monkeypatch):
    """Calls ``fit_reference`` without network, flow, detectors and damage; returns its result.

    ``parts.warnings`` is what training says of the patches, ``parts.provenance`` how they are
    split.
    """

    def of_batch(self, images):
        return np.zeros((len(images), STATISTICS_DIM), np.float32)

    def fit_density(found, split, *_):
        latents = SimpleNamespace(latents_of=lambda features: features)
        return found, latents, History()

    monkeypatch.setattr(StatisticsExtractor, "of_batch", of_batch)
    monkeypatch.setattr(reference, "random_damage", lambda image, rng: image)
    monkeypatch.setattr(fit, "_fit_density", fit_density)
    monkeypatch.setattr(fit, "reference_folds", lambda *_: None)
    monkeypatch.setattr(fit.DetectorSet, "fit", lambda reference: (None, {}))

    def call(patches, *, held_out=None, groups=None, **changes):
        settings = TrainSettings(**{"backbone": "random", "mpp": 0.5, **changes})
        with torch.random.fork_rng(devices=[]):
            return fit.fit_reference(patches, settings, held_out=held_out, groups=groups)

    return call
