"""Why a patch was rejected: in which of its quantities it lies farthest outside the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.images.quantity_names import QUANTITIES

__all__ = [
    "ALL_REASONS",
    "DAMAGE_REASONS",
    "FOREIGN",
    "GLASS",
    "MIN_REFERENCE",
    "PROCEDURAL",
    "REASONS",
    "REASON_COLORS",
    "ReferenceQuantities",
    "likely_reasons",
]

FOREIGN = "out of distribution"
"""The reason of what is unlike all that the model knows, and that no one thing tells of."""
GLASS = "pale or background"
"""The reason of tiles without stain, or without tissue."""
REASONS = (
    "out of focus",
    "ink or pen",
    "fold or dark",
    "pale or background",
    "noise or compression",
    FOREIGN,
)
"""What a reason can be; the last is what remains where no quantity tells."""
DAMAGE_REASONS: Mapping[str, str] = {
    "out_of_focus": "out of focus",
    "ink": "ink",
    "pen": "pen",
    "fold": "fold",
    "dark_spot": "dark spot",
    "bubble": "bubble or edge",
    "foreign": "foreign body",
    "noise": "noise or compression",
    "compression": "noise or compression",
    "stain": "pale or overstained",
    "other": "other damage",
}
"""What the classes of a general model's map are called where a person reads them."""
ALL_REASONS: tuple[str, ...] = tuple(dict.fromkeys((*DAMAGE_REASONS.values(), *REASONS)))
"""Every reason of every kind of model, in the order of lists."""
REASON_COLORS: Mapping[str, tuple[int, int, int]] = {
    "out of focus": (125, 79, 201),
    "ink": (31, 127, 196),
    "pen": (20, 75, 140),
    "fold": (122, 74, 34),
    "dark spot": (60, 35, 20),
    "bubble or edge": (0, 160, 160),
    "foreign body": (205, 70, 150),
    "noise or compression": (224, 138, 0),
    "pale or overstained": (154, 154, 165),
    "other damage": (120, 140, 40),
    "ink or pen": (31, 127, 196),
    "fold or dark": (122, 74, 34),
    "pale or background": (154, 154, 165),
    FOREIGN: (192, 24, 47),
}
"""The colour of each reason, everywhere."""
MIN_REFERENCE = 30
"""Fewer patches do not say what a quantity's usual range is."""

# What speaks for each reason: quantities, and the side of the reference on which they lie.
_EVIDENCE: Mapping[str, tuple[tuple[str, int], ...]] = {
    "out of focus": (("focus", -1),),
    "ink or pen": (("odd_hue", 1),),
    "fold or dark": (("darkness", 1),),
    "pale or background": (("white", 1), ("density", -1)),
    "noise or compression": (("noise", 1), ("blockiness", 1)),
}
# The usual range is that of 98 % of the reference, on either side of the median.
_TAIL = 0.01
# It is no narrower than this on either side: a reference of few or equal patches would find
# everything unusual.
_NARROWEST: Mapping[str, float] = {
    "focus": 0.2,
    "noise": 1.0,
    "blockiness": 0.2,
    "odd_hue": 0.01,
    "density": 0.1,
    "darkness": 0.2,
    "white": 0.1,
}


