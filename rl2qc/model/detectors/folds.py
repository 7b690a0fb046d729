"""Folds: a patch that takes part in a fit is judged by what was fitted without it.

The only home of folds, whoever asks: what calibrates a detector, what reviews a reference.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from rl2qc.model.detectors.base import (
    Detector,
    DetectorSpec,
    Reference,
    Scores,
    checked_scores,
    fit_detector,
)

__all__ = ["calibration_scores", "fold_rows", "groups_by_cluster", "out_of_fold", "reference_folds"]

# More folds cost time; fewer make the densities out of fold poorer than the final one, which then
# keeps more than asked for.
FOLDS = 10
# Patches of a cluster that stands for a slide, and the fewest clusters.
CLUSTER_SIZE, MIN_CLUSTERS = 30, 10


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


def groups_by_cluster(features: NDArray[np.float32], seed: int) -> list[str]:
    """Groups of similar patches, to stand for slides where these are unknown.

    Patches of one slide are similar, and those of a new slide are like none of the reference.
    Folds that split a slide would hide that and keep less than was asked for.

    Parameters
    ----------
    features : (n, d)
    seed

    Examples
    --------
    >>> x = np.repeat(np.eye(20, dtype=np.float32), 5, axis=0)
    >>> groups = groups_by_cluster(x, seed=0)
    >>> len(groups), groups[0] == groups[1]
    (100, True)
    """
    pca = PCA(min(16, *features.shape), svd_solver="full", whiten=True)
    leading = pca.fit_transform(features)
    # Whitening would blow rounding errors up to clusters of their own.
    leading = leading[:, pca.explained_variance_ > 1e-6 * pca.explained_variance_[0]]
    k = min(len(features), max(MIN_CLUSTERS, len(features) // CLUSTER_SIZE))
    with warnings.catch_warnings():
        # Copies can leave fewer clusters than were sought: that is no fault.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(k, n_init=1, random_state=seed).fit_predict(leading)
    return [str(cluster) for cluster in found]


def reference_folds(
    features: NDArray[np.float32], groups: Sequence[str] | None, seed: int
) -> NDArray[np.int64]:
    """The fold (n,) of each patch by its features (n, d): groups are kept whole, or clusters."""
    if groups is None:
        groups = groups_by_cluster(features, seed)
    return fold_rows(len(features), groups, seed)


def out_of_fold(
    fit: Callable[[Reference], Callable[[NDArray[np.float32]], Scores]], reference: Reference
) -> Scores:
    """Score (n,) of each clean patch by what was fitted without its fold.

    Parameters
    ----------
    fit
        Fits to a reference and returns what scores statistics (n, 2048).
    reference
    """
    found = np.empty(len(reference))
    for fold in np.unique(reference.fold):
        scores = fit(reference.without(fold))
        rows = reference.fold == fold
        found[rows] = scores(reference.clean[rows])
    return found


def calibration_scores(spec: DetectorSpec, fitted: Detector, reference: Reference) -> Scores:
    """Scores (m,) of clean patches that a detector was not fitted to, in their order; then those
    of what is rare among them.

    Parameters
    ----------
    spec
        Of a detector, not of what combines others.
    fitted
        The detector, fitted to ``reference``.
    reference
    """
    if spec.calibration == "held_out":
        held = reference.held[reference.calibrates[reference.held]]
        scores = checked_scores(
            spec.name, fitted.scores(spec.columns(reference.clean[held])), len(held)
        )
        # Of the rare, as large a share as is held out of the others.
        return np.concatenate(
            [scores, _of_rare(spec, fitted, reference, len(reference) // max(1, len(held)))]
        )
    if spec.out_of_fold is not None:
        scores = checked_scores(spec.name, spec.out_of_fold(fitted), len(reference))
    else:
        scores = out_of_fold(lambda rest: _fit_again(spec, rest), reference)
    return np.concatenate([scores[reference.calibrates], _of_rare(spec, fitted, reference, 1)])


def _of_rare(spec: DetectorSpec, fitted: Detector, reference: Reference, every: int) -> Scores:
    """Scores of every so manieth patch that is rare among clean ones."""
    if reference.rare is None or not len(reference.rare):
        return np.empty(0)
    rows = spec.columns(reference.rare[::every])
    return checked_scores(spec.name, fitted.scores(rows), len(rows))


def _fit_again(spec: DetectorSpec, rest: Reference) -> Callable[[NDArray[np.float32]], Scores]:
    fitted = fit_detector(spec, rest)
    return lambda x: checked_scores(spec.name, fitted.scores(spec.columns(x)), len(x))
