"""The quality model as a whole: fit, save, load, score, and how it fails."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from rl2qc.errors import CheckpointError, UsageError, WorkError
from rl2qc.images.sources.base import as_source
from rl2qc.model import checkpoint
from rl2qc.model.calibration import conformal_p_values
from rl2qc.model.detectors.base import DETECTORS
from rl2qc.model.quality import QualityModel
from rl2qc.model.training import flow as training
from rl2qc.model.zoo import shipped_checkpoints
from rl2qc.synthetic.corruptions import corrupt


def test_shapes_and_types(tiny_model, patches):
    some = patches[:5]
    assert tiny_model.features(some).shape == tiny_model.latents(some).shape == (5, 512)
    assert tiny_model.features(some).dtype == np.float32
    assert tiny_model.score_samples(some).shape == tiny_model.p_values(some).shape == (5,)
    assert tiny_model.patch_size == 64


def test_rows_of_paths_that_are_named_again_are_not_left_out_in_silence(
    tiny_model, stained, tmp_path
):
    for i, image in enumerate(stained(3)):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    paths = [tmp_path / f"{i}.png" for i in (0, 1, 2, 0)]
    with pytest.warns(UserWarning, match="1 image is named again and taken once"):
        assert len(tiny_model.latents(paths)) == 3


def test_log_likelihood_is_the_latents_change_of_variables(tiny_model, patches):
    """Against scipy's normal density of the latents and autograd's Jacobian of the map."""
    from scipy.stats import norm

    feature = torch.from_numpy(tiny_model.features(patches[:1]))[0].double()
    density = tiny_model.density.double()
    try:
        jacobian = torch.autograd.functional.jacobian(
            lambda v: density.latents(v[None])[0], feature
        )
        latent = density.latents(feature[None])[0].detach().numpy()
        expected = norm.logpdf(latent).sum() + torch.linalg.slogdet(jacobian).logabsdet.item()
        got = density.log_prob(feature[None]).item()
    finally:
        density.float()
    assert got == pytest.approx(expected, abs=1e-6)
    assert tiny_model.score_samples(patches[:1])[0] == pytest.approx(expected, rel=1e-3)


def test_degraded_patches_are_less_likely(tiny_model, stained):
    unseen, rng = stained(30, seed=9), np.random.default_rng(0)
    noisy = np.stack([corrupt(p, "noise", 0.3, rng) for p in unseen])
    assert np.median(tiny_model.score_samples(noisy)) < tiny_model.score_samples(unseen).min()
    assert (tiny_model.p_values(noisy) <= 0.05).all()
    assert (tiny_model.p_values(unseen) > 0.05).mean() > 0.7


@pytest.mark.parametrize("score", [s.name for s in DETECTORS if s.reads == "statistics"])
def test_every_score_is_calibrated_and_survives_saving(
    tiny_model, tiny_model_file, stained, patches, score
):
    unseen, rng = stained(30, seed=9), np.random.default_rng(0)
    noisy = np.stack([corrupt(p, "noise", 0.3, rng) for p in unseen])
    assert np.median(tiny_model.score_samples(noisy, score)) < np.median(
        tiny_model.score_samples(unseen, score)
    )
    p_values = tiny_model.p_values(noisy, score)
    assert p_values == pytest.approx(
        conformal_p_values(tiny_model.score_samples(noisy, score), tiny_model.calibration_[score])
    )
    # The probe alone knows a random backbone's few clean patches less well.
    assert (p_values <= 0.05).mean() > (0.5 if score == "probe" else 0.9)
    loaded = QualityModel.load(tiny_model_file, device="cpu")
    # Matrices that were read lie in memory in another order than fitted ones: the last digit.
    np.testing.assert_allclose(
        loaded.score_samples(patches[:9], score),
        tiny_model.score_samples(patches[:9], score),
        rtol=1e-12,
    )


def test_simple_scores_follow_their_definitions(tiny_model, patches):
    """Brute force in float64 from the features and the whitening's own numbers."""
    features = tiny_model.features(patches[:9]).astype(float)
    whitening = tiny_model.density.whitening
    mean, components, scales = (
        t.double().numpy() for t in (whitening.mean, whitening.components, whitening.scales)
    )
    leading = slice(0, whitening.n_components)

    def white(x):
        return (x - mean) @ components.T / scales

    z = white(features)
    assert tiny_model.score_samples(patches[:9], "mahalanobis") == pytest.approx(
        -(z**2).sum(1), rel=1e-3
    )
    reference = white(tiny_model.detectors_["knn"].reference_.astype(float))[:, leading]
    distances = np.linalg.norm(z[:, None, leading] - reference[None], axis=2)
    nearest = np.sort(distances, axis=1)[:, :5].mean(1)
    assert tiny_model.score_samples(patches[:9], "knn") == pytest.approx(-nearest, rel=1e-3)
    log_p = tiny_model.score_samples(patches[:9])
    median = np.median(tiny_model.calibration_["log_likelihood"])
    assert tiny_model.score_samples(patches[:9], "typicality") == pytest.approx(
        -np.abs(log_p - median), abs=0.01
    )


