"""rl2qc compare: values, differences, and whether metrics agree."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from PIL import Image

from rl2qc.scoring.comparison import schema
from rl2qc.synthetic.corruptions import corrupt

FEW = ["--n-resamples", "40"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("RL2QC_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def folders(tmp_path_factory, stained):
    """Real images, and other ones with ever more noise; a smaller set."""
    root, rng = tmp_path_factory.mktemp("sets"), np.random.default_rng(0)
    images = stained(80, seed=8)
    sets = {"real": images[:40], "clean": images[40:], "few": images[40:60]}
    for level in (0.1, 0.3):
        sets[f"noise{level}"] = np.stack([corrupt(p, "noise", level, rng) for p in images[40:]])
    for name, patches in sets.items():
        (root / name).mkdir()
        for i, image in enumerate(patches):
            Image.fromarray(image).save(root / name / f"{i:02d}.png")
    return root


def run(rl2qc, folders, model, names, *options):
    return rl2qc("compare", *(folders / n for n in names), "-r", folders / "real", "-m", model,
                 *options)  # fmt: skip


def test_differences_with_intervals(rl2qc, folders, tiny_model_file, tiny_model, tmp_path):
    import rl2qc as package

    file = tmp_path / "c.json"
    done = run(rl2qc, folders, tiny_model_file, ["clean", "noise0.3"], *FEW, "--json", file)
    assert done.code == 0, done.err
    found = json.loads(file.read_text())
    assert found["generators"] == ["clean", "noise0.3"]
    assert found["agreement"] is None
    first = done.out.splitlines()[0]
    assert "clean 40, noise0.3 40 generated against 40 real images, 64 px, model" in first
    assert first.endswith("features model")
    for name in ("rl2", "fid", "kid", "swd", "coverage"):
        metric = found["metrics"][name]
        a, b = metric["values"]
        difference = metric["differences"]["noise0.3"]
        assert difference["value"] == pytest.approx(a - b)
        assert difference["low"] <= a - b <= difference["high"]
        assert difference["significant"], name
        assert (a > b) == metric["higher_is_better"], name
    latents = {n: tiny_model.latents(str(folders / n)) for n in ("real", "clean", "noise0.3")}
    expected = [package.rl2(latents["real"], latents[n]).value for n in ("clean", "noise0.3")]
    assert found["metrics"]["rl2"]["values"] == pytest.approx(expected, rel=1e-5)
    assert "clean better" in done.out
    assert "inception_score" not in found["metrics"]
    assert "inception_score" not in done.err  # nobody asked for it
    asked = run(rl2qc, folders, tiny_model_file, ["clean", "noise0.3"], *FEW,
                "--metrics", "rl2,inception_score")  # fmt: skip
    assert "inception_score: needs" in asked.err


def test_a_set_and_itself_do_not_differ(rl2qc, folders, tiny_model_file, tmp_path):
    import shutil

    shutil.copytree(folders / "clean", tmp_path / "copy")
    file = tmp_path / "c.json"
    done = rl2qc("compare", folders / "clean", tmp_path / "copy", "-r", folders / "real",
                 "-m", tiny_model_file, *FEW, "--paired", "--json", file,
                 "--metrics", "rl2,fid,precision,swd")  # fmt: skip
    assert done.code == 0, done.err
    for name, metric in json.loads(file.read_text())["metrics"].items():
        difference = metric["differences"]["copy"]
        ends = [difference[key] for key in ("low", "value", "high")]
        if name == "precision":  # of a share no number of images tells that exactly
            assert ends[1] == 0
            assert ends[0] <= 0 <= ends[2]
        else:
            assert ends == pytest.approx([0, 0, 0], abs=1e-6)
    assert "no clear difference" in done.out


def test_three_sets_are_ranked(rl2qc, folders, tiny_model_file, tmp_path):
    """A score from elsewhere that ranks the sets backwards disagrees with every metric."""
    (tmp_path / "dice.csv").write_text(
        "generator,dice,error:lower\nclean,0.1,1\nnoise0.1,0.2,2\nnoise0.3,0.3,3\n"
    )
    file = tmp_path / "c.json"
    done = run(rl2qc, folders, tiny_model_file, ["clean", "noise0.1", "noise0.3"],
               "--n-resamples", "0", "--json", file, "--metrics", "rl2,kid",
               "--also", tmp_path / "dice.csv")  # fmt: skip
    assert done.code == 0, done.err
    agreement = json.loads(file.read_text())["agreement"]
    assert agreement["metrics"] == ["rl2", "kid", "dice", "error"]
    assert agreement["ranks"] == [[1, 2, 3], [1, 2, 3], [3, 2, 1], [1, 2, 3]]
    assert agreement["unclear_pairs"] == [None] * 4
    np.testing.assert_allclose(agreement["kendall"][0], [1, 1, -1, 1])
    np.testing.assert_allclose(agreement["spearman"][2], [-1, -1, 1, -1])
    assert "Kendall" in done.out
    assert "rank (1 is best)" in done.out


def test_agreement_of_two_when_asked_for(rl2qc, folders, tiny_model_file):
    done = run(rl2qc, folders, tiny_model_file, ["clean", "noise0.3"], "--agreement",
               "--n-resamples", "0", "--metrics", "rl2,fid")  # fmt: skip
    assert done.code == 0, done.err
    assert "+1.00" in done.out


def test_sets_of_different_size_are_warned_about(rl2qc, folders, tiny_model_file):
    done = run(rl2qc, folders, tiny_model_file, ["clean", "few"], *FEW, "--metrics", "rl2,fid")
    assert done.code == 0, done.err
    assert "the sets differ in size (clean 40, few 20)" in done.err
    assert "20 images of each, drawn at random" in done.err


def test_cosine_distance(rl2qc, folders, tiny_model_file, tiny_model, tmp_path):
    import rl2qc as package

    file = tmp_path / "c.json"
    done = run(rl2qc, folders, tiny_model_file, ["clean", "noise0.3"], *FEW, "--json", file,
               "--distance", "cosine", "--metrics", "wad_div_zero,irs_inf,coverage")  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(file.read_text())
    features = [tiny_model.features(str(folders / n)) for n in ("clean", "noise0.3")]
    expected = [package.wad_div(x, distance="cosine").value for x in features]
    assert found["metrics"]["wad_div_zero"]["values"] == pytest.approx(expected, rel=1e-4)
    difference = found["metrics"]["wad_div_zero"]["differences"]["noise0.3"]
    assert difference["value"] == pytest.approx(expected[0] - expected[1], rel=1e-3)
    assert difference["low"] < difference["value"] < difference["high"]
    assert found["provenance"]["settings"]["distance"] == "cosine"


def test_small_samples_are_named_by_metric(rl2qc, folders, tiny_model_file):
    done = run(rl2qc, folders, tiny_model_file, ["clean", "noise0.3"], "--n-resamples", "0",
               "--metrics", "coverage")  # fmt: skip
    assert "40 clean" in done.err and "images are few" in done.err
    assert "coverage (100)" in done.err
    assert "irs_inf" not in done.err


def test_dice_of_masks_is_ranked_with_the_metrics(rl2qc, folders, tiny_model_file, tmp_path):
    """Do the metrics agree with anatomical consistency? Here the noisiest set keeps it best."""
    names = ["clean", "noise0.1", "noise0.3"]
    source = np.zeros((8, 8), np.uint8)
    source[:, :4] = 255
    masks = []
    for name, shift in zip(["source", *names], (0, 2, 1, 0), strict=True):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.fromarray(np.roll(source, shift, axis=1)).save(tmp_path / name / f"{i}.png")
        masks += ["--masks", tmp_path / name]
    file = tmp_path / "c.json"
    done = run(rl2qc, folders, tiny_model_file, names, *FEW, "--json", file,
               "--metrics", "rl2,kid", "--source-masks", tmp_path / "source",
               *masks[2:])  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(file.read_text())
    jsonschema.validate(found, schema())
    assert "dice of clean: 2 pairs are few" in done.err
    assert found["metrics"]["dice"]["differences"]["noise0.3"]["value"] == pytest.approx(-0.5)
    assert "noise0.3 better" in done.out
    assert found["metrics"]["dice"]["values"] == pytest.approx([0.5, 0.75, 1.0])
    assert found["agreement"]["metrics"] == ["rl2", "kid", "dice"]
    np.testing.assert_allclose(found["agreement"]["kendall"][2], [-1, -1, 1])


def test_resolution_is_held_against_the_model(rl2qc, folders, tiny_model_file, tmp_path):
    from rl2qc.model.quality import QualityModel

    model = QualityModel.load(tiny_model_file)
    model.mpp = 0.5
    model.save(tmp_path / "half.safetensors")
    done = run(rl2qc, folders, tmp_path / "half.safetensors", ["clean", "few"], "--mpp", "2")
    assert done.code == 2
    assert "2 um/px" in done.error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clean"], "at least two generated sets"),
        (["clean", "clean"], "named twice"),
        (["clean", "nowhere"], "no such file or folder"),
        (["clean", "few", "--paired"], "paired sets must hold as many images"),
        (["clean", "few", "--also", "none.csv"], "no such file: --also none.csv"),
        (["clean", "few", "--also", "empty.csv"], "needs a column generator"),
        (["clean", "few", "--also", "short.csv"], "dice has no value for few"),
        (["clean", "few", "--also", "words.csv"], "not every dice is a finite number"),
        (["clean", "few", "--also", "sideways.csv"], "must end in :higher or :lower"),
        (["clean", "few", "--also", "nan.csv"], "not every dice is a finite number"),
        (["clean", "few", "--also", "twice.csv"], "more than one row of the generator 'few'"),
        (["clean", "few", "--also", "same.csv"], "more than one column 'a'"),
        (["clean", "few", "--also", "taken.csv"], "fid is the name of a metric"),
        (["clean", "few", "--also", "dice.csv", "--source-masks", "clean", "--masks", "clean",
          "--masks", "few"], "has a column dice, which --masks gives"),
        (["clean", ""], "an input name is empty"),
        (["clean", "few", "--prdc-convention", "x"], "prdc_convention must be prdc or"),
        (["clean", "few", "--group-pattern", "(0.|1.)|^"], "--group-pattern '(0.|1.)|^' matches"),
        (["clean", "few", "--json", "clean"], "is a folder"),
        (["clean", "few", "--masks", "clean"], "--masks needs --source-masks"),
        (["clean", "few", "--source-masks", "clean"], "once a generated set: 2, got 0"),
        (["clean", "few", "--source-masks", "clean", "--masks", "few", "--masks", "clean"],
         "masks have no partner"),
        (["clean", "few", "--distance", "l1"], "distance must be euclidean or cosine"),
    ],
)  # fmt: skip
def test_bad_input(rl2qc, folders, tiny_model_file, monkeypatch, arguments, message):
    monkeypatch.chdir(folders)
    tables = {
        "empty": "",
        "short": "generator,dice\nclean,0.5\n",
        "words": "generator,dice\nclean,good\nfew,bad\n",
        "sideways": "generator,dice:up\nclean,1\nfew,1\n",
        "nan": "generator,dice\nclean,nan\nfew,1\n",
        "twice": "generator,dice\nclean,1\nfew,1\nfew,2\n",
        "same": "generator,a,a:lower\nclean,1,1\nfew,1,1\n",
        "taken": "generator,fid\nclean,1\nfew,1\n",
        "dice": "generator,dice\nclean,1\nfew,1\n",
    }
    for name, text in tables.items():
        (folders / f"{name}.csv").write_text(text)
    done = rl2qc("compare", *arguments, "-r", "real", "-m", tiny_model_file)
    assert done.code == 2
    assert message in done.error


def test_features_computed_elsewhere(rl2qc, folders, tiny_model_file, tmp_path):
    import rl2qc as package

    rng = np.random.default_rng(0)
    arrays = {"real": rng.normal(size=(40, 4)), "clean": rng.normal(size=(40, 4)),
              "few": rng.normal(2, 1, size=(20, 4))}  # fmt: skip
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    file = tmp_path / "c.json"
    done = run(rl2qc, folders, tiny_model_file, ["clean", "few"], *FEW, "--json", file,
               "--features", tmp_path, "--metrics", "precision")  # fmt: skip
    assert done.code == 0, done.err
    expected = [package.prdc(arrays["real"], arrays[n]).precision for n in ("clean", "few")]
    assert json.loads(file.read_text())["metrics"]["precision"]["values"] == expected
    (tmp_path / "few.npy").unlink()
    done = run(rl2qc, folders, tiny_model_file, ["clean", "few"], "--features", tmp_path)
    assert (done.code, "no such file" in done.error, "few.npy" in done.error) == (2, True, True)


def test_dice_by_slide_where_the_pattern_knows_the_masks(rl2qc, folders, tiny_model_file, tmp_path):
    """Slides of masks are resampled whole; masks of other names stand by themselves."""
    rng = np.random.default_rng(0)
    for name, prefix in (("by", ""), ("alone", "m")):
        for folder in ("source", "x", "y"):
            place = tmp_path / name / folder
            place.mkdir(parents=True)
            for i in range(12):
                mask = (rng.random((8, 8)) < 0.5).astype(np.uint8)
                Image.fromarray(mask).save(place / f"{prefix}{i:02d}.png")
    for name, by_group in (("by", True), ("alone", False)):
        file, root = tmp_path / f"{name}.json", tmp_path / name
        done = run(rl2qc, folders, tiny_model_file, ["clean", "noise0.3"], *FEW, "--json", file,
                   "--metrics", "rl2", "--group-pattern", "^([0-9])", "--source-masks",
                   root / "source", "--masks", root / "x", "--masks", root / "y")  # fmt: skip
        assert done.code == 0, done.err
        metrics = json.loads(file.read_text())["metrics"]
        assert metrics["dice"]["differences"]["noise0.3"]["by_group"] == by_group
        assert metrics["rl2"]["differences"]["noise0.3"]["by_group"]
