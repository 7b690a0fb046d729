"""Which slides of a cohort are alike: of one stain and one scanner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rl2qc.stats.adaptation import Adaptation
from rl2qc.stats.prior import GeneralPrior, evidence_names, probability

__all__ = ["split_groups"]

# Slides that differ more, in log-odds, have another stain or scanner: halves of one laboratory's
# tiles differ by 1.5 to 4.5, laboratories by 2.7 to 19 (median 7).
_APART = 5.0


def split_groups(groups: Sequence[Adaptation], prior: GeneralPrior) -> NDArray[np.int64]:
    """Which slides of a cohort are alike: (slides,) numbers from 0 on.

    Two slides differ by how far what is usual in one would move the scores of the other, whichever
    way. Slides are joined by the mean of these differences.

    Parameters
    ----------
    groups
        What is usual in each slide.
    prior
        Its weights tell how much each evidence matters.
    """
    if len(groups) < 2:
        return np.zeros(len(groups), np.int64)
    # Here, since every command would wait for it.
    from scipy.cluster.hierarchy import fcluster, linkage

    # Lines say nothing of stain and scanner.
    maps = len(evidence_names(prior.classes))
    usual = np.stack([probability(group.usual[:maps]) for group in groups])
    places = usual * np.abs(prior.weights[:maps])
    # Sorted first, so that the order of the slides makes no difference where distances tie.
    order = np.lexsort(places.T)
    tree = linkage(places[order], "average", "cityblock")
    found = np.empty(len(groups), np.int64)
    found[order] = fcluster(tree, _APART, "distance")
    _, first, labels = np.unique(found, return_index=True, return_inverse=True)
    # Numbered in the order in which they come.
    return np.asarray(np.argsort(np.argsort(first))[labels], np.int64)
