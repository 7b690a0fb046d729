"""Figures are written whole, and show what they are given."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rl2qc.html.figures import training_curve


def colored(path, rgb):
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return np.argwhere(np.abs(pixels - rgb).sum(2) < 30)


def test_training_curve_falls_where_the_loss_falls(tmp_path):
    training_curve([3.0, 2.0, 1.0, 0.5], [3.0, 2.5, 2.4, 2.6], 2, tmp_path / "curve.png")
    blue = colored(tmp_path / "curve.png", (0x44, 0x77, 0xAA))
    blue = blue[blue[:, 1] < 400]  # left of the legend
    assert len(blue) > 50
    left, right = blue[blue[:, 1].argmin()], blue[blue[:, 1].argmax()]
    assert right[0] > left[0]  # rows count downwards


def test_nothing_is_left_behind_on_failure(tmp_path):
    with pytest.raises(IndexError):
        training_curve([1.0], [1.0], 3, tmp_path / "curve.png")
    assert list(tmp_path.iterdir()) == []
