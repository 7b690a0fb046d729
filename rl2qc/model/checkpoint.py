"""Model files: safetensors with a JSON header, verified when read, found by name when shipped."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rl2qc.core.files import atomic_path
from rl2qc.errors import CheckpointError

__all__ = ["is_model", "read_checkpoint", "tensors_digest", "write_checkpoint"]

FORMAT = 2
_KEY = "rl2qc"
# A hundred times the largest that we write.
_LARGEST = 4 * 2**30


def is_model(path: str | Path) -> bool:
    """Whether a file says that it is a model of ours, whatever it holds.

    Examples
    --------
    >>> is_model("/dev/null")
    False
    """
    try:
        with safe_open(path, framework="pt") as file:
            return _KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def write_checkpoint(
    path: str | Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]
) -> str:
    """Write tensors and their JSON header, whole or not at all; return the model's hash."""
    plain = {k: v.detach().cpu().contiguous() for k, v in sorted(tensors.items())}
    digest = _digest(plain, config)
    header = json.dumps({"format": FORMAT, "sha256": digest, "config": config}, sort_keys=True)
    with atomic_path(path) as temporary:
        # save_file would leave a file that its owner alone can read.
        temporary.write_bytes(save(plain, metadata={_KEY: header}))
    return digest


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Tensors, configuration and hash of a model file.

    Raises
    ------
    CheckpointError
        Truncated, too large, not safetensors, not one of ours, of another format, or altered.
    """
    try:
        about = Path(path).stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > _LARGEST:
            raise CheckpointError(f"{path} is no model file: {about.st_size} bytes, or no file")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is no model file, or is truncated ({error}): copy or train it again"
        ) from error
    try:
        header = json.loads(metadata[_KEY])
        version, digest, config = header["format"], header["sha256"], header["config"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is a safetensors file but no rl2qc model (backbone weights? "
            "they go to rl2qc train --backbone)"
        ) from error
    if version != FORMAT:
        newer = isinstance(version, int) and version > FORMAT
        advice = "upgrade rl2qc" if newer else "train it again"
        raise CheckpointError(
            f"{path} has format {version}, this rl2qc reads format {FORMAT}: {advice}"
        )
    if _digest(tensors, config) != digest:
        raise CheckpointError(f"{path} was altered after it was written: copy or train it again")
    return tensors, config, digest


def tensors_digest(tensors: Mapping[str, Tensor], prefix: bytes = b"") -> str:
    """sha256 of names, types, shapes and bytes, whatever their order."""
    digest = hashlib.sha256(prefix)
    for name in sorted(tensors):
        # A copy: one number that is seen as many, such as a broadcast one, has no bytes to view.
        tensor = tensors[name].detach().cpu().clone(memory_format=torch.contiguous_format)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.numel():  # an empty one has no stride to view bytes by
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _digest(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> str:
    return tensors_digest(tensors, json.dumps(config, sort_keys=True).encode())
