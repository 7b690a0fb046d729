"""Which patches train and which are held out, slide by slide where slides are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import UsageError
from rl2qc.images.duplicates import duplicate_warning, join_groups
from rl2qc.images.sources.images import Joined, PatchSource

__all__ = ["MIN_PATCHES", "Split", "join_held_out", "split_patches", "split_rows"]

# The smallest conformal p-value of m held-out patches is 1 / (m + 1): 19 reach alpha 0.05.
MIN_HELD_OUT = 20
MIN_PATCHES = 5 * MIN_HELD_OUT


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to train on and rows to hold out, with what must not be split.

    Attributes
    ----------
    train, held : (n - m,), (m,) int64
    groups
        Slide, patient, image or set of near-duplicates of each patch; None where each is its own.
    warnings
        What is said of near-duplicates.
    """

    train: NDArray[np.int64]
    held: NDArray[np.int64]
    groups: list[str] | None
    warnings: tuple[str, ...] = ()


def split_patches(
    n: int,
    n_apart: int | None,
    groups: list[str] | None,
    holdout: float,
    seed: int,
    *,
    duplicates: NDArray[np.int64] | None = None,
    names: Sequence[str] = (),
) -> Split:
    """Split ``n`` patches, near-duplicates among them kept on one side.

    Parameters
    ----------
    n
        All patches.
    n_apart
        The last so many are held out; None draws a share of them.
    groups
        Of each patch: none is split.
    holdout, seed
        Share to draw, and the seed of the draw.
    duplicates : (n,)
        Of :func:`~rl2qc.images.duplicates.near_duplicates`; None where they were not looked for.
    names
        Of the patches, for warnings.

    Raises
    ------
    UsageError
        Too few patches or groups.
    """
    warnings: tuple[str, ...] = ()
    if duplicates is not None:
        groups, warnings = _together(n_apart, groups, holdout, duplicates, names)
    if n_apart is not None:
        return Split(np.arange(n - n_apart), np.arange(n - n_apart, n), groups, warnings)
    train, held = split_rows(n, holdout, groups, seed)
    return Split(train, held, groups, warnings)


def _together(
    n_apart: int | None,
    groups: list[str] | None,
    holdout: float,
    duplicates: NDArray[np.int64],
    names: Sequence[str],
) -> tuple[list[str] | None, tuple[str, ...]]:
    """The groups that keep near-duplicates together, and what is said of them."""
    n = len(duplicates)
    warning = duplicate_warning(duplicates, names)
    if warning is None:
        return groups, ()
    if n_apart is not None:
        trained = set(duplicates[: n - n_apart].tolist())
        crossing = sum(group in trained for group in duplicates[n - n_apart :].tolist())
        if crossing:
            warning += (
                f"; {crossing} of the held-out patches have one that trains, so the hold-out looks "
                "too normal and new patches less so: leave them out"
            )
        return groups, (warning,)
    together = join_groups(duplicates, groups, holdout * n)
    if together is None:
        return groups, (
            f"{warning}: too many to be kept on one side of the hold-out, which looks too normal "
            "and new patches less so; leave some out",
        )
    return together, (
        f"{warning}: they teach the model no more than one would, and are not split by the "
        "hold-out",
    )


def split_rows(
    n: int, holdout: float, groups: Sequence[str] | None, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and rows to hold out; a group stays on one side.

    Raises
    ------
    UsageError
        Too few patches or groups.

    Examples
    --------
    >>> train, held = split_rows(100, 0.2, None, seed=0)
    >>> len(train), len(held)
    (80, 20)
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
        raise UsageError(f"all patches come from one slide ({names[0]}): leave the groups out")
    held: list[int] = []
    for group in rng.permutation(len(names)):
        if len(held) >= n * holdout:
            break
        more = np.flatnonzero(rows == group).tolist()
        # One that is too large to be held out is learnt from.
        if len(held) + len(more) <= n * (1 + holdout) / 2:
            held += more
    chosen = np.zeros(n, bool)
    chosen[held] = True
    if len(held) < min(MIN_HELD_OUT, n * holdout):
        raise UsageError(
            "one group (slide, image or set of near-duplicates) holds nearly all patches, and the "
            f"others are too few to be held out, {MIN_HELD_OUT} at least: add others, or leave the "
            "groups out"
        )
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def join_held_out(source: PatchSource, held_out: PatchSource) -> PatchSource:
    """One source of both sets, those to train on first.

    Raises
    ------
    UsageError
        Too few patches in either set.
    """
    n, m = len(source), len(held_out)
    if n < MIN_PATCHES - MIN_HELD_OUT or m < MIN_HELD_OUT:
        raise UsageError(
            f"{n} training and {m} held-out patches are too few: at least "
            f"{MIN_PATCHES - MIN_HELD_OUT} and {MIN_HELD_OUT} are needed, the fewest that can "
            "reject at alpha 0.05"
        )
    return PatchSource(
        Joined([source.items, held_out.items]), source.size, source.names + held_out.names
    )
