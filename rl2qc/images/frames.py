"""Padding around an image: a frame of one colour, of mirrored lines, or of one line repeated."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["frame"]

_Floats: TypeAlias = NDArray[np.float32]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Grey levels that lines vary by which are alike.
_ALIKE = 2.0
# Fewer lines are alike by chance; more than this share of an image no padding takes.
_FEWEST, _MOST = 4, 1 / 3
# Lines are mirrored where they are so much nearer to their mirror images than those are to the
# line that mirrors: of 1,150 real tiles one is.
_NEARER = 0.2


def frame(image: NDArray[np.uint8]) -> float:
    """Share of the rows and columns of an image (h, w, 3) that padding takes; 0 of a blank one.

    Padding of one colour, or as ``numpy.pad`` has it: reflect, symmetric, edge.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    >>> frame(noise), frame(np.pad(noise, ((8, 8), (0, 0), (0, 0)), mode="reflect"))
    (0.0, 0.125)
    """
    if image.reshape(-1, 3).std(axis=0).max() < 1:
        return 0.0
    luma = image.astype(np.float32) @ _LUMA
    total = 0
    for plane, grey in ((image, luma), (image.swapaxes(0, 1), luma.T)):
        for lines, shades in ((plane, grey), (plane[::-1], grey[::-1])):
            total += max(_of_one_colour(lines), _repeated(shades), _mirrored(shades))
    return total / sum(image.shape[:2])


def _of_one_colour(lines: NDArray[np.uint8]) -> int:
    return next((i for i, line in enumerate(lines) if np.ptp(line, axis=0).max() > _ALIKE), 0)


def _repeated(lines: _Floats) -> int:
    """The first lines that are one line again and again."""
    steps = np.abs(np.diff(lines, axis=0)).max(axis=1)
    count = next((i for i, step in enumerate(steps) if step > _ALIKE), 0)
    return count if count >= _FEWEST and lines[0].std() >= _ALIKE else 0


def _mirrored(lines: _Floats) -> int:
    """The first lines that are those below, mirrored, with the line that mirrors or without."""
    most = int(_MOST * len(lines))
    if most < _FEWEST:
        return 0
    found = 0
    for gap in (0, 1):
        # Of each line, whether those beside it are alike: most places are no mirror by that.
        at = np.arange(_FEWEST, most + 1)
        beside = np.abs(lines[at - 1] - lines[at + gap]).mean(axis=1)
        usual = np.abs(lines[at] - lines[at + 1]).mean(axis=1)
        for width in at[beside <= np.maximum(usual, 0.5)].tolist():
            below = lines[width + gap : 2 * width + gap]
            apart = float(np.abs(lines[width - 1 :: -1] - below).mean())
            detail = float(np.abs(below - lines[width]).mean())
            if detail >= _ALIKE and apart <= _NEARER * detail:
                found = width
    return found
