"""Generated images that equal real ones: which, and a word about them."""

from __future__ import annotations

import numpy as np

from rl2qc.metrics.matrices import Rows
from rl2qc.metrics.neighbors import kneighbors
from rl2qc.scoring.image_sets import ImageSet

__all__ = ["copies", "copy_warnings", "unseen_warnings"]

# Relative distance of features of one image that were computed in different batches.
_SAME = 1e-5


def copies(judged: ImageSet, real: ImageSet) -> tuple[Rows, Rows]:
    """Images with the features of a real image, and which one that is.

    Every image of both sets is looked at; without features nothing is found.

    Returns
    -------
    (c,) intp, (c,) intp
        Image numbers in ``judged`` and in ``real``.
    """
    if not (judged.has("features") and real.has("features")):
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    x, y = judged.features, real.features
    nearest = kneighbors(x, y, 1)
    same = np.flatnonzero(nearest.distances[:, 0] <= _SAME * np.linalg.norm(x, axis=1))
    return same, nearest.indices[same, 0]


def copy_warnings(
    generated: ImageSet,
    real: ImageSet,
    found: tuple[Rows, Rows],
    called: str = "generated images",
) -> list[str]:
    """A warning of the :func:`copies` that were found, with an example."""
    same, of = found
    if not len(same):
        return []
    example = f"{generated.source.names[int(same[0])]} equals {real.source.names[int(of[0])]}"
    return [
        f"{len(same)} of {len(generated)} {called} equal a real image ({example}): "
        "copies score like real images, so look at authenticity first"
    ]


def unseen_warnings(real: ImageSet) -> list[str]:
    """A warning if unseen images are in the real set as well."""
    unseen = real.unseen
    common = 0 if unseen is None else len(copies(unseen, real)[0])
    if unseen is None or not common:
        return []
    return [
        f"{common} of {len(unseen)} unseen images are in the real set as well: authenticity "
        "and the adjusted IRS need images that the generator has not seen"
    ]
