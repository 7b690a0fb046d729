"""rl2qc score: the table, the files it writes, and how it refuses."""

from __future__ import annotations

import csv
import json

import jsonschema
import numpy as np
import pytest
from PIL import Image

from rl2qc.scoring.scorecard import schema
from rl2qc.scoring.spec import CATALOGUE
from rl2qc.synthetic.corruptions import corrupt

DEFAULT = {name for name, spec in CATALOGUE.items() if not spec.optional}
FEW = ["--n-resamples", "20"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or fills the user's cache."""
    monkeypatch.setenv("RL2QC_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def folders(tmp_path_factory, stained):
    """Two real halves and a noisy set, 40 images each; a few special ones."""
    root, rng = tmp_path_factory.mktemp("sets"), np.random.default_rng(0)
    real = stained(80, seed=5)
    sets = {
        "a": real[:40],
        "b": real[40:],
        "noisy": np.stack([corrupt(p, "noise", 0.2, rng) for p in real[40:]]),
        "large": stained(10, size=96, seed=6),
        "pair": real[:2],
        "one": real[:1],
    }
    for name, images in sets.items():
        (root / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(root / name / f"s{i // 8}_{i}.png")
    (root / "empty").mkdir()
    return root


def test_table_json_csv_and_page(rl2qc, folders, tiny_model_file, tiny_model, tmp_path):
    files = {kind: tmp_path / f"scores.{kind}" for kind in ("json", "csv", "html")}
    outputs = [x for kind, file in files.items() for x in (f"--{kind}", file)]
    done = rl2qc(
        "score", folders / "noisy", "--real", folders / "a", "-m", tiny_model_file, *FEW, *outputs
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
        assert name in done.out
        if name not in undefined:
            assert m["low"] <= m["value"] <= m["high"], name
        if name not in undefined and not name.endswith("_real"):
            assert m["floor_low"] <= m["floor"] <= m["floor_high"], name
            assert 0 <= m["null_percentile"] <= 100
            assert m["verdict"]
    run = scores["run"]
    assert (run["n_generated"], run["n_real"], run["k"]) == (40, 40, 3)
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
    assert all(name in page for name in DEFAULT)
    assert "http" not in page.replace("http://www.w3.org", "")


def test_noise_is_told_from_the_other_half(rl2qc, folders, tiny_model_file, tmp_path):
    cards = {}
    for name in ("b", "noisy"):
        file = tmp_path / f"{name}.json"
        rl2qc("score", folders / name, "-r", folders / "a", "-m", tiny_model_file, "--json", file,
              "--n-resamples", "60")  # fmt: skip
        cards[name] = json.loads(file.read_text())["metrics"]
    worse = ("rl2", "fid", "kid", "precision", "coverage", "kept_fraction_generated")
    for name in worse:
        far = cards["noisy"][name]["null_percentile"]
        assert far == (0 if cards["noisy"][name]["higher_is_better"] else 100), name
        assert 0.5 < cards["b"][name]["null_percentile"] < 99.5, name
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
    from rl2qc.scoring.pixels import PATCHES, PROJECTIONS

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
    assert all(m["floor"] is None and m["low"] is None for n, m in card.items() if "irs" not in n)


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
    assert metric["floor"] is None
    assert "no floor" in metric["note"]


def test_groups_are_resampled_whole(rl2qc, folders, tiny_model_file, tmp_path):
    file = tmp_path / "scores.json"
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, *FEW,
                 "--group-pattern", "^(s[0-9]+)_", "--metrics", "rl2,precision",
                 "--json", file)  # fmt: skip
    assert done.code == 0, done.err
    card = json.loads(file.read_text())
    jsonschema.validate(card, schema())
    assert card["run"]["groups"] == {"generated": 5, "real": 5}
    assert card["metrics"]["rl2"]["method"] == "bootstrap by slide"
    assert "5 slides in the real set are few" in done.err


def test_a_second_run_takes_features_from_the_cache(rl2qc, folders, tiny_model_file, tmp_path):
    from rl2qc.features.cache import FeatureCache

    command = ["score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, *FEW,
               "--metrics", "rl2,fid", "--json"]  # fmt: skip
    rl2qc(*command, tmp_path / "none.json", "--no-cache")
    assert FeatureCache().info().entries == 0
    rl2qc(*command, tmp_path / "first.json")
    assert FeatureCache().info().entries == 80
    rl2qc(*command, tmp_path / "second.json")
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
    assert card["run"]["features"] == "latents"
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
        (["b", "-r", "a", "--alpha", "5"], 2, "alpha must lie between 0 and 1"),
        (["b", "-r", "a", "--n-resamples", "1"], 2, "n_resamples must be 0 or at least 2"),
        (["b", "-r", "a", "--metrics", "fid,psnr"], 2, "no metric 'psnr'"),
        (["b", "-r", "a", "--metrics", ","], 2, "no metrics chosen"),
        (["b", "-r", "a", "--features", "vgg"], 2, "no features 'vgg'"),
        (["b", "-r", "a", "--distance", "l1"], 2, "distance must be euclidean or cosine"),
        (["b", "-r", "a", "--held-out", "nowhere"], 2, "no such file or folder"),
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


def scores(rl2qc, model, tmp_path, *arguments):
    file = tmp_path / "scores.json"
    done = rl2qc("score", *arguments, "-m", model, "--json", file)
    assert done.code == 0, done.err
    card = json.loads(file.read_text())
    jsonschema.validate(card, schema())
    return card, done


def test_cosine_distance(rl2qc, folders, tiny_model_file, tiny_model, tmp_path):
    import rl2qc as package
    from rl2qc.metrics.authenticity import authenticity

    pair = (folders / "noisy", "-r", folders / "a")
    card, _ = scores(rl2qc, tiny_model_file, tmp_path, *pair, "--distance", "cosine", *FEW)
    plain, _ = scores(rl2qc, tiny_model_file, tmp_path, *pair, *FEW)
    x, y = (tiny_model.features(str(folders / n)) for n in ("a", "noisy"))
    empirical = package.wad_div(y, x, metric="cosine", seed=0)
    expected = {
        "wad_div_zero": package.wad_div(y, metric="cosine").value,
        "wad_div_exponential": package.wad_div(y, "exponential", metric="cosine").value,
        "wad_div_empirical": empirical.value,
        "wad_div_ratio": empirical.ratio,
        "irs_alpha": package.irs(x, y, metric="cosine").irs_alpha,
        "irs_inf": package.irs(x, y, metric="cosine").value,
        "authenticity": authenticity(x, y, metric="cosine").value,
    }
    got = card["metrics"]
    assert {n: got[n]["value"] for n in expected} == pytest.approx(expected, rel=1e-3)
    # Its floor and interval are of the same distance.
    zero = got["wad_div_zero"]
    assert zero["low"] < zero["value"] < zero["high"]
    assert zero["floor"] < plain["metrics"]["wad_div_zero"]["floor"] / 10
    for name in ("fid", "kid", "precision", "recall", "density", "coverage"):
        assert got[name] == plain["metrics"][name]
    assert (card["run"]["distance"], plain["run"]["distance"]) == ("cosine", "euclidean")


def test_held_out_images_given_by_the_user(
    rl2qc, folders, tiny_model_file, tiny_model, tmp_path, stained
):
    """Copies of the training images are nearer to them than to new ones; new images are not."""
    from rl2qc.metrics.authenticity import authenticity
    from rl2qc.metrics.irs import irs

    (tmp_path / "new").mkdir()
    for i, image in enumerate(stained(50, seed=99)):
        Image.fromarray(image).save(tmp_path / "new" / f"{i}.png")
    card, _ = scores(rl2qc, tiny_model_file, tmp_path, folders / "b", "-r", folders / "a",
                     "--held-out", tmp_path / "new", *FEW)  # fmt: skip
    x, y = (tiny_model.features(str(folders / n)) for n in "ab")
    z = tiny_model.features(str(tmp_path / "new"))
    expected = authenticity(x, y, z, rng=np.random.default_rng(0))
    metrics = card["metrics"]
    assert set(metrics) == DEFAULT | {"nearer_train"}
    found = metrics["nearer_train"]
    assert found["value"] == expected.nearer_train
    assert found["low"] < found["value"] < found["high"]
    assert 0.2 < found["floor"] < 0.8
    assert found["verdict"] == "not told apart from real (few images)"
    assert metrics["irs_adjusted"]["value"] == pytest.approx(irs(x, y, z).adjusted)
    assert "40 real images as training set, 50 held out" in metrics["irs_adjusted"]["note"]
    assert (
        f"50 held-out images score {expected.held_out_value:.4g}"
        in (metrics["authenticity"]["note"])
    )
    assert card["run"]["n_held_out"] == 50

    copies, _ = scores(rl2qc, tiny_model_file, tmp_path, folders / "a", "-r",
                       folders / "a", "--held-out", tmp_path / "new", *FEW)  # fmt: skip
    found = copies["metrics"]["nearer_train"]
    assert found["value"] == 1
    assert "copies of training images?" in found["verdict"]


def test_held_out_images_that_were_trained_on(rl2qc, folders, tiny_model_file, tmp_path):
    _, done = scores(rl2qc, tiny_model_file, tmp_path, folders / "b", "-r", folders / "a",
                     "--held-out", folders / "a", "--metrics", "authenticity", *FEW)  # fmt: skip
    assert "40 of 40 held-out images are in the real set as well" in done.err


def test_without_held_out_images(rl2qc, folders, tiny_model_file, tmp_path):
    card, _ = scores(rl2qc, tiny_model_file, tmp_path, folders / "b", "-r", folders / "a",
                     "--metrics", "nearer_train,irs_adjusted", *FEW)  # fmt: skip
    assert card["metrics"]["nearer_train"]["value"] is None
    assert "--held-out" in card["metrics"]["nearer_train"]["note"]
    assert "20 real images as training set, 20 held out" in card["metrics"]["irs_adjusted"]["note"]


def test_metrics_against_the_number_of_images(rl2qc, folders, tiny_model_file, tmp_path):
    arguments = (folders / "b", "-r", folders / "a", "--metrics", "rl2,fid,kept_fraction_real")
    card, done = scores(rl2qc, tiny_model_file, tmp_path, *arguments, "--curve", *FEW)
    lines = done.out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("generated images"))
    assert lines[start].split()[2:] == ["10", "20", "40", "infinite"]
    assert lines[start + 1].split() == [
        "rl2", *(f"{v:.4g}" for v in card["against_n"]["rl2"]["values"]), "-"
    ]  # fmt: skip
    assert lines[start + 2].startswith("fid")
    assert lines[start + 3].startswith("fid: FID is not linear in 1/N down to")
    _, done = scores(rl2qc, tiny_model_file, tmp_path, *arguments, *FEW)
    assert "generated images  " not in done.out
    _, done = scores(rl2qc, tiny_model_file, tmp_path, *arguments, "--curve", "--n-resamples", "0")
    assert "no curve: it needs at least 20 images a set" in done.out


def test_resolution_is_held_against_the_model(rl2qc, folders, tiny_model_file, tmp_path):
    from rl2qc.model.quality import QualityModel

    model = QualityModel.load(tiny_model_file)
    model.mpp = 0.5
    model.save(tmp_path / "half.safetensors")
    command = ["score", folders / "b", "-r", folders / "a", "-m", tmp_path / "half.safetensors",
               "--n-resamples", "0", "--metrics", "rl2"]  # fmt: skip
    done = rl2qc(*command, "--mpp", "2")
    assert done.code == 2
    assert "2 um/px" in done.error and "0.5 um/px" in done.error
    done = rl2qc(*command, "--mpp", "2", "--any-mpp", "--json", tmp_path / "any.json")
    assert done.code == 0
    assert "2 um/px" in done.err
    assert json.loads((tmp_path / "any.json").read_text())["run"]["mpp"] == 2
    done = rl2qc(*command, "--mpp", "0.5")
    assert (done.code, "um/px" in done.err) == (0, False)


def test_warnings_of_the_cache_are_one_line_without_a_place(
    rl2qc, folders, tiny_model_file, tmp_path, monkeypatch
):
    (tmp_path / "taken").write_text("a file where the folder should be")
    monkeypatch.setenv("RL2QC_CACHE", str(tmp_path / "taken"))
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file,
                 "--n-resamples", "0", "--metrics", "rl2")  # fmt: skip
    assert done.code == 0
    lines = [line for line in done.err.splitlines() if "the feature cache" in line]
    assert lines
    assert all("rl2qc: warning: the feature cache" in line for line in lines)
    assert "RuntimeWarning" not in done.err
    assert ".py" not in done.err


def test_real_probabilities_give_a_floor(rl2qc, folders, tiny_model_file, tmp_path):
    """Answers as varied as the real ones are like real; answers that are all alike are not."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "real.npy", rng.dirichlet(np.full(4, 0.3), 40))
    np.save(tmp_path / "varied.npy", rng.dirichlet(np.full(4, 0.3), 40))
    np.save(tmp_path / "alike.npy", np.tile([0.97, 0.01, 0.01, 0.01], (40, 1)))
    found = {}
    for name in ("varied", "alike"):
        file = tmp_path / f"{name}.json"
        done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file,
                     "--n-resamples", "60", "--probabilities", tmp_path / f"{name}.npy",
                     "--real-probabilities", tmp_path / "real.npy", "--json", file,
                     "--metrics", "inception_score")  # fmt: skip
        assert done.code == 0, done.err
        found[name] = json.loads(file.read_text())["metrics"]["inception_score"]
    assert found["varied"]["floor_low"] < found["varied"]["floor"] < found["varied"]["floor_high"]
    assert 0 < found["varied"]["null_percentile"] < 100
    assert found["alike"]["null_percentile"] == 0
    assert found["alike"]["verdict"] == "less distinct or less varied than real"


def test_splits_of_the_inception_score_follow_the_number_of_images(
    rl2qc, folders, tiny_model_file, tmp_path
):
    """40 answers about 20 classes: the published 10 splits of 4 could not score above 4."""
    import rl2qc as package

    p = 0.99 * np.eye(20)[np.arange(40) % 20] + 0.01 / 20
    np.save(tmp_path / "p.npy", p)
    file = tmp_path / "scores.json"
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, *FEW,
                 "--probabilities", tmp_path / "p.npy", "--json", file,
                 "--metrics", "inception_score")  # fmt: skip
    assert done.code == 0, done.err
    metric = json.loads(file.read_text())["metrics"]["inception_score"]
    assert metric["value"] == pytest.approx(package.inception_score(p, splits=2).value)
    assert metric["note"].startswith("2 splits")
    assert metric["low"] <= metric["value"] <= metric["high"]


@pytest.mark.parametrize(
    ("array", "message"),
    [(None, "no such file: --real-probabilities"), (np.full((3, 4), 0.25), "(40, classes)")],
)
def test_wrong_real_probabilities(rl2qc, folders, tiny_model_file, tmp_path, array, message):
    file = tmp_path / "real.npy"
    if array is not None:
        np.save(file, array)
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file,
                 "--real-probabilities", file)  # fmt: skip
    assert done.code == 2
    assert message in done.error


@pytest.mark.parametrize(
    "arguments", [["b", "-r", ""], ["", "-r", "a"], ["b", "-r", "a", "--held-out", " "]]
)
def test_an_empty_name_is_not_the_current_folder(
    rl2qc, folders, tiny_model_file, monkeypatch, arguments
):
    monkeypatch.chdir(folders / "a")
    arguments = [{"a": folders / "a", "b": folders / "b"}.get(x, x) for x in arguments]
    done = rl2qc("score", *arguments, "-m", tiny_model_file)
    assert done.code == 2
    assert "an input name is empty" in done.error


def test_the_edge_of_balls(rl2qc, folders, tiny_model_file, tmp_path):
    """A collapsed set has balls of no radius, which hold its copies by one convention only."""
    import shutil

    (tmp_path / "copies").mkdir()
    for i in range(12):
        shutil.copy(folders / "a" / "s0_0.png", tmp_path / "copies" / f"{i}.png")
    density = {}
    for convention in ("prdc", "kynkaanniemi"):
        file = tmp_path / "scores.json"
        done = rl2qc("score", tmp_path / "copies", "-r", tmp_path / "copies", "-m",
                     tiny_model_file, *FEW, "--prdc-convention", convention,
                     "--metrics", "precision,recall", "--json", file)  # fmt: skip
        assert done.code == 0, done.err
        card = json.loads(file.read_text())
        jsonschema.validate(card, schema())
        assert card["run"]["prdc_convention"] == convention
        assert convention in card["metrics"]["precision"]["note"]
        found = card["metrics"]["precision"]
        density[convention] = (found["value"], found["floor"], card["metrics"]["recall"]["floor"])
    assert density == {"prdc": (0, 0, 0), "kynkaanniemi": (1, 1, 1)}
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file,
                 "--prdc-convention", "closed")  # fmt: skip
    assert (done.code, "prdc_convention must be prdc or" in done.error) == (2, True)


def test_patients_by_folder(rl2qc, folders, tiny_model_file, tmp_path):
    for source, name in (("a", "real"), ("b", "new")):
        for i, file in enumerate(sorted((folders / source).iterdir())):
            place = tmp_path / name / f"patient{i % 4}" / f"{i}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
    file = tmp_path / "scores.json"
    done = rl2qc("score", tmp_path / "new", "-r", tmp_path / "real", "-m", tiny_model_file, *FEW,
                 "--group-pattern", "^(patient.)/", "--metrics", "rl2", "--json", file)  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads(file.read_text())["run"]["groups"] == {"generated": 4, "real": 4}


def test_a_group_that_takes_no_part_is_refused(rl2qc, folders, tiny_model_file):
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file,
                 "--group-pattern", "(s0_|s1_)|^s")  # fmt: skip
    assert done.code == 2
    assert "--group-pattern '(s0_|s1_)|^s' matches no part of 24 of 40" in done.error


def test_features_computed_elsewhere(rl2qc, folders, tiny_model_file, tmp_path):
    import rl2qc as package

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 6)), rng.normal(1, 1, size=(40, 6))
    np.save(tmp_path / "real.npy", x)
    np.save(tmp_path / "generated.npy", y)
    file = tmp_path / "scores.json"
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, *FEW,
                 "--features", tmp_path, "--metrics", "fid,coverage", "--json", file)  # fmt: skip
    assert done.code == 0, done.err
    card = json.loads(file.read_text())
    assert card["metrics"]["fid"]["value"] == pytest.approx(package.fid(x, y).value, rel=1e-4)
    assert card["metrics"]["coverage"]["value"] == package.prdc(x, y).coverage
    assert card["run"]["features"] == tmp_path.name
    assert "precomputed" in card["run"]["features_identity"]
    np.save(tmp_path / "generated.npy", y[:39])
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, *FEW,
                 "--features", tmp_path, "--metrics", "fid")  # fmt: skip
    assert done.code == 2
    assert "generated.npy holds 39 rows for 40 images" in done.error
