"""rl2qc score: the table, the files it writes, and how it refuses."""

from __future__ import annotations

import csv
import json

import jsonschema
import numpy as np
import pytest

from rl2qc.scoring.scorecard import schema
from rl2qc.scoring.spec import METRICS

DEFAULT = {spec.name for spec in METRICS if spec.shown == "always"}
FEW = ["--n-resamples", "20"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or fills the user's cache."""
    monkeypatch.setenv("RL2QC_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_table_json_csv_and_page(rl2qc, folders, tiny_model_file, tiny_model, tmp_path):
    files = {kind: tmp_path / f"scores.{kind}" for kind in ("json", "csv", "html")}
    outputs = [x for kind, file in files.items() for x in (f"--{kind}", file)]
    done = rl2qc(
        "score",
        folders / "noisy",
        "--real",
        folders / "a",
        "-m",
        tiny_model_file,
        *FEW,
        "--all",
        *outputs,
    )
    assert done.code == 0, done.err
    scores = json.loads(files["json"].read_text())
    jsonschema.validate(scores, schema())
    metrics = scores["metrics"]
    assert set(metrics) == DEFAULT
    undefined = {name for name, m in metrics.items() if m["value"] is None}
    assert undefined == {"inception_score"}
    assert "--probabilities" in metrics["inception_score"]["note"]
    for name, m in metrics.items():
        assert (name in done.out) == (name not in undefined)
        if name not in undefined:
            assert m["low"] <= m["value"] <= m["high"], name
        if name not in undefined and not name.endswith("_real"):
            assert m["baseline_low"] <= m["baseline"] <= m["baseline_high"], name
            assert 0 <= m["percentile"] <= 100
            assert m["verdict"]
    run = scores["provenance"]
    assert (run["n_generated"], run["n_real"], run["settings"]["k"]) == (40, 40, 3)
    assert run["checkpoint_sha256"] == tiny_model.sha256
    assert {"rl2qc", "torch", "numpy"} <= set(run["versions"])
    few = "40 generated and 40 real images are few"
    assert sum("images are few" in w for w in scores["warnings"]) == 1
    assert few in done.err
    with files["csv"].open(newline="") as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    assert float(rows["rl2"]["value"]) == metrics["rl2"]["value"]
    assert rows["inception_score"]["value"] == ""
    page = files["html"].read_text()
    assert all(name in page for name in DEFAULT - undefined)
    assert "://" not in page.replace("http://www.w3.org", "")


def test_noise_is_told_from_the_other_half(rl2qc, folders, tiny_model_file, tmp_path):
    cards = {}
    for name in ("b", "noisy"):
        file = tmp_path / f"{name}.json"
        rl2qc("score", folders / name, "-r", folders / "a", "-m", tiny_model_file, "--json", file,
              "--n-resamples", "60")  # fmt: skip
        cards[name] = json.loads(file.read_text())["metrics"]
    worse = ("rl2", "fid", "kid", "precision", "coverage", "kept_fraction_generated")
    for name in worse:
        far = cards["noisy"][name]["percentile"]
        assert far == (0 if cards["noisy"][name]["higher_is_better"] else 100), name
        assert 0.5 < cards["b"][name]["percentile"] < 99.5, name
        assert cards["noisy"][name]["verdict"] != "like real"
    assert cards["noisy"]["rl2"]["low"] > cards["b"]["rl2"]["high"]
    # 40 images are too few to say more.
    assert cards["b"]["rl2"]["verdict"] == "not told apart from real (few images)"


def test_values_are_those_of_other_libraries(rl2qc, folders, tiny_model_file, tiny_model, tmp_path):
    """The command computes nothing itself: numpy, scipy and the model give the same."""
    from scipy.linalg import sqrtm
    from scipy.spatial.distance import cdist
    from scipy.stats import wasserstein_distance

    file = tmp_path / "scores.json"
    rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, "--json", file,
          "--n-resamples", "0")  # fmt: skip
    got = {k: m["value"] for k, m in json.loads(file.read_text())["metrics"].items()}
    features = {n: tiny_model.features(str(folders / n)).astype(float) for n in "ab"}
    own = {n: cdist(f, f) for n, f in features.items()}
    for distances in own.values():
        np.fill_diagonal(distances, np.inf)
    knn = {n: np.sort(d, axis=1)[:, :5] for n, d in own.items()}
    flat = {n: d[:, :3].ravel() for n, d in knn.items()}
    latents = {n: tiny_model.latents(str(folders / n)).astype(float).mean(0) for n in "ab"}
    scores = {n: tiny_model.score_samples(str(folders / n)) for n in "ab"}
    kept = tiny_model.p_values(str(folders / "b")) > 0.05
    across = cdist(features["b"], features["a"])
    covariance = {n: np.cov(f.T) for n, f in features.items()}
    # A little of the identity makes the root of these singular matrices a stable one.
    ridge = 1e-9 * np.trace(covariance["a"]) * np.eye(512)
    root = sqrtm((covariance["a"] + ridge) @ (covariance["b"] + ridge)).real
    mean_term = ((features["a"].mean(0) - features["b"].mean(0)) ** 2).sum()
    fid = mean_term + np.trace(covariance["a"] + covariance["b"] - 2 * root)
    nearest = across.argmin(axis=1)
    expected = {
        "rl2": np.linalg.norm(latents["a"] - latents["b"]),
        "wad_div_zero": flat["b"].mean(),
        "wad_div_empirical": wasserstein_distance(flat["a"], flat["b"]),
        "wad_div_ratio": flat["b"].mean() / flat["a"].mean(),
        "wad_div_normalized": min(1, flat["b"].mean() / flat["a"].mean()),
        "irs_alpha": len(set(nearest)) / 40,
        "precision": (across < knn["a"][:, -1]).any(axis=1).mean(),
        "recall": (across < knn["b"][:, -1:]).any(axis=0).mean(),
        "density": (across < knn["a"][:, -1]).sum() / 5 / 40,
        "coverage": (across.min(axis=0) < knn["a"][:, -1]).mean(),
        "authenticity": (across.min(axis=1) > knn["a"][nearest, 0]).mean(),
        "mean_log_likelihood_generated": scores["b"].mean(),
        "median_log_likelihood_real": np.median(scores["a"]),
        "kept_fraction_generated": kept.mean(),
    }
    assert {k: got[k] for k in expected} == pytest.approx(expected, rel=1e-4, abs=1e-3)
    assert got["fid"] == pytest.approx(fid, rel=1e-2, abs=1e-6 * np.trace(covariance["a"]))


def test_values_are_the_pure_functions(rl2qc, folders, tiny_model_file, tiny_model, tmp_path):
    import rl2qc as package
    from rl2qc.images.sources.base import as_source
    from rl2qc.scoring.specs.sliced import PATCHES, PROJECTIONS

    file = tmp_path / "scores.json"
    rl2qc("score", folders / "noisy", "-r", folders / "a", "-m", tiny_model_file, "--json", file,
          "--n-resamples", "0", "--seed", "3")  # fmt: skip
    got = {k: m["value"] for k, m in json.loads(file.read_text())["metrics"].items()}
    sources = [as_source(str(folders / n)) for n in ("a", "noisy")]
    x, y = (tiny_model.features(s) for s in sources)
    images = [np.stack([s[i] for i in range(len(s))]) for s in sources]
    assert got["kid"] == pytest.approx(package.kid(x, y, seed=3).value, rel=1e-4)
    assert got["irs_inf"] == pytest.approx(package.irs(x, y).value)
    assert got["wad_div_exponential"] == pytest.approx(
        package.wad_div(y, "exponential").value, rel=1e-4
    )
    assert got["swd"] == pytest.approx(
        package.swd(*images, n_projections=PROJECTIONS, patches_per_image=PATCHES, seed=3).value
    )
    card = json.loads(file.read_text())["metrics"]
    assert all(
        m["baseline"] is None and m["low"] is None for n, m in card.items() if "irs" not in n
    )


def test_chosen_metrics_alone(rl2qc, folders, tiny_model_file, tmp_path):
    file = tmp_path / "scores.json"
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, *FEW,
                 "--metrics", "ms_ssim, rl2", "--json", file)  # fmt: skip
    assert done.code == 0, done.err
    card = json.loads(file.read_text())
    jsonschema.validate(card, schema())
    assert list(card["metrics"]) == ["rl2", "ms_ssim"]
    assert 0 < card["metrics"]["ms_ssim"]["value"] < 1


