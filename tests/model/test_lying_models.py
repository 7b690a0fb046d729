"""Model files that lie, with a hash that fits: refused in one line, by load and by save."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from rl2qc.core.torch_pair import import_torchvision
from rl2qc.errors import CheckpointError
from rl2qc.features.networks import load_published
from rl2qc.model.assembly import assemble
from rl2qc.model.checkpoint import read_checkpoint, write_checkpoint
from rl2qc.model.network.backbone import ResNet18Features, load_weights
from rl2qc.model.quality import QualityModel
from rl2qc.model.storage import load_backbone

FLOW = "density.flow._transform._transforms."


def nan(tensor: Tensor) -> Tensor:
    changed = tensor.clone()
    changed.view(-1)[-1] = torch.nan
    return changed


TENSORS = {
    "backbone.trunk.layer1.0.bn1.running_var": [nan, torch.neg, lambda t: t[:3], torch.Tensor.int],
    "backbone.trunk.conv1.weight": [nan, lambda t: t * torch.inf, lambda t: t[..., :5]],
    "density.whitening.scales": [torch.zeros_like, torch.neg, lambda t: t[:, None]],
    "density.whitening.components": [lambda t: t * 2, lambda t: t[:128], torch.zeros_like],
    f"{FLOW}1._permutation": [torch.zeros_like, lambda t: t + 1, torch.Tensor.float],
    f"{FLOW}0.identity_features": [lambda t: t + 1, lambda t: t.flip(0)],
    "calibration.detector": [lambda t: t[:0], lambda t: t[:-1], nan, lambda t: t * torch.inf],
    "calibration.knn": [lambda t: t[:0], lambda t: t[None]],
    "quantities.low": [lambda t: t + 1e6, nan, lambda t: t[:3], torch.Tensor.int],
    "reference_latent_mean": [nan, lambda t: t[:5], torch.Tensor.int],
    "reference_features": [
        *(nan, lambda t: t[:0], lambda t: t[:, :9], torch.Tensor.int),
        *(lambda t: t.repeat(2, 1), lambda t: t[:-1]),
    ],
    "detector.stages.standards": [torch.neg, nan, lambda t: t[:0], lambda t: t[:, :2]],
    "detector.stages.0.stem.variances": [torch.neg, torch.zeros_like, lambda t: t[:3]],
    "detector.stages.0.layer2.components": [torch.zeros_like, lambda t: t * 1.1],
    "detector.stages.0.layer4.noise": [torch.zeros_like, lambda t: t.repeat(2)],
    "detector.probe.scale": [torch.zeros_like, lambda t: t[:9]],
    "detector.probe.weights": [nan],
    "detector.standard": [torch.neg, torch.zeros_like, lambda t: t[:1]],
}
HEADER = {
    "patch_size": ["64", 0, -1, True, 64.5, None, 10**9, [64]],
    "mpp": [-1, "x", True, 0, float("nan"), float("inf"), 1e9],
    "mean": [[0.5, 0.5], "abc", [0.5, 0.5, float("nan")], [0, 0, 255]],
    "std": [[0, 0.2, 0.2], [0.2, 0.2, -0.2], None],
    "layers": [0, 10**5, 10**18, "8", 7, None],
    "hidden": [0, 10**6, 127, 1.5],
    "n_components": [1, 127, 10**9, "128"],
    "median_log_likelihood": [None, "x", float("nan")],
    "history": [[], {"train": [1.0]}, {"train": [1.0], "held_out": []}, {"x": 1}],
    "provenance": [None, []],
    "backbone_of": [
        {"model": "../../etc/passwd", "sha256": "0" * 64},
        {"model": "histology", "sha256": "0" * 64},
        {"model": "nobody", "sha256": "0" * 64},
        "histology",
    ],
    "head": [{"classes": [], "width": 3}, {"classes": ["a"], "width": 3}, 3],
}


@pytest.fixture(scope="module")
def parts(tiny_model_file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, config, _ = read_checkpoint(tiny_model_file)
    return tensors, config


def refused(tensors: dict[str, Tensor], config: Any) -> str:
    began = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        assemble(tensors, config)
    assert time.monotonic() - began < 20
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_refused_by_its_name(parts: Any, tmp_path: Path) -> None:
    tensors, config = parts
    path = tmp_path / "lie.safetensors"
    write_checkpoint(path, tensors, config)
    assert QualityModel.load(path, device="cpu").patch_size == 64
    for name, change in TENSORS.items():
        write_checkpoint(path, {**tensors, name: change[0](tensors[name])}, config)
        with pytest.raises(
            CheckpointError, match=r"lie\.safetensors cannot be used: it holds what"
        ):
            QualityModel.load(path, device="cpu")


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_no_model_has(parts: Any, name: str) -> None:
    tensors, config = parts
    for change in TENSORS[name]:
        changed = {**tensors, name: change(tensors[name]).contiguous()}
        said = refused(changed, config)
        words = (*re.split(r"\W|_", name), "calibrat", "quantity")
        assert any(word in said for word in words), said
    refused({key: value for key, value in tensors.items() if key != name}, config)


@pytest.mark.parametrize("name", HEADER)
def test_headers_that_no_model_has(parts: Any, name: str) -> None:
    tensors, config = parts
    for value in HEADER[name]:
        alone = name == "backbone_of"
        own = {k: v for k, v in tensors.items() if not (alone and k.startswith("backbone."))}
        said = refused(own, {**config, name: value})
        # Of sizes, the first that does not fit is named.
        sizes = ("layers", "hidden", "n_components", "head")
        assert name.partition("_")[0] in said or name in sizes


def test_other_things_that_do_not_fit(parts: Any) -> None:
    tensors, config = parts
    refused({**tensors, "taught": torch.ones(3, 8)}, config)
    refused({**tensors, "taught": torch.ones(3, dtype=torch.uint8)}, config)
    refused({**tensors, "head.whole.bias": torch.ones(1)}, config)
    refused({**tensors, "branch.bias": torch.ones(512)}, config)
    refused({**tensors, "backbone.trunk.layer1.2.bn1.weight": torch.ones(64)}, config)
    refused({k: v for k, v in tensors.items() if "probe" not in k}, config)
    refused(tensors, [])
    refused(tensors, {k: v for k, v in config.items() if k != "mpp"})


@pytest.mark.parametrize("header", ["[" * 10**5, "{}", "null", "3", '{"format": 2}', "\x00"])
def test_headers_that_are_none(parts: Any, tmp_path: Path, header: str) -> None:
    path = tmp_path / "lie.safetensors"
    save_file({"a": torch.ones(1)}, path, metadata={"rl2qc": header})
    with pytest.raises(CheckpointError):
        QualityModel.load(path)
    with pytest.raises(CheckpointError, match=r"lie\.safetensors"):
        load_backbone(path, 0)


def test_nothing_is_written_that_would_be_refused(tiny_model_file: Path, tmp_path: Path) -> None:
    model = QualityModel.load(tiny_model_file, device="cpu")
    model.calibration_["combined"] = np.array([])
    with pytest.raises(CheckpointError, match=r"not written, for the model is odd: .*combined"):
        model.save(tmp_path / "model.safetensors")
    model = QualityModel.load(tiny_model_file, device="cpu")
    with torch.no_grad():
        model.backbone.trunk.bn1.running_var[0] = 1e30
    with pytest.raises(CheckpointError, match=r"backbone\.trunk\.bn1\.running_var is not finite"):
        model.save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def weights() -> dict[str, Tensor]:
    return ResNet18Features().trunk.state_dict()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w | {"bn1.running_var": torch.full((64,), torch.inf)}, "bn1.running_var is not"),
        (lambda w: w | {"bn1.running_var": torch.full((64,), -1.0)}, "variance below 0"),
        (lambda w: w | {"conv1.weight": w["conv1.weight"].int()}, "int32, not"),
        (lambda w: w | {"layer1.2.bn1.weight": torch.ones(64)}, "of another network"),
        (lambda w: w | {"layer5.0.bn1.weight": torch.ones(64)}, "of another network"),
        (lambda w: {k: v for k, v in w.items() if k != "bn1.bias"}, "bn1.bias is missing"),
    ],
)
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_of_others_are_checked(tmp_path: Path, change: Any, said: str, suffix: str) -> None:
    path, state = tmp_path / f"w.{suffix}", change(weights())
    if suffix == "pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    with pytest.raises(CheckpointError, match=said) as caught:
        load_weights(ResNet18Features(), path)
    assert "\n" not in str(caught.value)


def test_what_stands_beside_a_trunk_is_no_matter(tmp_path: Path) -> None:
    state = {f"module.{name}": value.double() for name, value in weights().items()}
    torch.save({"state_dict": state | {"module.fc.weight": torch.ones(2, 512)}}, tmp_path / "w.pth")
    load_weights(ResNet18Features(), tmp_path / "w.pth")


def test_weights_that_half_precision_does_not_hold(tmp_path: Path) -> None:
    torch.save(weights() | {"bn1.running_var": torch.full((64,), 1e6)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="in half precision"):
        load_backbone(tmp_path / "w.pth", 0)


def test_published_weights_of_another_network(tmp_path: Path) -> None:
    class Weights:
        url = "https://nowhere/resnet18.pth"

        @staticmethod
        def get_state_dict(**options: object) -> dict[str, Tensor]:
            return import_torchvision().models.resnet34(weights=None).state_dict()

    with pytest.raises(Exception, match=r"layer1\.2\.\S+ is of another network"):
        load_published(ResNet18Features().trunk, Weights)


def test_the_schema_names_the_place(parts: Any) -> None:
    tensors, config = parts
    changed = json.loads(json.dumps(config))
    changed["history"]["held_out"][0] = "x"
    said = refused(tensors, changed)
    assert "history.held_out.0: Input should be a valid number" in said
