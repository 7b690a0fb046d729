"""AUC of a filtered slide's tiles against a table of ink fractions.

    rl2qc filter colorectal_ink_a.tiff --model MODEL --out DIR
    python scripts/evaluate_ink.py DIR/colorectal_ink_a/tiles.csv colorectal_ink_a.csv

The ink of a tile is the area-weighted mean over the table's cells (256 px at level 0) that it
overlaps. Tiles with more ink than each limit stand against tiles without any. Where the tiles have
the shares of a map, those of ink and pen are ranked beside the ink, and so is the ink itself as a
map would rank it that shows all of it, but in no tile less than one of its cells.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from rl2qc.stats.auc import auc

CELL = 256
# Share of a tile of 224 px that one cell of its map covers, 8 px a side.
A_CELL = (8 / 224) ** 2


def read(path: Path) -> np.ndarray:
    return np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="utf-8")


def ink_fractions(tiles: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Ink of each tile; cells that the table leaves out hold none."""
    x, y = truth["x"].astype(float), truth["y"].astype(float)
    ink = np.empty(len(tiles))
    for i, tile in enumerate(tiles):
        left, top = float(tile["x"]), float(tile["y"])
        right, bottom = left + float(tile["width"]), top + float(tile["height"])
        wide = (np.minimum(right, x + CELL) - np.maximum(left, x)).clip(0)
        high = (np.minimum(bottom, y + CELL) - np.maximum(top, y)).clip(0)
        area = wide * high
        ink[i] = (area * truth["green_ink_fraction"]).sum() / ((right - left) * (bottom - top))
    return ink


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tiles", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--column", default="log_likelihood")
    parser.add_argument("--limits", type=float, nargs="+", default=[0.01, 0.1])
    options = parser.parse_args()

    tiles = read(options.tiles)
    ink = ink_fractions(tiles, read(options.truth))
    scores = tiles[options.column].astype(float)
    clean = ink == 0
    for limit in options.limits:
        inked = ink > limit
        found = auc(scores[clean], scores[inked])
        print(
            f"{options.column}: ink > {limit:.0%} ({inked.sum()} tiles) against none "
            f"({clean.sum()}): AUC {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
        )
    kept = tiles["keep"].astype(bool)
    print(f"kept: {kept[clean].sum()} of {clean.sum()} without ink")
    for low, high in zip(options.limits, [*options.limits[1:], 1.0], strict=True):
        inked = (ink > low) & (ink <= high)
        found = auc(scores[clean], scores[inked])
        print(
            f"ink {low:.0%} to {high:.0%}: {(~kept)[inked].sum()} of {inked.sum()} rejected, "
            f"AUC {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
        )
    names = set(tiles.dtype.names or ()) & {"share_ink", "share_pen"}
    if names:
        rank = spearmanr(np.sum([tiles[name] for name in names], axis=0), ink).statistic
        most = spearmanr(np.where(ink < A_CELL, 0, ink), ink).statistic
        print(
            f"share of ink and pen in the map: Spearman {rank:.3f} with the ink ({len(ink)} tiles; "
            f"{most:.3f} at most, where less than a cell is not seen)"
        )


if __name__ == "__main__":
    main()
