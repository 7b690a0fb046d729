"""Count, mean and scatter of features, accumulated in one pass over batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.stats._checks import as_features

__all__ = ["Moments"]


@dataclass(frozen=True, eq=False)
class Moments:
    r"""The first two moments of a feature set, in float64.

    Two sets are joined by Chan's formula, which subtracts no large numbers from one another:

    .. math:: M_{ab} = M_a + M_b + \frac{n_a n_b}{n_a + n_b} (\mu_b - \mu_a)(\mu_b - \mu_a)^T

    Parameters
    ----------
    count : int
        Number of images.
    mean : ndarray, shape (d,)
        Mean feature.
    scatter : ndarray, shape (d, d)
        Sum of the outer products of the deviations from the mean.

    References
    ----------
    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances", COMPSTAT 1982, Eq. 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> whole, parts = Moments.of(x), Moments.of(x[:30]).update(x[30:])
    >>> parts.count, bool(np.allclose(whole.covariance(), parts.covariance()))
    (100, True)
    """

    count: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @classmethod
    def of(cls, features: ArrayLike) -> Moments:
        """Moments of one ``(n, d)`` array, n >= 1; ``ValueError`` if it is no finite array."""
        x = as_features(features)
        mean = x.mean(axis=0, dtype=np.float64)
        centred = x - mean
        return cls(len(x), mean, centred.T @ centred)

    def merge(self, other: Moments) -> Moments:
        """Moments of the two sets together; ``ValueError`` if their dimensions differ."""
        if self.mean.shape != other.mean.shape:
            raise ValueError(
                f"moments to merge must have the same dimension,"
                f" got {self.mean.size} and {other.mean.size}"
            )
        count = self.count + other.count
        shift = other.mean - self.mean
        return Moments(
            count,
            self.mean + shift * (other.count / count),
            self.scatter
            + other.scatter
            + np.outer(shift, shift) * (self.count * other.count / count),
        )

    def update(self, features: ArrayLike) -> Moments:
        """Moments after one more ``(n, d)`` batch."""
        return self.merge(Moments.of(features))

    def covariance(self) -> NDArray[np.float64]:
        """Unbiased ``(d, d)`` covariance (``ddof = 1``); ``ValueError`` for a single image."""
        if self.count < 2:
            raise ValueError("a covariance needs at least 2 images, got n = 1")
        return self.scatter / (self.count - 1)
