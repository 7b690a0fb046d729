"""Reference and test on one slide: fit to the clean cells of one half, judge the other half.

    python scripts/evaluate_own_slide.py colorectal_ink_a.tiff colorectal_ink_a.csv

The table gives ink and tissue of cells of 256 px at level 0. Cells without ink and with tissue are
clean; those of the right half train, those of the left half are judged beside degraded copies of
themselves and the inked cells there. AUC with its 95 % interval, for every score.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import openslide
from evaluate_ink import CELL, read

from rl2qc.model.calibration import conformal_p_values
from rl2qc.model.detectors.base import FILTER_SCORE
from rl2qc.model.quality import QualityModel
from rl2qc.stats.auc import auc
from rl2qc.synthetic.corruptions import corrupt

DEGRADED = (("blur", 1), ("blur", 2), ("noise", 0.05), ("salt_and_pepper", 0.05))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("slide", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--backbone", default="histology")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    cells = read(options.truth)
    ink, tissue = cells["green_ink_fraction"], cells["tissue_fraction"] > 0.3
    with openslide.OpenSlide(options.slide) as slide:
        right = cells["x"] >= slide.dimensions[0] / 2

        def pixels(chosen: np.ndarray) -> np.ndarray:
            return np.stack(
                [
                    np.asarray(
                        slide.read_region((int(c["x"]), int(c["y"])), 0, (CELL, CELL)).convert(
                            "RGB"
                        )
                    )
                    for c in cells[chosen]
                ]
            )

        reference = pixels(tissue & (ink == 0) & right)
        clean = pixels(tissue & (ink == 0) & ~right)
        sets = {
            "ink > 10 %": pixels((ink > 0.1) & ~right),
            "ink 1-10 %": pixels((ink > 0.01) & (ink <= 0.1) & ~right),
        }
    for name, severity in DEGRADED:
        rng = np.random.default_rng(options.seed)
        sets[f"{name} {severity:g}"] = np.stack([corrupt(c, name, severity, rng) for c in clean])

    model = QualityModel.fit(reference, backbone=options.backbone, seed=options.seed)
    scores = model.detectors_.names
    judged = model.detectors_(model.statistics(clean), scores)
    p_values = conformal_p_values(judged[FILTER_SCORE], model.calibration_[FILTER_SCORE])
    print(
        f"{len(reference)} reference cells, {len(clean)} clean cells judged, "
        f"{(p_values > 0.05).mean():.1%} kept"
    )
    for name, images in sets.items():
        other = model.detectors_(model.statistics(images), scores)
        print(f"{name}, n {len(images)}")
        for score in scores:
            # Degraded cells are copies of the clean ones.
            found = auc(judged[score], other[score], paired="ink" not in name)
            print(f"  {score:<16}{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")


if __name__ == "__main__":
    main()
