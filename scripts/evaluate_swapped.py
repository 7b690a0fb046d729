"""Whether swapped red and blue channels are told, laboratory by laboratory.

    python scripts/evaluate_swapped.py ../shared/data

Prints of each laboratory the median order of hues of its patches, and the share of 500 draws of ten
patches that are taken for swapped: as they are, and with red and blue swapped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from laboratories import read_laboratories
from numpy.typing import NDArray

from rl2qc.images.hue_order import hue_order, swapped_colours

_DRAWS, _PATCHES, _MOST = 500, 10, 80


def told(orders: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Share of the draws that are taken for swapped."""
    return float(
        np.mean([bool(swapped_colours(rng.choice(orders, _PATCHES))) for _ in range(_DRAWS)])
    )


def main() -> None:
    """Print a line a laboratory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    rng = np.random.default_rng(0)
    for name, images in read_laboratories(parser.parse_args().data).items():
        said = [f"{name:20} n {min(len(images), _MOST):3}"]
        for what, order in (("own", (0, 1, 2)), ("swapped", (2, 1, 0))):
            found = np.array([hue_order(image[..., order]) for image in images[:_MOST]])
            found = found[np.isfinite(found)]
            said.append(f"{what} {np.median(found):5.2f}, told {told(found, rng):.3f}")
        print("   ".join(said))


if __name__ == "__main__":
    main()
