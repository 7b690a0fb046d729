"""Where features come from: what an extractor is, those of a quality model, any torch module."""

from __future__ import annotations

import hashlib
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rl2qc.errors import UsageError
from rl2qc.images.sources.base import PatchSource

__all__ = ["VERSION", "Extractor", "finite_floats", "weights_hash"]

# Part of every identity: raise it when the way from pixels to features changes.
VERSION = 1


@runtime_checkable
class Extractor(Protocol):
    """Turns patches into features.

    Attributes
    ----------
    name
        What the user calls it.
    dim
        Features of a patch.
    identity
        Names weights, preprocessing and version: two extractors of one identity give the same
        features for the same patches, up to rounding.
    """

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def identity(self) -> str: ...

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, dim) float32 of the patches, in their order."""
        ...


def finite_floats(array: NDArray[np.generic], what: str) -> NDArray[np.float32]:
    """Features from elsewhere as float32; UsageError, which names ``what``, for no numbers."""
    if array.dtype.kind not in "fiu":
        raise UsageError(f"{what} must hold numbers, got {array.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        floats = array.astype(np.float32, order="C")
    if not np.isfinite(floats).all():
        raise UsageError(f"{what} must be finite in float32: there is NaN or infinity")
    return floats


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of a module's parameters and buffers with their names, as 16 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)};".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