def test_probabilities_give_an_inception_score(rl2qc, folders, tiny_model_file, tmp_path):
    import rl2qc as package

    p = np.random.default_rng(0).dirichlet(np.ones(4), 40)
    np.save(tmp_path / "p.npy", p)
    file = tmp_path / "scores.json"
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, *FEW,
                 "--probabilities", tmp_path / "p.npy", "--json", file,
                 "--metrics", "inception_score")  # fmt: skip
    assert done.code == 0, done.err
    metric = json.loads(file.read_text())["metrics"]["inception_score"]
    assert metric["value"] == pytest.approx(package.inception_score(p).value)
    assert metric["low"] <= metric["value"] <= metric["high"]
    assert metric["baseline"] is None
    assert "no baseline" in metric["note"]


def test_groups_are_resampled_whole(rl2qc, folders, tiny_model_file, tmp_path):
    file = tmp_path / "scores.json"
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, *FEW,
                 "--group-pattern", "^(s[0-9]+)_", "--metrics", "rl2,precision",
                 "--json", file)  # fmt: skip
    assert done.code == 0, done.err
    card = json.loads(file.read_text())
    jsonschema.validate(card, schema())
    assert card["provenance"]["groups"] == {"generated": 5, "real": 5}
    assert card["metrics"]["rl2"]["method"] == "bootstrap by slide"
    assert "5 slides in the real set are few" in done.err


