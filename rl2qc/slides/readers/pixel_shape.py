"""Pixels that are not square: taken for square where it is no matter, resampled where it is."""

from __future__ import annotations

from pathlib import Path

from rl2qc.errors import SlideError

__all__ = ["SQUARE", "square_pixels"]

SQUARE = (1.0, 1.0)
"""The stretch of pixels that are square (:attr:`rl2qc.slides.info.SlideInfo.stretch`)."""

# Up to this ratio nothing is said; beyond the other one, what is recorded is wrong.
_SQUARE, _MOST = 0.02, 4


def square_pixels(
    file: Path, x: float | None, y: float | None, *, overridden: bool
) -> tuple[float | None, tuple[str, ...], tuple[float, float]]:
    """The microns per pixel of a slide that records both, what is to be said of them, and how many
    of its pixels a square one has across and down.

    A slide resolves no more than its coarser side does: square pixels are as large as that.

    Raises
    ------
    SlideError
        No scanner has such pixels.

    Examples
    --------
    >>> square_pixels(Path("a.czi"), 0.25, 0.25, overridden=False)
    (0.25, (), (1.0, 1.0))
    >>> square_pixels(Path("a.czi"), 0.25, 0.5, overridden=False)[::2]
    (0.5, (2.0, 1.0))
    """
    if not x or not y or not abs(max(x, y) / min(x, y) - 1) > _SQUARE:
        return x or y, (), SQUARE
    if overridden:
        said = f"pixels are recorded as {x:g} x {y:g} um, and taken for square as you say"
        return x, (said,), SQUARE
    coarser = max(x, y)
    if not 0 < coarser / min(x, y) <= _MOST:
        raise SlideError(
            f"{file} records pixels of {x:g} x {y:g} um, which cannot be true: pass --mpp-override "
            "MPP (microns per pixel at level 0)"
        )
    said = (
        f"pixels are not square ({x:g} x {y:g} um): they are resampled to squares of {coarser:g} "
        "um, and coordinates are the file's own; formats that know square tiles alone leave this "
        "slide out"
    )
    return coarser, (said,), (coarser / x, coarser / y)
