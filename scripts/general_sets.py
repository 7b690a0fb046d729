"""What the general model is judged on: clean tiles of laboratories, and damage that did not teach.

Drawn damage is that of the registered corruptions (:mod:`rl2qc.synthetic.corruptions`), which the
general network's teaching does not use; pasted damage is the odd half of the real cut-outs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from laboratories import lab_folders, read_image
from numpy.typing import NDArray

from rl2qc.images.sources.decode import read_cutout
from rl2qc.synthetic.corruptions import CORRUPTIONS
from rl2qc.synthetic.cutouts import at_positions, paste

__all__ = ["KINDS", "REASONS", "SIZE", "Damage", "damages", "lab_tiles", "real_damage"]

Image = NDArray[np.uint8]
SIZE = 224
# At most so many tiles are cut out of a large image.
_A_IMAGE = 4
_LADDERS = (("blur", 1.0), ("blur", 2.0), ("noise", 0.05), ("jpeg", 20.0))
_DRAWN = (
    ("ink", 0.1),
    ("pen", 0.1),
    ("bubble", 0.1),
    ("fold", 0.1),
    ("out_of_focus", 0.1),
    ("out_of_focus", 0.3),
    ("thread", 0.1),
    ("specks", 0.1),
)
_PASTED = ("threads", "squamous", "cell", "group", "dark_spots", "bubble")
KINDS = (
    *(f"{name} {severity:g}" for name, severity in _LADDERS),
    *(f"{name} {area:.0%}" for name, area in _DRAWN),
    *(f"pasted {name}" for name in _PASTED),
)
"""Every kind of damage, in the order of the tables."""
# Classes that are right for a kind: ink and pen count as one, fold and dark spot as one.
_DARK = {"fold", "dark_spot"}
REASONS = {
    "blur": {"out_of_focus"},
    "noise": {"noise"},
    "jpeg": {"compression"},
    "ink": {"ink", "pen"},
    "pen": {"ink", "pen"},
    "bubble": {"bubble"},
    "fold": _DARK,
    "out_of_focus": {"out_of_focus"},
    "thread": {"foreign"},
    "specks": {"foreign", *_DARK},
    "pasted threads": {"foreign"},
    "pasted squamous": {"foreign"},
    "pasted cell": {"foreign"},
    "pasted group": {"foreign"},
    "pasted dark_spots": _DARK,
    "pasted bubble": {"bubble"},
}

Damaged = tuple[Image, NDArray[np.bool_] | None, int]


@dataclass(frozen=True)
class Damage:
    """A kind: from a tile and a generator to its image, its mask, and the piece that was used."""

    kind: str
    apply: Callable[[Image, np.random.Generator], Damaged]


def lab_tiles(data: Path, lab: str, most: int) -> list[Image]:
    """Up to ``most`` clean tiles (224, 224, 3) of a laboratory, at most four of a large image."""
    paths = sorted(p for p in lab_folders(data)[lab].rglob("*") if p.is_file())
    rng = np.random.default_rng(0)
    if len(paths) > most:
        paths = [paths[i] for i in np.sort(rng.permutation(len(paths))[:most])]
    found = [tile for path in paths for tile in _cut(read_image(path, lab))]
    return [found[i] for i in np.sort(rng.permutation(len(found))[:most])]


def _cut(image: Image) -> list[Image]:
    h, w = image.shape[:2]
    if min(h, w) < 2 * SIZE:
        top, left = (h - SIZE) // 2, (w - SIZE) // 2
        return [image[top : top + SIZE, left : left + SIZE]]
    # The corners' tiles, which hold tissue where the image does.
    corners = [(0, 0), (h - SIZE, w - SIZE), (0, w - SIZE), (h - SIZE, 0)][:_A_IMAGE]
    tiles = [image[y : y + SIZE, x : x + SIZE] for y, x in corners]
    return [t for t in tiles if (t.mean(2) < 225).mean() > 0.3]


def damages(cutouts: Path) -> Iterator[Damage]:
    """Every kind of :data:`KINDS`."""
    for name, severity in _LADDERS:
        yield Damage(f"{name} {severity:g}", _ladder(name, severity))
    for name, area in _DRAWN:
        yield Damage(f"{name} {area:.0%}", _drawn(name, area))
    for name in _PASTED:
        paths = at_positions([p for p in (cutouts / name).iterdir() if p.is_file()], "odd")
        yield Damage(f"pasted {name}", _pasted([read_cutout(p) for p in paths]))


def _ladder(name: str, severity: float) -> Any:
    return lambda image, rng: (CORRUPTIONS.get(name)(image, severity, rng), None, 0)


def _drawn(name: str, area: float) -> Any:
    return lambda image, rng: (*CORRUPTIONS.get(name).damage(image, area, rng), 0)


def _pasted(pieces: list[Image]) -> Any:
    def apply(image: Image, rng: np.random.Generator) -> Damaged:
        piece = int(rng.integers(len(pieces)))
        return (*paste(image, pieces[piece], rng), piece)

    return apply


# Top left corner, px, of tiles that show a fold or a dark smear, found by eye.
_REAL = {
    "fold/liver_b_2016T0031_2.png": ((192, 0), (192, 192)),
    "fold/liver_b_2016T0031_4.png": ((192, 0), (192, 150)),
    "fold/liver_b_2016T0031_6.png": ((96, 0),),
    "fold/liver_b_2016T1160_8.png": ((0, 60), (192, 60)),
    "fold/liver_b_2017T0287_6.png": ((0, 150), (192, 192)),
    "fold/liver_b_2017T0583_6.png": ((0, 0),),
    "dark_smear/liver_b_2016T0347_2.png": ((192, 192),),
    "dark_smear/liver_b_2016T0347_7.png": ((192, 192),),
}


def real_damage(data: Path) -> dict[str, list[Image]]:
    """Tiles with real artifacts, by what they are."""
    folder = data / "artifacts_labs"
    found: dict[str, list[Image]] = {"folds and smears of liver_b": []}
    for name, corners in _REAL.items():
        image = read_image(folder / name, "")
        tiles = [image[y : y + SIZE, x : x + SIZE] for y, x in corners]
        found["folds and smears of liver_b"] += tiles
    folders = {"ink": folder / "ink", "debris": folder / "debris", "pen": data / "artifacts/pen"}
    folders |= {"prostate ink": data / "artifacts/ink_prostate"}
    for name, place in folders.items():
        images = [read_image(p, "") for p in sorted(place.iterdir())]
        found[f"real {name}"] = [tile for image in images for tile in _cut(image)]
    return found
