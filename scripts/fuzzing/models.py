"""Model files that somebody altered, their hash made anew, and weights of others."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from fuzzing.common import VALUES, Outcome, alter_bytes, alter_json, judged, one_of
from rl2qc.model.checkpoint import read_checkpoint, write_checkpoint
from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.model.quality import QualityModel
from rl2qc.model.storage import load_backbone

__all__ = ["fuzz_models"]

# What must lie above 0, by the ends of names.
_ABOVE_0 = ("running_var", "scales", "scale", "variances", "noise", "standards", "standard")
# Numbers of which any other could be as true, so that no lie is told by another one.
_ANY = ("mean", "std", "median_log_likelihood", "mpp", "patch_size")
_AT_ONCE = 7


def fuzz_models(files: list[Path], count: int, seed: int) -> list[Outcome]:
    """Alter model files so many times, and load each: as a model, and as a backbone."""
    rng, outcomes = np.random.default_rng([seed, 2]), []
    known = {file: _Known(file) for file in files}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "lie.safetensors"
        for _ in range(count):
            original = known[one_of(rng, files)]
            what = _alter(original, path, rng)
            found = judged("models", what, lambda o=original: o.differs(path))  # type: ignore[misc]
            outcomes.append(found)
            path.unlink(missing_ok=True)
    return outcomes


class _Known:
    """A model file: its parts, and what it says of a few rows."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.tensors, self.config, _ = read_checkpoint(file)
        model = QualityModel.load(file, device="cpu")
        rng = np.random.default_rng(0)
        mean = model.extractor.of_source(
            model.at_one_size(rng.integers(0, 256, (3, 64, 64, 3), np.uint8))
        )
        rows = np.repeat(mean[:, :STATISTICS_DIM], 3, 0)
        self.rows = (rows * rng.uniform(0.5, 1.5, rows.shape)).astype(np.float32)
        if model.prior is not None:
            evidence = rng.random((len(rows), len(model.prior.names)), np.float32)
            self.rows = np.concatenate([self.rows, evidence], 1)
        self.said = self._say(model)

    def _say(self, model: QualityModel) -> dict[str, Any]:
        measured = model.measure_statistics(self.rows)
        everything = model.detectors_(self.rows, model.detectors_.names)
        quantities = model.quantities_
        return {
            **{name: values.tolist() for name, values in measured.items()},
            **{f"detector {name}": values.tolist() for name, values in everything.items()},
            "latents": model.latents_of_features(self.rows[:, :512]).tolist(),
            "quantities": quantities and {k: v.tolist() for k, v in quantities.state().items()},
            "classes": model.classes,
        }

    def differs(self, path: Path) -> str:
        """What a file says otherwise than this one."""
        said = self._say(QualityModel.load(path, device="cpu"))
        load_backbone(path, 0)
        # One that is left out with all that is known of it is refused where it is asked for.
        odd = [name for name in said if said[name] != self.said.get(name)]
        return f"{', '.join(odd)} otherwise in silence" if odd else ""


def _alter(known: _Known, path: Path, rng: np.random.Generator) -> str:
    tensors, config = dict(known.tensors), json.loads(json.dumps(known.config))
    way = one_of(rng, ("tensor",) * 10 + ("header",) * 10 + ("bytes", "deep", "foreign"))
    if way == "tensor":
        what = _alter_tensor(tensors, rng)
    elif way == "header":
        what = _alter_header(config, rng)
    elif way == "deep":
        header = one_of(rng, ("[" * 10**5, "null", "3", '{"format": 2}', '{"format": "x"}', "{"))
        save_file(tensors, path, metadata={"rl2qc": header})
        return f"header {header[:20]}"
    elif way == "foreign":
        save_file({k.removeprefix("backbone."): v for k, v in tensors.items()}, path)
        return "without a header"
    else:
        path.write_bytes(known.file.read_bytes())
        return alter_bytes(path, rng)
    write_checkpoint(path, tensors, config)
    return what


def _alter_header(config: dict[str, Any], rng: np.random.Generator) -> str:
    name = one_of(rng, config)
    if name in _ANY:
        config[name] = one_of(rng, [v for v in VALUES if not _could_be(v)])
        return f"{name} = {json.dumps(config[name])[:40]}"
    holder = {name: config[name]}
    what = alter_json(holder, rng)
    if name in holder:
        config[name] = holder[name]
    else:
        del config[name]
    return what


def _could_be(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 2


def _alter_tensor(tensors: dict[str, Tensor], rng: np.random.Generator) -> str:
    groups: dict[str, list[str]] = {}
    for name in tensors:
        groups.setdefault(name.partition(".")[0], []).append(name)
    # Each part of a model as often: a network has most of the tensors.
    name = one_of(rng, groups[one_of(rng, groups)])
    tensor = tensors[name]
    ways = ["gone", "renamed", "empty", "cut", "axis", "type", "of another"]
    if tensor.is_floating_point() and tensor.numel():
        ways += ["nan", "inf", "-inf", "double"] + ["negative", "zero"] * 2 * name.endswith(
            _ABOVE_0
        )
    elif name.endswith(("_permutation", "_features")):
        ways += ["twice", "shifted"] * 3
    way = one_of(rng, ways)
    if way in ("gone", "renamed"):
        del tensors[name]
        if way == "renamed":
            tensors[f"{name}.x"] = tensor
    else:
        other = tensors[one_of(rng, [n for n in tensors if tensors[n].shape != tensor.shape])]
        tensors[name] = _changed(tensor, way, other).contiguous().clone()
    return f"{name} {way}"


def _changed(tensor: Tensor, way: str, other: Tensor) -> Tensor:
    ways: Mapping[str, Any] = {
        "empty": lambda: tensor.reshape(-1)[:0],
        "cut": lambda: tensor[:-1] if tensor.dim() else tensor[None],
        "axis": lambda: tensor[None],
        "type": lambda: tensor.int() if tensor.is_floating_point() else tensor.float(),
        "of another": lambda: other,
        "double": lambda: tensor.repeat(2, *[1] * (tensor.dim() - 1)) if tensor.dim() else other,
        "negative": lambda: -tensor.abs() - 1,
        "zero": lambda: torch.zeros_like(tensor),
        "twice": lambda: torch.cat([tensor[:1], tensor[:-1]]),
        "shifted": lambda: tensor + 1,
    }
    if way in ways:
        return ways[way]()  # type: ignore[no-any-return]
    changed = tensor.clone()
    changed.view(-1)[_AT_ONCE % len(changed.view(-1))] = float(way)
    return changed
