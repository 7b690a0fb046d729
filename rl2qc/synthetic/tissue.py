"""Procedural haematoxylin and eosin tissue: colonic mucosa drawn from nothing but a seed.

A picture is a map of stain concentrations turned into light by Beer and Lambert's law. The
architecture comes from one operator used twice, the Voronoi cells of drawn strokes: one stroke a
crypt, and inside a crypt one stroke from the rim towards the lumen a cell. Everything is sized
in micrometres, so that ``mpp`` only changes the sampling.

It serves the demo and tests, where no real image may be shipped. It is no substitute for real
tissue: scores measured on it say nothing about a laboratory's slides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rl2qc.synthetic.stain import Stain
from rl2qc.synthetic.tissue_field import TissueField

__all__ = ["Stain", "synthetic_patches", "synthetic_tissue"]


def synthetic_tissue(
    height: int,
    width: int,
    rng: np.random.Generator,
    *,
    mpp: float = 0.5,
    stain: Stain | None = None,
    island: bool = False,
) -> NDArray[np.uint8]:
    """Draw a field of colonic mucosa and submucosa.

    Parameters
    ----------
    height, width
        Size in pixels, each at least 32.
    rng
        Source of every random choice; the same state draws the same field.
    mpp
        Micrometres per pixel.
    stain
        Colours; the default :class:`Stain` where None.
    island
        Leave white glass around one piece of tissue, as on a slide; otherwise tissue fills
        the field.

    Returns
    -------
    numpy.ndarray
        (height, width, 3) uint8 RGB.

    Raises
    ------
    ValueError
        If a side is below 32 pixels or ``mpp`` is not positive.

    Examples
    --------
    >>> field = synthetic_tissue(96, 128, np.random.default_rng(0))
    >>> field.shape, field.dtype
    ((96, 128, 3), dtype('uint8'))
    """
    if min(height, width) < 32:
        raise ValueError(f"a field needs sides of at least 32 pixels, got {height} x {width}")
    if not mpp > 0:
        raise ValueError(f"mpp must be positive, got {mpp}")
    return TissueField(height, width, rng, mpp).grow(island).render(stain or Stain())


def synthetic_patches(
    n: int,
    size: int,
    rng: np.random.Generator,
    *,
    mpp: float = 0.5,
    stain: Stain | None = None,
) -> NDArray[np.uint8]:
    """Cut ``n`` patches that do not overlap out of fields of tissue.

    Parameters
    ----------
    n, size
        How many square patches, and their side in pixels (at least 32).
    rng, mpp, stain
        As for :func:`synthetic_tissue`.

    Returns
    -------
    numpy.ndarray
        (n, size, size, 3) uint8 RGB.

    Raises
    ------
    ValueError
        If ``n`` is below 1, ``size`` below 32 or ``mpp`` is not positive.

    Examples
    --------
    >>> synthetic_patches(3, 64, np.random.default_rng(0)).shape
    (3, 64, 64, 3)
    """
    if n < 1:
        raise ValueError(f"at least one patch must be asked for, got {n}")
    # Fields of at most 8 x 8 patches bound the memory.
    columns = min(8, int(np.ceil(np.sqrt(n))))
    fields = []
    while n > 0:
        rows = min(columns, -(-n // columns))
        field = synthetic_tissue(rows * size, columns * size, rng, mpp=mpp, stain=stain)
        tiles = field.reshape(rows, size, columns, size, 3).swapaxes(1, 2)
        fields.append(tiles.reshape(-1, size, size, 3)[:n])
        n -= len(fields[-1])
    return np.concatenate(fields)