@dataclass(frozen=True, eq=False)
class ReferenceQuantities:
    """The usual range of each quantity in clean patches, since stains and scanners differ.

    Attributes
    ----------
    low, median, high : (7,) float64
        1 % quantile, median and 99 % quantile, in the order of
        :data:`rl2qc.images.quantity_names.QUANTITIES`.

    Examples
    --------
    >>> reference = ReferenceQuantities.fit(np.random.default_rng(0).normal(size=(100, 7)))
    >>> same = ReferenceQuantities.from_state(reference.state())
    >>> bool((same.median == reference.median).all())
    True
    """

    low: NDArray[np.float64]
    median: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def fit(cls, quantities: ArrayLike) -> ReferenceQuantities:
        """The ranges of clean patches' quantities (n, 7).

        Raises
        ------
        ValueError
            Another shape, or fewer than :data:`MIN_REFERENCE` patches.
        """
        values = _checked(quantities)
        if len(values) < MIN_REFERENCE:
            raise ValueError(f"a reference needs {MIN_REFERENCE} patches, got {len(values)}")
        low, median, high = np.quantile(values, [_TAIL, 0.5, 1 - _TAIL], axis=0)
        return cls(low, median, high)

    @classmethod
    def fences(cls, quantities: ArrayLike) -> ReferenceQuantities:
        """Ranges that only the odd ones among patches (n, 7) lie outside, even where all are out of
        distribution.

        1.5 interquartile ranges beyond the quartiles (Tukey, "Exploratory Data Analysis", 1977):
        unlike :meth:`fit`, blind to what up to a quarter of the patches have on either side.

        Examples
        --------
        >>> quantities = np.tile(PROCEDURAL.median + 2, (40, 1))
        >>> quantities[:8, QUANTITIES.index("focus")] -= 3
        >>> reference = ReferenceQuantities.fences(quantities)
        >>> likely_reasons(quantities, np.zeros(40), reference)[[0, 9]].tolist()
        ['out of focus', 'out of distribution']
        """
        low, median, high = np.quantile(_checked(quantities), [0.25, 0.5, 0.75], axis=0)
        return cls(low - 1.5 * (high - low), median, high + 1.5 * (high - low))

    def state(self) -> dict[str, NDArray[np.float64]]:
        """All fitted numbers as arrays, by name."""
        return {"low": self.low, "median": self.median, "high": self.high}

    @classmethod
    def from_state(cls, state: Mapping[str, ArrayLike]) -> ReferenceQuantities:
        """Rebuild what :meth:`state` gave, from arrays or lists.

        Raises
        ------
        KeyError
            A part is missing.
        ValueError
            A part is of another shape, as of another version, or no range.
        """
        parts = [np.asarray(state[name], np.float64) for name in ("low", "median", "high")]
        if any(part.shape != (len(QUANTITIES),) for part in parts):
            raise ValueError(f"the reference must know {len(QUANTITIES)} quantities")
        low, median, high = parts
        if not (np.isfinite(parts).all() and (low <= median).all() and (median <= high).all()):
            raise ValueError("the usual range of a quantity must hold its median")
        return cls(low, median, high)

    def excess(self, quantities: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """How far patches lie outside the usual range, (n,) for each reason but the last.

        1 is the end of the range, counted from the median: 2 is twice as far off. A reason with
        several quantities counts by the one that is farthest off.
        """
        values = _checked(quantities)
        least = np.array([_NARROWEST[name] for name in QUANTITIES])
        above = (values - self.median) / np.maximum(self.high - self.median, least)
        below = (self.median - values) / np.maximum(self.median - self.low, least)
        return {
            reason: np.max(
                [(above if side > 0 else below)[:, QUANTITIES.index(name)] for name, side in parts],
                axis=0,
            )
            for reason, parts in _EVIDENCE.items()
        }


# Procedural tissue of many stains, sharp, slightly soft and slightly noisy: what
# scripts/evaluate_reasons.py --procedural prints.
PROCEDURAL = ReferenceQuantities(
    low=np.array([-0.398, 0.408, 0.014, 0.0, 0.253, 0.71, 0.003]),
    median=np.array([0.18, 1.417, 0.052, 0.0, 0.509, 1.019, 0.066]),
    high=np.array([0.363, 3.865, 0.137, 0.0, 0.686, 1.321, 0.217]),
)
"""What is usual where no reference is known; wide, since it must hold for any stain."""


def likely_reasons(
    quantities: ArrayLike, keep: ArrayLike, reference: ReferenceQuantities | None = None
) -> NDArray[np.str_]:
    """The likely reason why each patch was rejected; "" for those that were kept.

    It is the reason whose quantities lie farthest outside the reference, in units of its usual
    range; "out of distribution" if all lie within it.

    Parameters
    ----------
    quantities : (n, 7)
        From :func:`rl2qc.images.quantities.measure_quantities`.
    keep : (n,) bool
        The decision.
    reference
        What is usual; None takes the patches that are kept, or :data:`PROCEDURAL` where they are
        too few.

    Returns
    -------
    (n,) str

    Raises
    ------
    ValueError
        Arrays of other shapes.

    Examples
    --------
    >>> quantities = np.tile([0.5, 2.0, 0.1, 0.0, 0.6, 1.0, 0.1], (40, 1))
    >>> quantities[0, 0] = -1.0
    >>> keep = np.arange(40) > 1
    >>> likely_reasons(quantities, keep)[:3].tolist()
    ['out of focus', 'out of distribution', '']
    """
    values, kept = _checked(quantities), np.asarray(keep, np.bool_)
    if kept.shape != (len(values),):
        raise ValueError(f"{len(values)} patches have decisions of shape {kept.shape}")
    if reference is None:
        enough = kept.sum() >= MIN_REFERENCE
        reference = ReferenceQuantities.fit(values[kept]) if enough else PROCEDURAL
    excess = np.stack(list(reference.excess(values).values()), axis=1)
    farthest = np.array(REASONS[:-1])[excess.argmax(axis=1)]
    return np.where(kept, "", np.where(excess.max(axis=1) > 1, farthest, FOREIGN))


def _checked(quantities: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(quantities, np.float64)
    if values.ndim != 2 or values.shape[1] != len(QUANTITIES):
        raise ValueError(f"quantities must be (n, {len(QUANTITIES)}), got {values.shape}")
    return values
