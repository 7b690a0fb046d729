"""Features standardised with fixed training statistics.

The leading principal components are scaled one by one to unit variance; what is left of the
space is scaled by one common standard deviation, as in probabilistic PCA (Tipping and Bishop,
1999). The map is linear and invertible, so it has an exact log-determinant, and no tiny
eigenvalue of a small sample can blow up a latent.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["Whitening", "standard_normal_log_prob"]


class Whitening(nn.Module):
    """An invertible linear map of features (n, d) to latents (n, d) of about unit variance.

    Parameters
    ----------
    dim
        Number of features d.
    n_components
        Leading components that are scaled one by one; they come first in the output.

    Attributes
    ----------
    mean : (d,)
    components : (d, d), orthonormal rows, by falling variance
    scales : (d,), standard deviations along the components; the last d - n_components are equal

    Examples
    --------
    >>> x = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1
    >>> z = Whitening(6, 4).fit(x)(x)
    >>> [round(float(v), 2) for v in z[:, :4].std(0)]
    [1.0, 1.0, 1.0, 1.0]
    """

    mean: Tensor
    components: Tensor
    scales: Tensor

    def __init__(self, dim: int, n_components: int) -> None:
        super().__init__()
        if not 2 <= n_components <= dim:
            raise ValueError(f"n_components must lie between 2 and {dim}, got {n_components}")
        self.n_components = n_components
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("components", torch.eye(dim))
        self.register_buffer("scales", torch.ones(dim))

    def fit(self, features: Tensor) -> Whitening:
        """Take mean, components and scales from features (n, d), computed in float64.

        Raises
        ------
        ValueError
            Fewer than ``n_components`` + 1 rows.
        """
        n, dim = features.shape
        if n <= self.n_components:
            raise ValueError(f"{self.n_components} components need more than {n} patches")
        x = features.double()
        mean = x.mean(0)
        variances, vectors = torch.linalg.eigh(torch.cov(x.T))
        variances = variances.flip(0).clamp_min(0)
        # A dead feature has no variance; the floor keeps its latent finite.
        variances = variances.clamp_min(1e-8 * float(variances[0]) + 1e-12)
        if self.n_components < dim:
            variances[self.n_components :] = variances[self.n_components :].mean()
        components = vectors.T.flip(0)
        # The sign of an eigenvector is arbitrary: fix it, so that machines agree.
        largest = components.gather(1, components.abs().argmax(1, keepdim=True))
        self.mean.copy_(mean)
        self.components.copy_(components * torch.sign(largest))
        self.scales.copy_(variances.sqrt())
        return self

    @property
    def log_abs_det(self) -> float:
        """log |det dz/dx|, in nats."""
        return -float(self.scales.double().log().sum())

    def forward(self, features: Tensor) -> Tensor:
        """Whiten features (n, d)."""
        z: Tensor = (features - self.mean) @ self.components.T / self.scales
        return z

    def inverse(self, latents: Tensor) -> Tensor:
        """Features (n, d) of whitened latents (n, d)."""
        return (latents * self.scales) @ self.components + self.mean


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """Log-density (n,) of the standard normal at z (n, d), in nats."""
    return -0.5 * (z.square().sum(1) + z.shape[1] * math.log(2 * math.pi))
