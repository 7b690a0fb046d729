"""How many clean tiles hold hues that no stain has: what the limits of a sure rejection rest on.

    python scripts/evaluate_odd_hue.py DATA
    python scripts/evaluate_odd_hue.py DATA --drawn

DATA is a folder with clean/: laboratories by folder, as scripts/teach_general.py reads them.
Images are cut to tiles of 224 px. Prints, for each laboratory in which three quarters of the tiles
hold practically none, how many exceed the usual by each limit, and what the rule then rejects; the
others are named, since the rule says nothing of them. ``--drawn`` prints, for each class of the
drawings that teach, in what share of them the rule finds such a hue, 150 drawings a laboratory.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from evaluate_general import AsTheyAre
from general_sets import lab_tiles
from laboratories import lab_folders, read_image
from numpy.typing import NDArray
from teaching_views import read_cutouts

from rl2qc.images.odd_hue import hue_p_values
from rl2qc.images.quantities import measure_quantities
from rl2qc.images.quantity_names import QUANTITIES
from rl2qc.synthetic.teaching import CLASSES

SIDE, DRAWN = 224, 150
LIMITS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02)
KINDS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}


def tiles(folder: Path, lab: str) -> Iterator[NDArray[np.uint8]]:
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in KINDS):
        image = read_image(path, lab)
        height, width = image.shape[:2]
        if min(height, width) < SIDE:
            yield image
        for top in range(0, min(height - SIDE, SIDE) + 1, SIDE):
            for left in range(0, min(width - SIDE, SIDE) + 1, SIDE):
                yield image[top : top + SIDE, left : left + SIDE]


def print_drawn(data: Path) -> None:
    """Share of the drawings of each class that bring such a hue beyond doubt."""
    cutouts = read_cutouts(data / "artifacts/cutouts")
    found: dict[str, list[bool]] = {}
    for number, lab in enumerate(sorted(lab_folders(data))):
        plain = lab_tiles(data, lab, most=60)
        usual = measure_quantities(plain)[:, QUANTITIES.index("odd_hue")]
        if len(usual) < 20 or np.quantile(usual, 0.75) > 0.001:
            continue
        rng = np.random.default_rng((5, number))
        lessons, drawn = AsTheyAre({lab: plain}, cutouts, SIDE, 1), 0
        while drawn < DRAWN:
            view = lessons.view(rng)
            if not view.level.any():
                continue
            drawn += 1
            (row,) = measure_quantities([view.image])
            share = row[QUANTITIES.index("odd_hue")]
            kind = CLASSES[int(view.level.sum((1, 2)).argmax())]
            found.setdefault(kind, []).append(bool(hue_p_values([*usual, share])[-1] < 1))
    for kind in CLASSES:
        print(f"{kind:16}{np.mean(found[kind]):6.2f}  n {len(found[kind])}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--drawn", action="store_true", help="what drawings of damage bring")
    options = parser.parse_args()
    if options.drawn:
        return print_drawn(options.data)
    at = QUANTITIES.index("odd_hue")
    shares, silent = [], []
    print(f"{'laboratory':24}{'tiles':>7}" + "".join(f"{f'> {x:.1%}':>8}" for x in LIMITS))
    for lab, folder in lab_folders(options.data).items():
        odd = measure_quantities(tiles(folder, lab))[:, at]
        usual = np.quantile(odd, 0.75)
        if usual > 0.001:
            silent.append(lab)
            continue
        counts = [int((odd - usual > x).sum()) for x in LIMITS]
        print(f"{lab:24}{len(odd):7}" + "".join(f"{c:8}" for c in counts))
        shares.append((len(odd), counts, int((hue_p_values(odd) < 1).sum())))
    total = sum(n for n, _, _ in shares)
    sums = np.sum([c for _, c, _ in shares], axis=0)
    print(f"{'all':24}{total:7}" + "".join(f"{c:8}" for c in sums))
    print(f"rejected by the rule: {sum(r for _, _, r in shares)} of {total}")
    print(f"said nothing of: {', '.join(silent)}")


if __name__ == "__main__":
    main()
