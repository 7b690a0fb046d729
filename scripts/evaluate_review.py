"""How many of planted damaged tiles a person meets who looks through the first of a list.

    python scripts/evaluate_review.py ../shared/data/clean/colorectal/test [--count 600] [--bad 30]

Of clean patches some are damaged (ink, fold, blur, threads, one in four each), and the places that
these have in the lists of ``rl2qc review`` and of ``rl2qc train --review`` are counted.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import rl2qc
from rl2qc.cohort.review import find_tiles
from rl2qc.images.sources.base import open_images
from rl2qc.synthetic import artifacts
from rl2qc.synthetic.corruptions import corrupt

_KINDS = ("ink", "fold", "blur", "thread")


def damaged(image: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """A patch with damage of a kind, mild to plain."""
    if kind == "blur":
        return corrupt(image, "blur", float(rng.uniform(1, 3)), rng)
    return np.asarray(getattr(artifacts, kind)(image, float(rng.uniform(0.05, 0.2)), rng).image)


def main() -> None:
    """Print how many are found among the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--bad", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    source = open_images(given.folder).items
    rows = rng.permutation(len(source))[: given.count]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "set"
        folder.mkdir()
        for i, row in enumerate(rows):
            image = np.asarray(source[int(row)])
            kind = _KINDS[i % len(_KINDS)] if i < given.bad else "clean"
            image = image if kind == "clean" else damaged(image, kind, rng)
            Image.fromarray(image).save(folder / f"{kind}_{i:04}.png")
        rl2qc.filter_cohort(folder, Path(place) / "out", mpp=0.5, report=False)
        tiles = find_tiles(Path(place) / "out", limit=given.count).tiles
        report("review", [Path(tile.file).name for tile in tiles], len(rows))
        model = rl2qc.train(folder, Path(place) / "m.safetensors", mpp=0.5, review=True, epochs=3)
        assert model.review_ is not None
        names = [Path(name).name for name in model.review_.source.names]
        report("train --review", names, len(rows))


def report(what: str, names: list[str], count: int) -> None:
    """Print how many of each kind are among the first 2, 5 and 10 %."""
    for share in (0.02, 0.05, 0.1):
        first = [name.split("_")[0] for name in names[: round(share * count)]]
        found = {kind: first.count(kind) for kind in _KINDS}
        print(f"{what}: first {len(first)}: {sum(found.values())} damaged {found}")


if __name__ == "__main__":
    main()
