"""What the tests of filter and decide share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from rl2qc.model.quality import QualityModel


class RedModel:
    """The p-value of a tile is its mean share of red light."""

    patch_size, mpp, name, sha256 = 64, 0.5, "red", "cd" * 32

    def measure(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        red = images[..., 0].mean(axis=(1, 2)) / 255
        return {"log_likelihood": red, "p_value": red}


@pytest.fixture
def red_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model that is loaded is a :class:`RedModel`."""
    monkeypatch.setattr(QualityModel, "load", lambda name: RedModel())


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """Six tiles of tissue, their p-values under :class:`RedModel` 0.2, 0.3, ... 0.7."""
    pixels = np.full((128, 192, 3), 120, np.uint8)
    for i in range(6):
        y, x = 64 * (i // 3), 64 * (i % 3)
        pixels[y : y + 64, x : x + 64, 0] = round(25.5 * (i + 2))
    path = tmp_path / "case.tif"
    tifffile.imwrite(
        path,
        pixels,
        tile=(64, 64),
        compression="deflate",
        photometric="rgb",
        resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )
    return path
