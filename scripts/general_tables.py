"""Tables of the evaluation of scripts/evaluate_general.py, from the evidence that it keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from general_judge import Judge, adapted, masks
from general_sets import KINDS, REASONS
from numpy.typing import NDArray
from scipy.stats import beta, spearmanr

from rl2qc.stats.auc import auc
from rl2qc.synthetic.teaching import CLASSES

__all__ = ["print_tables"]

Arrays = dict[str, NDArray[Any]]
Figures = dict[str, Any]
# Of the regressions; chosen on fold 0 among 0.001 to 1.
PENALTY = 0.1
SHARES = (0.0, 0.1, 0.3)
# Damage that is mixed into a laboratory's tiles.
_MIXED = [k for k in KINDS if not k.startswith("pasted")]
_LOCAL = [k for k in KINDS if k.endswith("%")]


def print_tables(folds: dict[str, Arrays], penalty: float = PENALTY) -> Figures:
    """Print every table; the figures by table and row."""
    figures: Figures = {}
    judges = {name: judge_of(found, penalty) for name, found in folds.items()}
    scored = {name: score_all(found, judges[name]) for name, found in folds.items()}
    figures["auc"] = table_of_areas(scored)
    figures["kept"] = table_of_kept(folds, judges, scored)
    figures["dice"] = table_of_dice(folds, judges)
    figures["reasons"] = table_of_reasons(folds, judges, scored)
    figures["real"] = table_of_real(scored)
    figures["slide"] = table_of_slide(folds, judges, scored)
    return figures


def part(found: Arrays, name: str) -> Arrays:
    return {k: found[f"{name}|{k}"] for k in ("map", "head", "kind") if f"{name}|{k}" in found}


def judge_of(found: Arrays, penalty: float) -> Judge:
    """Taught on the teaching laboratories of a fold."""
    labs = {key.split(":")[1] for key in found if key.startswith("teach:")}
    sets = ("clean", "damaged", "plain")
    parts = {lab: {s: part(found, f"teach:{lab}:{s}") for s in sets} for lab in sorted(labs)}
    return Judge.fit(parts, penalty)


def score_all(found: Arrays, judge: Judge) -> dict[str, Arrays]:
    """Scores of the network ("new") and of the shipped model ("now") by name; higher is worse."""
    names = [key.removesuffix("|map") for key in found if key.endswith("|map")]
    new = {name: judge.scores(found[f"{name}|map"], found[f"{name}|head"]) for name in names}
    now = {name: -found[f"{name}|shipped"] for name in names if f"{name}|shipped" in found}
    return {"new": new, "now": now}


def labs_of(scores: Arrays, folder: str) -> list[str]:
    return sorted({k.split(":")[1] for k in scores if k.startswith(f"{folder}:")})


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


def share_interval(k: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval."""
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return low, high


