"""RL2, AUC and kept share over the degradation ladders, on images unseen in training.

    python scripts/benchmark_ladders.py ../shared/data/clean/colorectal/test --model histology

For each severity: RL2 between the clean images and their degraded copies, the AUC (clean against
degraded) of the filter's score and of the log-likelihood, and the share that the filter keeps at
alpha 0.05. The first row is the clean images themselves, its RL2 that between their two halves.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from rl2qc.images.degrade import LADDERS, degrade
from rl2qc.images.sources import as_source
from rl2qc.metrics.rl2 import rl2
from rl2qc.model.backbone import POOLED
from rl2qc.model.quality import QualityModel


def auc(clean: np.ndarray, degraded: np.ndarray) -> float:
    labels = np.r_[np.ones(len(clean)), np.zeros(len(degraded))]
    return float(roc_auc_score(labels, np.r_[clean, degraded]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="+", help="folders, files or globs of clean images")
    parser.add_argument("--model", default="histology")
    parser.add_argument("--n", type=int, default=300, help="a random subset of this many images")
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    model = QualityModel.load(options.model)
    source = as_source(options.images, model.patch_size)
    if options.n < len(source):
        source = source.sample(options.n, options.seed)
    images = [source[i] for i in range(len(source))]

    def measure(stack: list[np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        statistics = model.statistics(np.stack(stack))
        return model.latents_of_features(statistics[:, POOLED]), model.judge(statistics)

    latents, judged = measure(images)
    half = np.random.default_rng(options.seed).permutation(len(images)) < len(images) // 2
    floor = rl2(latents[half], latents[~half]).value
    kept = float((judged["p_value"] > options.alpha).mean())
    print(f"{len(images)} images of {model.patch_size} px, model {model.name} {model.sha256[:12]}")
    print(f"{'ladder':<18}{'severity':>9}{'RL2':>9}{'AUC':>8}{'log p':>8}{'kept':>7}")
    print(f"{'clean':<18}{'':>9}{floor:>9.2f}{'':>16}{kept:>7.1%}", flush=True)
    results: dict[str, dict[str, object]] = {
        "clean": {"n": len(images), "rl2_halves": floor, "kept": kept}
    }
    for name, ladder in LADDERS.items():
        distances, areas, likelihood_areas, shares = [], [], [], []
        for severity in tqdm(ladder.severities, desc=name, leave=False):
            rng = np.random.default_rng(options.seed)
            other, other_judged = measure([degrade(i, name, severity, rng) for i in images])
            distances.append(rl2(latents, other).value)
            areas.append(auc(judged["score"], other_judged["score"]))
            likelihood_areas.append(auc(judged["log_likelihood"], other_judged["log_likelihood"]))
            shares.append(float((other_judged["p_value"] > options.alpha).mean()))
        for row in zip(ladder.severities, distances, areas, likelihood_areas, shares, strict=True):
            print(f"{name:<18}{row[0]:>9g}{row[1]:>9.2f}{row[2]:>8.4f}{row[3]:>8.4f}{row[4]:>7.1%}")
        rho = float(spearmanr(range(len(distances)), distances).statistic)
        print(f"{name:<18}Spearman of RL2 with severity {rho:.2f}", flush=True)
        results[name] = {
            "severity": list(ladder.severities),
            "rl2": distances,
            "auc": areas,
            "auc_log_likelihood": likelihood_areas,
            "kept": shares,
            "spearman": rho,
        }
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