def test_a_second_run_takes_features_from_the_cache(rl2qc, folders, tiny_model_file, tmp_path):
    from rl2qc.features.cache import FeatureCache

    command = ["score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, *FEW,
               "--metrics", "rl2,fid", "--json"]  # fmt: skip
    rl2qc(*command, tmp_path / "none.json", "--no-cache")
    assert FeatureCache().info().entries == 0
    rl2qc(*command, tmp_path / "first.json")
    # Statistics and looks of all images, statistics of those that were changed to be a yardstick.
    entries = FeatureCache().info().entries
    assert 160 < entries <= 400
    rl2qc(*command, tmp_path / "second.json")
    assert FeatureCache().info().entries == entries
    cards = [json.loads((tmp_path / f"{n}.json").read_text()) for n in ("none", "first", "second")]
    assert cards[0]["metrics"] == cards[1]["metrics"] == cards[2]["metrics"]


def test_latents_as_features(rl2qc, folders, tiny_model_file, tiny_model, tmp_path):
    import rl2qc as package

    file = tmp_path / "scores.json"
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file,
                 "--n-resamples", "0", "--features", "latents", "--json", file)  # fmt: skip
    assert done.code == 0, done.err
    card = json.loads(file.read_text())
    x, y = (tiny_model.latents(str(folders / n)) for n in "ab")
    assert card["provenance"]["features"] == "latents"
    assert card["metrics"]["fid"]["value"] == pytest.approx(package.fid(x, y).value, rel=1e-3)


def test_larger_images_are_cropped_to_the_model(rl2qc, folders, tiny_model_file):
    done = rl2qc("score", folders / "large", "-r", folders / "a", "-m", tiny_model_file, *FEW)
    assert done.code == 0, done.err
    assert "64 px, model tiny" in done.out


