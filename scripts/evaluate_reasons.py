"""Confusion table of the reasons that are named for damaged patches.

    python scripts/evaluate_reasons.py ../shared/data

Half of the clean training patches of clean/colorectal are the reference; the other half is damaged
in known ways. The real artifacts of artifacts/pen are judged against clean patches of both organs,
and those of artifacts/ink_prostate against clean/prostate. Every damaged patch counts as rejected,
whatever a model would say. With --procedural, the ranges of procedural tissue are printed instead,
which stand in rl2qc/images/reasons.py.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rl2qc.images.quantities import measure_quantities
from rl2qc.images.reasons import PROCEDURAL, REASONS, ReferenceQuantities, likely_reasons
from rl2qc.images.sources.base import center_crop
from rl2qc.images.sources.files import list_images, read_image
from rl2qc.synthetic.corruptions import corrupt
from rl2qc.synthetic.tissue import Stain, synthetic_patches

Image = NDArray[np.uint8]
Damage = Callable[[Image, np.random.Generator], Image]

SIDE = 224
# Scanners of procedural tissue: slightly soft (sigma in px), and noisy (share of the grey levels).
SCANNERS = ((0.0, 0.0), (0.6, 0.0), (0.0, 0.02))


def corruption(name: str, share: float) -> Damage:
    return lambda image, rng: corrupt(image, name, share, rng)


def pale(image: Image, rng: np.random.Generator) -> Image:
    """A fifth of the stain."""
    return np.asarray(255 - (255 - image.astype(np.float64)) * 0.2, np.uint8)


def white(image: Image, rng: np.random.Generator) -> Image:
    """Tissue in a corner of the glass."""
    covered = np.full_like(image, 243)
    corner = image.shape[0] // 4
    covered[:corner, :corner] = image[:corner, :corner]
    return covered


DAMAGES: Mapping[str, tuple[str, Damage]] = {
    "blur 1 px": ("out of focus", corruption("blur", 1)),
    "blur 2 px": ("out of focus", corruption("blur", 2)),
    "blur 4 px": ("out of focus", corruption("blur", 4)),
    "out of focus, half": ("out of focus", corruption("out_of_focus", 0.5)),
    "ink 5 %": ("ink or pen", corruption("ink", 0.05)),
    "ink 30 %": ("ink or pen", corruption("ink", 0.3)),
    "pen 30 %": ("ink or pen", corruption("pen", 0.3)),
    "fold 30 %": ("fold or dark", corruption("fold", 0.3)),
    "rectangles 5 %": ("fold or dark", corruption("rectangles", 0.05)),
    "rectangles 20 %": ("fold or dark", corruption("rectangles", 0.2)),
    "pale": ("pale or background", pale),
    "glass": ("pale or background", white),
    "noise .05": ("noise or compression", corruption("noise", 0.05)),
    "noise .1": ("noise or compression", corruption("noise", 0.1)),
    "salt and pepper 5 %": ("noise or compression", corruption("salt_and_pepper", 0.05)),
    "JPEG quality 20": ("noise or compression", corruption("jpeg", 20)),
    "JPEG quality 5": ("noise or compression", corruption("jpeg", 5)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="folder with clean/ and artifacts/")
    parser.add_argument("--procedural", action="store_true")
    parser.add_argument("--patches", type=int, default=200, help="damaged in each way")
    options = parser.parse_args()
    if options.procedural:
        print_procedural()
    elif options.data is None:
        parser.error("name the folder of the data")
    else:
        print_confusion(options.data, options.patches)


def print_procedural(patches: int = 20, stains: int = 12) -> None:
    """The ranges of procedural tissue over stains and scanners."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(stains):
        drawn = synthetic_patches(patches, SIDE, rng, stain=Stain.sample(rng, spread=2.0))
        for blur, noise in SCANNERS:
            scanned = [corrupt(p, "blur", blur, rng) if blur else p for p in drawn]
            scanned = [corrupt(p, "noise", noise, rng) if noise else p for p in scanned]
            rows.append(measure_quantities(scanned))
    reference = ReferenceQuantities.fit(np.concatenate(rows))
    for name, values in reference.state().items():
        print(f"{name}=np.array({[round(float(v), 3) for v in values]}),")


def print_confusion(data: Path, patches: int) -> None:
    rng = np.random.default_rng(0)
    colorectal = measured(data / "clean/colorectal/train", rng)
    half = len(colorectal[0]) // 2
    reference, others = colorectal[1][:half], colorectal[0][half:]
    prostate = measured(data / "clean/prostate/train", rng)[1]

    started = time.process_time()
    measure_quantities(others[:200])
    spent = (time.process_time() - started) / len(others[:200])
    print(f"{1e3 * spent:.2f} ms of processor time a patch of {SIDE} px")
    print(f"{'':24} {'n':>4}  " + "  ".join(f"{reason[:12]:>12}" for reason in REASONS))
    own = ReferenceQuantities.fit(reference)
    for title, ranges in (("own reference", own), ("no reference known", PROCEDURAL)):
        print(f"clean/colorectal/train, {title}")
        right = []
        for name, (truth, damage) in DAMAGES.items():
            damaged = measure_quantities([damage(image, rng) for image in others[:patches]])
            counts = count(damaged, ranges)
            right.append(counts[truth] / len(damaged))
            row(name, counts, truth)
        row("(clean)", count(colorectal[1][half : half + patches], ranges), "")
        print(f"mean over the kinds of damage: {np.mean(right):.1%} right")
    both = ReferenceQuantities.fit(np.concatenate([colorectal[1], prostate]))
    for folder, ranges in (
        ("pen", both),
        ("ink_prostate", ReferenceQuantities.fit(prostate)),
    ):
        found = measured(data / "artifacts" / folder, rng)[1]
        row(f"artifacts/{folder}", count(found, ranges), "ink or pen")


def measured(folder: Path, rng: np.random.Generator) -> tuple[list[Image], NDArray[np.float64]]:
    """The images of a folder in random order, cut to one size, and their quantities."""
    files = list_images(folder)
    images = [read_image(files[i]) for i in rng.permutation(len(files))]
    patches = [center_crop(image, min(SIDE, *image.shape[:2])) for image in images]
    return patches, measure_quantities(patches)


def count(quantities: NDArray[np.float64], reference: ReferenceQuantities) -> Counter[str]:
    rejected = np.zeros(len(quantities), np.bool_)
    return Counter(likely_reasons(quantities, rejected, reference).tolist())


def row(name: str, counts: Mapping[str, int], truth: str) -> None:
    total = sum(counts.values())
    cells = (
        f"{counts.get(reason, 0) / total:>11.0%}{'*' if reason == truth else ' '}"
        for reason in REASONS
    )
    print(f"{name:24} {total:>4}  " + "  ".join(cells))


if __name__ == "__main__":
    main()
