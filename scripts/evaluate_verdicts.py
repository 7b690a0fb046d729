"""How the verdicts on slides fare on a cohort whose truth is known: a confusion table.

Slides are drawn: clean ones, and one of each kind of trouble. ``--clean FOLDER`` lays them out of
real clean tiles in place of procedural tissue; a folder is one laboratory, so several may be given.

    python scripts/evaluate_verdicts.py --out /tmp/verdicts
    python scripts/evaluate_verdicts.py --out /tmp/labs --clean labs/glas --clean labs/liver_b
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import rl2qc
from rl2qc.core.text import layout
from rl2qc.filtering.verdict import VERDICTS
from rl2qc.synthetic.corruptions import CORRUPTIONS, corrupt
from rl2qc.synthetic.slide import synthetic_slide, write_pyramid
from rl2qc.synthetic.stain import EOSIN, HEMATOXYLIN, Stain

Pixels = NDArray[np.uint8]
Drawing = Callable[[Pixels, np.random.Generator], Pixels]

SIDE, ROWS, COLUMNS = 224, 4, 5
MPP = 0.5
# Optical densities of diaminobenzidine, after Ruifrok and Johnston 2001.
DAB = (0.27, 0.57, 0.78)


def region(name: str, severity: float, place: tuple[float, float, float, float]) -> Drawing:
    """A corruption of a part of a slide: left, top, width, height as shares of it."""

    def draw(rgb: Pixels, rng: np.random.Generator) -> Pixels:
        h, w = rgb.shape[:2]
        left, top, width, height = place
        part = np.s_[
            round(top * h) : round((top + height) * h), round(left * w) : round((left + width) * w)
        ]
        made = rgb.copy()
        made[part] = CORRUPTIONS.get(name)(rgb[part], severity, rng)
        return made

    return draw


def defocused(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    """Out of focus everywhere."""
    return corrupt(rgb, "defocus", 6, rng)


def faint(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    """A fifth of the stain."""
    return _light(0.2 * _density(rgb))


def immuno(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    """Brown chromogen in place of eosin, a weak blue counterstain."""
    amounts = np.maximum(_density(rgb) @ np.linalg.pinv(np.array([HEMATOXYLIN, EOSIN])), 0)
    return _light(amounts @ np.array([0.7 * np.array((0.65, 0.60, 0.29)), DAB]))


def swapped(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    """Red and blue exchanged."""
    return np.ascontiguousarray(rgb[..., ::-1])


def blank(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    """Glass and nothing else."""
    noise = rng.normal(242, 1.0, rgb.shape)
    return np.asarray(np.clip(noise, 0, 255), np.uint8)


def _density(rgb: Pixels) -> NDArray[np.float64]:
    return np.asarray(-np.log((rgb.astype(np.float64) + 1) / 245).clip(max=0))


def _light(density: NDArray[np.float64]) -> Pixels:
    return np.asarray(np.clip(245 * np.exp(-density) - 1, 0, 255), np.uint8)


# What is drawn, and the verdicts that are right of it.
KINDS: Mapping[str, tuple[Drawing | None, frozenset[str]]] = {
    "clean 1": (None, frozenset({"use"})),
    "clean 2": (None, frozenset({"use"})),
    "clean 3": (None, frozenset({"use"})),
    "clean 4": (None, frozenset({"use"})),
    "inked at the edge": (region("ink", 0.5, (0, 0, 0.3, 1)), frozenset({"use in part"})),
    "half out of focus": (
        region("defocus", 6, (0.5, 0, 0.5, 1)),
        frozenset({"use in part", "look"}),
    ),
    "out of focus": (defocused, frozenset({"drop", "look"})),
    "folded": (region("fold", 0.12, (0, 0, 1, 1)), frozenset({"use", "use in part"})),
    "faint": (faint, frozenset({"look", "drop"})),
    "IHC": (immuno, frozenset({"look", "drop"})),
    "swapped colours": (swapped, frozenset({"look", "drop"})),
    "blank": (blank, frozenset({"drop"})),
}


def canvas(tiles: list[Pixels] | None, rng: np.random.Generator, stain: Stain | None) -> Pixels:
    """A clean slide: procedural, or laid of real tiles with glass around them."""
    if tiles is None:
        size = {"height": (ROWS + 2) * SIDE, "width": (COLUMNS + 2) * SIDE}
        return synthetic_slide(rng, **size, mpp=MPP, stain=stain, damaged=False).rgb
    made = np.full(((ROWS + 2) * SIDE, (COLUMNS + 2) * SIDE, 3), 243, np.uint8)
    order = rng.permutation(len(tiles))
    for i in range(ROWS * COLUMNS):
        tile = np.rot90(tiles[order[i % len(order)]], i // len(order))
        y, x = SIDE * (1 + i // COLUMNS), SIDE * (1 + i % COLUMNS)
        made[y : y + SIDE, x : x + SIDE] = tile
    return made


def read_tiles(folder: Path) -> list[Pixels]:
    """The middles of the images of a folder."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file())[:100]:
        with Image.open(path) as image:
            rgb = np.asarray(image.convert("RGB"))
        top, left = ((side - SIDE) // 2 for side in rgb.shape[:2])
        if min(top, left) >= 0:
            found.append(rgb[top : top + SIDE, left : left + SIDE])
    return found


def draw_cohort(folder: Path, clean: Path | None, seed: int) -> None:
    """A slide of each kind of one laboratory."""
    folder.mkdir(parents=True, exist_ok=True)
    tiles = None if clean is None else read_tiles(clean)
    stain = Stain.sample(np.random.default_rng(seed))
    for i, (name, (draw, _)) in enumerate(KINDS.items()):
        path = folder / f"{name.replace(' ', '_')}.tiff"
        if path.exists():
            continue
        rng = np.random.default_rng((seed, i))
        rgb = canvas(tiles, rng, stain)
        write_pyramid(path, rgb if draw is None else draw(rgb, rng), MPP)


def judge(folder: Path, model: str) -> Counter[tuple[str, str]]:
    """How often each kind has each verdict."""
    found = rl2qc.filter_cohort(folder, folder.parent / f"{folder.name}_results", model)
    print(found.table())
    for row in found.rows:
        print(f"  {row.name}: {row.verdict}: {row.why}")
    return Counter((row.name.replace("_", " "), row.verdict) for row in found.rows)


def main() -> None:
    """Print the confusion table, and what is wrong in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clean", type=Path, action="append", default=[])
    parser.add_argument("--seeds", type=int, default=1, help="Procedural laboratories.")
    parser.add_argument("--model", default="general")
    given = parser.parse_args()
    labs: list[tuple[str, Path | None]] = [(path.name, path) for path in given.clean]
    labs = labs or [(f"procedural_{seed}", None) for seed in range(given.seeds)]
    counts: Counter[tuple[str, str]] = Counter()
    for seed, (name, clean) in enumerate(labs):
        draw_cohort(given.out / name, clean, seed)
        counts += judge(given.out / name, given.model)
    rows: list[tuple[str, ...]] = [("truth", *VERDICTS, "right")]
    for kind, (_, right) in KINDS.items():
        of_kind = [counts[kind, verdict] for verdict in VERDICTS]
        good = sum(counts[kind, verdict] for verdict in right)
        rows.append((kind, *map(str, of_kind), f"{good} of {sum(of_kind)}"))
    print("\n".join(layout(rows, range(1, len(rows[0])))))
    dropped = sum(counts[kind, "drop"] for kind in KINDS if kind.startswith("clean"))
    print(f"clean slides dropped: {dropped}")


if __name__ == "__main__":
    main()
