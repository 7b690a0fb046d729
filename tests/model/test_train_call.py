"""rl2qc.train, QualityModel.fit and the command: one way to a model, and what is written."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from rl2qc.errors import UsageError
from rl2qc.model.detectors.base import DETECTORS, DetectorSpec, register_detector
from rl2qc.model.quality import QualityModel
from rl2qc.model.train import TrainFiles, train
from rl2qc.model.training.settings import TrainSettings
from rl2qc.model.training.split import split_rows

QUICK = {"backbone": "random", "epochs": 2, "layers": 2}


@pytest.fixture(scope="module")
def copied(stained, tmp_path_factory):
    """140 patches, 30 of them copies of others under names of their own."""
    folder = tmp_path_factory.mktemp("copied")
    for i, patch in enumerate(stained(110, seed=4)):
        Image.fromarray(patch).save(folder / f"p{i:03}.png")
    for i in range(30):
        shutil.copy(folder / f"p{i:03}.png", folder / f"z{i:03}.png")
    return folder


def test_command_function_and_class_make_the_same_model(rl2qc, copied, tmp_path):
    """The class found no near-duplicates: 12 of its 28 held-out patches had an equal in training.

    Equal to the byte, warnings too.
    """
    options = {**QUICK, "seed": 3, "holdout": 0.25, "n_components": 20, "mpp": 0.5}
    done = rl2qc("train", copied, "-o", tmp_path / "a.safetensors", "--backbone", "random",
                 "--epochs", 2, "--layers", 2, "--seed", 3, "--holdout", 0.25,
                 "--components", 20, "--mpp", 0.5)  # fmt: skip
    assert done.code == 0, done.err
    by_function = train(copied, tmp_path / "b.safetensors", **options)
    by_class = QualityModel.fit(copied, TrainSettings(**options))
    by_class.save(tmp_path / "c.safetensors")
    a, b, c = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert a == b == c
    assert by_class.provenance["n_groups"] == 110
    assert by_class.warnings_ == by_function.warnings_
    said = [line for line in done.err.splitlines() if line.startswith("rl2qc: warning: ")]
    assert said == [f"rl2qc: warning: {line}" for line in by_class.warnings_]
    assert said[0].startswith("rl2qc: warning: 60 of 140 reference patches are near-duplicates")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_no_held_out_patch_has_an_equal_in_training(copied):
    """By the groups of the model, and by the pixels themselves."""
    from rl2qc.images.sources.base import as_source
    from rl2qc.model.training.fit import fit_reference

    fitted = fit_reference(copied, TrainSettings(**QUICK))
    _, held = split_rows(140, 0.2, fitted.groups, 0)
    pixels = [as_source(copied)[i].tobytes() for i in range(140)]
    trained = {pixels[i] for i in range(140) if i not in set(held.tolist())}
    assert len(held) >= 28
    assert not any(pixels[i] in trained for i in held)


def test_a_quiet_reference_warns_of_nothing(patch_folder):
    assert QualityModel.fit(patch_folder, **QUICK, mpp=0.5).warnings_ == ()


def test_review_lists_what_the_command_lists(rl2qc, patch_folder, tmp_path):
    done = rl2qc("train", patch_folder, "-o", tmp_path / "a.safetensors", "--backbone", "random",
                 "--epochs", 2, "--layers", 2, "--mpp", 0.5, "--review",
                 "--group-pattern", r"^(s\d)_", "--max-patches", 110)  # fmt: skip
    assert done.code == 0, done.err
    model = train(patch_folder, tmp_path / "b.safetensors", **QUICK, mpp=0.5, review=True,
                  group_pattern=r"^(s\d)_", max_patches=110)  # fmt: skip
    for name in ("safetensors", "png", "review.csv", "review.png"):
        a, b = (tmp_path / f"{which}.{name}" for which in "ab")
        assert a.read_bytes() == b.read_bytes(), name
    with TrainFiles(tmp_path / "b.safetensors").review.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == list(model.review_.source.names)
    assert model.provenance["n_slides"] == 10
    assert "(10 slides)" in done.out


def test_what_stands_is_not_replaced_unasked(patch_folder, tmp_path):
    """Nor the picture, which may be somebody's own."""
    (tmp_path / "colon.png").write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"colon\.png exists: choose another --out"):
        train(patch_folder, tmp_path / "colon.safetensors", **QUICK)
    assert [p.name for p in tmp_path.iterdir()] == ["colon.png"]
    train(patch_folder, tmp_path / "colon.safetensors", **QUICK, overwrite=True)
    assert (tmp_path / "colon.png").read_bytes() != b"precious"


def test_old_keywords_of_fit_are_understood(patches, stained):
    seen = []
    model = QualityModel.fit(
        patches, backbone="random", mode="frozen", patch_size=64, mpp=0.5,
        groups=[f"s{i % 12}" for i in range(120)] + ["t"] * 25, holdout=0.2,
        held_out=stained(25, seed=3), n_components=10, layers=2, hidden=16, epochs=1,
        learning_rate=1e-3, batch_size=50, seed=1, device="cpu",
        progress=lambda *step: seen.append(step),
    )  # fmt: skip
    made = model.provenance
    assert (made["n_train"], made["n_held_out"], made["n_groups"]) == (120, 25, 13)
    assert (model.patch_size, model.mpp, model.batch_size) == (64, 0.5, 50)
    assert model.density.hidden == 16
    assert seen[0] == (0, 145, "reference") and (145, 145, "reference") in seen
    assert any(what.startswith("fitting the flow") for *_, what in seen)


