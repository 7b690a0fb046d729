"""A general model in small: random weights, and a prior by which dark patches are damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from rl2qc.model.detectors.book import Calibration, DetectorSet
from rl2qc.model.detectors.evidence import EvidenceDetector
from rl2qc.model.network.backbone import round_to_half
from rl2qc.model.network.head import DamageHead
from rl2qc.model.quality import QualityModel
from rl2qc.model.storage import read_model, write_model
from rl2qc.stats.prior import GeneralPrior, evidence_names

CLASSES = ("ink", "fold", "other")


def toy_prior(
    classes: tuple[str, ...] = CLASSES, *, lines: bool = False, **changes: object
) -> GeneralPrior:
    """Log-odds of damage are eight times the mean of the first class's map, less four; lines, where
    they count, add up to eight."""
    e, c = len(evidence_names(classes, lines)), len(classes)
    terms = len(evidence_names(classes)) + lines
    weights, reasons = np.zeros(terms), np.zeros((c, terms))
    weights[0] = 8.0
    if lines:
        weights[-1] = 8.0
    reasons[np.arange(c), np.arange(c)] = 5.0
    state = {
        "usual": np.full(e, -2.0),
        "limit": np.full(e, 2.0),
        "weights": weights,
        "bias": np.array(-4.0),
        # Lines alone say the less: those that exceed the usual by a factor of e to the fifth.
        "apart": np.array([-4.0, 0.5, 5.0, 0.25]) if lines else np.zeros(4),
        "location": np.array([-4.0, 0.5]),
        "scale": np.array([0.5, 0.3]),
        "shape": np.array(0.125),
        "width": np.array(0.25),
        "reach": np.array(8.0),
        "reason_weights": reasons,
        "reason_bias": np.zeros(c),
        "cells": np.zeros(c),
        "cells_usual": np.full(c, -2.0),
    }
    return GeneralPrior.from_state(state | changes, classes)


def toy_head(classes: tuple[str, ...] = CLASSES) -> DamageHead:
    """A head with random weights of which norms do something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        head = DamageHead(classes, 16)
        for norm in (head.dense[0], head.dense[3]):
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2)
    round_to_half(head)
    return head.eval()


def write_toy_general(
    own: Path, path: Path, *, adapts: bool = True, lines: bool = False
) -> QualityModel:
    """A general model with the network of a model file, and what else it holds.

    Parameters
    ----------
    own
        A model file of ``QualityModel.fit``.
    path
        Where the general one goes.
    adapts
        Without a reference of its own; else the detectors of ``own`` stay.
    lines
        Whether its evidence holds lines, as that of older files does not.
    """
    parts, _ = read_model(own)
    evidence = EvidenceDetector()
    evidence.prior, evidence.standard_ = toy_prior(lines=lines), np.array([0.0, 1.0])
    left_out = {"combined"} | ({"stages", "probe"} if adapts else set())
    names = [name for name in parts.detectors.names if name not in left_out]
    fitted = {name: parts.detectors[name] for name in names}
    kept = {name: parts.calibration[name] for name in names if name in parts.calibration}
    n = len(parts.calibration["combined"])
    calibration = kept | {"evidence": np.linspace(3, 5, n)}
    if not adapts:
        calibration |= {"combined": parts.calibration["combined"]}
    write_model(
        replace(
            parts,
            head=toy_head(),
            detectors=DetectorSet(fitted | {"evidence": evidence}, parts.density),
            calibration=Calibration(calibration),
        ),
        path,
    )
    return QualityModel.load(path, device="cpu", runtime="torch")
