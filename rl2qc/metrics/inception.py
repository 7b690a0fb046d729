"""Inception score: how sure a classifier is of each image, and how varied its answers are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr

from rl2qc.stats._checks import as_count, as_features

__all__ = ["InceptionScoreResult", "inception_score"]

# As published.
_SPLITS = 10


@dataclass(frozen=True)
class InceptionScoreResult:
    """Inception score (higher is better), between 1 and the number of classes.

    Parameters
    ----------
    value, std : float
        Mean and standard deviation (ddof 0) over the splits.
    per_split : tuple of float
    n, n_classes : int
    warnings : tuple of str
    """

    value: float
    std: float
    per_split: tuple[float, ...]
    n: int
    n_classes: int
    warnings: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.value


def inception_score(
    probabilities: ArrayLike,
    *,
    splits: int | None = None,
    seed: int | np.random.Generator | None = 0,
) -> InceptionScoreResult:
    r"""Exponential of the mean divergence of class posteriors from their average.

    .. math:: \exp\big(\mathbb{E}_x\, KL(p(y|x)\,\Vert\,p(y))\big)

    Parameters
    ----------
    probabilities : array_like, shape (n, classes)
        Posteriors of any classifier, rows summing to 1 (within 1e-3, then exactly).
    splits : int, optional
        Equal parts scored apart, 1 to n. By default the published 10, or fewer (with a warning)
        so that a part holds at least as many images as there are classes: no part can score above
        its number of images. The score rises with the images in a part, so it is only to be
        compared at the same n and splits.
    seed : int, numpy Generator or None
        Shuffles the images before they are split; ``None`` keeps their order, as the original
        code does.

    Raises
    ------
    ValueError
        For values that are no probabilities, or ``splits`` out of range.

    References
    ----------
    Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> round(inception_score(np.eye(4), splits=1).value, 12)
    4.0
    """
    p = as_features(probabilities, "probabilities").astype(np.float64)
    n, n_classes = p.shape
    totals = p.sum(axis=1, keepdims=True)
    if p.min() < 0 or np.abs(totals - 1).max() > 1e-3:
        raise ValueError(
            "probabilities must be non-negative with rows that sum to 1;"
            " apply the softmax to logits first"
        )
    warnings: tuple[str, ...] = ()
    if splits is None:
        splits = min(_SPLITS, max(1, n // n_classes))
        if splits < _SPLITS:
            warnings = (
                f"{splits} splits instead of {_SPLITS}, for {n} images of {n_classes} classes:"
                " compare it only at the same number of images and splits",
            )
    if not 1 <= as_count(splits, "splits", at_least=0) <= n:
        raise ValueError(f"splits must be between 1 and n = {n}, got {splits}")
    p /= totals
    if seed is not None:
        p = p[np.random.default_rng(seed).permutation(n)]
    scores = [
        float(np.exp(rel_entr(part, part.mean(axis=0)).sum(axis=1).mean()))
        for part in np.array_split(p, splits)
    ]
    if (part := n // splits) < n_classes:
        remedy = "use fewer splits or more images" if splits > 1 else "use more images"
        warnings += (
            f"{part} images a split cannot score above {part} of {n_classes} classes: {remedy}",
        )
    return InceptionScoreResult(
        float(np.mean(scores)), float(np.std(scores)), tuple(scores), n, n_classes, warnings
    )
