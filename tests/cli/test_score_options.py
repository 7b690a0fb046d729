"""rl2qc score: distances, unseen images, curves, probabilities, groups, features."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from PIL import Image

from rl2qc.scoring.scorecard import schema
from rl2qc.scoring.spec import METRICS

DEFAULT = {spec.name for spec in METRICS if spec.shown == "always"}
FEW = ["--n-resamples", "20"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or fills the user's cache."""
    monkeypatch.setenv("RL2QC_CACHE", str(tmp_path_factory.mktemp("cache")))


def scores(rl2qc, model, tmp_path, *arguments):
    file = tmp_path / "scores.json"
    done = rl2qc("score", *arguments, "-m", model, "--json", file, "--overwrite")
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
    empirical = package.wad_div(y, x, distance="cosine", seed=0)
    expected = {
        "wad_div_zero": package.wad_div(y, distance="cosine").value,
        "wad_div_exponential": package.wad_div(y, "exponential", distance="cosine").value,
        "wad_div_empirical": empirical.value,
        "wad_div_ratio": empirical.ratio,
        "irs_alpha": package.irs(x, y, distance="cosine").irs_alpha,
        "irs_inf": package.irs(x, y, distance="cosine").value,
        "authenticity": authenticity(x, y, distance="cosine").value,
    }
    got = card["metrics"]
    assert {n: got[n]["value"] for n in expected} == pytest.approx(expected, rel=1e-3)
    # Its baseline and interval are of the same distance.
    zero = got["wad_div_zero"]
    assert zero["low"] < zero["value"] < zero["high"]
    assert zero["baseline"] < plain["metrics"]["wad_div_zero"]["baseline"] / 10
    for name in ("fid", "kid", "precision", "recall", "density", "coverage"):
        assert got[name] == plain["metrics"][name]
    assert (
        card["provenance"]["settings"]["distance"],
        plain["provenance"]["settings"]["distance"],
    ) == ("cosine", "euclidean")


def test_wad_div_on_the_scale_of_another_reference(rl2qc, folders, tiny_model_file, tmp_path):
    """One that is fitted once: the ratio is to it, and the distance to the real set is not."""
    (own, _), (card, _) = (
        scores(rl2qc, tiny_model_file, tmp_path, folders / "b", "-r", folders / "a", *more, *FEW)
        for more in ((), ("--w-max", "50"))
    )
    found, of_real = card["metrics"], own["metrics"]
    zero = found["wad_div_zero"]["value"]
    assert found["wad_div_ratio"]["value"] == pytest.approx(zero / 50)
    assert found["wad_div_ratio"]["value"] != pytest.approx(of_real["wad_div_ratio"]["value"])
    assert found["wad_div_ratio"]["note"] == "W_max is 50, as given"
    assert found["wad_div_empirical"]["value"] == of_real["wad_div_empirical"]["value"]
    assert card["provenance"]["settings"]["w_max"] == 50
    failed = rl2qc("score", folders / "b", "-r", folders / "a", "--w-max", 0)
    assert failed.code == 2 and "must be above 0" in failed.err