class Brightness:
    """Somebody else's detector: how far the mean of the statistics is from the usual."""

    def fit(self, reference):
        self.usual = float(np.median(reference.clean.mean(1)))
        self.n = len(reference)
        return self

    def scores(self, statistics):
        return np.abs(statistics.mean(1) - self.usual)

    def state(self):
        return {"usual": np.array([self.usual]), "n": np.array([self.n])}

    @classmethod
    def from_state(cls, state, density):
        made = cls()
        made.usual, made.n = float(state["usual"][0]), int(state["n"][0])
        return made


def test_a_detector_from_outside_goes_all_the_way(patch_folder, stained, tmp_path):
    """Fitted, calibrated out of fold, saved, loaded, asked for, and shown by the benchmark."""
    from rl2qc.benchmarking.benchmark import benchmark

    spec = DetectorSpec("brightness", Brightness, "distance from the usual", higher_is_normal=False)
    register_detector(spec)
    try:
        model = train(patch_folder, tmp_path / "mine.safetensors", **QUICK, mpp=0.5)
        assert len(model.calibration_["brightness"]) == 120
        loaded = QualityModel.load(tmp_path / "mine.safetensors", device="cpu")
        unseen = stained(60, seed=8)
        scores = loaded.score_samples(unseen, score="brightness")
        assert np.array_equal(scores, model.score_samples(unseen, "brightness"))
        assert scores.max() <= 0
        p_values = loaded.p_values(unseen, "brightness")
        assert (p_values > 0.05).mean() > 0.8
        assert (loaded.p_values(255 - unseen, "brightness") <= 0.05).mean() > 0.6
        found = benchmark(unseen, loaded, corruptions=["blur"], quick=True, n_resamples=2, mpp=0.5)
        assert "brightness" in found.provenance["detectors"]
        assert "brightness" in found.table()
        found.to_json(tmp_path / "b.json")
        assert '"brightness"' in (tmp_path / "b.json").read_text()
    finally:
        DETECTORS.unregister("brightness")
    # Without it the model is as good as ever, and keeps what it does not know.
    alone = QualityModel.load(tmp_path / "mine.safetensors", device="cpu")
    assert np.array_equal(alone.p_values(unseen), loaded.p_values(unseen))
    with pytest.raises(UsageError, match="'brightness' of the model is not registered here"):
        alone.score_samples(unseen, "brightness")
    alone.save(tmp_path / "again.safetensors")
    assert alone.sha256 == loaded.sha256


@pytest.fixture(scope="module")
def folder(stained, tmp_path_factory):
    """Four patches of 128 px."""
    folder = tmp_path_factory.mktemp("small")
    for i, patch in enumerate(stained(4, size=128)):
        Image.fromarray(patch).save(folder / f"{i}.png")
    return folder


class TestSmallImages:
    """What ``rl2qc score`` does with a warning, the model does too."""

    def test_a_folder_and_an_array(self, folder, stained):
        model = QualityModel.load("histology", device="cpu")
        with pytest.warns(UserWarning, match="images are 128 px, the model's patches 224 px"):
            features = model.features(folder)
        assert features.shape == (4, 512)
        with pytest.warns(UserWarning, match="are not calibrated at 128 px"):
            latents = model.latents(stained(4, size=128))
        np.testing.assert_allclose(latents, model.latents_of_features(features), rtol=1e-3)

    def test_it_is_what_score_measures(self, folder):
        from rl2qc.scoring.score import score
        from rl2qc.scoring.settings import ScoreSettings

        model = QualityModel.load("histology", device="cpu")
        settings = ScoreSettings(metrics=["rl2"], n_resamples=0, cache=False)
        card = score(folder, folder, model, settings)
        with pytest.warns(UserWarning) as caught:
            model.features(folder)
        assert str(caught[0].message) in card.warnings

    def test_larger_ones_are_cropped_without_a_word(self, tiny_model, stained, recwarn):
        large = stained(3, size=130)
        expected = tiny_model.features(large[:, 33:97, 33:97])
        assert np.array_equal(tiny_model.features(large), expected)
        assert not [w for w in recwarn if "calibrated" in str(w.message)]

    def test_some_below_the_commonest_but_not_below_the_model(self, tiny_model, stained, tmp_path):
        """Files of 130 px and one of 70 px: all hold a patch of 64."""
        for i, patch in enumerate(stained(3, size=130)):
            Image.fromarray(patch).save(tmp_path / f"{i}.png")
        Image.fromarray(stained(1, size=70)[0]).save(tmp_path / "x.png")
        assert tiny_model.features(tmp_path).shape == (4, 512)


class TestOldNames:
    def test_of_a_model(self, tiny_model, tiny_model_file, patches):
        with pytest.warns(DeprecationWarning, match="detectors_"):
            assert tiny_model.scores_ is tiny_model.detectors_
        with pytest.warns(DeprecationWarning, match="runtime_name"):
            assert tiny_model.forward_name == tiny_model.runtime_name
        with pytest.warns(DeprecationWarning, match="engine is called runtime"):
            loaded = QualityModel.load(tiny_model_file, device="cpu", engine="torch")
        assert loaded.extractor.runtime == "torch"
        old, new = (tiny_model.score_samples(patches[:3], s) for s in ("detector", "combined"))
        assert np.array_equal(old, new)
        calibration = tiny_model.calibration_
        assert np.array_equal(calibration["detector"], calibration["combined"])

    def test_of_shipped_models(self, tiny_model, tmp_path, monkeypatch):
        monkeypatch.setattr("rl2qc.model.zoo._folders", lambda: (tmp_path, tmp_path))
        monkeypatch.setattr("rl2qc.model.zoo.ALIASES", {"old": "new"})
        tiny_model.save(tmp_path / "new.safetensors")
        assert QualityModel.load("old", device="cpu").name == "new"
        with pytest.raises(UsageError, match=r"no model 'nw', perhaps 'new'\?"):
            QualityModel.load("nw")
