"""Folds that judge a patch by what was not fitted to it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

__all__ = ["fold_rows", "groups_by_look"]


# More folds cost time; fewer make the densities out of fold poorer than the final one, which then
# keeps more than asked for.
FOLDS = 10


# Patches of one look, and the fewest looks.
LOOK_SIZE, MIN_LOOKS = 30, 10


def fold_rows(n: int, groups: Sequence[str] | None, seed: int) -> NDArray[np.int64]:
    """The fold (n,) of each patch: up to ten, about equal in size; a group lies in one fold.

    Examples
    --------
    >>> np.bincount(fold_rows(100, None, 0)).tolist()
    [10, 10, 10, 10, 10, 10, 10, 10, 10, 10]
    """
    names = np.arange(n) if groups is None else np.asarray(groups)
    unique, row, sizes = np.unique(names, return_inverse=True, return_counts=True)
    fold = np.empty(len(unique), np.int64)
    filled = np.zeros(min(FOLDS, len(unique)))
    # Largest first into the emptiest fold; equal sizes in random order.
    order = np.random.default_rng(seed).permutation(len(unique))
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold[group] = filled.argmin()
        filled[fold[group]] += sizes[group]
    return fold[row]


def groups_by_look(features: NDArray[np.float32], seed: int) -> list[str]:
    """Groups of patches that look alike, to stand for slides where these are unknown.

    Patches of one slide look alike, and those of a new slide look like none of the reference. Folds
    that split a slide would hide that and keep less than was asked for.

    Parameters
    ----------
    features : (n, d)
    seed

    Examples
    --------
    >>> x = np.repeat(np.eye(20, dtype=np.float32), 5, axis=0)
    >>> looks = groups_by_look(x, seed=0)
    >>> len(looks), looks[0] == looks[1]
    (100, True)
    """
    pca = PCA(min(16, *features.shape), svd_solver="full", whiten=True)
    leading = pca.fit_transform(features)
    # Whitening would blow rounding errors up to a look of their own.
    leading = leading[:, pca.explained_variance_ > 1e-6 * pca.explained_variance_[0]]
    k = min(len(features), max(MIN_LOOKS, len(features) // LOOK_SIZE))
    with warnings.catch_warnings():
        # Copies can leave fewer looks than were sought: that is no fault.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(k, n_init=1, random_state=seed).fit_predict(leading)
    return [str(look) for look in found]
