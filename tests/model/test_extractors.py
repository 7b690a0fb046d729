"""Extractors: the right network, the right preprocessing, an identity that tells them apart."""

from __future__ import annotations

import pickle
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from rl2qc.errors import CheckpointError, UsageError, WorkError
from rl2qc.images.sources import as_source
from rl2qc.model.backbone import POOLED
from rl2qc.model.extractors import (
    InceptionFeatures,
    ModelFeatures,
    ModelLatents,
    ModelStatistics,
    NetworkFeatures,
    get_extractor,
    load_precomputed,
    weights_hash,
)
from rl2qc.model.feature_cache import FeatureCache
from rl2qc.model.quality import QualityModel

RESNET_FILE = "resnet18-f37072fd.pth"


@pytest.fixture(scope="module")
def source(patches):
    return as_source(patches[:12])


@pytest.fixture(scope="module")
def resnet():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return torchvision.models.resnet18(weights=None).eval()


@pytest.fixture(scope="module")
def inception():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return torchvision.models.inception_v3(weights=None, init_weights=False).eval()


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


def normalised(source, mean, std):
    """Patches (n, 3, h, w) by another route than the extractors': torchvision's transforms."""
    steps = torchvision.transforms.Compose(
        [torchvision.transforms.ToTensor(), torchvision.transforms.Normalize(mean, std)]
    )
    return torch.stack([steps(source[i]) for i in range(len(source))])


IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def pooled(network, images):
    """What the average pool gives, caught on the way through the whole network."""
    caught = []
    hook = network.avgpool.register_forward_hook(lambda *call: caught.append(call[2]))
    with torch.inference_mode():
        network(images)
    hook.remove()
    return caught[0].flatten(1).numpy()


def test_rl2_and_latents_are_the_models(tiny_model, source):
    features, latents = (get_extractor(n, tiny_model) for n in ("rl2", "latents"))
    assert (features.name, features.dim, latents.name, latents.dim) == ("rl2", 512, "latents", 512)
    assert np.array_equal(features.extract(source), tiny_model.features(source))
    assert np.array_equal(latents.extract(source), tiny_model.latents(source))
    statistics = ModelStatistics(tiny_model)
    got = statistics.extract(source)
    assert got.shape == (len(source), statistics.dim)
    np.testing.assert_allclose(got[:, POOLED], features.extract(source), rtol=1e-3, atol=1e-4)


def test_identity_is_of_the_weights(tiny_model, tiny_model_file, patches):
    same = QualityModel.load(tiny_model_file)
    other_flow = QualityModel.fit(patches, backbone=tiny_model_file, epochs=1, device="cpu")
    other = QualityModel.fit(patches, backbone="random", seed=1, epochs=1, device="cpu")
    identity = {
        (kind.name, i): kind(model).identity
        for kind in (ModelFeatures, ModelLatents, ModelStatistics)
        for i, model in enumerate((tiny_model, same, other_flow, other))
    }
    assert identity["rl2", 0] == identity["rl2", 1] == identity["rl2", 2] != identity["rl2", 3]
    assert identity["latents", 0] == identity["latents", 1]
    assert len({identity["latents", i] for i in (0, 2, 3)} | {identity["rl2", 0]}) == 4
    assert identity["statistics", 0] == identity["statistics", 2] != identity["statistics", 3]
    assert identity["statistics", 0] not in {identity["rl2", 0], identity["latents", 0]}


def test_identity_is_of_the_preprocessing(tiny_model, tiny_model_file):
    changed = QualityModel.load(tiny_model_file)
    changed.backbone.mean = (0.5, 0.5, 0.5)
    assert ModelFeatures(changed).identity != ModelFeatures(tiny_model).identity


def test_a_weight_a_name_and_a_shape_change_the_hash():
    def layer(name, value):
        module = torch.nn.Module()
        module.register_buffer(name, torch.tensor(value))
        return weights_hash(module)

    hashes = [
        layer("a", [1.0, 2.0]),
        layer("a", [1.0, 2.5]),
        layer("b", [1.0, 2.0]),
        layer("a", [[1.0, 2.0]]),
    ]
    assert len(set(hashes)) == 4
    assert layer("a", [1.0, 2.0]) == hashes[0]


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
    with pytest.raises(UsageError, match="rl2, latents, imagenet-resnet18, inception or a weights"):
        get_extractor("dino", tiny_model)