def test_an_unknown_score_is_refused(tiny_model, patches):
    with pytest.raises(UsageError, match=r"no detector .beauty.: Choose from combined, st"):
        tiny_model.score_samples(patches[:2], "beauty")


def test_batches_do_not_change_scores(tiny_model, patches):
    together = tiny_model.score_samples(patches[:10])
    one_by_one = np.concatenate([tiny_model.score_samples(p[None]) for p in patches[:10]])
    assert together == pytest.approx(one_by_one, abs=0.01)


def test_measure_is_score_and_p_value(tiny_model, patches):
    measured = tiny_model.measure(patches[:8])
    assert list(measured) == ["score", "log_likelihood", "p_value"]
    # The likelihood's own pass pools in another order of summation.
    likelihood = tiny_model.score_samples(patches[:8])
    assert measured["log_likelihood"] == pytest.approx(likelihood, abs=0.01)
    assert measured["score"] == pytest.approx(tiny_model.score_samples(patches[:8], "combined"))
    assert measured["p_value"] == pytest.approx(tiny_model.p_values(patches[:8]))


def test_a_loaded_model_gives_the_very_scores(tiny_model, tiny_model_file, patches):
    loaded = QualityModel.load(tiny_model_file, device="cpu")
    assert np.array_equal(loaded.score_samples(patches), tiny_model.score_samples(patches))
    assert np.array_equal(loaded.latents(patches), tiny_model.latents(patches))
    assert np.array_equal(loaded.p_values(patches), tiny_model.p_values(patches))
    assert loaded.history_ == tiny_model.history_
    assert loaded.provenance == tiny_model.provenance
    assert loaded.sha256 == tiny_model.sha256 != ""
    assert loaded.name == "tiny"


def test_equal_seeds_give_equal_files(patches, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        model = QualityModel.fit(patches, backbone="random", epochs=2, seed=seed, device="cpu")
        model.save(tmp_path / f"{name}.safetensors")
    a, b, c = ((tmp_path / f"{n}.safetensors").read_bytes() for n in "abc")
    assert a == b
    assert a != c


def test_given_patches_are_held_out(patches, stained):
    held_out = stained(25, seed=3)
    model = QualityModel.fit(patches, held_out=held_out, backbone="random", epochs=2, device="cpu")
    assert model.provenance["n_train"] == 120
    # Stages and probe are fitted to all patches, and calibrated out of fold on those held out.
    assert {len(scores) for scores in model.calibration_.values()} == {25}
    for score in ("log_likelihood", "typicality", "mahalanobis", "knn"):
        expected = model.score_samples(held_out, score)
        assert model.calibration_[score] == pytest.approx(expected, abs=0.01)


def test_every_patch_calibrates_what_is_fitted_out_of_fold(tiny_model):
    sizes = {name: len(scores) for name, scores in tiny_model.calibration_.items()}
    assert {sizes[name] for name in ("combined", "stages", "probe")} == {120}
    assert {sizes[name] for name in ("log_likelihood", "typicality", "mahalanobis", "knn")} == {24}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "both"}, "mode must be"),
        ({"holdout": 1.5}, "holdout must lie in"),
        ({"epoch": 3}, "no option 'epoch', perhaps 'epochs'"),
        ({"backbone": "nowhere"}, "no model 'nowhere'"),
        ({"held_out": np.zeros((3, 64, 64, 3), np.uint8)}, "3 held-out patches are too few"),
        ({"groups": ["one"] * 120}, "all patches come from one slide"),
    ],
)
def test_wrong_options(patches, options, message):
    with pytest.raises(UsageError, match=message):
        QualityModel.fit(patches, **{"backbone": "random", **options})


