"""The Dice coefficient of masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["DiceResult", "dice"]


@dataclass(frozen=True)
class DiceResult:
    """Dice overlap (higher is better), between 0 and 1.

    Parameters
    ----------
    value : float
        Mean over the images.
    per_image : tuple of float
    n_empty : int
        Images in which neither mask holds anything; they score ``empty``.
    """

    value: float
    per_image: tuple[float, ...]
    n_empty: int

    def __float__(self) -> float:
        return self.value


def dice(
    masks_a: Iterable[ArrayLike],
    masks_b: Iterable[ArrayLike],
    *,
    labels: Sequence[int] | None = None,
    empty: float = 1.0,
) -> DiceResult:
    r"""Mean Dice overlap of masks, image by image.

    .. math:: \mathrm{Dice}(A, B) = 2\,|A \cap B| / (|A| + |B|)

    Parameters
    ----------
    masks_a, masks_b : iterables of arrays, shape (h, w)
        Masks of bools or integers, as many in both, pairwise of one shape.
    labels : sequence of int, optional
        Classes of integer masks: an image scores the mean over those of them that either of its
        masks holds. By default all that is not 0 is foreground.
    empty : float
        Score of an image in which neither mask holds anything.

    Raises
    ------
    ValueError
        For masks that do not pair up, are of another dtype, or none at all.

    References
    ----------
    Dice, "Measures of the amount of ecologic association between species", Ecology 1945.

    Examples
    --------
    >>> dice([[[1, 1, 0]], [[0, 0, 0]]], [[[1, 0, 0]], [[0, 0, 0]]]).per_image
    (0.6666666666666666, 1.0)
    """
    first, second = list(masks_a), list(masks_b)
    if len(first) != len(second):
        raise ValueError(f"masks must pair up, got {len(first)} and {len(second)}")
    if not first:
        raise ValueError("there are no masks to compare")
    if labels is not None and not len(labels):
        raise ValueError("labels is empty: name at least one class, or leave it out")
    scores = [
        _dice_of_pair(np.asarray(a), np.asarray(b), index, labels)
        for index, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    per_image = tuple(empty if score is None else score for score in scores)
    return DiceResult(float(np.mean(per_image)), per_image, scores.count(None))


def _dice_of_pair(
    a: NDArray[np.generic], b: NDArray[np.generic], index: int, labels: Sequence[int] | None
) -> float | None:
    """Dice of one image, or None if neither mask holds anything."""
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"masks {index} must be 2-D and of one shape, got {a.shape} and {b.shape}")
    if a.dtype.kind not in "biu" or b.dtype.kind not in "biu":
        raise ValueError(f"masks must be bools or integers, got {a.dtype} and {b.dtype}")
    pairs = [(a != 0, b != 0)] if labels is None else [(a == v, b == v) for v in labels]
    scores = [
        2 * np.count_nonzero(p & q) / total
        for p, q in pairs
        if (total := np.count_nonzero(p) + np.count_nonzero(q))
    ]
    return float(np.mean(scores)) if scores else None
