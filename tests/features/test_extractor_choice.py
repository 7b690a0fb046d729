"""Which extractor a name, a file or an object is; nothing in a file is run."""

from __future__ import annotations

import pickle
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from network_helpers import IMAGENET, normalised, pooled
from safetensors.torch import save_file

from rl2qc.errors import CheckpointError, UsageError, WorkError
from rl2qc.features.find import get_extractor
from rl2qc.features.inception import InceptionFeatures
from rl2qc.features.of_model import ModelFeatures

RESNET_FILE = "resnet18-f37072fd.pth"


@pytest.fixture(scope="module")
def resnet():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return torchvision.models.resnet18(weights=None).eval()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torchvision's folder, empty, with no network behind it."""

    def refuse(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_imagenet_resnet18_placed_by_hand(tiny_model, source, resnet, hub):
    torch.save(resnet.state_dict(), hub / RESNET_FILE)
    extractor = get_extractor("imagenet-resnet18", tiny_model)
    expected = pooled(resnet, normalised(source, *IMAGENET))
    got = extractor.extract(source)
    assert got.shape == (12, extractor.dim) == (12, 512)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-4 * expected.max())


def test_inception_placed_by_hand(tiny_model, source, inception, hub):
    url = torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.url
    torch.save(inception.state_dict(), hub / url.rsplit("/", 1)[-1])
    extractor = get_extractor("inception", tiny_model)
    assert isinstance(extractor, InceptionFeatures)
    assert extractor.extract(source.take([0, 1])).shape == (2, 2048)


@pytest.mark.parametrize("name", ["imagenet-resnet18", "inception"])
def test_without_a_network_the_message_says_what_to_do(tiny_model, hub, name):
    with pytest.raises(WorkError, match=r"no network.*download https://\S+\.pth") as caught:
        get_extractor(name, tiny_model)
    assert str(hub) in str(caught.value)
    assert "\n" not in str(caught.value)


class Bomb:
    """Runs code when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (type(self.trace).touch, (self.trace,))


@pytest.fixture
def trace(tmp_path):
    return tmp_path / "it went off"


@pytest.mark.parametrize("content", ["pickle", "torch", "text", "foreign"])
def test_bad_files_in_torchvisions_folder(tiny_model, hub, trace, content):
    file = hub / RESNET_FILE
    if content == "pickle":
        file.write_bytes(pickle.dumps(Bomb(trace), protocol=2))
    elif content == "torch":
        torch.save({"conv1.weight": Bomb(trace)}, file)
    elif content == "text":
        file.write_text("<html>404</html>")
    else:
        torch.save({"conv1.weight": torch.zeros(2)}, file)
    with pytest.raises(CheckpointError, match="delete it and download") as caught:
        get_extractor("imagenet-resnet18", tiny_model)
    assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_a_weights_file(tiny_model, source, resnet, tmp_path, suffix):
    path = tmp_path / f"mine{suffix}"
    if suffix == ".safetensors":
        save_file(resnet.state_dict(), path)
    else:
        torch.save({"state_dict": resnet.state_dict()}, path)
    extractor = get_extractor(str(path), tiny_model)
    expected = pooled(resnet, normalised(source, *IMAGENET))
    np.testing.assert_allclose(extractor.extract(source), expected, atol=1e-4 * expected.max())
    assert extractor.name == path.name


def test_a_model_file_is_its_backbone(tiny_model, tiny_model_file, source):
    extractor = get_extractor(tiny_model_file, tiny_model)
    assert extractor.identity == ModelFeatures(tiny_model).identity
    np.testing.assert_allclose(
        extractor.extract(source), tiny_model.features(source), rtol=1e-4, atol=1e-5
    )


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:FutureWarning")
@pytest.mark.parametrize("content", ["pickle", "torch", "script", "export", "text"])
def test_programs_and_pickles_are_refused(tiny_model, tmp_path, trace, content):
    path = tmp_path / "mine.pt"
    if content == "pickle":
        path.write_bytes(pickle.dumps(Bomb(trace), protocol=2))
    elif content == "torch":
        torch.save({"state_dict": Bomb(trace)}, path)
    elif content == "script":
        torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(path))
    elif content == "export":
        path = path.with_suffix(".pt2")
        torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),)), path)
    else:
        path.write_text("weights")
    with pytest.raises(CheckpointError, match=f"{path.name} holds no") as caught:
        get_extractor(path, tiny_model)
    assert ("torch.export program" in str(caught.value)) == (content in ("script", "export"))
    assert "\n" not in str(caught.value)
    assert not trace.exists()


def test_an_unknown_name(tiny_model):
    with pytest.raises(
        UsageError,
        match="no features 'dino': Give model, latents, imagenet-resnet18, inception, a weights",
    ):
        get_extractor("dino", tiny_model)


class MeanColour:
    """What a user writes: the four members of the protocol and nothing else."""

    name, dim, identity = "mean colour", 3, "mean colour v1"

    def extract(self, source, *, progress=False):
        return np.stack([source[i].mean((0, 1)) for i in range(len(source))]).astype(np.float32)


def test_an_extractor_of_ones_own(tiny_model, source):
    mine = get_extractor(MeanColour(), tiny_model)
    assert (mine.name, mine.dim, mine.identity) == ("mean colour", 3, "mean colour v1")
    expected = MeanColour().extract(source)
    assert np.array_equal(mine.extract(source), expected)
    ours = ModelFeatures(tiny_model)
    assert get_extractor(ours, tiny_model) is ours


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (np.zeros((12, 4), np.float32), r"shape \(12, 3\), got \(12, 4\)"),
        (np.zeros((11, 3), np.float32), r"shape \(12, 3\), got \(11, 3\)"),
        (np.full((12, 3), np.nan), "NaN or infinity"),
        (np.array([["a"] * 3] * 12), "numbers"),
        (None, "numbers"),
    ],
)
def test_what_an_extractor_of_ones_own_returns_is_checked(tiny_model, source, returned, message):
    class Wrong(MeanColour):
        def extract(self, source, *, progress=False):
            return returned

    with pytest.raises(UsageError, match=f"mean colour .*{message}") as caught:
        get_extractor(Wrong(), tiny_model).extract(source)
    assert "\n" not in str(caught.value)


def test_an_object_that_is_no_extractor(tiny_model):
    class Half:
        name, dim = "half", 3

    with pytest.raises(UsageError, match="Half has no identity, extract"):
        get_extractor(Half(), tiny_model)