def test_too_few_patches_say_how_many_are_needed(patches):
    with pytest.raises(UsageError, match=r"99 reference patches are too few: at least 100"):
        QualityModel.fit(patches[:99], backbone="random")


class TestJoint:
    def test_lowers_the_held_out_loss(self, patches):
        """The best state is kept, the frozen start among them: it cannot be worse."""
        model = QualityModel.fit(
            patches, backbone="random", mode="joint", epochs=2, learning_rate=1e-6, device="cpu"
        )
        assert model.history_.best < model.history_.held_out[0]
        held_out_nll = -model.calibration_["log_likelihood"].mean() / 512
        # After joint training the backbone is rounded to half precision.
        assert held_out_nll == pytest.approx(model.history_.best, abs=0.05)

    def test_collapse_is_noticed(self, patches, monkeypatch):
        monkeypatch.setattr(training, "MIN_STD_SHARE", 2.0)
        with pytest.raises(WorkError, match=r"features collapsed in epoch 1.*--mode frozen"):
            QualityModel.fit(patches, backbone="random", mode="joint", epochs=1, device="cpu")

    def test_watch_sees_constant_and_flat_features(self, rng):
        spread = torch.from_numpy(rng.normal(size=(200, 20)))
        start = training.Watch.of(spread)
        start.check(training.Watch.of(spread * 0.5), 1)
        with pytest.raises(WorkError, match="standard deviation"):
            start.check(training.Watch.of(spread * 0.1), 2)
        flat = torch.from_numpy(rng.normal(size=(200, 1)) * np.ones((1, 20)))
        with pytest.raises(WorkError, match="effective rank"):
            start.check(training.Watch.of(flat), 3)


