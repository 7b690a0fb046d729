"""rl2qc dice: masks of two folders."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def masks(tmp_path):
    """Four pairs: equal, half, none and empty; the second folder in another format."""
    square = np.zeros((8, 8), np.uint8)
    square[:4, :4] = 255
    shifted = np.roll(square, 2, axis=1)
    apart = np.roll(square, 4, axis=1)
    pairs = {"equal": (square, square), "half": (square, shifted), "apart": (square, apart),
             "empty": (0 * square, 0 * square)}  # fmt: skip
    for folder, suffix, side in (("a", "png", 0), ("b", "tif", 1)):
        (tmp_path / folder).mkdir()
        for name, pair in pairs.items():
            Image.fromarray(pair[side]).save(tmp_path / folder / f"{name}.{suffix}")
    return tmp_path


def test_mean_and_every_pair(rl2qc, masks):
    done = rl2qc("dice", masks / "a", masks / "b", "--json", masks / "dice.json")
    assert done.code == 0, done.err
    found = json.loads((masks / "dice.json").read_text())
    per_image = dict(zip(found["names"], found["per_image"], strict=True))
    assert per_image == {"equal": 1.0, "half": 0.5, "apart": 0.0, "empty": 1.0}
    assert found["value"] == pytest.approx(0.625)
    assert 0 <= found["low"] < 0.625 < found["high"] <= 1
    assert found["n_empty"] == 1
    assert "dice  0.6250" in done.out
    assert "worst apart 0.000" in done.out


def test_labels(rl2qc, tmp_path):
    for folder, rows in (("a", [1, 1, 2, 2]), ("b", [1, 1, 2, 1])):
        (tmp_path / folder).mkdir()
        mask = np.repeat(np.array(rows, np.uint8)[:, None], 4, axis=1)
        Image.fromarray(mask).save(tmp_path / folder / "m.png")
    done = rl2qc("dice", tmp_path / "a", tmp_path / "b", "--labels", "1, 2",
                 "--json", tmp_path / "d.json")  # fmt: skip
    assert done.code == 0, done.err
    # Class 1: 2 of 2 and 3 rows; class 2: 1 of 2 and 1 rows.
    value = json.loads((tmp_path / "d.json").read_text())["value"]
    assert value == pytest.approx((2 * 2 / 5 + 2 * 1 / 3) / 2)


def test_masks_are_read_as_stored(tmp_path):
    from rl2qc.scoring.dice import read_mask

    labels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    palette = Image.fromarray(labels, "P")
    palette.putpalette([255 - i // 3 for i in range(768)])
    files = {
        "palette.png": palette,
        "grey.png": Image.fromarray(labels),
        "sixteen.png": Image.fromarray(labels.astype(np.uint16)),
        "colour.png": Image.fromarray(np.repeat(labels[..., None], 3, axis=2)),
        "alpha.png": Image.fromarray(np.stack([labels] * 3 + [labels * 0 + 255], axis=2)),
    }
    for name, image in files.items():
        image.save(tmp_path / name)
        np.testing.assert_array_equal(read_mask(tmp_path / name), labels, err_msg=name)


def test_jpeg_masks_are_warned_about(rl2qc, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.full((16, 16), 255, np.uint8)).save(tmp_path / folder / "m.jpg")
    done = rl2qc("dice", tmp_path / "a", tmp_path / "b")
    assert done.code == 0
    assert "JPEG" in done.err


def test_bad_input(rl2qc, masks):
    rng = np.random.default_rng(0)
    extra = masks / "a" / "alone.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(extra)
    done = rl2qc("dice", masks / "a", masks / "b")
    assert (done.code, "1 masks have no partner" in done.error) == (2, True)
    partner = masks / "b" / "alone.png"
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(partner)
    done = rl2qc("dice", masks / "a", masks / "b")
    assert (done.code, "of one shape" in done.error) == (1, True)
    Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(partner)
    done = rl2qc("dice", masks / "a", masks / "b")
    assert (done.code, "channels differ" in done.error) == (1, True)
    partner.write_bytes(b"nothing")
    done = rl2qc("dice", masks / "a", masks / "b")
    assert (done.code, "cannot be read as a mask" in done.error) == (1, True)
    done = rl2qc("dice", masks / "a", masks / "nowhere")
    assert (done.code, "no such file or folder" in done.error) == (2, True)
    for labels in ("one", ""):
        done = rl2qc("dice", masks / "a", masks / "b", "--labels", labels)
        assert (done.code, "--labels" in done.error) == (2, True)


def test_labels_that_are_not_there(rl2qc, masks):
    done = rl2qc("dice", masks / "a", masks / "b", "--labels", "9", "--json", masks / "d.json")
    assert done.code == 2
    assert "no mask holds label 9: they hold 0, 255" in done.error
    assert not (masks / "d.json").exists()


def test_slides_and_few_pairs(rl2qc, masks):
    done = rl2qc("dice", masks / "a", masks / "b", "--group-pattern", "^(e|.)")
    assert done.code == 0, done.err
    assert "4 pairs of 3 slides, 1 empty" in done.out
    assert "3 slides are few" in done.err
    done = rl2qc("dice", masks / "a", masks / "b", "--group-pattern", "(")
    assert (done.code, "--group-pattern '(' is no regular" in done.error) == (2, True)


def test_an_empty_name_is_not_the_current_folder(rl2qc, masks, monkeypatch):
    monkeypatch.chdir(masks / "a")
    done = rl2qc("dice", "", masks / "b")
    assert (done.code, "an input name is empty" in done.error) == (2, True)
