"""The density of features: whitening, then a RealNVP on the leading components."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from rl2qc.core.arguments import check_rows
from rl2qc.model.density.flow import realnvp
from rl2qc.model.density.whitening import Whitening, standard_normal_log_prob

__all__ = ["FeatureDensity"]


class FeatureDensity(nn.Module):
    """An invertible map of features (n, d) to latents (n, d) and the density that it defines.

    Latents are the flow's noise for the ``n_components`` leading whitened components, followed
    by the remaining components, which are modelled as isotropic Gaussian: a flow over all 512
    overfits a few hundred patches.

    Parameters
    ----------
    dim, n_components
        As in :class:`~rl2qc.model.density.whitening.Whitening`.
    layers, hidden, seed
        As in :func:`~rl2qc.model.density.flow.realnvp`.
    """

    def __init__(
        self, dim: int, n_components: int, *, layers: int = 8, hidden: int = 128, seed: int = 0
    ) -> None:
        super().__init__()
        self.layers, self.hidden = layers, hidden
        self.whitening = Whitening(dim, n_components)
        self.flow = realnvp(n_components, layers=layers, hidden=hidden, seed=seed)

    @property
    def dim(self) -> int:
        return len(self.whitening.mean)

    def split(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Whitened features as (leading, rest)."""
        z = self.whitening(features)
        return z[:, : self.whitening.n_components], z[:, self.whitening.n_components :]

    def latents(self, features: Tensor) -> Tensor:
        """Latents (n, d), the z of RL2."""
        leading, rest = self.split(features)
        return torch.cat([self.flow.transform_to_noise(leading), rest], dim=1)

    def latents_of(self, features: ArrayLike) -> NDArray[np.float32]:
        """:meth:`latents` of arrays, without gradients; UsageError for what are no features."""
        features = check_rows("features", features, self.dim)
        with torch.inference_mode():
            latents = self.latents(torch.from_numpy(np.array(features, np.float32)))
        return np.asarray(latents.numpy())

    def log_prob(self, features: Tensor) -> Tensor:
        """Log-likelihood (n,) of features (n, d), in nats."""
        leading, rest = self.split(features)
        total: Tensor = self.flow.log_prob(leading) + standard_normal_log_prob(rest)
        return total + self.whitening.log_abs_det

    def inverse(self, latents: Tensor) -> Tensor:
        """Features (n, d) of latents (n, d)."""
        m = self.whitening.n_components
        leading, _ = self.flow._transform.inverse(latents[:, :m])
        return self.whitening.inverse(torch.cat([leading, latents[:, m:]], dim=1))


def log_likelihood(density: FeatureDensity, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-likelihood (n,) of pooled features (n, 512), in nats."""
    with torch.inference_mode():
        return np.asarray(density.log_prob(torch.from_numpy(features.copy())).double().numpy())
