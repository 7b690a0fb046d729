"""Fixtures for slides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from slide_helpers import FakeHandle


@pytest.fixture
def fake_slide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Make the reader open a :class:`FakeHandle`."""

    def make(
        pixels: NDArray[np.uint8],
        properties: dict[str, str] | None = None,
        bad: Callable[[int, int], bool] = lambda x, y: False,
    ) -> Path:
        if pixels.shape[2] == 3:
            alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
            pixels = np.concatenate([pixels, alpha], axis=2)
        known = {"openslide.mpp-x": "0.5", "openslide.mpp-y": "0.5", **(properties or {})}
        monkeypatch.setattr(
            "rl2qc.slides.reader._open", lambda file: FakeHandle(pixels, known, bad)
        )
        path = tmp_path / "fake.svs"
        path.write_bytes(b"")
        return path

    return make
