"""What a slide says about itself: resolution, levels, scanned bounds, scanner."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SlideInfo"]


@dataclass(frozen=True)
class SlideInfo:
    """What a slide says about itself, read once when it is opened.

    Attributes
    ----------
    vendor
        Name of the format.
    dimensions
        Width and height at level 0 in px.
    level_dimensions, level_downsamples
        One entry for each level.
    mpp
        Microns per pixel at level 0.
    mpp_source
        Where ``mpp`` comes from: a property's name or "override".
    bounds
        x, y, width, height at level 0 of the scanned part (the whole slide where none is recorded).
    background
        Colour shown where nothing was scanned.
    quickhash
        The reader's identity of the slide, "" where it has none.
    scanner
        Maker, model and number of the scanner, as far as they are recorded; the format's name
        where nothing is.
    warnings
        What is odd about the metadata.
    """

    vendor: str
    dimensions: tuple[int, int]
    level_dimensions: tuple[tuple[int, int], ...]
    level_downsamples: tuple[float, ...]
    mpp: float
    mpp_source: str
    bounds: tuple[int, int, int, int]
    background: tuple[int, int, int]
    quickhash: str
    scanner: str = ""
    warnings: tuple[str, ...] = ()
