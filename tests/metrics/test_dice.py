"""Dice of masks against the F1 score of scikit-learn, and bad masks."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from rl2qc.metrics.dice import dice


def test_dice_is_the_f1_score_of_pixels(rng):
    a, b = rng.random((2, 6, 9, 7)) > [[[[0.4]]], [[[0.7]]]]
    result = dice(a, b)
    expected = [f1_score(p.ravel(), q.ravel()) for p, q in zip(a, b, strict=True)]
    assert result.per_image == pytest.approx(expected)
    assert result.value == pytest.approx(np.mean(expected)) == float(result)
    assert result.n_empty == 0
    assert dice(255 * a.astype(np.uint8), b).per_image == result.per_image
    assert dice(b, a) == result


def test_dice_of_labels_is_the_mean_over_those_present(rng):
    a, b = rng.integers(0, 4, size=(2, 3, 8, 8))
    a[0][a[0] == 3] = b[0][b[0] == 3] = 0
    result = dice(a, b, labels=[1, 2, 3])
    for i, present in enumerate([[1, 2], [1, 2, 3], [1, 2, 3]]):
        expected = f1_score(a[i].ravel(), b[i].ravel(), labels=present, average="macro")
        assert result.per_image[i] == pytest.approx(expected)


def test_dice_at_its_bounds_and_on_empty_masks():
    full, none = np.ones((1, 4, 4), bool), np.zeros((1, 4, 4), bool)
    left = full.copy()
    left[:, :, 2:] = False
    assert dice(full, full).value == 1
    assert dice(left, ~left).value == 0
    assert dice(full, none).value == 0
    assert dice(left, full).value == pytest.approx(2 * 8 / 24)
    assert dice(none, none) == dice(none, none, empty=1.0)
    assert (dice(none, none).value, dice(none, none).n_empty) == (1, 1)
    assert dice(none, none, empty=0.0).value == 0


def test_masks_of_different_images_may_differ_in_size():
    masks = [np.ones((2, 3), bool), np.ones((5, 4), np.int32)]
    assert dice(masks, iter(masks)).per_image == (1, 1)


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        ([], [], {}, "no masks"),
        ([np.ones((2, 2), bool)], [], {}, "pair up, got 1 and 0"),
        ([np.ones((2, 2), bool)], [np.ones((2, 3), bool)], {}, "masks 0 must be 2-D"),
        ([np.ones(4, bool)], [np.ones(4, bool)], {}, "2-D"),
        ([np.ones((2, 2))], [np.ones((2, 2))], {}, "bools or integers"),
        ([np.full((2, 2), np.nan)], [np.ones((2, 2), bool)], {}, "bools or integers"),
        ([np.ones((2, 2), int)], [np.ones((2, 2), int)], {"labels": []}, "labels is empty"),
    ],
)
def test_bad_masks(a, b, options, message):
    with pytest.raises(ValueError, match=message):
        dice(a, b, **options)
