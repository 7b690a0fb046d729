"""Whether images have the resolution that a model was trained at."""

from __future__ import annotations

import math

from rl2qc.errors import UsageError

__all__ = ["MAX_RATIO", "TOLERANCE", "check_scale"]

# Scanners that are called "0.5" record anything between 0.486 and 0.51 um/px.
TOLERANCE = 0.05
# Beyond this ratio images look out of focus, or too sharp, for their scale alone.
MAX_RATIO = 1.25


def check_scale(
    model_mpp: float | None,
    images_mpp: float | None,
    what: str = "the images",
    *,
    model: str = "the model",
    advice: str = "or use a model that was trained at theirs (rl2qc train --mpp)",
    any_mpp: bool = False,
) -> str | None:
    """Refuse images of another resolution than the model's; the warning to give, if any.

    Parameters
    ----------
    model_mpp, images_mpp
        Microns per pixel, None where unknown.
    what, model
        The images (plural) and the model, as the message calls them.
    advice
        What to do, if not to bring the images to the model's resolution.
    any_mpp
        Warn and do not refuse.

    Returns
    -------
    One line to warn with: a resolution is unknown, or the two differ by more than
    :data:`TOLERANCE`. None where there is nothing to say.

    Raises
    ------
    UsageError
        They differ by more than the factor :data:`MAX_RATIO`, or a resolution is no positive
        number.

    Example
    -------
    >>> check_scale(0.5, 0.499) is None
    True
    >>> check_scale(0.5, None, "generated/")
    'the resolution of generated/ is unknown and taken to be the 0.5 um/px of the model: pass --mpp'
    >>> check_scale(0.5, 1.0, "the patches")
    Traceback (most recent call last):
    rl2qc.errors.UsageError: the patches are of 1 um/px and the model of 0.5 um/px: bring them to \
0.5 um/px, or use a model that was trained at theirs (rl2qc train --mpp)
    """
    for mpp in (model_mpp, images_mpp):
        if mpp is not None and not (mpp > 0 and math.isfinite(mpp)):
            raise UsageError(f"--mpp must be a positive number of um/px, got {mpp}")
    if model_mpp is None:
        return f"{model} does not record its resolution: {what} must have that of its reference"
    if images_mpp is None:
        return (
            f"the resolution of {what} is unknown and taken to be the {model_mpp:g} um/px of "
            f"{model}: pass --mpp"
        )
    ratio = max(images_mpp / model_mpp, model_mpp / images_mpp)
    said = f"{what} are of {images_mpp:g} um/px and {model} of {model_mpp:g} um/px"
    if ratio > MAX_RATIO and not any_mpp:
        raise UsageError(f"{said}: bring them to {model_mpp:g} um/px, {advice}")
    # Resolutions are often rounded, and 0.525 / 0.5 is a little above 1.05.
    return f"{said}: scores may be lower for it" if ratio > 1 + TOLERANCE + 1e-9 else None
