"""Tables of the evaluation of scripts/evaluate_general.py, from the evidence that it keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from general_fold import Arrays, Fold, labs_of
from general_sets import KINDS, REASONS
from numpy.typing import NDArray
from scipy.stats import binomtest, spearmanr

from rl2qc.stats.adaptation import judge, judge_own, unadapted
from rl2qc.stats.auc import auc
from rl2qc.synthetic.teaching import CLASSES

__all__ = ["print_tables"]

Figures = dict[str, Any]
ALPHA = 0.05
SHARES = (0.0, 0.1, 0.3)
# Damage that is mixed into a laboratory's tiles.
_MIXED = [k for k in KINDS if not k.startswith("pasted")]
_LOCAL = [k for k in KINDS if k.endswith("%")]


def print_tables(folds: dict[str, Arrays]) -> Figures:
    """Print every table; the figures by table and row."""
    judged = {name: Fold(found) for name, found in folds.items()}
    scored = {name: fold.scores() for name, fold in judged.items()}
    return {
        "auc": table_of_areas(scored),
        "kept": table_of_kept(judged),
        "dice": table_of_dice(judged),
        "reasons": table_of_reasons(judged),
        "real": table_of_real(scored),
        "slide": table_of_slide(judged, scored),
    }


def area(clean: NDArray[Any], damaged: NDArray[Any]) -> float:
    return float(auc(-clean, -damaged, n_resamples=0).value)


def table_of_areas(scored: dict[str, dict[str, Arrays]]) -> Figures:
    """AUC of each kind: mean and least over laboratories left out, with their number of tiles."""
    figures: Figures = {}
    for folder in ("out", "always"):
        print(f"\nAUC by kind, laboratories {folder}: mean (least, where); n damaged")
        for kind in KINDS:
            found: dict[str, dict[str, float]] = {"new": {}, "now": {}}
            count = 0
            for sides in scored.values():
                for side, scores in sides.items():
                    for lab in labs_of(scores, folder):
                        clean = scores[f"{folder}:{lab}:clean"]
                        damaged = scores[f"{folder}:{lab}:{kind}"]
                        found[side][lab] = area(clean, damaged)
                        count += len(damaged) * (side == "new")
            if not found["new"]:
                continue
            row = f"  {kind:20}"
            for side, areas in found.items():
                if areas:
                    least = min(areas, key=lambda lab: areas[lab])
                    mean = np.mean(list(areas.values()))
                    row += f" {side} {mean:.3f} ({areas[least]:.3f} {least:19})"
            print(f"{row} n {count}")
            figures[f"{folder} {kind}"] = found
    return figures


def mixture(
    fold: Fold, lab: str, share: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Evidence of clean tiles, some swapped for damaged ones of any kind; which are clean."""
    clean = fold.evidence[f"out:{lab}:clean"]
    damaged = np.concatenate([fold.evidence[f"out:{lab}:{kind}"] for kind in _MIXED])
    swap = rng.permutation(len(clean)) < round(share * len(clean))
    return np.where(swap[:, None], rng.choice(damaged, len(clean)), clean), ~swap


def table_of_kept(folds: dict[str, Fold]) -> Figures:
    """Share of clean tiles kept and of damaged ones rejected, by laboratory.

    Not adapted, and adapted to mixtures, for three values of alpha.
    """
    figures: Figures = {}
    for alpha in (ALPHA, 0.01, 0.001):
        print(f"\nclean kept at alpha {alpha}: raw; adapted with 0, 10, 30 % damaged; n; rejected")
        sums = np.zeros((2, 1 + len(SHARES)))
        for fold in folds.values():
            for lab in labs_of(fold.evidence, "out"):
                clean = fold.evidence[f"out:{lab}:clean"]
                raw = judge(clean, unadapted(fold.prior), fold.prior).p_value
                kept, rejected = [float((raw > alpha).mean())], []
                for share in SHARES:
                    good, bad = [], []
                    for seed in range(1 if share == 0 else 10):
                        tiles, fine = mixture(fold, lab, share, np.random.default_rng((9, seed)))
                        p = judge_own(tiles, fold.prior)[1].p_value
                        good.append((p[fine] > alpha).mean())
                        bad.append((p[~fine] <= alpha).mean() if share else 0)
                    kept.append(float(np.mean(good)))
                    rejected.append(float(np.mean(bad)))
                counts = np.round(np.array(kept) * len(clean))
                low, high = binomtest(int(counts[1]), len(clean)).proportion_ci()
                sums += np.array([counts, [len(clean)] * len(counts)])
                print(
                    f"  {lab:20}" + "".join(f" {k:.2f}" for k in kept) + f"  n {len(clean)}"
                    f"  [{low:.2f}, {high:.2f}]  rejected {rejected[1]:.2f} {rejected[2]:.2f}"
                )
                figures[f"{lab} {alpha}"] = {"kept": kept, "n": len(clean), "rejected": rejected}
        if sums[1, 0]:
            pooled = sums[0] / sums[1]
            low, high = binomtest(int(sums[0, 1]), int(sums[1, 1])).proportion_ci()
            shares = "".join(f" {k:.3f}" for k in pooled)
            print(f"  {'pooled':20}{shares}  n {sums[1, 0]:.0f}  [{low:.3f}, {high:.3f}]")
            figures[f"pooled {alpha}"] = pooled.tolist()
    return figures


