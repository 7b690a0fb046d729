"""What pictures were compressed by."""

from __future__ import annotations

from PIL import Image

from rl2qc.images.sources.deep import head_of

__all__ = ["lossy"]

_TIFF_LOSSY = {"jpeg": "JPEG", "tiff_jpeg": "JPEG", "webp": "WebP"}


def lossy(image: Image.Image) -> str:
    """What a picture was compressed by that lost some of it; "" where nothing was lost for sure."""
    if image.format in ("JPEG", "MPO"):
        return "JPEG"
    if image.format == "TIFF":
        return _TIFF_LOSSY.get(str(image.info.get("compression", "")), "")
    if image.format == "WEBP":
        return "" if b"VP8L" in head_of(image, 64) else "WebP"
    return {"JPEG2000": "JPEG 2000", "AVIF": "AVIF", "GIF": "GIF"}.get(str(image.format), "")
