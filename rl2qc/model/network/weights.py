"""Weights into networks: those that fit, are finite, and are of this network and no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["check_finite", "fill", "fill_from_others"]

# What PyTorch counts, which changes nothing that is computed.
_COUNT = "num_batches_tracked"
_VARIANCE = "running_var"


def fill(module: nn.Module, given: Mapping[str, Tensor], prefix: str = "") -> None:
    """Fill a network with tensors by name: all that it has, and nothing else.

    Parameters
    ----------
    module
    given
        By the names of its state.
    prefix
        Stands before names in messages.

    Raises
    ------
    KeyError
        One is missing.
    ValueError
        One is not finite, has another shape or kind, or belongs to another network.

    Examples
    --------
    >>> fill(nn.Linear(2, 1), {"weight": torch.ones(1, 2), "bias": torch.full((1,), torch.nan)})
    Traceback (most recent call last):
    ValueError: bias is not finite
    """
    wanted = module.state_dict()
    for name, own in wanted.items():
        if name not in given and not name.endswith(_COUNT):
            raise KeyError(f"{prefix}{name}")
        value = given.get(name, own)
        if value.shape != own.shape or value.is_floating_point() != own.is_floating_point():
            raise ValueError(f"{prefix}{name} is {_shown(value)}, not {_shown(own)}")
    if odd := next((name for name in given if name not in wanted), None):
        raise ValueError(f"{prefix}{odd} is of another network")
    check_finite(given, prefix)
    module.load_state_dict({name: given.get(name, own) for name, own in wanted.items()})


def fill_from_others(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Fill a network from weights that others saved, which may be of more than this network.

    Classifiers and projections beside it are left out; what stands within it, or beside its own
    layers under a name of their kind, must be its own: another network's would else pass, such as
    a deeper one's.

    Raises
    ------
    KeyError, ValueError
        As :func:`fill`.

    Examples
    --------
    >>> small, large = (nn.Sequential(*[nn.Linear(2, 2)] * n) for n in (1, 2))
    >>> fill_from_others(small, {"fc.weight": torch.ones(9), **small.state_dict()})
    >>> fill_from_others(small, large.state_dict())
    Traceback (most recent call last):
    ValueError: 1.weight is of another network
    """
    wanted = module.state_dict()
    kinds = {_kind(name) for name in wanted}
    own = {
        name: value.to(wanted[name].dtype) if _converts(value, wanted.get(name)) else value
        for name, value in state.items()
        if isinstance(value, Tensor) and _kind(name) in kinds and not name.endswith(_COUNT)
    }
    fill(module, own)


def _kind(name: str) -> str:
    """What a layer is called, without its number."""
    return name.partition(".")[0].rstrip("0123456789")


def _converts(value: Tensor, own: Tensor | None) -> bool:
    return own is not None and value.is_floating_point() and own.is_floating_point()


def check_finite(given: Mapping[str, Tensor], prefix: str = "") -> None:
    """ValueError for numbers that are not finite, and for variances below 0."""
    for name, value in given.items():
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{prefix}{name} is not finite")
        if name.endswith(_VARIANCE) and bool((value < 0).any()):
            raise ValueError(f"{prefix}{name} is a variance below 0")


def _shown(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
