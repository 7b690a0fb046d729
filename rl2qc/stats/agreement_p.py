"""How likely an agreement of ranks is by chance: permutations of the generators."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["chance_taus", "p_of_mean_tau", "p_of_tau"]

# Up to so many generators every order is looked at: 8! = 40,320.
_ALL_UP_TO = 8
_DRAWS = 20_000


def chance_taus(ranks_a: ArrayLike, ranks_b: ArrayLike, *, seed: int = 0) -> NDArray[np.float64]:
    """Kendall's tau-b of ``ranks_a`` with every order of ``ranks_b`` (20,000 drawn beyond 8 ranks).

    Ties stay ties, so the law is exact for them too.

    Parameters
    ----------
    ranks_a, ranks_b : array_like, shape (n,)
    seed
        Of the orders that are drawn where there are too many.

    Raises
    ------
    ValueError
        All ranks of a side are equal.

    Examples
    --------
    >>> np.unique(chance_taus([1, 2, 3], [1, 2, 3]).round(3)).tolist()
    [-1.0, -0.333, 0.333, 1.0]
    """
    a, b = _signs(ranks_a), _signs(ranks_b)
    n = len(a)
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    if not scale:
        raise ValueError("all generators have one rank: nothing is ordered")
    if n <= _ALL_UP_TO:
        orders = np.array(list(permutations(range(n))))
    else:
        rng = np.random.default_rng(seed)
        orders = rng.permuted(np.tile(np.arange(n), (_DRAWS, 1)), axis=1)
    found = np.empty(len(orders))
    step = max(1, 4_000_000 // n**2)
    for start in range(0, len(orders), step):
        some = orders[start : start + step]
        found[start : start + step] = np.einsum("ij,kij->k", a, b[some[:, :, None], some[:, None]])
    taus: NDArray[np.float64] = found / scale
    return taus


def p_of_tau(tau: float, by_chance: NDArray[np.float64], n: int) -> float:
    """Share of the orders that agree or disagree at least as much; two-sided.

    Parameters
    ----------
    tau
        What was found.
    by_chance
        Of :func:`chance_taus`.
    n
        Generators.

    Examples
    --------
    >>> round(p_of_tau(1.0, chance_taus([1, 2, 3], [1, 2, 3]), 3), 3)
    0.333
    """
    hits = int(np.sum(np.abs(by_chance) >= abs(tau) - 1e-9))
    # Where orders were drawn, the one that was found is one more of them.
    drawn = len(by_chance) < factorial(n) if n <= 20 else True
    return (hits + drawn) / (len(by_chance) + drawn)


def p_of_mean_tau(taus: list[float], by_chance: list[NDArray[np.float64]], seed: int = 0) -> float:
    """The same of the mean tau over tasks, each task's generators in an order of their own.

    Examples
    --------
    >>> chance = chance_taus([1, 2, 3, 4], [1, 2, 3, 4])
    >>> p_of_mean_tau([1.0, 1.0], [chance, chance]) < 0.01
    True
    """
    rng = np.random.default_rng(seed)
    means = np.mean([rng.choice(chance, _DRAWS) for chance in by_chance], axis=0)
    hits = int(np.sum(np.abs(means) >= abs(float(np.mean(taus))) - 1e-9))
    return (hits + 1) / (_DRAWS + 1)


def _signs(ranks: ArrayLike) -> NDArray[np.float64]:
    r = np.asarray(ranks, np.float64)
    signs: NDArray[np.float64] = np.sign(r[:, None] - r[None, :])
    return signs
