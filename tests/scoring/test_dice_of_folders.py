"""Dice of folders of masks: labels that are not there, few pairs, slides."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from PIL import Image

from rl2qc.errors import UsageError
from rl2qc.scoring.dice import dice, schema


def folder(path, masks):
    for name, mask in masks.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(mask, np.uint8)).save(path / f"{name}.png")
    return path


def striped(*rows):
    return np.repeat(np.array(rows, np.uint8)[:, None], 4, axis=1)


@pytest.fixture
def rows(rng):
    """Twelve masks of labels 0 to 2, and the same with some rows changed."""
    first = rng.integers(0, 3, (12, 8))
    second = np.where(rng.random(first.shape) < 0.3, rng.integers(0, 3, first.shape), first)
    return first, second


@pytest.fixture
def folders(rows, tmp_path):
    return tuple(
        folder(tmp_path / name, {f"s{i // 4}_{i:02d}": striped(*row) for i, row in enumerate(part)})
        for name, part in zip("ab", rows, strict=True)
    )


def test_labels_that_no_mask_holds_are_refused(folders):
    with pytest.raises(UsageError, match="no mask holds label 9: they hold 0, 1, 2"):
        dice(*folders, labels=[9])
    with pytest.raises(UsageError, match="no mask holds label 7, 9"):
        dice(*folders, labels=[9, 7])


def test_a_label_among_others_that_no_mask_holds_is_warned_about(folders):
    found = dice(*folders, labels=[1, 9])
    assert found.value == dice(*folders, labels=[1]).value
    (warning,) = found.warnings
    assert "label 9 is in no mask" in warning


def test_another_coding_is_warned_about(folders, tmp_path, rows):
    """255 for foreground in one folder and 1 in the other: Dice of label 1 is 0."""
    coded = folder(
        tmp_path / "c", {f"s{i // 4}_{i:02d}": 255 * (striped(*r) == 1) for i, r in
                         enumerate(rows[0])}
    )  # fmt: skip
    found = dice(folders[0], coded, labels=[1])
    assert found.value == 0
    (warning,) = found.warnings
    assert "label 1 is in no mask of" in warning and "which hold 0, 255" in warning


def test_empty_pairs_alone_are_warned_about(tmp_path):
    a, b = (folder(tmp_path / n, {f"{i}": np.zeros((4, 4)) for i in range(12)}) for n in "ab")
    found = dice(a, b)
    assert (found.value, found.n_empty) == (1, 12)
    assert any("all 12 pairs are empty" in w for w in found.warnings)


def test_few_pairs_are_warned_about(tmp_path, folders):
    a, b = (
        folder(tmp_path / n, {"1": striped(1, 0), "2": striped(0, 1), "3": striped(1, 1)})
        for n in "cd"
    )
    assert any("3 pairs are few" in w for w in dice(a, b).warnings)
    assert not dice(*folders).warnings


def test_slides_are_resampled_whole(tmp_path):
    """Pairs of a slide that are all alike say no more than one of them."""
    slides = [0, 0.25, 0.5, 1] * 3
    masks_a, masks_b = {}, {}
    for slide, share in enumerate(slides):
        for i in range(20):
            masks_a[f"s{slide:02d}_{i}"] = striped(1, 1, 1, 1)
            masks_b[f"s{slide:02d}_{i}"] = striped(*(np.arange(4) < 4 * share))
    a, b = folder(tmp_path / "a", masks_a), folder(tmp_path / "b", masks_b)
    alone = dice(a, b)
    by_slide = dice(a, b, group_pattern="^(s[0-9]+)_")
    assert by_slide.value == alone.value
    assert len(set(by_slide.groups)) == 12 and alone.groups is None
    ratio = (by_slide.high - by_slide.low) / (alone.high - alone.low)
    assert 3 < ratio < 6  # the square root of 20 pairs a slide
    with pytest.raises(UsageError, match="--group-pattern 'x' matches no part"):
        dice(a, b, group_pattern="x")


def test_slides_by_folder(tmp_path):
    masks = {f"p{i // 3}/m{i}": striped(1, 0) for i in range(12)}
    a, b = folder(tmp_path / "a", masks), folder(tmp_path / "b", masks)
    found = dice(a, b, group_pattern="^(p.)/")
    assert found.groups == tuple(f"p{i // 3}" for i in range(12))
    assert any("4 slides are few" in w for w in found.warnings)


def test_a_single_slide_has_no_interval(folders):
    found = dice(*folders, group_pattern="s")
    assert (set(found.groups), found.low, found.high) == ({"s"}, None, None)


@pytest.mark.parametrize("single", [True, False])
def test_json_follows_the_schema_and_the_schema_the_code(folders, tmp_path, single):
    pair = [f / "s0_00.png" for f in folders] if single else folders
    found = dice(*pair, labels=[1, 2])
    found.to_json(tmp_path / "dice.json")
    data = json.loads((tmp_path / "dice.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(data, schema())
    assert data["schema_version"] == 2
    assert set(schema()["required"]) == set(schema()["properties"]) == set(data)
    data["per_image"][0] = 1.5
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema())
