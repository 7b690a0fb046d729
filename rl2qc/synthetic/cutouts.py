"""Cut-outs of real artifacts: pictures with transparency that are laid on clean patches."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.synthetic.corruptions import Damaged

__all__ = ["Positions", "at_positions", "paste"]

Positions = Literal["all", "even", "odd"]
# Less opaque than this, a pixel does not count as covered.
_COVERED = 0.1


def at_positions(paths: list[Path], positions: Positions) -> list[Path]:
    """All files, or those at even (0, 2, ...) or odd (1, 3, ...) positions in sorted order.

    Even ones are for choosing a detector, odd ones for reporting on it.

    Raises
    ------
    ValueError
        For other positions.

    Examples
    --------
    >>> [p.name for p in at_positions([Path("c"), Path("a"), Path("b")], "even")]
    ['a', 'c']
    """
    if positions not in get_args(Positions):
        raise ValueError(f"positions must be all, even or odd, got {positions!r}")
    start, step = {"all": (0, 1), "even": (0, 2), "odd": (1, 2)}[positions]
    return sorted(paths)[start::step]


def paste(image: NDArray[np.uint8], cutout: NDArray[np.uint8], rng: np.random.Generator) -> Damaged:
    """Lay a cut-out on a patch, in one of its eight poses and at a random place inside.

    The poses are the quarter turns and their mirror images, which leave its pixels as they are. A
    cut-out larger than the patch is first scaled down to fit, so that it shows whole: its edge is
    then sharper, and its width smaller, than under the microscope.

    Parameters
    ----------
    image : (h, w, 3) uint8
    cutout : (a, b, 4) uint8
        Colour and opacity, colour not multiplied by it.
    rng
        Source of randomness: pose and place.

    Returns
    -------
    Damaged
        A new image, and the mask of what is covered with an opacity of a tenth or more.

    Raises
    ------
    ValueError
        If an array has another shape or dtype.

    Examples
    --------
    >>> patch, red = np.full((8, 8, 3), 200, np.uint8), np.zeros((2, 3, 4), np.uint8)
    >>> red[..., [0, 3]] = 255
    >>> damaged = paste(patch, red, np.random.default_rng(0))
    >>> int(damaged.mask.sum()), damaged.image[damaged.mask][0].tolist()
    (6, [255, 0, 0])
    """
    for name, array, channels in (("image", image, 3), ("cutout", cutout, 4)):
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != channels:
            raise ValueError(
                f"{name} must be (h, w, {channels}) uint8, got {array.shape} {array.dtype}"
            )
    turned = np.rot90(cutout, int(rng.integers(4)))
    layer = _shrunk(turned if rng.integers(2) else turned[:, ::-1], image.shape[0], image.shape[1])
    h, w = layer.shape[:2]
    top = int(rng.integers(image.shape[0] - h + 1))
    left = int(rng.integers(image.shape[1] - w + 1))
    window = np.s_[top : top + h, left : left + w]
    opacity = layer[..., 3:] / 255
    pasted, mask = image.copy(), np.zeros(image.shape[:2], np.bool_)
    pasted[window] = np.rint(opacity * layer[..., :3] + (1 - opacity) * image[window])
    mask[window] = opacity[..., 0] >= _COVERED
    return Damaged(pasted, mask)


def _shrunk(layer: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    h, w = layer.shape[:2]
    scale = min(height / h, width / w)
    if scale >= 1:
        return layer
    size = (max(1, int(w * scale)), max(1, int(h * scale)))
    # Pillow weights colours by their opacity when it resizes: no fringe of transparent colours.
    picture = Image.fromarray(np.ascontiguousarray(layer), "RGBA")
    return np.array(picture.resize(size, Image.Resampling.LANCZOS))