def mixture(
    scores: Arrays, lab: str, folder: str, share: float, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Scores of clean tiles, some swapped for damaged ones of any kind; which are clean."""
    clean = scores[f"{folder}:{lab}:clean"]
    damaged = np.concatenate([scores[f"{folder}:{lab}:{kind}"] for kind in _MIXED])
    swap = rng.permutation(len(clean)) < round(share * len(clean))
    return np.where(swap, rng.choice(damaged, len(clean)), clean), ~swap


def table_of_kept(
    folds: dict[str, Arrays], judges: dict[str, Judge], scored: dict[str, dict[str, Arrays]]
) -> Figures:
    """Share of clean tiles kept at alpha 0.05 by laboratory: raw, and adapted to mixtures."""
    figures: Figures = {}
    print("\nclean kept at alpha .05: raw; adapted to mixtures with 0, 10, 30 % damaged; n")
    sums = np.zeros((2, 1 + len(SHARES)))
    for fold, judge in judges.items():
        scores = scored[fold]["new"]
        for lab in labs_of(scores, "out"):
            clean = scores[f"out:{lab}:clean"]
            kept = [(clean <= judge.raw_limit).mean()]
            counts = [(clean <= judge.raw_limit).sum()]
            for share in SHARES:
                repeats = []
                for seed in range(1 if share == 0 else 20):
                    rng = np.random.default_rng((9, seed))
                    tiles, good = mixture(scores, lab, "out", share, rng)
                    repeats.append((adapted(tiles, tiles, judge.prior)[good] <= judge.limit).mean())
                kept.append(float(np.mean(repeats)))
                counts.append(round(kept[-1] * len(clean)))
            low, high = share_interval(int(counts[1]), len(clean))
            sums += np.array([counts, [len(clean)] * len(counts)])
            print(
                f"  {lab:20}" + "".join(f" {k:.2f}" for k in kept) + f"  n {len(clean)}"
                f"  [{low:.2f}, {high:.2f}]"
            )
            figures[lab] = {"raw": kept[0], "adapted": kept[1:], "n": len(clean)}
    if sums[1, 0]:
        pooled = sums[0] / sums[1]
        print(f"  {'pooled':20}" + "".join(f" {k:.3f}" for k in pooled) + f"  n {sums[1, 0]:.0f}")
        figures["pooled"] = pooled.tolist()
    return figures


def table_of_dice(folds: dict[str, Arrays], judges: dict[str, Judge]) -> Figures:
    """Dice of the strongest evidence above its limit against the drawn masks, cells of 8 px."""
    print("\nDice against drawn masks (mean over tiles); clean cells that are flagged")
    figures: Figures = {}
    for kind in _LOCAL:
        found = {}
        for fold, judge in judges.items():
            for key in folds[fold]:
                if key.startswith("out:") and key.endswith(f":{kind}|mask"):
                    truth, lab = folds[fold][key], key.split(":")[1]
                    limits = judge.cell_limits(folds[fold][f"out:{lab}:clean|map"])
                    drawn = masks(folds[fold][key.replace("|mask", "|map")], limits)
                    both = 2 * (truth & drawn).sum((1, 2))
                    total = truth.sum((1, 2)) + drawn.sum((1, 2))
                    found[lab] = float((both / np.maximum(total, 1)).mean())
        if found:
            least = min(found, key=lambda lab: found[lab])
            print(f"  {kind:20} {np.mean(list(found.values())):.3f} ({found[least]:.3f} {least})")
            figures[kind] = found
    flagged = {}
    for fold, judge in judges.items():
        for key in folds[fold]:
            if key.startswith("out:") and key.endswith(":clean|map"):
                drawn = masks(folds[fold][key], judge.cell_limits(folds[fold][key]))
                flagged[key.split(":")[1]] = float(drawn.mean())
    if figures:
        mean = np.mean([np.mean(list(f.values())) for f in figures.values()])
        print(
            f"  mean over kinds {mean:.3f}; flagged: "
            + ", ".join(f"{lab} {share:.3f}" for lab, share in flagged.items())
        )
    figures["flagged"] = flagged
    return figures


def table_of_reasons(
    folds: dict[str, Arrays], judges: dict[str, Judge], scored: dict[str, dict[str, Arrays]]
) -> Figures:
    """Share of rejected damaged tiles whose class is right, adapted to the clean laboratory."""
    print("\nreasons right among rejected; rejected share; what is said")
    figures: Figures = {}
    for kind in KINDS:
        right, rejected, count = 0, 0, 0
        said: dict[str, int] = dict.fromkeys(CLASSES, 0)
        wanted = REASONS[kind if kind.startswith("pasted") else kind.split()[0]]
        for fold, judge in judges.items():
            scores = scored[fold]["new"]
            for lab in labs_of(scores, "out"):
                name = f"out:{lab}:{kind}"
                clean = scores[f"out:{lab}:clean"]
                out = adapted(scores[name], clean, judge.prior) > judge.limit
                maps, heads = folds[fold][f"{name}|map"], folds[fold][f"{name}|head"]
                for bad, reason in zip(out, judge.reasons(maps, heads), strict=True):
                    right += bool(bad and reason in wanted)
                    said[reason] += int(bad)
                rejected, count = rejected + int(out.sum()), count + len(out)
        if count:
            top = sorted(said.items(), key=lambda item: -item[1])[:3]
            shares = ", ".join(f"{c} {n / max(rejected, 1):.2f}" for c, n in top)
            print(f"  {kind:20} {right / max(rejected, 1):.2f}  {rejected / count:.2f}  {shares}")
            figures[kind] = {"right": right / max(rejected, 1), "rejected": rejected / count}
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


def table_of_slide(
    folds: dict[str, Arrays], judges: dict[str, Judge], scored: dict[str, dict[str, Arrays]]
) -> Figures:
    """The inked slide, adapted to its own tiles."""
    print("\ninked slide: AUC ink > 10 %, 1-10 %; rejected of each; clean kept, raw; Spearman")
    figures: Figures = {}
    dyes = [CLASSES.index("ink"), CLASSES.index("pen")]
    for fold, found in folds.items():
        if "slide|ink" not in found:
            continue
        ink, judged = found["slide|ink"], found["slide|tissue"] >= 0.1
        clean, some = judged & (ink == 0), judged & (ink > 0.01) & (ink <= 0.1)
        much, judge = judged & (ink > 0.1), judges[fold]
        for side, scores in scored[fold].items():
            if "slide" not in scores:
                continue
            s = scores["slide"]
            row = {"much": area(s[clean], s[much]), "some": area(s[clean], s[some])}
            if side == "new":
                out = adapted(s, s[judged], judge.prior) > judge.limit
                limits = judge.cell_limits(found["slide|map"][judged])[dyes]
                share = masks(found["slide|map"][:, dyes], limits).mean((1, 2))
                row |= {
                    "much rejected": float(out[much].mean()),
                    "some rejected": float(out[some].mean()),
                    "kept": 1 - float(out[clean].mean()),
                    "kept raw": float((s[clean] <= judge.raw_limit).mean()),
                    "spearman": float(spearmanr(share[judged], ink[judged]).statistic),
                }
            counts = f"n {clean.sum()}, {some.sum()}, {much.sum()}"
            print(f"  {fold} {side} " + " ".join(f"{v:.3f}" for v in row.values()), counts)
            figures[f"{fold} {side}"] = row
    return figures
