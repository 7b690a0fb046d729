"""The independent units of a sample, images or slides, and what all resampling checks."""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.stats._checks import as_count

__all__ = ["Array", "Draws", "Rows", "Units", "check_options", "drawn_as", "finite", "split"]

Array: TypeAlias = NDArray[Any]
Rows: TypeAlias = NDArray[np.intp]


class Draws(TypedDict, total=False):
    """Keywords of all resampling: how often, for which coverage, and the seed."""

    n_resamples: int
    level: float
    seed: int | np.random.Generator


class Units:
    """The independent units of one sample: its rows, or its groups of rows."""

    def __init__(
        self, sample: Array, groups: ArrayLike | None, name: str, at_least: int = 2
    ) -> None:
        # Rows group by group, and where each group begins among them; None without groups.
        self._ordered: Rows | None = None
        self._starts: Rows | None = None
        self.sizes: Rows | None = None
        self.count, self.effective = len(sample), float(len(sample))
        if groups is not None:
            labels = np.asarray(groups)
            if labels.shape != (len(sample),):
                raise ValueError(
                    f"groups of {name} must hold one id an image ({len(sample)}),"
                    f" got shape {labels.shape}"
                )
            missing = [v is None or v != v for v in labels] if labels.dtype.kind in "Of" else []
            if any(missing):
                raise ValueError(
                    f"groups of {name} lack the id of {sum(missing)} of {len(labels)} images,"
                    f" the first is image {missing.index(True)}"
                )
            try:
                _, member, sizes = np.unique(labels, return_inverse=True, return_counts=True)
            except TypeError:
                raise ValueError(f"groups of {name} must be ids of one type") from None
            self._ordered = np.argsort(member, kind="stable")
            self.sizes, self._starts = sizes, np.cumsum(sizes) - sizes
            self.count = len(sizes)
            # Kish: groups of unequal size say no more than this number of equal ones.
            self.effective = float(sizes.sum() ** 2 / np.square(sizes).sum())
        if self.count < at_least:
            unit = "images" if groups is None else "groups"
            raise ValueError(
                f"{name} needs at least {at_least} {unit} to resample, got {self.count}"
            )

    def rows(self, units: Rows) -> Rows:
        """Rows of the sample that are of these units."""
        if self._ordered is None or self._starts is None or self.sizes is None:
            return units
        sizes = self.sizes[units]
        ends = np.cumsum(sizes)
        places = np.arange(ends[-1]) + np.repeat(self._starts[units] - ends + sizes, sizes)
        rows: Rows = self._ordered[places]
        return rows


def drawn_as(draws: Draws) -> tuple[int, float, int | np.random.Generator]:
    """What :class:`Draws` say, with defaults for what they leave out.

    Raises
    ------
    TypeError
        For a keyword that is none of them.
    """
    known: dict[str, Any] = {"n_resamples": 200, "level": 0.95, "seed": 0}
    if unknown := set(draws) - set(known):
        raise TypeError(f"no keyword {sorted(unknown)[0]!r}: there are {', '.join(known)}")
    n_resamples, level, seed = (known | dict(draws)).values()
    return n_resamples, level, seed


def check_options(n_resamples: int, level: float, at_least: int = 2) -> None:
    """ValueError for options out of range."""
    as_count(n_resamples, "n_resamples", at_least=at_least)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")


def finite(value: float) -> float:
    """A metric's value; ValueError for one that is not finite."""
    if not np.isfinite(value):
        raise ValueError(f"the metric must be finite, got {value}")
    return float(value)


def split(
    units: Units, size: int, rng: np.random.Generator, *, leave_some: bool = True
) -> tuple[Rows, Rows]:
    """Rows of random units, ``size`` of them where they suffice, and those of all other units."""
    order = rng.permutation(units.count)
    if units.sizes is None:
        return order[:size], order[size:]
    reach = np.cumsum(units.sizes[order])
    taken = int(np.searchsorted(reach, size)) + 1
    taken = min(taken, units.count - 1 if leave_some else units.count)
    first, rest = units.rows(order[:taken]), order[taken:]
    return (
        rng.permutation(first)[:size],
        units.rows(rest) if len(rest) else np.empty(0, dtype=np.intp),
    )
