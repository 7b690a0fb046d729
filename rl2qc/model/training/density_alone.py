"""A density of features that are at hand, without anything else of a model: what the RL2 paper has.

The paper trains its flow on the very images that generated ones are held against (Jeevan et al.,
ISBI 2025, Section 3). On features of a fixed backbone that takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rl2qc.core.progress import Progress
from rl2qc.errors import UsageError
from rl2qc.model.calibration import conformal_p_values
from rl2qc.model.density.features import FeatureDensity, log_likelihood
from rl2qc.model.training.flow import fit_flow
from rl2qc.model.training.settings import TrainSettings

__all__ = ["FEWEST", "FittedDensity", "fit_density_alone"]

FEWEST = 40
"""Images that a density is fitted to, at least."""
_HELD, _FEWEST_GROUPS, _PER_COMPONENT = 0.2, 5, 8


@dataclass(frozen=True, eq=False)
class FittedDensity:
    """A density, and the likelihoods of images that it was not fitted to.

    Attributes
    ----------
    density
    held : (m,) float64
        Log-likelihoods of the held-out images, in nats: p-values are counted among them.
    n_train
        Images that it was fitted to.
    """

    density: FeatureDensity
    held: NDArray[np.float64]
    n_train: int

    def latents(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Latents (n, d) of features (n, d)."""
        return self.density.latents_of(features)

    def log_likelihood(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-likelihood (n,) of features (n, d), in nats."""
        return log_likelihood(self.density, features)

    def p_values(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Share of the held-out images (n,) that are at most as likely."""
        return conformal_p_values(self.log_likelihood(features), self.held)


def fit_density_alone(
    features: NDArray[np.float32],
    groups: NDArray[np.str_] | None = None,
    *,
    seed: int = 0,
    progress: bool | Progress = False,
) -> FittedDensity:
    """Fit whitening and flow to features, a fifth of which is held out for stopping and p-values.

    Parameters
    ----------
    features : (n, d) float32
    groups : (n,) str
        Slides or patients, which are held out whole where there are at least five of them.
    seed
        Of the split, the flow and its batches.
    progress
        Show a bar on the standard error, or call a function with (done, total, what).

    Raises
    ------
    UsageError
        Fewer than 40 images.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(60, 512)).astype(np.float32)
    >>> fitted = fit_density_alone(x)
    >>> fitted.latents(x[:2]).shape, fitted.p_values(x[:2]).shape, fitted.n_train
    ((2, 512), (2,), 48)
    """
    if len(features) < FEWEST:
        raise UsageError(f"a flow is fitted to at least {FEWEST} images, got {len(features)}")
    held = _held_out(len(features), groups, seed)
    x = torch.from_numpy(np.ascontiguousarray(features, np.float32))
    usual = TrainSettings()
    n_components = min(usual.n_components, x.shape[1], int((~held).sum()) // _PER_COMPONENT)
    density = FeatureDensity(
        x.shape[1], n_components, layers=usual.layers, hidden=usual.hidden, seed=seed
    )
    kept = torch.from_numpy(~held)
    fit_flow(density, x[kept], x[~kept], changes={}, seed=seed, progress=progress)
    of_held = log_likelihood(density, features[held])
    return FittedDensity(density, of_held, int((~held).sum()))


def _held_out(n: int, groups: NDArray[np.str_] | None, seed: int) -> NDArray[np.bool_]:
    """A fifth of the images, of whole groups where there are enough of them."""
    labels = np.arange(n) if groups is None else groups
    if len(set(labels.tolist())) < _FEWEST_GROUPS:
        labels = np.arange(n)
    names, member, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    reach = np.cumsum(counts[order])
    last = int(np.clip(np.searchsorted(reach, _HELD * n) + 1, 1, len(names) - 1))
    return np.isin(member, order[:last])
