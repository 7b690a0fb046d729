"""What a slide says about itself: resolution, levels, scanned bounds, scanner."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rl2qc.errors import SlideError
from rl2qc.images.resolution import TOLERANCE, is_plausible_mpp

__all__ = ["MPP_ADVICE", "SlideInfo", "settle_mpp"]

MPP_ADVICE = "pass --mpp-override MPP (microns per pixel at level 0)"
"""What to do about a slide without a resolution."""

# A slide that records no more is ten times off, as one is that gives pixels per millimetre where
# per centimetre is meant; up to the second, that is likely.
_FINEST_MPP, _FINE_MPP = 0.0501, 0.1


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
        Maker and model of the scanner, as far as they are recorded, and never its number; the
        format's name where nothing is.
    warnings
        What is odd about the metadata.
    stretch
        Pixels of the file that a square one of ``mpp`` has across and down, (1, 1) where they are
        square themselves. A reader that gives another one is read through
        :class:`rl2qc.slides.readers.squared.SquaredReader`.
    stored
        What the file says in its own pixels, where those given here are resampled.
    """

    vendor: str
    dimensions: tuple[int, int]
    level_dimensions: tuple[tuple[int, int], ...]
    level_downsamples: tuple[float, ...]
    mpp: float
    mpp_source: str
    bounds: tuple[int, int, int, int]
    background: tuple[int, int, int] = (255, 255, 255)
    quickhash: str = ""
    scanner: str = ""
    warnings: tuple[str, ...] = ()
    stretch: tuple[float, float] = (1.0, 1.0)
    stored: SlideInfo | None = field(default=None, repr=False)

    @property
    def own(self) -> SlideInfo:
        """What the file says in its own pixels."""
        return self.stored or self


def settle_mpp(
    file: Path, recorded: float | None, source: str, override: float | None
) -> tuple[float, str, tuple[str, ...]]:
    """Which resolution counts, the one that is recorded or the one that is given.

    Parameters
    ----------
    file
        The slide, for messages.
    recorded, source
        Microns per pixel at level 0 that the file records, None without, and where.
    override
        What is given in its place.

    Returns
    -------
    Microns per pixel, where they come from, and what is to be said of them.

    Raises
    ------
    SlideError
        There is none, or one that no microscope has.

    Examples
    --------
    >>> settle_mpp(Path("a.svs"), 0.25, "aperio.MPP", None)
    (0.25, 'aperio.MPP', ())
    >>> settle_mpp(Path("a.svs"), None, "", 0.5)
    (0.5, 'override', ())
    >>> settle_mpp(Path("a.svs"), 0.25, "aperio.MPP", 0.5)[2]
    ('the slide records 0.25 um/px, and 0.5 is taken in its place',)
    """
    plausible = recorded is not None and is_plausible_mpp(recorded) and recorded > _FINEST_MPP
    if override is not None:
        if recorded is None or not plausible or abs(recorded / override - 1) <= TOLERANCE:
            return override, "override", ()
        said = f"the slide records {recorded:g} um/px, and {override:g} is taken in its place"
        return override, "override", (said,)
    if recorded is None:
        raise SlideError(f"{file} has no mpp: {MPP_ADVICE}")
    if not plausible:
        raise SlideError(
            f"{file} records {recorded:g} um/px ({source}), which cannot be true: {MPP_ADVICE}"
        )
    if recorded < _FINE_MPP:
        said = (
            f"the slide records {recorded:g} um/px, finer than slides are scanned at: {MPP_ADVICE}"
        )
        return recorded, source, (f"{said} if it is wrong",)
    return recorded, source, ()
