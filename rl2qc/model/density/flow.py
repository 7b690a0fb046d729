"""RealNVP with softly bounded log-scales, built from nflows' coupling layers.

References
----------
Dinh et al., "Density estimation using Real NVP", ICLR 2017.
"""

from __future__ import annotations

import torch
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms.base import CompositeTransform
from nflows.transforms.coupling import AffineCouplingTransform
from nflows.transforms.permutations import Permutation
from torch import Tensor

__all__ = ["LOG_SCALE_BOUND", "BoundedAffineCoupling", "realnvp"]

LOG_SCALE_BOUND = 1.0
INPUT_BOUND = 4.0


class BoundedAffineCoupling(AffineCouplingTransform):  # type: ignore[misc]
    """y = x exp(s) + t with s = a tanh(u / a), so that one layer scales by at most e^a.

    nflows' own layer scales by a sigmoid, at most 1.001: it cannot expand volume, and far inputs
    of an unbounded exponential explode.
    """

    def _scale_and_shift(self, transform_params: Tensor) -> tuple[Tensor, Tensor]:
        shift, unbounded = transform_params.chunk(2, dim=1)
        return torch.exp(LOG_SCALE_BOUND * torch.tanh(unbounded / LOG_SCALE_BOUND)), shift


def realnvp(dim: int, *, layers: int = 8, hidden: int = 128, seed: int = 0) -> Flow:
    """A RealNVP density over ``dim`` variables that starts as a permuted identity.

    Parameters
    ----------
    dim
        Number of variables, at least 2.
    layers
        Coupling layers; between two of them stands a fixed random permutation.
    hidden
        Width of the coupling networks, each a residual block.
    seed
        Of the permutations (kept in the state dict) and the initial weights.

    Returns
    -------
    nflows Flow
        With ``log_prob(x)`` (n,) in nats and ``transform_to_noise(x)`` (n, dim), float32.

    Raises
    ------
    ValueError
        Fewer than two variables.

    Examples
    --------
    >>> import numpy as np
    >>> flow = realnvp(4, layers=2, hidden=8)
    >>> x = torch.zeros(3, 4)
    >>> bool(torch.allclose(flow.log_prob(x), torch.full((3,), -2 * np.log(2 * np.pi))))
    True
    """
    if dim < 2:
        raise ValueError(f"a coupling flow needs at least 2 variables, got {dim}")
    generator = torch.Generator().manual_seed(seed)
    transforms: list[torch.nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in range(layers):
            if layer:
                transforms.append(Permutation(torch.randperm(dim, generator=generator)))
            mask = torch.arange(dim) % 2
            transforms.append(BoundedAffineCoupling(mask, lambda i, o: _network(i, o, hidden)))
    return Flow(CompositeTransform(transforms), StandardNormal([dim]))


class _Conditioner(ResidualNet):  # type: ignore[misc]
    """A residual network of softly clipped inputs.

    Its outputs are bounded whatever the input: a patch far from the reference moves through the
    flow by an affine map, so that latents grow with the distance and do not explode.
    """

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        outputs: Tensor = super().forward(INPUT_BOUND * torch.tanh(inputs / INPUT_BOUND), context)
        return outputs


def _network(inputs: int, outputs: int, hidden: int) -> _Conditioner:
    network = _Conditioner(inputs, outputs, hidden_features=hidden, num_blocks=1)
    # Zero: the flow begins as the identity.
    torch.nn.init.zeros_(network.final_layer.weight)
    torch.nn.init.zeros_(network.final_layer.bias)
    return network
