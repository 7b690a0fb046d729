"""Image sets that are to be compared: at one size, a model's or that of the smallest."""

from __future__ import annotations

from collections.abc import Mapping

from rl2qc.errors import ImageError
from rl2qc.images.sources.base import Patches, PatchSource, as_source

__all__ = ["at_one_size"]


def at_one_size(
    sets: Mapping[str, Patches], patch_size: int
) -> tuple[dict[str, PatchSource], list[str]]:
    """All sets at a model's patch size, or at their own where one is smaller, and a warning then.

    Parameters
    ----------
    sets
        By title.
    patch_size
        Of the model, px.

    Raises
    ------
    UsageError
        A set that cannot be read, or is empty.
    ImageError
        Files that are no images, or some that are smaller than the commonest.

    Examples
    --------
    >>> import numpy as np
    >>> sources, warnings = at_one_size({"real": np.zeros((2, 128, 128, 3), np.uint8)}, 224)
    >>> sources["real"].size, len(warnings)
    (128, 1)
    """
    sources = {title: _at_most(patches, patch_size) for title, patches in sets.items()}
    size = min(patch_size, *(source.size for source in sources.values()))
    warnings = []
    if size < patch_size:
        warnings.append(
            f"images are {size} px, the model's patches {patch_size} px: distances hold, "
            f"likelihoods and kept shares are not calibrated at {size} px (rl2qc train on real "
            "images of this size calibrates them)"
        )
    return {title: as_source(source, size) for title, source in sources.items()}, warnings


def _at_most(patches: Patches, patch_size: int) -> PatchSource:
    """Patches at their own size, or cropped to the model's."""
    if isinstance(patches, PatchSource) and patches.size:
        return patches
    try:
        source = as_source(patches)
    except ImageError as error:
        # Some are smaller than the commonest, which may be larger than what is needed.
        try:
            return as_source(patches, patch_size)
        except ImageError:
            raise error from None
    return source if source.size <= patch_size else as_source(source, patch_size)