def table_of_dice(folds: dict[str, Fold]) -> Figures:
    """Dice of the cells above their limits against the drawn masks, cells of 8 px."""
    print("\nDice against drawn masks (mean over tiles); right class of cells that are found")
    figures: Figures = {}
    clean: dict[str, float] = {}
    classes: dict[str, list[float]] = {}
    for fold in folds.values():
        for lab in labs_of(fold.evidence, "out"):
            clean[lab] = float((fold.mask(f"out:{lab}:clean") > 0).mean())
            for kind in _LOCAL:
                truth, drawn = fold.found[f"out:{lab}:{kind}|mask"], fold.mask(f"out:{lab}:{kind}")
                both = 2 * (truth & (drawn > 0)).sum((1, 2))
                total = truth.sum((1, 2)) + (drawn > 0).sum((1, 2))
                figures.setdefault(kind, {})[lab] = float((both / np.maximum(total, 1)).mean())
                wanted = [CLASSES.index(name) + 1 for name in REASONS[kind.split()[0]]]
                found = drawn[truth & (drawn > 0)]
                classes.setdefault(kind, []).append(float(np.isin(found, wanted).mean()))
    for kind, found in figures.items():
        least = min(found, key=lambda lab: found[lab])
        mean, right = np.mean(list(found.values())), np.nanmean(classes[kind])
        print(f"  {kind:20} {mean:.3f} ({found[least]:.3f} {least}); class {right:.2f}")
    if figures:
        mean = np.mean([np.mean(list(found.values())) for found in figures.values()])
        right = np.mean([np.nanmean(found) for found in classes.values()])
        shares = ", ".join(f"{lab} {share:.3f}" for lab, share in clean.items())
        print(f"  mean over kinds {mean:.3f}; class {right:.2f}; clean cells found: {shares}")
    figures["flagged"] = clean
    return figures


def table_of_reasons(folds: dict[str, Fold]) -> Figures:
    """Share of rejected damaged tiles whose class is right, adapted to the clean laboratory."""
    print("\nreasons right among rejected; rejected share; what is said")
    figures: Figures = {}
    for kind in KINDS:
        wanted = REASONS[kind if kind.startswith("pasted") else kind.split()[0]]
        said, count = [], 0
        for fold in folds.values():
            for lab in labs_of(fold.evidence, "out"):
                reasons = fold.reasons(f"out:{lab}:{kind}")
                out = fold.judge(f"out:{lab}:{kind}").p_value <= ALPHA
                said += [CLASSES[k] for k in reasons[out]]
                count += len(reasons)
        if count:
            right = sum(c in wanted for c in said) / max(len(said), 1)
            often = sorted(set(said), key=lambda c: -said.count(c))[:3]
            shares = ", ".join(f"{c} {said.count(c) / len(said):.2f}" for c in often)
            print(f"  {kind:20} {right:.2f}  {len(said) / count:.2f}  {shares}")
            figures[kind] = {"right": right, "rejected": len(said) / count}
    return figures


def table_of_real(scored: dict[str, dict[str, Arrays]]) -> Figures:
    """Real artifacts against clean tiles of their laboratory (or of all that were left out)."""
    print("\nreal artifacts: AUC against clean tiles of laboratories left out")
    figures: Figures = {}
    homes = {
        "folds and smears of liver_b": "liver_b",
        "real debris": "ucsb_breast",
        "real ink": "crc_histophenotypes",
    }
    for fold, sides in scored.items():
        groups = sorted({k.split(":")[1] for k in sides["new"] if k.startswith("real:")})
        for group in groups:
            labs = labs_of(sides["new"], "out")
            if group in homes:
                if homes[group] not in labs:
                    continue
                labs = [homes[group]]
            row = f"  {fold} {group:30}"
            for side, scores in sides.items():
                names = [k for k in scores if k.startswith(f"real:{group}:")]
                if not names:
                    continue
                bad = np.concatenate([scores[k] for k in names])
                clean = np.concatenate([scores[f"out:{lab}:clean"] for lab in labs])
                result = auc(-clean, -bad)
                row += f"  {side} {result.value:.3f} [{result.low:.2f}, {result.high:.2f}]"
                figures[f"{fold} {group} {side}"] = result.value
            print(f"{row}  n {len(bad)}, {len(clean)}")
    return figures


def table_of_slide(folds: dict[str, Fold], scored: dict[str, dict[str, Arrays]]) -> Figures:
    """The inked slide, adapted to its own tiles."""
    print("\ninked slide: AUC ink > 10 %, 1-10 %; rejected of each; clean kept; Spearman")
    figures: Figures = {}
    dyes = [CLASSES.index("ink") + 1, CLASSES.index("pen") + 1]
    for name, fold in folds.items():
        if "slide|ink" not in fold.found:
            continue
        ink, judged = fold.found["slide|ink"], fold.found["slide|tissue"] >= 0.1
        clean, some = judged & (ink == 0), judged & (ink > 0.01) & (ink <= 0.1)
        much = judged & (ink > 0.1)
        for side, scores in scored[name].items():
            if "slide" not in scores:
                continue
            s = scores["slide"]
            row = {"much": area(s[clean], s[much]), "some": area(s[clean], s[some])}
            if side == "new":
                out = fold.judge("slide").p_value <= ALPHA
                share = np.isin(fold.mask("slide"), dyes).mean((1, 2))
                row |= {
                    "much rejected": float(out[much].mean()),
                    "some rejected": float(out[some].mean()),
                    "kept": 1 - float(out[clean].mean()),
                    "spearman": float(spearmanr(share[judged], ink[judged]).statistic),
                }
            counts = f"n {clean.sum()}, {some.sum()}, {much.sum()}"
            print(f"  {name} {side} " + " ".join(f"{v:.3f}" for v in row.values()), counts)
            figures[f"{name} {side}"] = row
    return figures
