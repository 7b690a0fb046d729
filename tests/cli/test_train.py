"""rl2qc train: what it writes, what it says, and how it refuses."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from rl2qc.model.quality import QualityModel

QUICK = ("--backbone", "random", "--epochs", "2")


def test_writes_a_model_and_its_curve(rl2qc, patch_folder, tmp_path):
    out = tmp_path / "deep" / "mine.safetensors"
    done = rl2qc("train", patch_folder, "--out", out, *QUICK, "--mpp", "0.5",
                 "--group-pattern", r"^(s\d+)_")  # fmt: skip
    assert done.code == 0, done.err
    assert sorted(p.name for p in out.parent.iterdir()) == ["mine.png", "mine.safetensors"]
    with Image.open(out.with_suffix(".png")) as curve:
        assert curve.width > 300
    model = QualityModel.load(out)
    assert (model.mpp, model.patch_size) == (0.5, 64)
    # 24 of 120 patches, in whole slides of 12.
    assert (model.provenance["n_train"], model.provenance["n_held_out"]) == (96, 24)
    assert "trained on 96 patches of 64 px, held out 24 (10 slides)" in done.out
    assert f"held-out NLL {model.history_.best:.3f} nats per dimension" in done.out
    assert "seconds" in done.out


def test_globs_files_and_a_random_subset(rl2qc, patch_folder, tmp_path):
    out = tmp_path / "mine.safetensors"
    done = rl2qc("train", f"{patch_folder}/*.png", "-o", out, *QUICK, "--max-patches", 101)
    assert done.code == 0, done.err
    made = QualityModel.load(out).provenance
    assert made["n_train"] + made["n_held_out"] == 101


def test_joint_mode(rl2qc, patch_folder, tmp_path):
    out = tmp_path / "mine.safetensors"
    done = rl2qc("train", patch_folder, "-o", out, "--backbone", "random", "--mode", "joint",
                 "--epochs", "1")  # fmt: skip
    assert done.code == 0, done.err
    assert QualityModel.load(out).provenance["mode"] == "joint"


def test_the_backbone_of_another_model(rl2qc, patch_folder, tiny_model_file, tmp_path):
    out = tmp_path / "mine.safetensors"
    done = rl2qc("train", patch_folder, "-o", out, "--backbone", tiny_model_file, "--epochs", "2")
    assert done.code == 0, done.err
    assert QualityModel.load(out).provenance["backbone"].startswith("tiny (")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 2, "no such file or folder: nowhere"),
        (["EMPTY"], 2, "no images in folder"),
        (["BAD"], 1, "broken.png is not an image"),
        (["SMALL"], 1, "small.png is smaller (40 px) than the patch (64 px)"),
        (["FOLDER", "--patch-size", "80"], 1, "smaller (64 px) than the patch (80 px) and"),
        (["FOLDER", "--backbone", "nowhere.pth"], 2, "no model 'nowhere.pth'"),
        (["FOLDER", "--backbone", "FOLDER/s0_0.png"], 1, "holds no plain weights"),
        (["FOLDER", "--max-patches", "50"], 2, "50 reference patches are too few"),
        (["FOLDER", "--group-pattern", "("], 2, "is no regular expression"),
        (["FOLDER", "--holdout", "2"], 2, "holdout must lie in (0, 1), got 2"),
    ],
)
def test_bad_input(rl2qc, patch_folder, tmp_path, arguments, code, message):
    for name in ("EMPTY", "BAD", "SMALL"):
        (tmp_path / name).mkdir()
    for name in ("BAD", "SMALL"):
        shutil.copytree(patch_folder, tmp_path / name, dirs_exist_ok=True)
    (tmp_path / "BAD" / "broken.png").write_bytes(b"no image")
    Image.new("RGB", (40, 40)).save(tmp_path / "SMALL" / "small.png")
    places = {
        "FOLDER": str(patch_folder),
        **{n: str(tmp_path / n) for n in ("EMPTY", "BAD", "SMALL")},
    }
    for name, place in places.items():
        arguments = [a.replace(name, place) for a in arguments]
    out = tmp_path / "out" / "mine.safetensors"
    backbone = [] if "--backbone" in arguments else ["--backbone", "random"]
    done = rl2qc("train", *arguments, "--out", out, *backbone)
    assert done.code == code
    assert message in done.error
    assert not out.exists()


@pytest.mark.parametrize("name", ["mine.pth", "mine"])
def test_out_must_be_a_safetensors_file(rl2qc, patch_folder, tmp_path, name):
    done = rl2qc("train", patch_folder, "--out", tmp_path / name)
    assert done.code == 2
    assert "must end in .safetensors" in done.error


def test_an_existing_model_is_not_replaced_unasked(rl2qc, patch_folder, tmp_path):
    out = tmp_path / "mine.safetensors"
    out.write_bytes(b"precious")
    assert rl2qc("train", patch_folder, "--out", out, *QUICK, "--mode", "both").code == 2
    done = rl2qc("train", patch_folder, "--out", out, *QUICK)
    assert done.code == 2
    assert "pass --overwrite" in done.error
    assert out.read_bytes() == b"precious"
    assert rl2qc("train", patch_folder, "--out", out, *QUICK, "--overwrite").code == 0


def test_imagenet_offline(rl2qc, patch_folder, tmp_path, monkeypatch):
    from urllib.error import URLError

    def offline(*_args, **_kwargs):
        raise URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    done = rl2qc("train", patch_folder, "-o", tmp_path / "m.safetensors", "--backbone", "imagenet")
    assert done.code == 1
    assert "resnet18-f37072fd.pth" in done.error


# --- what is wrong with the reference -----------------------------------------------------


def warnings(done):
    start = "rl2qc: warning: "
    return [line.removeprefix(start) for line in done.err.splitlines() if line.startswith(start)]


@pytest.fixture
def spoilt(patch_folder, tmp_path):
    """The clean patches, and three that are noise."""
    folder = tmp_path / "spoilt"
    shutil.copytree(patch_folder, folder)
    rng = np.random.default_rng(1)
    for name in ("s2_noise", "s5_noise", "s9_noise"):
        noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{name}.png")
    return folder


def test_review_edit_and_train_again(rl2qc, spoilt, tmp_path):
    out, listed = tmp_path / "mine.safetensors", tmp_path / "mine.review.csv"
    done = rl2qc("train", spoilt, "-o", out, *QUICK, "--mpp", "0.5", "--review")
    assert done.code == 0, done.err
    assert warnings(done) == []
    *_, files, sheet, page, sentence = done.out.splitlines()
    assert files.split() == ["review", str(listed)]
    assert page.strip() == str(listed.with_suffix(".html"))
    assert sheet.strip() == str(tmp_path / "mine.review.png")
    assert "10 least likely of 123 reference patches" in sentence
    assert f"train again with --exclude {listed}" in sentence
    with listed.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["rank"]) for row in rows] == list(range(1, 11))
    noisy = [row for row in rows if "noise" in row["file"]]
    assert [row["rank"] for row in noisy] == ["1", "2", "3"]
    likelihood = QualityModel.load(out).score_samples([row["file"] for row in rows])
    assert np.allclose(likelihood, [float(row["log_likelihood"]) for row in rows], rtol=1e-3)

    # What a user does: the rows of clean patches go.
    with listed.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(noisy)
    again = rl2qc("train", spoilt, "-o", out, *QUICK, "--exclude", listed, "--overwrite")
    assert again.code == 0, again.err
    assert "left out 3" in again.out
    made = QualityModel.load(out).provenance
    assert (made["n_train"] + made["n_held_out"], made["n_excluded"]) == (120, 3)


def test_too_few_are_left(rl2qc, patch_folder, tmp_path):
    files = sorted(patch_folder.glob("*.png"))
    (tmp_path / "list.txt").write_text("\n".join(map(str, files[:21])))
    done = rl2qc("train", patch_folder, "-o", tmp_path / "m.safetensors", "--backbone", "random",
                 "--exclude", tmp_path / "list.txt")  # fmt: skip
    assert done.code == 2
    assert "99 reference patches are too few: at least 100 are needed, since" in done.error
    (tmp_path / "list.txt").write_text("\n".join(map(str, files)))
    done = rl2qc("train", patch_folder, "-o", tmp_path / "m.safetensors", "--backbone", "random",
                 "--exclude", tmp_path / "list.txt")  # fmt: skip
    assert done.code == 2
    assert "0 reference patches are too few" in done.error


@pytest.mark.parametrize(
    ("listed", "options", "message"),
    [
        (None, [], "cannot read --exclude"),
        ("", [], "names no patch: one path a line"),
        ("s0_0.png\nother.png", [], "none of the 2 paths of --exclude is a reference patch"),
        ("x", ["--review", "--overwrite"], "over the list that --exclude reads"),
    ],
)
def test_bad_lists(rl2qc, patch_folder, tmp_path, listed, options, message):
    file = tmp_path / "mine.review.csv"
    if listed is not None:
        file.write_text(listed)
    done = rl2qc("train", patch_folder, "-o", tmp_path / "mine.safetensors", *QUICK,
                 "--exclude", file, *options)  # fmt: skip
    assert done.code == 2
    assert message in done.error
    assert not (tmp_path / "mine.safetensors").exists()
    assert not file.exists() or file.read_text() == listed


def test_a_list_that_was_edited_is_not_replaced_unasked(rl2qc, patch_folder, tmp_path):
    listed = tmp_path / "mine.review.csv"
    listed.write_text("edited")
    done = rl2qc("train", patch_folder, "-o", tmp_path / "mine.safetensors", *QUICK, "--review")
    assert done.code == 2
    assert f"{listed} exists" in done.error
    assert listed.read_text() == "edited"


@pytest.fixture
def large_folder(stained, tmp_path):
    """Images with room for six patches, the last one of them glass; and one that is glass."""
    folder = tmp_path / "large"
    folder.mkdir()
    for i, image in enumerate(stained(22, size=200, seed=5)):
        image = image[:140].copy()
        image[76:, 132:] = 245
        Image.fromarray(image).save(folder / f"s{i}.png")
    Image.new("RGB", (200, 140), (245, 245, 245)).save(folder / "glass.png")
    return folder


def test_tiles_train_a_model(rl2qc, large_folder, tmp_path):
    out = tmp_path / "m.safetensors"
    done = rl2qc("train", large_folder, "-o", out, *QUICK, "--patch-size", 64, "--tile", "--review")
    assert done.code == 0, done.err
    assert "trained on 85 patches of 64 px, held out 25\n" in done.out
    with (tmp_path / "m.review.csv").open(newline="") as file:
        assert all("@" in row["file"] for row in csv.DictReader(file))


def test_tiles_of_nothing_and_of_one_image(rl2qc, large_folder, stained, tmp_path):
    run = ("-o", tmp_path / "m.safetensors", "--backbone", "random", "--tile", "--patch-size", 64)
    done = rl2qc("train", large_folder / "glass.png", *run)
    assert done.code == 1
    assert "none of the 6 tiles of 1 images shows tissue" in done.error
    Image.fromarray(stained(1, size=704)[0]).save(tmp_path / "one.png")
    done = rl2qc("train", tmp_path / "one.png", *run)
    assert done.code == 2
    assert "all tiles come from one image" in done.error


def test_the_old_option_is_understood_and_not_shown(rl2qc, patch_folder, tmp_path):
    done = rl2qc("train", patch_folder, "-o", tmp_path / "m.safetensors", *QUICK,
                 "--slide-pattern", "nowhere")  # fmt: skip
    assert done.code == 2
    assert "--group-pattern 'nowhere' matches no part of 120 of 120 file names" in done.error
    shown = rl2qc("train", "--help").out
    assert "--group-pattern" in shown and "slide-pattern" not in shown


def test_warnings_are_printed(rl2qc, patch_folder, tmp_path):
    done = rl2qc("train", patch_folder, "-o", tmp_path / "m.safetensors", *QUICK)
    (warning,) = warnings(done)
    assert warning.startswith("without --mpp the model does not know its resolution")
