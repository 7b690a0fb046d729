"""Which patches train and which are held out, slide by slide where slides are known."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from rl2qc.errors import UsageError
from rl2qc.images.sources import PatchSource

__all__ = [
    "MIN_PATCHES",
    "fold_rows",
    "groups_by_look",
    "join_held_out",
    "match_slides",
    "slide_ids",
    "split_rows",
]

# The smallest conformal p-value of m held-out patches is 1 / (m + 1): 19 reach alpha 0.05.
MIN_HELD_OUT = 20
MIN_PATCHES = 5 * MIN_HELD_OUT
# More folds cost time; fewer make the densities out of fold poorer than the final one, which then
# keeps more than asked for.
FOLDS = 10
# Patches of one look, and the fewest looks.
LOOK_SIZE, MIN_LOOKS = 30, 10


def slide_ids(names: Sequence[str], pattern: str, *, option: str = "--slide-pattern") -> list[str]:
    """The slide of each file: the first group of ``pattern`` (or all it matches) in its name.

    Where that finds fewer slides in the file names, ``pattern`` is matched against the paths below
    the folder that all files share: a folder a slide or patient can be told so.

    Parameters
    ----------
    names
        File names or paths.
    pattern
        Regular expression.
    option
        What the user calls the pattern; it opens every error message.

    Raises
    ------
    UsageError
        A bad pattern, or names in which it finds no slide.

    Example
    -------
    >>> slide_ids(["a/s1_10.png", "a/s1_11.png", "a/s2_7.png"], r"^([^_]+)_")
    ['s1', 's1', 's2']
    >>> slide_ids(["real/ann/1.png", "real/ann/2.png", "real/bob/1.png"], r"^([^/]+)/")
    ['ann', 'ann', 'bob']
    """
    found = match_slides(names, pattern, option=option)
    if missed := [name for name, slide in zip(names, found, strict=True) if slide is None]:
        such_as = _below_shared_folder(names)[names.index(missed[0])]
        by = " with its first group" if re.compile(pattern).groups else ""
        raise UsageError(
            f"{option} {pattern!r} matches no part of {len(missed)} of {len(names)} file names"
            f"{by}, such as {such_as}"
        )
    return [slide for slide in found if slide is not None]


def match_slides(
    names: Sequence[str], pattern: str, *, option: str = "--slide-pattern"
) -> list[str | None]:
    """As `slide_ids`, with None where the pattern, or its group, finds nothing.

    Example
    -------
    >>> match_slides(["s1_10.png", "other.png"], r"^(s[0-9]+)_")
    ['s1', None]
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{option} {pattern!r} is no regular expression: {error}") from None

    def slide(text: str) -> str | None:
        match = compiled.search(text)
        # A group that took no part in the match is None as well.
        return None if match is None else match[min(compiled.groups, 1)]

    # File names come first: a pattern written for them means the same in folders within folders.
    looks = ([Path(name).name for name in names], _below_shared_folder(names))
    return max(([slide(text) for text in look] for look in looks), key=_n_found)


def _n_found(slides: Sequence[str | None]) -> int:
    return len(slides) - slides.count(None)


def _below_shared_folder(names: Sequence[str]) -> list[str]:
    paths = [Path(name).absolute() for name in names]
    levels = zip(*(path.parent.parts for path in paths), strict=False)
    shared = len(list(takewhile(lambda folders: len(set(folders)) == 1, levels)))
    return ["/".join(path.parts[shared:]) for path in paths]


def split_rows(
    n: int, holdout: float, groups: Sequence[str] | None, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and rows to hold out; a group stays on one side.

    Raises
    ------
    UsageError
        Too few patches or groups.
    """
    if n < MIN_PATCHES:
        raise UsageError(
            f"{n} reference patches are too few: at least {MIN_PATCHES} are needed, since a part "
            f"is held out and {MIN_HELD_OUT} held-out patches are the fewest that can reject at "
            "alpha 0.05"
        )
    rng = np.random.default_rng(seed)
    if groups is None:
        order = rng.permutation(n)
        cut = round(n * holdout)
        return np.sort(order[cut:]), np.sort(order[:cut])
    if len(groups) != n:
        raise UsageError(f"{len(groups)} groups for {n} patches")
    names, rows = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise UsageError(f"all patches come from one slide ({names[0]}): leave the slide ids out")
    held: list[int] = []
    for group in rng.permutation(len(names)):
        if len(held) >= n * holdout:
            break
        held += np.flatnonzero(rows == group).tolist()
    chosen = np.zeros(n, bool)
    chosen[held] = True
    if chosen.all():
        raise UsageError(
            "one group (slide, image or set of copies) holds nearly all patches: add others, or "
            "leave the slide ids out"
        )
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def fold_rows(n: int, groups: Sequence[str] | None, seed: int) -> NDArray[np.int64]:
    """The fold (n,) of each patch: up to ten, about equal in size; a group lies in one fold.

    Example
    -------
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

    Example
    -------
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


def join_held_out(
    source: PatchSource, held_out: PatchSource
) -> tuple[PatchSource, NDArray[np.int64], NDArray[np.int64]]:
    """One source of both sets, with the rows to train on and the rows to hold out.

    Raises
    ------
    UsageError
        Too few patches in either set.
    """
    from torch.utils.data import ConcatDataset  # here: commands that judge nothing start faster

    n, m = len(source), len(held_out)
    if n < MIN_PATCHES - MIN_HELD_OUT or m < MIN_HELD_OUT:
        raise UsageError(
            f"{n} training and {m} held-out patches are too few: at least "
            f"{MIN_PATCHES - MIN_HELD_OUT} and {MIN_HELD_OUT} are needed, the fewest that can "
            "reject at alpha 0.05"
        )
    joined = PatchSource(
        ConcatDataset([source, held_out]),  # type: ignore[list-item]
        source.size,
        source.names + held_out.names,
    )
    return joined, np.arange(n), np.arange(n, n + m)
