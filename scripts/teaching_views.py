"""Views that teach the general model: harmless changes first, then damage with its map."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from harmless import crop, encoding, sharpness, stain
from numpy.typing import NDArray
from whole_damage import WHOLE, whole_damage

from rl2qc.images.sources.decode import read_cutout
from rl2qc.synthetic.cutouts import at_positions
from rl2qc.synthetic.teaching import CLASSES, TEACHING
from rl2qc.synthetic.teaching_cells import floater

__all__ = ["STRIDE", "Lessons", "View", "read_cutouts"]

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
# A cell of the target maps, px.
STRIDE = 8
SHARE_CLEAN, SHARE_WHOLE, SHARE_CUTOUT, SHARE_MORE = 0.27, 0.3, 0.2, 0.45
# Class of each folder of cut-outs, and how often it is pasted.
CUTOUTS = {
    "threads": ("foreign", 3.0),
    "squamous": ("foreign", 3.0),
    "cell": ("foreign", 2.5),
    "group": ("foreign", 1.0),
    "bubble": ("bubble", 1.0),
    "dark_spots": ("dark_spot", 1.0),
    "fat": ("dark_spot", 0.5),
}
# Cut-outs larger than a tile of this side are shown whole, px.
_TILE = 224
# A pixel that changed by no more than this many grey levels shows no damage.
_VISIBLE = 4


@dataclass
class View:
    """A view and its truth.

    Attributes
    ----------
    image : (s, s, 3) uint8
    level : (classes, s, s) float32
        0 where there is no damage of the class, up to 1.
    known : (classes, s, s) float32
        0 where damage was drawn and cannot be seen, 1 elsewhere.
    scale
        How far the view was enlarged.
    """

    image: Image
    level: Floats = field(init=False)
    known: Floats = field(init=False)
    scale: float = 1.0

    def __post_init__(self) -> None:
        shape = (len(CLASSES), *self.image.shape[:2])
        self.level, self.known = np.zeros(shape, np.float32), np.ones(shape, np.float32)

    def damage(self, image: Image, mask: NDArray[np.bool_], kind: str, level: float) -> None:
        """Take a damaged image, with what its mask says where the change can be seen."""
        moved = np.abs(image.astype(np.int16) - self.image).max(2) > _VISIBLE
        seen = cv2.blur(moved.astype(np.float32), (9, 9)) > 0.15
        k = CLASSES.index(kind)
        self.level[k] = np.maximum(self.level[k], level * (mask & seen))
        self.known[k] = np.where(mask & ~seen & (self.level[k] == 0), 0, self.known[k])
        self.image = image

    def cells(self) -> tuple[Floats, Floats]:
        """Level and weight (classes, s / 8, s / 8) of every cell of 8 px."""
        k, h, w = self.level.shape
        shape = (k, h // STRIDE, STRIDE, w // STRIDE, STRIDE)
        weight = self.known.reshape(shape).mean((2, 4))
        level = (self.level * self.known).reshape(shape).mean((2, 4))
        return level / np.maximum(weight, 1e-3), weight


@dataclass(frozen=True)
class Lessons:
    """Draws views of laboratories' images, with damage.

    Attributes
    ----------
    images
        Of each laboratory, (h, w, 3) uint8.
    cutouts
        Of each folder, (a, b, 4) uint8.
    size
        Side of a view in px.
    most
        Local damages of a view; several teach the map more than one does.
    """

    images: dict[str, list[Image]]
    cutouts: dict[str, list[Image]]
    size: int
    most: int = 3

    def batch(self, count: int, seed: tuple[int, ...]) -> tuple[Image, Floats, Floats]:
        """Views (n, s, s, 3) uint8, levels and weights (n, classes, s / 8, s / 8) float32."""
        rng = np.random.default_rng(seed)
        views = [self.view(rng) for _ in range(count)]
        levels, weights = zip(*(view.cells() for view in views), strict=True)
        return np.stack([v.image for v in views]), np.stack(levels), np.stack(weights)

    def view(self, rng: np.random.Generator) -> View:
        """One view: clean, damaged as a whole, or in one or several places, or both."""
        view = View(*self.clean(rng))
        if rng.random() >= SHARE_CLEAN:
            whole = rng.random() < SHARE_WHOLE
            if not whole or (self.most > 1 and rng.random() < 0.3):
                for _ in range(1 + int(rng.binomial(self.most - 1, SHARE_MORE))):
                    draw = self._cutout if rng.random() < SHARE_CUTOUT else self._drawn
                    draw(view, rng)
            if whole:
                self._whole(view, rng)
        if rng.random() < 0.3:
            view.image = encoding(view.image, rng)
        return view

    def clean(self, rng: np.random.Generator) -> tuple[Image, float]:
        """A clean view of a laboratory drawn evenly but for its size, and its enlargement."""
        labs = list(self.images)
        weight = np.array([len(self.images[lab]) ** 0.3 for lab in labs])
        stack = self.images[labs[rng.choice(len(labs), p=weight / weight.sum())]]
        image, scale = crop(stack[rng.integers(len(stack))], self.size, rng)
        for share, change in ((0.85, stain), (0.35, sharpness), (0.25, encoding)):
            if rng.random() < share:
                image = change(image, rng)
        return image, scale

    def _whole(self, view: View, rng: np.random.Generator) -> None:
        kind = list(WHOLE)[rng.choice(len(WHOLE), p=list(WHOLE.values()))]
        image, level = whole_damage(view.image, kind, view.scale, rng)
        everywhere = np.ones(image.shape[:2], np.bool_)
        view.damage(image, everywhere, kind, 0.25 + 0.75 * level)

    def _drawn(self, view: View, rng: np.random.Generator) -> None:
        weights = np.array([lesson.weight for lesson in TEACHING.values()])
        name = list(TEACHING)[rng.choice(len(weights), p=weights / weights.sum())]
        lesson = TEACHING[name]
        area = float(np.exp(rng.uniform(*np.log(lesson.areas))))
        if name == "floater" and rng.random() < 0.7:
            drawn = floater(view.image, area, rng, self.clean(rng)[0])
        else:
            drawn = lesson.draw(view.image, area, rng)
        view.damage(drawn.image, drawn.mask, lesson.kind, 1.0)

    def _cutout(self, view: View, rng: np.random.Generator) -> None:
        folders = list(self.cutouts)
        if not folders:
            return self._drawn(view, rng)
        weights = np.array([CUTOUTS[f][1] for f in folders])
        folder = folders[rng.choice(len(folders), p=weights / weights.sum())]
        stack = self.cutouts[folder]
        image, mask = _pasted(view.image, stack[rng.integers(len(stack))], rng)
        return view.damage(image, mask, CUTOUTS[folder][0], 1.0)


def read_cutouts(folder: Path) -> dict[str, list[Image]]:
    """The cut-outs at even positions of every folder: the odd ones judge."""
    return {
        name: [read_cutout(p) for p in at_positions(list((folder / name).iterdir()), "even")]
        for name in CUTOUTS
    }


def _pasted(
    image: Image, cutout: Image, rng: np.random.Generator
) -> tuple[Image, NDArray[np.bool_]]:
    """Lay a cut-out on an image at any angle, size within 60 %, colour and place."""
    h, w = cutout.shape[:2]
    scale = min(1.0, _TILE / max(h, w)) * np.exp(rng.uniform(np.log(0.6), np.log(1.6)))
    rows, columns = np.nonzero(
        cutout[..., 3] > 100 if (cutout[..., 3] > 100).any() else cutout[..., 3]
    )
    pick = int(rng.integers(len(rows)))
    angle = rng.uniform(0, 360) if rng.random() < 0.6 else 90.0 * rng.integers(4)
    place = cv2.getRotationMatrix2D((float(columns[pick]), float(rows[pick])), angle, scale)
    place[:, 2] += rng.uniform(0, 1, 2) * image.shape[1::-1] - (columns[pick], rows[pick])
    layer = cutout.astype(np.float32)
    opacity = layer[..., 3:] / 255
    layer = np.concatenate([layer[..., :3] * opacity, opacity], 2)
    if scale < 0.7:
        layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), 0.45 / scale), np.float32)
    laid = cv2.warpAffine(layer, place, image.shape[1::-1], flags=cv2.INTER_LINEAR)
    layer = np.asarray(laid, np.float32)
    colour = layer[..., :3] * np.clip(rng.normal(1, 0.05, 3) * rng.uniform(0.9, 1.08), 0, 1.2)
    strength = rng.uniform(0.75, 1.0)
    light = strength * colour + (1 - strength * layer[..., 3:]) * image
    return np.asarray(np.clip(np.rint(light), 0, 255), np.uint8), strength * layer[..., 3] >= 0.1
