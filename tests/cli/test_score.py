"""rl2qc score: the table, the JSON, and how it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import stained
from PIL import Image

from rl2qc.images.degrade import degrade


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two real halves and a noisy set, 40 images each; a few special ones."""
    root, rng = tmp_path_factory.mktemp("sets"), np.random.default_rng(0)
    real = stained(80, seed=5)
    sets = {
        "a": real[:40],
        "b": real[40:],
        "noisy": np.stack([degrade(p, "noise", 0.2, rng) for p in real[40:]]),
        "large": stained(10, size=96, seed=6),
        "pair": real[:2],
        "one": real[:1],
    }
    for name, images in sets.items():
        (root / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(root / name / f"{i}.png")
    (root / "empty").mkdir()
    return root


def test_table_and_json(rl2qc, folders, tiny_model_file, tiny_model, tmp_path):
    file = tmp_path / "scores.json"
    done = rl2qc("score", folders / "noisy", "--real", folders / "a", "--model", tiny_model_file,
                 "--json", file)  # fmt: skip
    assert done.code == 0, done.err
    scores = json.loads(file.read_text())
    names = {
        "rl2", "wad_div_zero", "wad_div_exponential", "wad_div_empirical", "wad_div_normalized",
        "wad_div_ratio", "mean_log_likelihood_real", "mean_log_likelihood_generated",
        "median_log_likelihood_real", "median_log_likelihood_generated",
        "kept_fraction_real", "kept_fraction_generated",
    }  # fmt: skip
    assert set(scores["metrics"]) == names
    assert all(np.isfinite(m["value"]) for m in scores["metrics"].values())
    for name in names:
        assert name in done.out
    run = scores["run"]
    assert (run["n_generated"], run["n_real"], run["k"]) == (40, 40, 3)
    assert run["checkpoint_sha256"] == tiny_model.sha256
    assert {"rl2qc", "torch", "numpy"} <= set(run["versions"])
    assert any("40 real images are few" in w for w in scores["warnings"])
    assert "40 generated images are few" in done.err


def test_noise_is_farther_than_the_other_half(rl2qc, folders, tiny_model_file, tmp_path):
    values = {}
    for name in ("b", "noisy"):
        file = tmp_path / f"{name}.json"
        rl2qc("score", folders / name, "-r", folders / "a", "-m", tiny_model_file, "--json", file)
        values[name] = {k: m["value"] for k, m in json.loads(file.read_text())["metrics"].items()}
    assert values["noisy"]["rl2"] > 2 * values["b"]["rl2"]
    assert values["noisy"]["kept_fraction_generated"] < values["b"]["kept_fraction_generated"]


def test_values_are_the_pure_functions(rl2qc, folders, tiny_model_file, tiny_model, tmp_path):
    """The command computes nothing itself: numpy, scipy and the model give the same."""
    from scipy.spatial.distance import cdist
    from scipy.stats import wasserstein_distance

    file = tmp_path / "scores.json"
    rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, "--json", file)
    got = {k: m["value"] for k, m in json.loads(file.read_text())["metrics"].items()}
    features = {n: tiny_model.features(str(folders / n)).astype(float) for n in "ab"}
    knn = {}
    for name, f in features.items():
        distances = cdist(f, f)
        np.fill_diagonal(distances, np.inf)
        knn[name] = np.sort(distances, axis=1)[:, :3].ravel()
    latents = {n: tiny_model.latents(str(folders / n)).astype(float).mean(0) for n in "ab"}
    scores = {n: tiny_model.score_samples(str(folders / n)) for n in "ab"}
    assert got["rl2"] == pytest.approx(np.linalg.norm(latents["a"] - latents["b"]), rel=1e-5)
    assert got["wad_div_zero"] == pytest.approx(knn["b"].mean(), rel=1e-5)
    assert got["wad_div_empirical"] == pytest.approx(
        wasserstein_distance(knn["a"], knn["b"]), rel=1e-4
    )
    assert got["wad_div_ratio"] == pytest.approx(knn["b"].mean() / knn["a"].mean(), rel=1e-5)
    assert got["wad_div_normalized"] == pytest.approx(min(1, got["wad_div_ratio"]))
    assert got["mean_log_likelihood_generated"] == pytest.approx(scores["b"].mean(), abs=0.01)
    assert got["median_log_likelihood_real"] == pytest.approx(np.median(scores["a"]), abs=0.01)


def test_larger_images_are_cropped_to_the_model(rl2qc, folders, tiny_model_file):
    done = rl2qc("score", folders / "large", "-r", folders / "a", "-m", tiny_model_file)
    assert done.code == 0, done.err
    assert "64 px, model tiny" in done.out


def test_smaller_images_are_scored_at_their_size_with_a_warning(rl2qc, folders):
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", "histology")
    assert done.code == 0, done.err
    assert "images are 64 px, the model's patches 224 px" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere", "-r", "a"], 2, "no such file or folder"),
        (["a", "-r", "nowhere"], 2, "no such file or folder"),
        (["empty", "-r", "a"], 2, "no images in folder"),
        (["one", "-r", "a"], 2, "the generated set holds one image"),
        (["pair", "-r", "a"], 2, "k = 3 needs more than 3 images, the generated set holds 2"),
        (["b", "-r", "a", "-k", "40"], 2, "k = 40 needs more than 40 images"),
        (["b", "-r", "a", "-k", "0"], 2, "k must be at least 1"),
        (["b", "-r", "a", "--alpha", "5"], 2, "alpha must lie between 0 and 1"),
        (["b", "-r", "a", "--model", "nowhere"], 2, "no model 'nowhere'"),
        (["b", "-r", "a", "--model", "a/0.png"], 1, "is no model file"),
    ],
)  # fmt: skip
def test_bad_input(rl2qc, folders, tiny_model_file, tmp_path, arguments, code, message, monkeypatch):
    monkeypatch.chdir(folders)
    model = [] if "--model" in arguments else ["-m", tiny_model_file]
    file = tmp_path / "scores.json"
    done = rl2qc("score", *arguments, *model, "--json", file)
    assert done.code == code
    assert message in done.error
    assert not file.exists()


def test_real_is_required(rl2qc, folders):
    done = rl2qc("score", folders / "a")
    assert done.code == 2
    assert "--real" in done.err
