"""Fixtures that every test folder shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real images are absent: no ../shared/data beside the project")
    return SHARED_DATA


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