def test_inception_is_torchvisions_own_route(inception, rng):
    """At 299 px: the same features and probabilities as torchvision's preprocessing gives."""
    source = as_source(rng.integers(0, 256, (3, 299, 299, 3), np.uint8), 299)
    images = normalised(source, *IMAGENET)
    inception.transform_input = True  # as torchvision sets it when it loads weights
    expected = pooled(inception, images)
    with torch.inference_mode():
        probabilities = inception(images).softmax(1).numpy()
    extractor = InceptionFeatures(_copy(inception), batch_size=2)
    features = extractor.extract(source)
    assert features.shape == (3, extractor.dim) == (3, 2048)
    np.testing.assert_allclose(features, expected, atol=1e-4 * expected.max())
    np.testing.assert_allclose(extractor.probabilities(features), probabilities, rtol=1e-3)
    assert extractor.probabilities(features).sum(1) == pytest.approx(np.ones(3))


@pytest.mark.parametrize("side", [64, 420])
def test_inception_resizes_as_pillow_does(inception, stained, side):
    source = as_source(stained(2, side), side)
    resized = np.stack(
        [
            np.asarray(Image.fromarray(source[i]).resize((299, 299), Image.Resampling.BILINEAR))
            for i in range(2)
        ]
    )
    extractor = InceptionFeatures(_copy(inception))
    got, expected = extractor.extract(source), extractor.extract(as_source(resized, 299))
    # Pillow rounds to whole grey levels.
    np.testing.assert_allclose(got, expected, atol=0.02 * expected.max())


def _copy(inception):
    trunk = torchvision.models.inception_v3(weights=None, init_weights=False)
    trunk.load_state_dict(inception.state_dict())
    return trunk


def test_batches_do_not_matter(source):
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    expected = np.stack([source[i] / 255.0 for i in range(12)]).mean((1, 2))
    for batch_size in (1, 5, 12, 50):
        extractor = NetworkFeatures("mean", "mean", 3, network, batch_size=batch_size)
        np.testing.assert_allclose(extractor.extract(source), expected, atol=1e-6)


def test_every_extractor_goes_through_the_cache(tiny_model, source, tmp_path):
    cache = FeatureCache(tmp_path)
    for name in ("rl2", "latents"):
        extractor = get_extractor(name, tiny_model)
        first = cache.features(extractor, source)
        np.testing.assert_allclose(first, extractor.extract(source), rtol=1e-4, atol=1e-4)
        assert np.array_equal(cache.features(extractor, source), first)
    assert cache.info().entries == 24


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


class TestPrecomputed:
    def test_rows_are_those_of_the_files(self, source, tmp_path):
        x, y = np.arange(36.0).reshape(12, 3), np.ones((5, 3), np.float16)
        np.save(tmp_path / "real.npy", x)
        np.save(tmp_path / "generated.npy", y)
        found = load_precomputed(tmp_path, ["real", "generated"])
        assert np.array_equal(found["real"].extract(source), x)
        assert np.array_equal(found["generated"].extract(source.take(range(5))), y)
        assert found["real"].extract(source).dtype == np.float32
        assert found["real"].dim == 3
        assert found["real"].name == tmp_path.name

    def test_identity_is_of_every_set(self, tmp_path):
        identities = set()
        for value in (0.0, 1.0):
            np.save(tmp_path / "real.npy", np.zeros((4, 2)))
            np.save(tmp_path / "generated.npy", np.full((4, 2), value))
            found = load_precomputed(tmp_path, ["real", "generated"])
            assert found["real"].identity == found["generated"].identity
            identities.add(found["real"].identity)
        assert len(identities) == 2

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.zeros(4), r"real\.npy .*\(images, dimensions\), got \(4,\)"),
            (np.full((4, 2), np.inf), r"real\.npy .*NaN or infinity"),
            (np.full((4, 2), 1e300), r"real\.npy .*NaN or infinity"),
            (np.array([["a", "b"]]), r"real\.npy .*numbers"),
            (np.array([[None]]), r"real\.npy is no \.npy array"),
            (np.zeros((4, 3)), "generated has 2 dimensions, real 3"),
            (None, r"no such file: .*real\.npy"),
        ],
    )
    def test_bad_files(self, tmp_path, array, message):
        np.save(tmp_path / "generated.npy", np.zeros((4, 2)))
        if array is not None:
            np.save(tmp_path / "real.npy", array)
        with pytest.raises(UsageError, match=message):
            load_precomputed(tmp_path, ["real", "generated"])

    def test_another_number_of_images(self, source, tmp_path):
        np.save(tmp_path / "real.npy", np.zeros((4, 2)))
        with pytest.raises(UsageError, match=r"real\.npy holds 4 rows for 12 images"):
            load_precomputed(tmp_path, ["real"])["real"].extract(source)
