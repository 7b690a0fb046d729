"""The resolution that a picture records, in microns per pixel."""

from __future__ import annotations

import re

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from rl2qc.images.resolution import PLAUSIBLE_MPP

__all__ = ["recorded_mpp"]

# Coarser than this is what a printer or a screen would show it at, and no microscope's.
_MAX_MPP = 10.0
_INCH, _CENTIMETER = 25400.0, 10000.0
_X_RESOLUTION, _UNIT, _DESCRIPTION = 282, 296, 270
_OME = re.compile(r'\bPhysicalSizeX="([0-9.eE+-]+)"')
_OME_UNIT = re.compile(r'\bPhysicalSizeXUnit="([^"]*)"')
_APERIO = re.compile(r"\bMPP\s*=\s*([0-9.]+)")
_IMAGEJ_UNIT = re.compile(r"^unit=(\S+)", re.MULTILINE)


def recorded_mpp(image: Image.Image) -> float | None:
    """Microns per pixel across that a picture records; None of one that records none, or a
    resolution for a printer.

    Examples
    --------
    >>> recorded_mpp(Image.new("RGB", (8, 8))) is None
    True
    """
    try:
        mpp = _of_tiff(image) if isinstance(image, TiffImageFile) else _of_dpi(image)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        return None
    return mpp if mpp is not None and PLAUSIBLE_MPP[0] <= mpp <= _MAX_MPP else None


def _of_tiff(image: TiffImageFile) -> float | None:
    tags = image.tag_v2
    text = str(tags.get(_DESCRIPTION, ""))[:100_000]
    if found := _OME.search(text):
        unit = _OME_UNIT.search(text)
        return float(found[1]) * _microns(unit[1] if unit else "um")
    if found := _APERIO.search(text):
        return float(found[1])
    resolution = tags.get(_X_RESOLUTION)
    per_unit = float(resolution) if resolution else 0.0
    if not per_unit > 0:
        return None
    unit = tags.get(_UNIT, 2)
    if unit == 1 and text.startswith("ImageJ") and (found := _IMAGEJ_UNIT.search(text)):
        return _microns(found[1]) / per_unit
    length = {2: _INCH, 3: _CENTIMETER}.get(int(unit))
    return None if length is None else length / per_unit


def _microns(unit: str) -> float:
    """How many microns a unit is, NaN of one that is not known; its sign comes in many codes."""
    unit = unit.lower()
    known = {"nm": 1e-3, "mm": 1e3, "cm": 1e4, "um": 1.0, "micron": 1.0, "microns": 1.0}
    is_micro = unit.endswith("m") and any(
        sign in unit for sign in ("\u00b5", "\u03bc", "b5", "#181")
    )
    return 1.0 if is_micro else known.get(unit, float("nan"))


def _of_dpi(image: Image.Image) -> float | None:
    dpi = image.info.get("dpi")
    if not isinstance(dpi, tuple) or not float(dpi[0]) > 0:
        return None
    return _INCH / float(dpi[0])
