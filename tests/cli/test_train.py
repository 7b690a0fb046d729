"""rl2qc train: what it writes, what it says, and how it refuses."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image

from rl2qc.model.quality import QualityModel

QUICK = ("--backbone", "random", "--epochs", "2")


def test_writes_a_model_and_its_curve(rl2qc, patch_folder, tmp_path):
    out = tmp_path / "deep" / "mine.safetensors"
    done = rl2qc("train", patch_folder, "--out", out, *QUICK, "--mpp", "0.5",
                 "--slide-pattern", r"^(s\d+)_")  # fmt: skip
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
        (["FOLDER", "--slide-pattern", "("], 2, "is no regular expression"),
        (["FOLDER", "--holdout", "2"], 2, "holdout must lie between 0 and 1"),
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
