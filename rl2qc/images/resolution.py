"""Microns per pixel: which are plausible, which are read at, which are too far from a model's."""

from __future__ import annotations

import math

from rl2qc.errors import UsageError

__all__ = [
    "MAX_RATIO",
    "PLAUSIBLE_MPP",
    "TOLERANCE",
    "check_scale",
    "is_plausible_mpp",
    "mpp_of",
    "target_mpp",
]

# Scanners that are called "0.5" record anything between 0.486 and 0.51 um/px: a level this close to
# the resolution asked for is read as it is, since resampling it would only blur.
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

    Examples
    --------
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


PLAUSIBLE_MPP = (0.02, 50.0)
"""Microns per pixel outside these bounds are no light microscope's: a printer's dots per inch, or
an override in millimetres."""


def is_plausible_mpp(mpp: float) -> bool:
    """Whether microns per pixel may be a light microscope's (:data:`PLAUSIBLE_MPP`).

    Examples
    --------
    >>> is_plausible_mpp(0.25), is_plausible_mpp(0.00025)
    (True, False)
    """
    return PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1]


def mpp_of(mpp: float | None, mag: float | None) -> float | None:
    """Microns per pixel, which a magnification may be given for: 10 / ``mag``.

    Raises
    ------
    UsageError
        Both are given, or a magnification that is no positive number.

    Examples
    --------
    >>> mpp_of(None, 20), mpp_of(0.25, None)
    (0.5, 0.25)
    """
    if mag is None:
        return mpp
    if mpp is not None:
        raise UsageError("--mpp and --mag say the same: pass one of them")
    if not mag > 0:
        raise UsageError(f"--mag must be a magnification such as 20, got {mag:g}")
    return 10 / mag


DEFAULT_MPP = 0.5


def target_mpp(
    model_mpp: float | None, mpp: float | None, *, any_mpp: bool = False
) -> tuple[float, list[str]]:
    """The resolution to read at, and what is to be said about it.

    Raises
    ------
    UsageError
        ``mpp`` is far from what the model was trained at, and ``any_mpp`` is False.
    """
    if mpp is None and model_mpp is None:
        return DEFAULT_MPP, [
            f"the model does not record its resolution: tiles are read at {DEFAULT_MPP} um/px "
            "(20x); pass --mpp to choose"
        ]
    if mpp is None or model_mpp is None:
        return mpp or model_mpp or DEFAULT_MPP, []
    ratio = max(mpp / model_mpp, model_mpp / mpp)
    if ratio > MAX_RATIO and not any_mpp:
        raise UsageError(
            f"tiles of {mpp:g} um/px are far from the {model_mpp:g} um/px that the model was "
            f"trained at, and their scores would mean little: leave --mpp out, train at {mpp:g} "
            f"(rl2qc train --mpp {mpp:g}), or pass --any-mpp to read them all the same"
        )
    if ratio > 1 + TOLERANCE:
        return mpp, [f"tiles are read at {mpp:g} um/px, but the model was trained at {model_mpp:g}"]
    return mpp, []
