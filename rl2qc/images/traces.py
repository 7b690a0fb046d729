"""Traces that encoding leaves in pixels: blocks, small colours, resampling, frames, palettes.

They tell how sets differ where the files do not, such as PNG files that were JPEG once.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.images.frames import frame

__all__ = ["TRACES", "traces"]

_Floats: TypeAlias = NDArray[np.float32]

TRACES = (
    "blocks",
    "vanished",
    "fine",
    "colour",
    "band_0",
    "band_1",
    "band_2",
    "band_3",
    "band_4",
    "frame",
    "palette",
)
"""What :func:`traces` gives, in its order."""

# Side of the blocks of JPEG.
_BLOCK = 8
# The two highest frequencies of a block, along one axis.
_HIGH = np.stack(
    [np.cos(np.pi * (2 * np.arange(_BLOCK) + 1) * u / (2 * _BLOCK)) / 2 for u in (6, 7)]
).astype(np.float32)
# Grey levels within which such a frequency has vanished.
_VANISHED = 0.6
# What rounding to 8 bits leaves of power in every frequency.
_ROUNDING = 1 / 12
# Colours of a palette, and the contrast of an image, in grey levels, that shows something.
_PALETTE, _SHOWN = 256, 2.0
_EDGES = (0.25, 0.5, 0.625, 0.75, 0.875, 1.0)


def traces(image: NDArray[np.uint8]) -> _Floats:
    """Numbers (11,) float32 of an image (h, w, 3) of 16 px at least, in the order of TRACES.

    - ``blocks``: how much more rows and columns differ across the edges of blocks of 8 px than
      within them, less 1: above 0.05 of JPEG.
    - ``vanished``: how much more often the highest frequencies of blocks have vanished than those
      of blocks elsewhere, as a share of all.
    - ``fine``: their share that has vanished wherever blocks are cut: of smooth or resized images.
    - ``colour``: logarithm of the detail of colour beside that of brightness: low where colours are
      stored at half the size.
    - ``band_0`` to ``band_4``: logarithm of the power, above that of rounding, from a quarter to
      half of Nyquist's frequency, and in four bands from there: they fall steeply where an image
      was resized.
    - ``frame``: share of rows and columns that padding takes (:func:`rl2qc.images.frames.frame`).
    - ``palette``: 1 of a coloured image of at most 256 colours, as GIF has them; else 0.

    Examples
    --------
    >>> noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    >>> found = dict(zip(TRACES, traces(noise)))
    >>> bool(abs(found["blocks"]) < 0.2), float(found["frame"])
    (True, 0.0)
    """
    ycc = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2YCrCb).astype(np.float32)
    luma = ycc[..., 0]
    blocks, vanished, fine = _blocks(luma)
    return np.array(
        [blocks, vanished, fine, _colour(ycc), *_bands(luma), frame(image), _palette(image)],
        np.float32,
    )


def _blocks(luma: _Floats) -> tuple[float, float, float]:
    """Edges of blocks, and frequencies that vanished in blocks and anywhere; both axes together."""
    edges, gone = np.zeros((2, _BLOCK)), np.zeros((2, _BLOCK))
    for axis, plane in enumerate((luma, luma.T)):
        step = np.abs(plane[:, :-3] - 3 * plane[:, 1:-2] + 3 * plane[:, 2:-1] - plane[:, 3:])
        edges[axis] = _by_phase(step.mean(axis=0))
        windows = np.lib.stride_tricks.sliding_window_view(plane, _BLOCK, axis=1)
        high = np.abs(windows @ _HIGH.T).max(axis=2)
        gone[axis] = _by_phase((high < _VANISHED).mean(axis=0))
    # The edge of a block between columns j + 1 and j + 2 is that of the block that begins there.
    across = np.roll(edges, 2, axis=1).mean(axis=0)
    lost = gone.mean(axis=0)
    at = int(np.argmax(across))
    usual = float(np.median(across)) + 1e-3
    other = float(np.median(np.delete(lost, at)))
    return float(across[at]) / usual - 1, float(lost.max()) - other, other


def _by_phase(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Means of every eighth value."""
    return np.array([values[p::_BLOCK].mean() for p in range(_BLOCK)], np.float64)


def _colour(ycc: _Floats) -> float:
    detail = [
        float(np.abs(np.diff(ycc[..., c], 2, axis=0)).mean())
        + float(np.abs(np.diff(ycc[..., c], 2, axis=1)).mean())
        for c in range(3)
    ]
    return float(np.log((detail[1] + detail[2] + 0.02) / (2 * detail[0] + 0.02)))


def _bands(luma: _Floats) -> list[float]:
    side = min(luma.shape)
    side -= side % 2
    window = np.hanning(side).astype(np.float32)
    power = 0.0
    for plane in (luma[:side, :side], luma[:side, :side].T):
        centred = (plane - plane.mean()) * window
        power = power + np.square(np.abs(np.fft.rfft(centred, axis=1))).mean(axis=0)
    power = np.asarray(power) / (2 * np.square(window).sum())
    at = np.linspace(0, 1, len(power))
    return [
        float(np.log(power[(at >= low) & (at <= high)].mean() + _ROUNDING))
        for low, high in pairwise(_EDGES)
    ]


def _palette(image: NDArray[np.uint8]) -> float:
    """Whether an image in colour has no more colours than a palette; blank ones have few anyhow."""
    pixels = image.reshape(-1, 3)
    if pixels.std(axis=0).max() < _SHOWN or np.ptp(image, axis=2).max() == 0:
        return 0.0
    codes = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    return float(len(np.unique(codes)) <= _PALETTE)
