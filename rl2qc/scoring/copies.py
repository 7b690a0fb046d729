"""Generated images that equal real ones: which, and a word about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl2qc.metrics.matrices import Rows
from rl2qc.metrics.neighbors import kneighbors
from rl2qc.scoring.image_sets import ImageSet

__all__ = ["Copies", "copies"]

# Relative distance of features of one image that were computed in different batches.
_SAME = 1e-5


@dataclass(frozen=True, eq=False)
class Copies:
    """Images with the features of a real image.

    Attributes
    ----------
    images, of : (c,) intp
        Which they are, and which real image each equals.
    warnings
        A word about them, with an example, and about unseen images that are in the real set.
    """

    images: Rows
    of: Rows
    warnings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def copies(judged: ImageSet, real: ImageSet, called: str = "generated images") -> Copies:
    """Find the images of a set that equal a real one; without features nothing is found.

    Parameters
    ----------
    judged, real
        Every image of both is looked at.
    called
        What the images are called in the warning.
    """
    same, of = _equal(judged, real)
    warnings = []
    if len(same):
        example = f"{judged.source.names[int(same[0])]} equals {real.source.names[int(of[0])]}"
        warnings.append(
            f"{len(same)} of {len(judged)} {called} equal a real image ({example}): copies score "
            "like real images, so look at authenticity first"
        )
    if real.unseen is not None and (common := len(_equal(real.unseen, real)[0])):
        warnings.append(
            f"{common} of {len(real.unseen)} unseen images are in the real set as well: "
            "authenticity and the adjusted IRS need images that the generator has not seen"
        )
    return Copies(same, of, tuple(warnings))


def _equal(judged: ImageSet, real: ImageSet) -> tuple[Rows, Rows]:
    if not ("features" in judged.arrays and "features" in real.arrays):
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    x, y = judged.features, real.features
    nearest = kneighbors(x, y, 1)
    same = np.flatnonzero(nearest.distances[:, 0] <= _SAME * np.linalg.norm(x, axis=1))
    return same, nearest.indices[same, 0]
