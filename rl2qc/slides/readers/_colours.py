"""Colours of what a reader decodes: through a profile to sRGB, and on the slide's background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageCms

from rl2qc.errors import SlideError

__all__ = ["on_background", "to_srgb"]


def to_srgb(
    read_profile: Callable[[], ImageCms.ImageCmsProfile | None], file: Path
) -> ImageCms.ImageCmsTransform | None:
    """From a slide's colours to sRGB: one transform for all of its regions, None without a profile.

    Raises
    ------
    SlideError
        A profile that cannot be used; ``file`` is named.
    """
    try:
        profile = read_profile()
        if profile is None:
            return None
        return ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            "RGB",
            "RGB",
            ImageCms.Intent.PERCEPTUAL,
            # Without the cache of the last pixel, threads may share it.
            ImageCms.Flags.NOCACHE,
        )
    except (ImageCms.PyCMSError, OSError) as error:
        raise SlideError(
            f"{file} has an ICC profile that cannot be used ({' '.join(str(error).split())}): "
            "leave out --icc"
        ) from error


def on_background(
    layer: Image.Image, background: tuple[int, int, int]
) -> tuple[Image.Image, Image.Image | None]:
    """RGB on the background colour, and alpha where any of it is transparent.

    ``convert("RGB")`` would turn what was not scanned black. The result is a new image, which
    leaves the ICC profile behind.
    """
    alpha = layer.getchannel("A")
    if alpha.getextrema() == (255, 255):
        rgb = layer.convert("RGB")
        rgb.info.clear()
        return rgb, None
    rgb = Image.new("RGB", layer.size, background)
    rgb.paste(layer, mask=alpha)
    return rgb, alpha
