"""What a model loses that learnt from patches which nobody sorted.

    python scripts/evaluate_uncurated.py D/clean/labs/lc25000_lung D/slides/colorectal_ink_a.tiff \
        D/clean/labs/crc_val_7k D/clean/labs/mitos12_breast [--count 200] [--shares .1,.3]

Of a slide, the cells of its table (``.csv`` beside it) without ink and with half their area of
tissue; of a folder, patches of ``--size`` px, smaller where those are fewer than 200. A part of
the reference is damaged (:func:`rl2qc.synthetic.damage.random_damage`); models are trained on it
sorted (the clean patches alone), as it is, and with ``--uncurated``, and judge patches of other
images that took no part, clean against damaged by kinds drawn apart. What uncurated loses of AUC
is by kind; its interval is by resampling of the patches.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from evaluate_ink import read as read_table
from laboratories import read_image
from numpy.typing import NDArray

import rl2qc
from rl2qc.model.calibration import conformal_p_values
from rl2qc.slides.readers.base import is_slide, open_slide
from rl2qc.stats.auc import auc
from rl2qc.synthetic import artifacts
from rl2qc.synthetic.corruptions import corrupt
from rl2qc.synthetic.damage import random_damage

_UNSEEN, _CELL, _RESAMPLES, _ALPHA = 60, 256, 500, 0.05
_SIZES, _FEW = (224, 160, 128, 112), 200


def patches_of(place: Path, size: int, wanted: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Clean patches (n, size, size, 3), and the image, or cell, that each was cut from."""
    if is_slide(place):
        table = read_table(place.with_suffix(".csv"))
        clean = table[(table["green_ink_fraction"] == 0) & (table["tissue_fraction"] >= 0.5)]
        left = (_CELL - size) // 2
        with open_slide(place) as slide:
            cells = [
                slide.read_region(int(c["x"]) + left, int(c["y"]) + left, (size, size)).rgb
                for c in clean
            ]
        return np.stack(cells), [str(i) for i in range(len(cells))]
    files = sorted(p for p in place.rglob("*") if p.is_file())
    whole = [read_image(file, place.name) for file in files]
    for side in [s for s in _SIZES if s <= size]:
        found, groups = [], []
        for name, pixels in zip(map(str, files), whole, strict=True):
            for y in range(0, pixels.shape[0] - side + 1, side):
                for x in range(0, pixels.shape[1] - side + 1, side):
                    found.append(pixels[y : y + side, x : x + side])
                    groups.append(name)
        if len(found) >= min(wanted, _FEW):
            break
    return np.stack(found), groups


def apart(groups: list[str], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which patches (n,) take no part in training: whole images, until there are enough."""
    unseen = np.zeros(len(groups), np.bool_)
    for name in rng.permutation(sorted(set(groups))):
        if unseen.sum() >= _UNSEEN:
            break
        unseen |= np.array(groups) == name
    return unseen


def kinds(images: NDArray[np.uint8], rng: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
    """Damaged copies of unseen patches."""
    found = {"blur 2 px": np.stack([corrupt(i, "blur", 2.0, rng) for i in images])}
    for name in ("ink", "fold", "thread", "bubble"):
        draw = getattr(artifacts, name)
        found[name] = np.stack([draw(i, 0.1, rng).image for i in images])
    return found


class Judged:
    """P-values of unseen patches, clean and damaged."""

    def __init__(
        self,
        model: rl2qc.QualityModel,
        clean: NDArray[np.uint8],
        damaged: dict[str, NDArray[np.uint8]],
    ) -> None:
        # The score that p-values come of has no ties where these saturate.
        name = model.filter_score
        calibration = model.calibration_[name]
        self.clean = model.score_samples(clean, name)
        self.damaged = {kind: model.score_samples(images, name) for kind, images in damaged.items()}
        self.kept = float(np.mean(conformal_p_values(self.clean, calibration) > _ALPHA))
        found = conformal_p_values(np.concatenate([*self.damaged.values()]), calibration)
        self.rejected = float(np.mean(found <= _ALPHA))

    def aucs(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of each kind, on these rows."""
        own = self.clean[rows]
        return np.array([auc(own, each[rows]).value for each in self.damaged.values()])

    def __str__(self) -> str:
        found = self.aucs(np.arange(len(self.clean)))
        words = ", ".join(f"{n} {v:.3f}" for n, v in zip(self.damaged, found, strict=True))
        return (
            f"kept {self.kept:.2f}, rejected {self.rejected:.2f}, AUC {found.mean():.3f}: {words}"
        )


def lost(sorted_: Judged, other: Judged) -> str:
    """What the mean AUC loses, with an interval, and the worst kind."""
    rng, rows = np.random.default_rng(0), np.arange(len(sorted_.clean))
    by_kind = sorted_.aucs(rows) - other.aucs(rows)
    draws = [rng.choice(rows, len(rows)) for _ in range(_RESAMPLES)]
    means = [(sorted_.aucs(draw) - other.aucs(draw)).mean() for draw in draws]
    low, high = np.quantile(means, [0.025, 0.975])
    worst = list(sorted_.damaged)[int(by_kind.argmax())]
    return (
        f"loses {by_kind.mean():+.3f} [{low:+.3f}, {high:+.3f}], most {worst} {by_kind.max():+.3f}"
    )


def trained(patches: NDArray[np.uint8], given: argparse.Namespace, **options: Any) -> Any:
    """A model."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "m.safetensors"
        return rl2qc.train(
            patches, out, mpp=0.5, epochs=20, backbone=given.backbone, patch_size=None, **options
        )


def evaluate(place: Path, given: argparse.Namespace) -> None:
    """Print a line a share and way."""
    rng = np.random.default_rng(0)
    images, groups = patches_of(place, given.size, given.count + _UNSEEN)
    held = apart(groups, rng)
    unseen = images[held][rng.permutation(int(held.sum()))[:_UNSEEN]]
    rows = rng.permutation(np.flatnonzero(~held))[: given.count]
    reference, owners = images[rows], [groups[i] for i in rows]
    damaged = kinds(unseen, rng)
    print(f"{place.name}: {len(rows)} patches of {images.shape[1]} px", flush=True)
    for share in map(float, given.shares.split(",")):
        bad = np.arange(len(reference)) < round(share * len(reference))
        mixed = reference.copy()
        for row in np.flatnonzero(bad):
            mixed[row] = random_damage(reference[row], rng)
        clean = [owner for owner, is_bad in zip(owners, bad, strict=True) if not is_bad]
        ways: dict[str, tuple[NDArray[np.uint8], dict[str, Any]]] = {
            "sorted": (mixed[~bad], {"groups": clean}),
            "as it is": (mixed, {"groups": owners}),
            "uncurated": (mixed, {"groups": owners, "uncurated": True}),
        }
        first = None
        for way, (patches, options) in ways.items():
            if given.way and way not in given.way.split(","):
                continue
            model = trained(patches, given, **options)
            judged = Judged(model, unseen, damaged)
            first = judged if way == "sorted" else first
            said = "".join(w.split(" look")[0] for w in model.warnings_ if "not learnt from" in w)
            told = "" if first is None or way == "sorted" else lost(first, judged)
            print(f"  {share:.0%} {way:10} {judged}; {told} {said}", flush=True)


def main() -> None:
    """Print a line a set, share of damage and way of training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--shares", default=".1,.3")
    parser.add_argument("--backbone", default="general")
    parser.add_argument("--way", help="Of sorted, as it is, uncurated; all of them without.")
    given = parser.parse_args()
    for place in given.sets:
        evaluate(place, given)


if __name__ == "__main__":
    main()
