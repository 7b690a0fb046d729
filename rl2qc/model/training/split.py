"""Which patches train and which are held out, slide by slide where slides are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import UsageError
from rl2qc.images.sources.base import PatchSource

__all__ = ["MIN_PATCHES", "join_held_out", "split_rows"]

# The smallest conformal p-value of m held-out patches is 1 / (m + 1): 19 reach alpha 0.05.
MIN_HELD_OUT = 20
MIN_PATCHES = 5 * MIN_HELD_OUT


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