class TestCheckpoint:
    def test_truncated(self, tiny_model_file, tmp_path):
        path = tmp_path / "cut.safetensors"
        path.write_bytes(tiny_model_file.read_bytes()[:-1000])
        with pytest.raises(CheckpointError, match="is truncated"):
            QualityModel.load(path)

    @pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64])
    def test_no_safetensors(self, tmp_path, content):
        path = tmp_path / "x.safetensors"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="is no model file"):
            QualityModel.load(path)

    def test_foreign(self, tmp_path):
        path = tmp_path / "x.safetensors"
        save_file({"a": torch.zeros(2)}, path)
        with pytest.raises(CheckpointError, match="no rl2qc model"):
            QualityModel.load(path)

    def test_altered(self, tiny_model_file, tmp_path):
        from safetensors import safe_open

        tensors = load_file(tiny_model_file)
        with safe_open(tiny_model_file, "pt") as file:
            metadata = file.metadata()
        tensors["calibration.stages"][0] += 1
        save_file(tensors, tmp_path / "x.safetensors", metadata)
        with pytest.raises(CheckpointError, match="was altered"):
            QualityModel.load(tmp_path / "x.safetensors")

    def test_newer_format(self, tmp_path, monkeypatch):
        monkeypatch.setattr(checkpoint, "FORMAT", 99)
        checkpoint.write_checkpoint(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
        monkeypatch.undo()
        with pytest.raises(CheckpointError, match="has format 99"):
            QualityModel.load(tmp_path / "x.safetensors")

    def test_lacking_a_part(self, tmp_path):
        checkpoint.write_checkpoint(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
        with pytest.raises(CheckpointError, match="lacks a part of the model"):
            QualityModel.load(tmp_path / "x.safetensors")

    def test_a_failed_write_leaves_the_old_file(self, tiny_model, tmp_path, monkeypatch):
        path = tmp_path / "x.safetensors"
        path.write_bytes(b"old")

        def full_disk(*_args, **_kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(checkpoint, "save", full_disk)
        with pytest.raises(OSError, match="No space"):
            tiny_model.save(path)
        assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]
        assert path.read_bytes() == b"old"

    def test_unknown_name_lists_the_shipped_ones(self):
        with pytest.raises(
            UsageError, match=r"no model 'x': Give a file or a shipped name \(.*hist"
        ):
            QualityModel.load("x")


class TestShipped:
    def test_histology_is_small_and_complete(self):
        path = shipped_checkpoints()["histology"]
        assert path.stat().st_size < 60e6
        model = QualityModel.load("histology", device="cpu")
        assert model.name == "histology"
        assert len(model.calibration_["stages"]) >= 100

    def test_every_shipped_model_has_a_card(self):
        for path in shipped_checkpoints().values():
            card = path.with_suffix(".md").read_text()
            for heading in ("Data", "Made by", "Measured", "Limits", "Intended use"):
                assert f"## {heading}" in card, f"{path.name}: {heading}"

    def test_blur_on_unseen_real_tissue(self, shared_data):
        """The dangerous case: a random backbone rates blurred tiles as more normal."""
        model = QualityModel.load("histology", device="cpu")
        source = as_source(shared_data / "clean" / "colorectal" / "test", 224).sample(40, seed=0)
        clean = np.stack([source[i] for i in range(40)])
        rng = np.random.default_rng(0)
        blurred = np.stack([corrupt(p, "blur", 2, rng) for p in clean])
        assert np.median(model.score_samples(blurred)) < model.score_samples(clean).min()
        assert (model.p_values(blurred) <= 0.05).mean() > 0.9


@pytest.fixture
def shipped(tiny_model, tmp_path, monkeypatch):
    """The tiny model as a shipped one, and another that shares its backbone."""
    monkeypatch.setattr("rl2qc.model.zoo._folders", lambda: (tmp_path, tmp_path))
    tiny_model.save(tmp_path / "whole.safetensors")
    tiny_model.save(tmp_path / "sharing.safetensors", backbone_of="whole")
    tiny_model.save(tmp_path / "tiny.safetensors")
    return tmp_path


def test_a_shared_backbone_gives_the_same_scores(shipped, patches):
    whole, sharing = (QualityModel.load(name, device="cpu") for name in ("whole", "sharing"))
    assert np.array_equal(whole.score_samples(patches[:9]), sharing.score_samples(patches[:9]))
    sizes = [(shipped / f"{name}.safetensors").stat().st_size for name in ("whole", "sharing")]
    assert sizes[1] < sizes[0] - 20_000_000


def test_another_backbone_under_the_shared_name_is_refused(shipped, patches):
    other = QualityModel.fit(patches, backbone="random", epochs=2, seed=9, device="cpu")
    with pytest.raises(CheckpointError, match="shares its backbone with another 'whole'"):
        other.save(shipped / "other.safetensors", backbone_of="whole")
    assert not (shipped / "other.safetensors").exists()
    other.save(shipped / "whole.safetensors")
    with pytest.raises(CheckpointError, match="shares its backbone with another 'whole'"):
        QualityModel.load("sharing", device="cpu")


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_others_may_read_a_saved_model_where_the_umask_lets_them(tiny_model, tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    tiny_model.save(tmp_path / "tiny.safetensors")
    assert (tmp_path / "tiny.safetensors").stat().st_mode == plain.stat().st_mode
