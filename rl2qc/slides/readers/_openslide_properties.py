"""What OpenSlide's properties say about a slide: resolution, scanned bounds, scanner."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import openslide
from PIL import ImageColor

from rl2qc.errors import SlideError
from rl2qc.slides.info import SlideInfo, settle_mpp
from rl2qc.slides.readers._tiff_geometry import MOST_SIDE
from rl2qc.slides.readers._tiff_pages import other_pages
from rl2qc.slides.readers.pixel_shape import square_pixels

__all__ = ["describe_slide"]


def describe_slide(
    handle: openslide.OpenSlide, file: Path, mpp_override: float | None = None
) -> SlideInfo:
    """The metadata of an open slide.

    Parameters
    ----------
    file
        Its path, for messages.
    mpp_override
        Microns per pixel at level 0, in place of what the slide records.

    Raises
    ------
    SlideError
        It has no resolution or an absurd one, sides that no slide has, or its channels are pages
        of their own.
    """
    width, height = handle.dimensions
    if max(width, height) > MOST_SIDE:
        raise SlideError(f"{file} says that it has {width} x {height} px, so it is damaged")
    properties = dict(handle.properties)
    x, source = _mpp_along(properties, openslide.PROPERTY_NAME_MPP_X, "tiff.XResolution")
    y, _ = _mpp_along(properties, openslide.PROPERTY_NAME_MPP_Y, "tiff.YResolution")
    # Where x is missing, y stands for nothing.
    recorded, said, stretch = square_pixels(
        file, x, y if x else None, overridden=mpp_override is not None
    )
    mpp, source, warnings = settle_mpp(file, recorded, source, mpp_override)
    warnings += said
    vendor = properties.get(openslide.PROPERTY_NAME_VENDOR, "")
    warnings += other_pages(file, handle.level_dimensions, vendor)
    return SlideInfo(
        vendor=vendor,
        dimensions=(width, height),
        level_dimensions=handle.level_dimensions,
        level_downsamples=handle.level_downsamples,
        mpp=mpp,
        mpp_source=source,
        bounds=_bounds(properties, width, height),
        background=_background(properties),
        quickhash=properties.get(openslide.PROPERTY_NAME_QUICKHASH1, ""),
        scanner=_scanner(properties),
        warnings=warnings,
        stretch=stretch,
    )


def _mpp_along(properties: Mapping[str, str], name: str, tag: str) -> tuple[float | None, str]:
    known = _number(properties.get(name))
    if known is not None:
        return known, name
    unit = {"inch": 25400.0, "centimeter": 10000.0}.get(
        properties.get("tiff.ResolutionUnit", "").lower()
    )
    per_unit = _number(properties.get(tag))
    return unit / per_unit if unit is not None and per_unit else None, tag


_SCANNER_PROPERTIES = (
    ("tiff.Make", "tiff.Model"),
    ("hamamatsu.Product",),
    ("leica.device-model", "leica.device-version"),
    ("ventana.ScannerModel",),
    ("philips.DICOM_MANUFACTURER",),
    ("dicom.Manufacturer", "dicom.ManufacturerModelName"),
)
# What formats call the number of a device, as parts of the names of properties.
_SERIALS = (
    "serial",
    "scanscopeid",
    "unitnumber",
    "deviceuid",
    "deviceid",
    "scannerid",
    "station",
)


def _scanner(properties: Mapping[str, str]) -> str:
    """Maker and model, without the number of the device wherever it stands in them."""
    serials = {
        value.strip()
        for name, value in properties.items()
        if any(word in re.sub("[^a-z]", "", name.lower()) for word in _SERIALS) and value.strip()
    }
    for names in _SCANNER_PROPERTIES:
        text = " ".join(properties.get(name, "") for name in names)
        for serial in serials:
            text = text.replace(serial, " ")
        if words := text.split():
            return " ".join(dict.fromkeys(words))
    return properties.get(openslide.PROPERTY_NAME_VENDOR, "")


def _bounds(properties: Mapping[str, str], width: int, height: int) -> tuple[int, int, int, int]:
    names = (
        openslide.PROPERTY_NAME_BOUNDS_X,
        openslide.PROPERTY_NAME_BOUNDS_Y,
        openslide.PROPERTY_NAME_BOUNDS_WIDTH,
        openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
    )
    values = [_number(properties.get(name)) for name in names]
    if any(value is None for value in values):
        return 0, 0, width, height
    x, y, w, h = (int(value) for value in values if value is not None)
    x, y = max(0, x), max(0, y)
    w, h = min(w, width - x), min(h, height - y)
    return (x, y, w, h) if w > 0 and h > 0 else (0, 0, width, height)


def _background(properties: Mapping[str, str]) -> tuple[int, int, int]:
    text = properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "ffffff")
    try:
        red, green, blue = ImageColor.getrgb(f"#{text}")[:3]
    except ValueError:
        return 255, 255, 255
    return red, green, blue


def _number(text: str | None) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