def test_unseen_images_given_by_the_user(
    rl2qc, folders, tiny_model_file, tiny_model, tmp_path, stained
):
    """Copies of the training images are nearer to them than to new ones; new images are not."""
    from rl2qc.metrics.authenticity import authenticity
    from rl2qc.metrics.irs import irs

    (tmp_path / "new").mkdir()
    for i, image in enumerate(stained(50, seed=99)):
        Image.fromarray(image).save(tmp_path / "new" / f"{i}.png")
    card, _ = scores(rl2qc, tiny_model_file, tmp_path, folders / "b", "-r", folders / "a",
                     "--unseen", tmp_path / "new", *FEW)  # fmt: skip
    x, y = (tiny_model.features(str(folders / n)) for n in "ab")
    z = tiny_model.features(str(tmp_path / "new"))
    expected = authenticity(x, y, z, rng=np.random.default_rng(0))
    metrics = card["metrics"]
    assert set(metrics) == DEFAULT | {"nearer_train"}
    found = metrics["nearer_train"]
    assert found["value"] == expected.nearer_train
    assert found["low"] < found["value"] < found["high"]
    assert 0.2 < found["baseline"] < 0.8
    assert found["verdict"] == "not told apart from real (few images)"
    assert metrics["irs_adjusted"]["value"] == pytest.approx(irs(x, y, z).adjusted)
    assert "40 real images as training set, 50 unseen" in metrics["irs_adjusted"]["note"]
    assert (
        f"50 unseen images score {expected.unseen_value:.4g}" in (metrics["authenticity"]["note"])
    )
    assert card["provenance"]["n_unseen"] == 50

    copies, _ = scores(rl2qc, tiny_model_file, tmp_path, folders / "a", "-r",
                       folders / "a", "--unseen", tmp_path / "new", *FEW)  # fmt: skip
    found = copies["metrics"]["nearer_train"]
    assert found["value"] == 1
    assert "nearer to the real set than chance has it: copies?" in found["verdict"]


def test_unseen_images_that_were_trained_on(rl2qc, folders, tiny_model_file, tmp_path):
    _, done = scores(rl2qc, tiny_model_file, tmp_path, folders / "b", "-r", folders / "a",
                     "--unseen", folders / "a", "--metrics", "authenticity", *FEW)  # fmt: skip
    assert "40 of 40 unseen images are in the real set as well" in done.err


def test_without_unseen_images(rl2qc, folders, tiny_model_file, tmp_path):
    card, _ = scores(rl2qc, tiny_model_file, tmp_path, folders / "b", "-r", folders / "a",
                     "--metrics", "nearer_train,irs_adjusted", *FEW)  # fmt: skip
    assert card["metrics"]["nearer_train"]["value"] is None
    assert "--unseen" in card["metrics"]["nearer_train"]["note"]
    assert "20 real images as training set, 20 unseen" in card["metrics"]["irs_adjusted"]["note"]


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
    assert json.loads((tmp_path / "any.json").read_text())["provenance"]["settings"]["mpp"] == 2
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


def test_real_probabilities_give_a_baseline(rl2qc, folders, tiny_model_file, tmp_path):
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
    assert (
        found["varied"]["baseline_low"]
        < found["varied"]["baseline"]
        < found["varied"]["baseline_high"]
    )
    assert 0 < found["varied"]["percentile"] < 100
    assert found["alike"]["percentile"] == 0
    assert found["alike"]["verdict"] == "less distinct or less varied than real (few images)"


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
    "arguments", [["b", "-r", ""], ["", "-r", "a"], ["b", "-r", "a", "--unseen", " "]]
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
        file = tmp_path / f"{convention}.json"
        done = rl2qc("score", tmp_path / "copies", "-r", tmp_path / "copies", "-m",
                     tiny_model_file, *FEW, "--prdc-convention", convention,
                     "--metrics", "precision,recall", "--json", file)  # fmt: skip
        assert done.code == 0, done.err
        card = json.loads(file.read_text())
        jsonschema.validate(card, schema())
        assert card["provenance"]["settings"]["prdc_convention"] == convention
        assert convention in card["metrics"]["precision"]["note"]
        found = card["metrics"]["precision"]
        density[convention] = (
            found["value"],
            found["baseline"],
            card["metrics"]["recall"]["baseline"],
        )
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
    assert json.loads(file.read_text())["provenance"]["groups"] == {"generated": 4, "real": 4}


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
    assert card["provenance"]["features"] == tmp_path.name
    assert "precomputed" in card["provenance"]["features_identity"]
    np.save(tmp_path / "generated.npy", y[:39])
    done = rl2qc("score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, *FEW,
                 "--features", tmp_path, "--metrics", "fid")  # fmt: skip
    assert done.code == 2
    assert "generated.npy holds 39 rows for 40 images" in done.error
