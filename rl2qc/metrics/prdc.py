"""Precision, recall, density and coverage of generated against real images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from rl2qc.metrics._balls import balls
from rl2qc.metrics._pair import Floats
from rl2qc.metrics.matrices import Matrices, Rows
from rl2qc.metrics.neighbors import Backend, kneighbors
from rl2qc.stats._checks import FloatArray, as_feature_pair, check_k

__all__ = ["Convention", "PrdcResult", "prdc", "prdc_of_rows"]

Convention: TypeAlias = Literal["prdc", "kynkaanniemi"]


@dataclass(frozen=True)
class PrdcResult:
    """The four scores and how they were computed.

    Parameters
    ----------
    precision : float
        Share of generated images inside a ball around a real one.
    recall : float
        Share of real images inside a ball around a generated one.
    density : float
        Mean number of real balls that hold a generated image, over k; may exceed 1.
    coverage : float
        Share of real images with a generated one in their ball.
    k : int
    convention : str
    n_real, n_generated : int
    """

    precision: float
    recall: float
    density: float
    coverage: float
    k: int
    convention: str
    n_real: int
    n_generated: int


def prdc(
    real: ArrayLike,
    generated: ArrayLike,
    k: int = 5,
    *,
    convention: Convention = "prdc",
    memory_mb: float = 256.0,
    backend: Backend = "auto",
) -> PrdcResult:
    """Precision, recall, density and coverage.

    A ball around an image reaches to its k-th nearest neighbour in its own set, itself not
    counted.

    Parameters
    ----------
    real : array_like, shape (n, d)
    generated : array_like, shape (m, d)
    k : int
        Neighbours that set the radius; the papers use 3 (Kynkäänniemi) and 5 (Naeem).
    convention : {"prdc", "kynkaanniemi"}
        Whether an image on the edge of a ball lies in it: ``"prdc"`` says no (distance < radius,
        Naeem's package), ``"kynkaanniemi"`` yes (<=, the improved precision and recall paper, and
        here density and coverage as well). They part where distances are equal: when a set is
        compared with itself, and when more than k duplicates make the radius 0, where ``"prdc"``
        gives 0 even for identical sets.
    memory_mb, backend
        Passed to :mod:`rl2qc.metrics.neighbors`.

    Raises
    ------
    ValueError
        If a set is no finite 2-D array or has no more than ``k`` images, or the dimensions differ.

    References
    ----------
    Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models",
    NeurIPS 2019, Eq. 1-2. Naeem et al., "Reliable fidelity and diversity metrics for generative
    models", ICML 2020, Eq. 3-4.

    Examples
    --------
    >>> result = prdc([[0.0], [1.0], [2.0], [3.0]], [[0.5], [0.6], [9.0], [9.5]], k=1)
    >>> result.precision, result.recall, result.density, result.coverage
    (0.5, 0.0, 1.0, 0.5)
    """
    if convention not in get_args(Convention):
        raise ValueError(f"convention must be one of {get_args(Convention)}, got {convention!r}")
    x, y = as_feature_pair(real, generated)
    check_k(k, len(x), "real")
    check_k(k, len(y), "generated")

    def radii(points: FloatArray) -> Floats:
        found = kneighbors(
            points, points, k, exclude_self=True, memory_mb=memory_mb, backend=backend
        )
        return found.distances[:, -1]

    found = balls(x, y, radii(x), radii(y), strict=convention == "prdc")
    return PrdcResult(
        precision=float(np.mean(found.holding > 0)),
        recall=float(np.mean(found.reached)),
        density=float(np.mean(found.holding) / k),
        coverage=float(np.mean(found.covered)),
        k=k,
        convention=convention,
        n_real=len(x),
        n_generated=len(y),
    )


def prdc_of_rows(
    matrices: Matrices,
    real: Rows,
    generated: Rows,
    k: int = 5,
    *,
    convention: Convention = "prdc",
) -> dict[str, float]:
    """The four scores of rows of the matrices by name, as :func:`prdc` gives them.

    Raises
    ------
    ValueError
        For a set of no more than ``k`` rows.
    """
    check_k(k, len(real), "real")
    check_k(k, len(generated), "generated")
    within = np.less if convention == "prdc" else np.less_equal
    across = matrices.euclidean[np.ix_(generated, real)]
    of_real, of_generated = matrices.radii(real, k), matrices.radii(generated, k)
    inside = within(across, of_real)
    return {
        "precision": float(inside.any(axis=1).mean()),
        "recall": float(within(across, of_generated[:, None]).any(axis=0).mean()),
        "density": float(inside.sum(axis=1).mean() / k),
        "coverage": float(within(across.min(axis=0), of_real).mean()),
    }
