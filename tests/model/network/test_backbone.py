"""The trunk against torchvision's own model, and every source of weights."""

from __future__ import annotations

import pickle
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from rl2qc.errors import CheckpointError, UsageError, WorkError
from rl2qc.model.network.backbone import ResNet18Features, load_weights, round_to_half, to_tensor


@pytest.fixture(scope="module")
def reference():
    torch.manual_seed(3)
    return torchvision.models.resnet18(weights=None).eval()


def test_features_are_what_torchvisions_last_layer_gets(reference, rng):
    images = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    model = ResNet18Features().eval()
    model.trunk.load_state_dict(
        {k: v for k, v in reference.state_dict().items() if not k.startswith("fc")}
    )
    seen = []
    reference.fc.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = torch.from_numpy(((images / 255 - mean) / std).transpose(0, 3, 1, 2)).float()
    with torch.no_grad():
        reference(x)
        assert torch.allclose(model(to_tensor(images)), seen[0], atol=1e-4)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("prefix", ["", "trunk.", "module."])
def test_weights_from_a_file(reference, tmp_path, suffix, prefix):
    state = {f"{prefix}{k}": v for k, v in reference.state_dict().items()}
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    model = ResNet18Features()
    assert load_weights(model, path) == path.name
    assert torch.equal(model.trunk.conv1.weight, reference.conv1.weight)


def test_random_weights_are_seeded():
    a, b, c = ResNet18Features(), ResNet18Features(), ResNet18Features()
    for model, seed in ((a, 0), (b, 0), (c, 1)):
        load_weights(model, "random", seed=seed)
    assert torch.equal(a.trunk.conv1.weight, b.trunk.conv1.weight)
    assert not torch.equal(a.trunk.conv1.weight, c.trunk.conv1.weight)


def test_imagenet_offline_names_the_file_to_fetch(monkeypatch):
    def offline(*_args, **_kwargs):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(WorkError, match=r"download https.*resnet18-f37072fd\.pth.*put it at"):
        load_weights(ResNet18Features(), "imagenet")


def test_a_pickle_that_runs_code_is_not_opened(tmp_path):
    flag = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return (open, (str(flag), "w"))

    path = tmp_path / "weights.pth"
    with path.open("wb") as file:
        pickle.dump({"conv1.weight": Attack()}, file)
    with pytest.raises(CheckpointError):
        load_weights(ResNet18Features(), path)
    assert not flag.exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x02}q\x00."])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_foreign_files_are_refused(tmp_path, content, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        load_weights(ResNet18Features(), path)


def test_another_network_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(torchvision.models.resnet34(weights=None).state_dict(), path)
    save_file({"conv1.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "small.safetensors")
    with pytest.raises(CheckpointError, match="holds no ResNet-18"):
        load_weights(ResNet18Features(), tmp_path / "small.safetensors")


def test_a_missing_file_is_wrong_usage():
    with pytest.raises(UsageError, match="no backbone"):
        load_weights(ResNet18Features(), "nowhere.safetensors")


def test_rounding_to_half_is_stable():
    model = ResNet18Features()
    round_to_half(model)
    weight = model.trunk.conv1.weight
    assert torch.equal(weight, weight.half().float())


def test_mismatched_torchvision_is_said_in_one_line(monkeypatch):
    import builtins

    from rl2qc.core import torch_pair

    real_import = builtins.__import__

    def broken(name, *args, **kwargs):
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(WorkError, match=r"do not fit together .*pip install"):
        torch_pair.import_torchvision()
