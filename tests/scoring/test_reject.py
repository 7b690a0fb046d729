"""Rejecting a generator, reading no more than that takes."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from PIL import Image

import rl2qc
from rl2qc.images.sources.images import Images, PatchSource
from rl2qc.scoring.reject import schema


@pytest.fixture(scope="module")
def train(stained):
    return stained(80, seed=11)


class Counted(Images):
    """Images that know how many of them were read."""

    def __init__(self, images):
        self.images, self.read_rows = images, set()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.read_rows.add(index)
        return self.images[index]


def test_few_kinds_are_rejected_and_the_rest_is_not_read(train, tiny_model):
    rng = np.random.default_rng(0)
    counted = Counted(train[rng.integers(0, 8, 300)])
    source = PatchSource(counted, 64, tuple(map(str, range(300))))
    found = rl2qc.reject(source, train, tiny_model, cache=False)
    assert found.rejected and found.retrieved <= 8
    assert len(counted.read_rows) == found.n_read < 100
    assert found.irs_low <= found.irs <= found.irs_high < 0.8
    assert f"rejected after {found.n_read} of 300 images" in found.table()
    assert "--unseen" in found.warnings[0]
    jsonschema.validate(json.loads(json.dumps(found.to_dict())), schema())
    assert found.csv_rows()[-1] == {
        "n": found.n_read, "retrieved": found.retrieved, "rejects_at_most": found.looks[-1][2]
    }  # fmt: skip


def test_a_diverse_generator_is_not_rejected(train, tiny_model):
    rng = np.random.default_rng(1)
    found = rl2qc.reject(train[rng.integers(0, 80, 200)], train, tiny_model, diversity=0.9)
    assert not found.rejected and found.n_read == 200
    assert found.looks[-1][:2] == (200, found.retrieved)
    assert "not rejected by 200 images" in found.table()
    jsonschema.validate(found.to_dict(), schema())


def test_what_real_images_do_not_retrieve_is_not_held_against_it(train, tiny_model, stained):
    # New images retrieve some training images again and again.
    new, unseen = stained(150, seed=12), stained(150, seed=13)
    alone = rl2qc.reject(new, train, tiny_model, diversity=1.0)
    beside = rl2qc.reject(new, train, tiny_model, diversity=1.0, unseen=unseen)
    assert alone.rejected and not beside.rejected
    assert beside.provenance["retrieved_by_real"] < 1
    assert beside.irs > alone.irs


def test_equal_training_images_count_once(train, tiny_model):
    doubled = np.concatenate([train, train])
    found = rl2qc.reject(train, doubled, tiny_model)
    assert found.n_train == 80


def test_bad_input(train, tiny_model):
    with pytest.raises(rl2qc.UsageError, match=r"diversity must lie in \(0, 1\]"):
        rl2qc.reject(train, train, tiny_model, diversity=0)
    with pytest.raises(rl2qc.UsageError, match="the training set holds one image"):
        rl2qc.reject(train, train[:1], tiny_model)


def test_the_command(request, train, tiny_model_file, tmp_path):
    run = request.getfixturevalue("rl2qc")

    for name, images in {"train": train[:40], "few": np.repeat(train[:3], 20, axis=0)}.items():
        (tmp_path / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{i:03}.png")
    done = run(
        "reject", tmp_path / "few", "--train", tmp_path / "train", "-m", tiny_model_file,
        "--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv",
    )  # fmt: skip
    assert done.code == 4, done.err
    assert json.loads((tmp_path / "r.json").read_text())["rejected"]
    assert "rejected after" in done.out and (tmp_path / "r.csv").is_file()
    done = run(
        "reject", tmp_path / "train", "--train", tmp_path / "train", "-m", tiny_model_file,
        "--diversity", "0.5",
    )  # fmt: skip
    assert done.code == 0, done.err
    done = run("reject", tmp_path / "none", "--train", tmp_path / "train")
    assert (done.code, "no such file" in done.error) == (2, True)


def test_sets_of_two_sizes_are_told(train, stained, tiny_model):
    larger = stained(20, size=96, seed=3)
    found = rl2qc.reject(train[:20], larger, tiny_model, cache=False)
    assert "images differ in size (train 96 x 96 px (20); generated 64 x 64" in found.warnings[0]
    same = rl2qc.reject(train[:20], train, tiny_model, cache=False)
    assert not any("size" in line for line in same.warnings)


def test_sets_that_are_stored_otherwise_are_told(train, tiny_model, tmp_path):
    for name, suffix in (("train", "png"), ("made", "jpg"), ("other", "png")):
        (tmp_path / name).mkdir()
        for i, image in enumerate(train[:20]):
            Image.fromarray(image).save(tmp_path / name / f"{i}.{suffix}", quality=80)
    made, real, other = (tmp_path / name for name in ("made", "train", "other"))
    found = rl2qc.reject(made, real, tiny_model, unseen=other, cache=False)
    (told,) = [line for line in found.warnings if "stored" in line]
    assert "real images are stored as lossless, generated ones as JPEG 80" in told
    found = rl2qc.reject(other, real, tiny_model, unseen=made, cache=False)
    (told,) = [line for line in found.warnings if "stored" in line]
    assert "unseen ones as JPEG 80" in told
    found = rl2qc.reject(other, real, tiny_model, cache=False)
    assert not any("stored" in line for line in found.warnings)