def test_smaller_images_are_scored_at_their_size_with_a_warning(rl2qc, folders):
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", "histology", *FEW)
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
        (["b", "-r", "a", "--alpha", "5"], 2, "alpha must lie in [0, 1)"),
        (["b", "-r", "a", "--n-resamples", "1"], 2, "n_resamples must be 0 or at least 2"),
        (["b", "-r", "a", "--metrics", "fid,psnr"], 2, "no metric 'psnr'"),
        (["b", "-r", "a", "--metrics", ","], 2, "no metrics chosen"),
        (["b", "-r", "a", "--features", "vgg"], 2, "no features 'vgg'"),
        (["b", "-r", "a", "--distance", "l1"], 2, "distance must be euclidean or cosine"),
        (["b", "-r", "a", "--unseen", "nowhere"], 2, "no such file or folder"),
        (["b", "-r", "a", "--mpp", "-1"], 2, "--mpp must be a positive number"),
        (["b", "-r", "a", "--group-pattern", "("], 2, "--group-pattern '(' is no regular"),
        (["b", "-r", "a", "--group-pattern", "x_"], 2, "--group-pattern 'x_' matches no part"),
        (["b", "-r", "a", "--group-pattern", "s"], 2, "finds a single slide"),
        (["b", "-r", "a", "--probabilities", "none.npy"], 2, "no such file: --probabilities"),
        (["b", "-r", "a", "--probabilities", "a/s0_0.png"], 2, "is no .npy array"),
        (["b", "-r", "a", "--html", "a"], 2, "--html a is a folder"),
        (["b", "-r", "a", "--model", "nowhere"], 2, "no model 'nowhere'"),
        (["b", "-r", "a", "--model", "a/s0_0.png"], 1, "is no model file"),
    ],
)  # fmt: skip
def test_bad_input(
    rl2qc, folders, tiny_model_file, tmp_path, arguments, code, message, monkeypatch
):
    monkeypatch.chdir(folders)
    model = [] if "--model" in arguments else ["-m", tiny_model_file]
    file = tmp_path / "scores.json"
    done = rl2qc("score", *arguments, *model, "--json", file)
    assert done.code == code
    assert message in done.error
    assert not file.exists()


def test_wrong_probabilities(rl2qc, folders, tiny_model_file, tmp_path):
    np.save(tmp_path / "short.npy", np.full((3, 4), 0.25))
    np.save(tmp_path / "logits.npy", np.full((40, 4), 3.0))
    for name, message in (("short", "shape (40, classes)"), ("logits", "softmax")):
        done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file,
                     "--probabilities", tmp_path / f"{name}.npy")  # fmt: skip
        assert done.code == 2
        assert message in done.error


def test_too_few_images_for_a_metric_is_a_note(rl2qc, folders, tiny_model_file, tmp_path):
    file = tmp_path / "scores.json"
    done = rl2qc("score", folders / "pair", "-r", folders / "a", "-m", tiny_model_file, *FEW,
                 "--json", file, "--metrics", "rl2,precision,swd,kid,fid,irs_inf")  # fmt: skip
    assert done.code == 0, done.err
    card = json.loads(file.read_text())
    jsonschema.validate(card, schema())
    assert card["metrics"]["precision"]["value"] is None
    assert "k = 5 needs more than 5 images" in card["metrics"]["precision"]["note"]


def test_identical_and_collapsed_sets(rl2qc, folders, tiny_model_file, tmp_path):
    (tmp_path / "same").mkdir()
    picture = (folders / "a" / "s0_0.png").read_bytes()
    for i in range(10):
        (tmp_path / "same" / f"{i}.png").write_bytes(picture)
    for name, generated in (("identical", folders / "a"), ("collapsed", tmp_path / "same")):
        file = tmp_path / f"{name}.json"
        done = rl2qc("score", generated, "-r", folders / "a", "-m", tiny_model_file, *FEW,
                     "--json", file)  # fmt: skip
        assert done.code == 0, done.err
        card = json.loads(file.read_text())
        jsonschema.validate(card, schema())
        metrics = card["metrics"]
        if name == "identical":
            assert metrics["rl2"]["value"] == 0
            assert metrics["swd"]["value"] == 0
            assert metrics["authenticity"]["value"] == 0
            assert "copies" in metrics["authenticity"]["verdict"]
        else:
            assert metrics["wad_div_zero"]["value"] == 0
            assert metrics["irs_alpha"]["value"] == pytest.approx(1 / 40)


def test_real_is_required(rl2qc, folders):
    done = rl2qc("score", folders / "a")
    assert done.code == 2
    assert "--real" in done.err
