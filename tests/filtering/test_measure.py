"""What measures tiles: a model by its name, its file, or one of one's own."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.errors import UsageError
from rl2qc.filtering.measure import TileModel, find_model
from rl2qc.filtering.slide import filter_slide

MEMBERS = sorted(name for name in vars(TileModel) if not name.startswith("_"))


class Bare:
    """The four members that are asked of everybody."""

    patch_size, mpp, name = 64, 0.5, "bare"

    def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {"p_value": np.ones(len(images))}


def test_the_protocol_says_all_that_is_asked() -> None:
    assert (
        sorted(
            [
                *("adapts", "device", "measure", "mpp", "name", "patch_size", "prior"),
                *("quantities_", "runtime_name"),
                "sha256",
            ]
        )
        == MEMBERS
    )


def test_the_shipped_model_lacks_nothing(tiny_model: Any) -> None:
    assert find_model(tiny_model) is tiny_model
    for name in MEMBERS:
        assert hasattr(tiny_model, name), name
    assert tiny_model.runtime_name.startswith("torch")


def test_what_a_model_lacks_has_a_value() -> None:
    model = find_model(Bare())
    assert (model.sha256, model.quantities_, model.runtime_name, model.device) == ("", *[None] * 3)
    assert (model.prior, model.adapts) == (None, False)
    assert (model.patch_size, model.mpp, model.name) == (64, 0.5, "bare")
    assert find_model(model) is model
    assert copy.copy(model).name == "bare"
    with pytest.raises(AttributeError):
        model.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_what_a_model_has_is_taken() -> None:
    model = find_model(BrightnessModel())
    assert (model.sha256, model.device) == ("b" * 64, None)


def test_the_runtime_is_not_made_to_look_for_it() -> None:
    class Slow(Bare):
        sha256, quantities_, device, prior, adapts = "", None, "cpu", None, False

        @property
        def runtime_name(self) -> str:
            raise AssertionError("compiled")

    slow = Slow()
    assert find_model(slow) is slow


@pytest.mark.parametrize("model", [None, 3, object(), Bare])
def test_what_is_no_model(model: Any, tmp_path: Path, rng: np.random.Generator) -> None:
    slide = write_slide(tmp_path / "a.tif", tissue_like(rng, 64, 64))
    with pytest.raises(UsageError, match=r"is no model of tiles: it lacks patch_size|is a class"):
        filter_slide(slide, model)


def test_a_model_by_its_file(tiny_model_file: Path, tmp_path: Path, rng: Any) -> None:
    slide = write_slide(tmp_path / "a.tif", tissue_like(rng, 64, 128))
    table = filter_slide(slide, tiny_model_file)
    assert len(table) == 2
    assert table.reference is not None
    with pytest.raises(UsageError, match="nothing"):
        filter_slide(slide, "nothing")
