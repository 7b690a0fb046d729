"""Teach the branch of the scores: a linear map of a network's stage statistics, blind to encoding.

    python scripts/teach_branch.py ../shared/data --network network.safetensors \
        --out branch.safetensors
    python scripts/teach_branch.py ../shared/data --network fold0.safetensors --fold 0 \
        --out fold0_branch.safetensors --cache DIR

A network taught on damage minds what JPEG does to an image, for that is damage to it; scores of
generated images should not. From the same pass over the pixels the branch reads what a shipped
model's pooled features say (``--target``): ridge regression on clean and degraded views of the
teaching laboratories, in which what encoding adds to the statistics of a view (JPEG, WebP and JPEG
2000 of good quality, another size and back) is to be worth nothing, with the weight ``--blind``.
Directions in which encoding still moves the result are then made small, ``--soft``: else one of
them, pale to dark, holds nearly all of an FID.

The file holds "weight" (512, 2048) and "bias" (512,), float32: features = statistics @ weight.T +
bias; and the options, the laboratories and the network's hash.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import torch
from branch_views import Statistician, Taught, draw_views
from general_network import load_network
from laboratories import lab_folders, left_out
from numpy.typing import NDArray
from safetensors.numpy import save_file

from rl2qc.core.files import atomic_path
from rl2qc.model.network.backbone import FEATURE_DIM, POOLED, STATISTICS_DIM
from rl2qc.model.quality import QualityModel

__all__ = ["Branch", "Weights", "fit_branch", "write_branch"]

Matrix: TypeAlias = NDArray[np.float64]
# Added to the standard deviation of each statistic, so that dead channels stay small.
_FLOOR = 1e-3


@dataclass(frozen=True)
class Weights:
    """What the regression weighs.

    Attributes
    ----------
    ridge
        Penalty of the weights, in units of the mean variance.
    degraded
        Weight of degraded views; clean ones have 1.
    blind
        Weight of what encoding adds, whose target is nothing.
    soft
        A direction that encoding moves as much as this many average ones is shrunk to
        1 / sqrt(2); one that it moves less stays. Infinity shrinks none.
    less
        Leading directions of encoding that are left out altogether.
    """

    ridge: float = 0.01
    degraded: float = 0.5
    blind: float = 3.0
    soft: float = 10.0
    less: int = 0


@dataclass(frozen=True)
class Branch:
    """Features = statistics @ weight.T + bias; weight (512, 2048), bias (512,), float32."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __call__(self, statistics: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(statistics @ self.weight.T + self.bias, np.float32)


def fit_branch(given: Taught, wanted: Taught, weights: Weights) -> Branch:
    """The branch from statistics by a network to the pooled features of another one.

    Parameters
    ----------
    given, wanted
        Statistics of the same views by both.
    weights
    """
    middle, target = given.clean.mean(0), wanted.clean[:, POOLED].mean(0)
    scale = given.clean.std(0) + _FLOOR
    clean, clean_target = (given.clean - middle) / scale, wanted.clean[:, POOLED] - target
    worse = ((given.degraded - middle) / scale).reshape(-1, STATISTICS_DIM)
    worse_target = wanted.degraded[..., POOLED].reshape(-1, FEATURE_DIM) - target
    moved = ((given.encoded - given.clean) / scale).reshape(-1, STATISTICS_DIM)
    square = (
        product(clean, clean)
        + weights.degraded * product(worse, worse)
        + weights.blind * product(moved, moved)
    )
    cross = product(clean, clean_target) + weights.degraded * product(worse, worse_target)
    square += weights.ridge * np.trace(square) / len(square) * np.eye(len(square))
    solved = np.linalg.solve(square, cross)
    solved = solved @ shrinkage(moved @ solved, weights)
    weight = (solved / scale[:, None]).T
    # Stored in half precision: the bias must fit what is stored.
    weight = np.ascontiguousarray(weight.astype(np.float16), np.float32)
    return Branch(weight, (target - weight @ middle).astype(np.float32))


def write_branch(branch: Branch, path: Path, record: dict[str, str]) -> None:
    """The file of a branch, with a record of how it was taught."""
    # safetensors writes the memory as it lies, transposed arrays included.
    arrays = {"weight": branch.weight, "bias": branch.bias}
    with atomic_path(path) as unfinished:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, unfinished, record)


def product(a: NDArray[np.floating], b: NDArray[np.floating]) -> Matrix:
    """Mean over rows of a.T b, in double precision."""
    return np.asarray(a.T.astype(np.float64) @ b.astype(np.float64) / len(a))


def shrinkage(moves: Matrix, weights: Weights) -> Matrix:
    """The map (d, d) that makes small, or leaves out, what rows (n, d) move most."""
    squares, vectors = np.linalg.eigh(product(moves, moves))
    kept = 1 / np.sqrt(1 + squares / (weights.soft * squares.mean()))
    kept[len(kept) - weights.less :] = 0
    return np.asarray(vectors * kept @ vectors.T)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with clean/")
    parser.add_argument("--network", type=Path, required=True, help="by teach_general.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fold", choices=["base", "0", "1", "2", "all"], default="all")
    parser.add_argument("--target", default="histology", help="model whose features are read")
    parser.add_argument("--views", type=int, default=48, help="of each laboratory")
    parser.add_argument("--rounds", type=int, default=3, help="encodings and damages of a view")
    parser.add_argument("--size", type=int, default=128, help="side of a view, px")
    parser.add_argument("--ridge", type=float, default=Weights.ridge)
    parser.add_argument("--degraded", type=float, default=Weights.degraded)
    parser.add_argument("--blind", type=float, default=Weights.blind)
    parser.add_argument("--soft", type=float, default=Weights.soft)
    parser.add_argument("--less", type=int, default=Weights.less)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="folder of statistics")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    away = left_out(options.fold)
    views = draw_views(
        options.data, away, options.views, options.rounds, options.size, options.seed
    )
    network = Statistician(load_network(options.network).backbone, options.cache)
    target = QualityModel.load(options.target)
    weights = Weights(options.ridge, options.degraded, options.blind, options.soft, options.less)
    wanted = Statistician(target.backbone, options.cache).of_views(views)
    branch = fit_branch(network.of_views(views), wanted, weights)
    taught = {k: str(v) for k, v in vars(options).items() if k not in ("data", "out", "cache")}
    record = {
        "script": "scripts/teach_branch.py",
        "options": json.dumps(taught),
        "laboratories": " ".join(lab for lab in lab_folders(options.data) if lab not in away),
        "left_out": " ".join(away),
        "network_sha256": network.identity.hexdigest(),
        "target_sha256": target.sha256,
    }
    write_branch(branch, options.out, record)
    print(f"{options.out}: {len(views.clean)} views of {len(set(views.lab))} laboratories")


if __name__ == "__main__":
    main()
