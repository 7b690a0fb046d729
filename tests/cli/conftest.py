"""Fixtures of the commands on image sets."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rl2qc.synthetic.corruptions import corrupt


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
