"""The branch for scores: it reads what it is taught to read, and not what encoding adds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from branch_views import Taught, read_branch
from teach_branch import Branch, Weights, fit_branch, write_branch

from rl2qc.model.network.backbone import POOLED, STATISTICS_DIM

VIEWS, KNOWN = 240, 12
TARGETS = POOLED.stop - POOLED.start


def example() -> tuple[Taught, Taught]:
    """Statistics of which a dozen vary, and features that are linear in the first eight of them;
    encoding moves the first one and the last four."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(8, TARGETS))

    def both(known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given, wanted = (np.zeros((*known.shape[:-1], STATISTICS_DIM), np.float32) for _ in "ab")
        given[..., :KNOWN] = 3 + known
        wanted[..., POOLED] = 5 + known[..., :8] @ mix
        return given, wanted

    clean = rng.normal(size=(VIEWS, KNOWN))
    moves = np.zeros((2, VIEWS, KNOWN))
    moves[..., [0, 8, 9, 10, 11]] = rng.normal(size=(2, VIEWS, 5))
    pairs = [both(x) for x in (clean, clean + moves, rng.normal(size=(2, VIEWS, KNOWN)))]
    given, wanted = (Taught(*(pair[i] for pair in pairs)) for i in (0, 1))
    return given, wanted


def unexplained(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.square(found - wanted).sum() / np.square(wanted - wanted.mean(0)).sum())


def test_it_reads_the_features_where_nothing_is_to_be_blind():
    given, wanted = example()
    branch = fit_branch(given, wanted, Weights(ridge=1e-6, blind=0, soft=np.inf))
    assert branch.weight.shape == (TARGETS, STATISTICS_DIM)
    for a, b in ((given.clean, wanted.clean), (given.degraded[0], wanted.degraded[0])):
        assert unexplained(branch(a), b[:, POOLED]) < 1e-4


def moved(weights: Weights) -> float:
    given, wanted = example()
    branch = fit_branch(given, wanted, weights)
    spread = branch(given.clean).std(0).mean()
    return float(np.abs(branch(given.encoded[0]) - branch(given.clean)).mean() / spread)


@pytest.mark.parametrize("blind", [{"blind": 100.0}, {"soft": 0.01}, {"less": 1}], ids=str)
def test_it_minds_encoding_less(blind):
    plain = {"ridge": 1e-6, "blind": 0.0, "soft": np.inf}
    assert moved(Weights(**plain | blind)) < 0.5 * moved(Weights(**plain))


def test_what_encoding_moves_alone_is_the_only_thing_lost():
    given, wanted = example()
    branch = fit_branch(given, wanted, Weights(ridge=1e-6, blind=1e6, soft=np.inf))
    rest = given.clean.copy()
    rest[:, 0] += 1  # the one direction that is both tissue and encoding
    assert np.abs(branch(rest) - branch(given.clean)).max() < 0.01
    rest[:, 1] += 1
    assert np.abs(branch(rest) - branch(given.clean)).max() > 0.5


def test_weights_are_halves():
    branch = fit_branch(*example(), Weights())
    assert (branch.weight.astype(np.float16) == branch.weight).all()


def test_a_branch_is_read_as_it_was_written(tmp_path):
    weight = np.random.default_rng(0).normal(size=(STATISTICS_DIM, TARGETS)).astype(np.float32)
    branch = Branch(weight.T, np.ones(TARGETS, np.float32))  # transposed in memory
    write_branch(branch, tmp_path / "b.safetensors", {"network_sha256": "abc"})
    found, bias = read_branch(tmp_path / "b.safetensors", "abc")
    assert (found == branch.weight).all() and (bias == 1).all()


def test_a_branch_of_another_network_is_refused(tmp_path):
    branch = Branch(np.zeros((TARGETS, STATISTICS_DIM), np.float32), np.zeros(TARGETS, np.float32))
    write_branch(branch, tmp_path / "b.safetensors", {"network_sha256": "abc"})
    with pytest.raises(SystemExit, match="another network"):
        read_branch(tmp_path / "b.safetensors", "def")
