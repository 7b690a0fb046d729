"""Pixels that are not square: taken for square where it is no matter, refused where it is."""

from __future__ import annotations

from pathlib import Path

from rl2qc.errors import SlideError
from rl2qc.images.resolution import TOLERANCE

__all__ = ["square_pixels"]

# Up to this ratio nothing is said.
_SQUARE = 0.02


def square_pixels(
    file: Path, x: float | None, y: float | None, *, overridden: bool
) -> tuple[float | None, tuple[str, ...]]:
    """The microns per pixel of a slide that records both, and what is to be said of them.

    Raises
    ------
    SlideError
        Tiles would not be square.

    Examples
    --------
    >>> square_pixels(Path("a.czi"), 0.25, 0.25, overridden=False)
    (0.25, ())
    """
    if not x or not y:
        return x or y, ()
    if not abs(y / x - 1) > _SQUARE:
        return x, ()
    if overridden:
        return x, (f"pixels are recorded as {x:g} x {y:g} um, and taken for square as you say",)
    if max(x / y, y / x) > 1 + TOLERANCE:
        raise SlideError(
            f"{file} has pixels of {x:g} x {y:g} um, so its tiles would not be square: resample "
            "it, or pass --mpp-override MPP if what it records is wrong"
        )
    return x, (f"pixels are not square: {x:g} x {y:g} um/px; {x:g} is used",)
