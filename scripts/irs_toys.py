"""The toy experiments of the IRS paper (Dombrowski et al., CVPR 2025, supplement) as pictures.

    python scripts/irs_toys.py --out toys/

- ``modes.png`` (Figure 6): a mixture of 30 Gaussians in the plane, six classes of five; modes are
  taken from the synthetic set one by one. IRS_inf,a follows the share that is left, recall and
  coverage do not.
- ``draws.png`` (Figure 7): distinct training values against draws from the first s of 800, with the
  band of full diversity and where our looks reject.
- ``alpha.png`` (Figure 8): IRS_inf with its bounds against the number of images, for three
  simulated models: right by chance at alpha .01, sure at .1.
- ``counts.png`` (Figure 9): the law of the number of distinct images for five training sets.

What is drawn is printed as well.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rl2qc.metrics._occupancy import distribution
from rl2qc.metrics.irs import irs
from rl2qc.metrics.irs_counts import irs_expected, irs_from_counts
from rl2qc.metrics.irs_rejection import rejection_plan
from rl2qc.metrics.prdc import prdc

CLASSES, SUBCLASSES, N = 6, 5, 1000


def mixture(modes: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.float64]:
    """``N`` points of the modes, in equal shares."""
    centres = np.array(
        [
            (10 * np.cos(a) + 2 * np.cos(b), 10 * np.sin(a) + 2 * np.sin(b))
            for a in 2 * np.pi * np.arange(CLASSES) / CLASSES
            for b in 2 * np.pi * np.arange(SUBCLASSES) / SUBCLASSES
        ]
    )
    points: NDArray[np.float64] = centres[rng.choice(modes, N)] + 0.25 * rng.normal(size=(N, 2))
    return points


def modes(out: Path, rng: np.random.Generator) -> None:
    every = np.arange(CLASSES * SUBCLASSES)
    real, unseen = mixture(every, rng), mixture(every, rng)
    # Within classes: the last subclass of every class goes first. Whole classes: one after another.
    orders = {
        "within classes": every.reshape(CLASSES, SUBCLASSES).T.ravel(),
        "whole classes": every,
    }
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axis, (title, order) in zip(axes, orders.items(), strict=True):
        shares, found = [], []
        for left in range(len(every), 0, -3):
            synthetic = mixture(order[:left], rng)
            score = irs(real, synthetic, unseen)
            others = prdc(real, synthetic, 1)
            shares.append(left / len(every))
            found.append((score.adjusted, others.recall, others.coverage))
            print(f"modes, {title}: true share {shares[-1]:.2f}, IRS_inf,a {score.adjusted:.2f}, "
                  f"recall {others.recall:.2f}, coverage {others.coverage:.2f}")  # fmt: skip
        axis.plot([0, 1], [0, 1], color="0.7")
        labels = ("IRS_inf,a", "recall", "coverage")
        for values, label in zip(np.array(found, float).T, labels, strict=True):
            axis.plot(shares, values, marker="o", label=label)
        axis.set(title=title, xlabel="share of the modes that is left")
    axes[0].set_ylabel("score")
    axes[0].legend(frameon=False)
    save(figure, out / "modes.png")


def draws(out: Path, rng: np.random.Generator) -> None:
    n_train, most = 800, 300
    figure, axis = plt.subplots(figsize=(6, 4))
    n = np.arange(5, most + 1, 5)
    band = np.array([irs_expected(n_train, int(i)) for i in n])
    axis.fill_between(n, band[:, 0], band[:, 2], color="0.85", label="full diversity, 90 %")
    plan = rejection_plan(n_train, most, 1.0)
    for classes in (200, 400, 800):
        drawn = rng.integers(0, classes, most)
        distinct = np.array([len(set(drawn[:i].tolist())) for i in range(1, most + 1)])
        looks = [i for i in plan.looks if plan.rejects(i, int(distinct[i - 1]))]
        said = f"rejected after {looks[0]}" if looks else "not rejected"
        print(f"draws: {classes} of {n_train} values: {said}")
        axis.plot(np.arange(1, most + 1), distinct, label=f"{classes} values: {said}")
        if looks:
            axis.plot(looks[0], distinct[looks[0] - 1], "kx")
    axis.set(xlabel="draws", ylabel="distinct training values")
    axis.legend(frameon=False)
    save(figure, out / "draws.png")


def alpha(out: Path, rng: np.random.Generator) -> None:
    n_train = 5000
    alphas = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2])
    figure, axis = plt.subplots(figsize=(6, 4))
    for share in (0.2, 0.5, 1.0):
        drawn = rng.integers(0, round(share * n_train), round(alphas[-1] * n_train))
        found = [
            irs_from_counts(len(set(drawn[:n].tolist())), n, n_train)
            for n in (alphas * n_train).round().astype(int).tolist()
        ]
        values = np.array([(f.value, f.low, f.high) for f in found])
        axis.fill_between(alphas, values[:, 1], values[:, 2], alpha=0.25)
        axis.plot(alphas, values[:, 0], marker="o", label=f"true share {share:g}")
        for a, f in zip(alphas, found, strict=True):
            print(f"alpha {a:g}, share {share:g}: {f.value:.3f} [{f.low:.3f}, {f.high:.3f}]")
    axis.set(xscale="log", xlabel="alpha: generated over training images", ylabel="IRS_inf")
    axis.legend(frameon=False)
    save(figure, out / "alpha.png")


def counts(out: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    for n_train in (15, 20, 32, 39, 60):
        k, p = distribution(15, n_train)
        axes[0].plot(k, p, marker="o", label=f"N = {n_train}")
        axes[1].plot(k, np.cumsum(p), marker="o")
        low, mean, high = irs_expected(n_train, 15)
        print(f"counts: 15 draws of N = {n_train}: {low} to {high} distinct, mean {mean:.1f}")
    axes[1].axhline(0.05, color="0.5", linestyle=":")
    axes[0].set(xlabel="distinct among 15 draws", ylabel="probability")
    axes[1].set(xlabel="distinct among 15 draws", ylabel="cumulative probability")
    axes[0].legend(frameon=False)
    save(figure, out / "counts.png")


def save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("toys"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    counts(options.out)
    draws(options.out, rng)
    alpha(options.out, rng)
    modes(options.out, rng)


if __name__ == "__main__":
    main()
