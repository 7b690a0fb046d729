"""Arguments of public calls that are of another kind, out of range, or no numbers: by kind, not by
call, since one place checks them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rl2qc
from rl2qc.errors import Rl2qcError, UsageError
from rl2qc.features.networks import NetworkFeatures

NAN = float("nan")
NO_COUNTS = (-1, 0, 2.5, True, "x", NAN)
NO_NUMBERS = (True, "x", NAN, float("inf"), [1])
NO_PATHS = (-1, 2.5, True, NAN, [3], b"x")


class Even:
    """Keeps half."""

    patch_size, mpp, name, sha256 = 64, 0.5, "even", "ab" * 32

    def measure(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        return {"p_value": images[..., 0].mean(axis=(1, 2)) / 255}


@pytest.fixture
def results(slide: Path, tmp_path: Path) -> Path:
    rl2qc.filter_cohort(slide, tmp_path / "out", Even())
    return tmp_path / "out"


def refused(call: Callable[[Any], Any], *values: Any) -> None:
    for value in values:
        with pytest.raises(Rl2qcError) as caught:
            call(value)
        assert "\n" not in str(caught.value), value


def test_counts(slide: Path, tiny_model: Any, results: Path) -> None:
    patches = np.zeros((3, 64, 64, 3), np.uint8)
    before = tiny_model.batch_size
    refused(lambda v: setattr(tiny_model, "batch_size", v), *NO_COUNTS, None)
    assert tiny_model.batch_size == before
    for name in ("batch_size", "num_workers", "stride"):
        refused(lambda v, name=name: rl2qc.filter_slide(slide, Even(), **{name: v}), *NO_COUNTS)
    for name in ("epochs", "hidden", "layers", "batch_size", "max_patches"):
        refused(lambda v, name=name: rl2qc.TrainSettings(**{name: v}), *NO_COUNTS)
    refused(lambda v: rl2qc.TrainSettings(layers=v), 10**5, 10**30)
    refused(lambda v: rl2qc.PatchSource(patches, v, ("a", "b", "c")), -1, 2.5, True, "x", None, NAN)
    with rl2qc.open_slide(slide) as opened:
        for value in NO_COUNTS:
            refused(lambda size: opened.read_region(0, 0, size), (value, 8), (8, value), value)
        refused(lambda v: opened.read_region(0, 0, (8, 8), level=v), -1, 1, 2.5, True, "x", None)
    refused(rl2qc.KeptTiles(results).pixels, 2.5, True, "x", None, NAN)
    with pytest.raises(IndexError):
        rl2qc.KeptTiles(results).pixels(6)


def test_numbers(slide: Path, results: Path) -> None:
    table = rl2qc.filter_slide(slide, Even())
    for mpp in (*NO_NUMBERS, -1, 0, 1e9):
        refused(lambda v: rl2qc.open_slide(slide, mpp_override=v), mpp)
        refused(lambda v: rl2qc.filter_slide(slide, Even(), mpp=v), mpp)
        refused(lambda v: rl2qc.TrainSettings(mpp=v), mpp)
    for alpha in (*NO_NUMBERS, -0.1, 1, 2):
        refused(table.decide, alpha)
        refused(lambda v: rl2qc.decide(results, v), alpha)
    refused(lambda v: rl2qc.TrainSettings(learning_rate=v), *NO_NUMBERS, 0, -1)
    with rl2qc.open_slide(slide) as opened:
        refused(opened.read_overview, *NO_NUMBERS, 0, -1)
        refused(lambda v: opened.read_region(0, 0, (8, 8), scale=v), *NO_NUMBERS, 0, -1, 1e9)
        refused(lambda v: opened.read_region(v, 0, (8, 8)), *NO_NUMBERS, 2.5, 10**30)


def test_words(slide: Path, tiny_model: Any) -> None:
    table = rl2qc.filter_slide(slide, Even())
    patches = np.zeros((2, 64, 64, 3), np.uint8)
    for value in (5, True, "x", NAN, ["x"]):
        refused(lambda v: table.decide(0.1, method=v), value)
        refused(lambda v: table.decide(0.1, adapt=v), value)
        refused(lambda v: tiny_model.score_samples(patches, v), value)
        refused(lambda v: rl2qc.FilterSettings(method=v), value)
        refused(lambda v: rl2qc.QualityModel.load("histology", device=v), value)


def test_paths_and_models(slide: Path, tiny_model: Any, results: Path) -> None:
    for call in (
        rl2qc.read_results,
        rl2qc.KeptTiles,
        rl2qc.FeatureCache,
        rl2qc.QualityModel.load,
        rl2qc.open_slide,
        tiny_model.save,
        rl2qc.filter_slide(slide, Even()).to_csv,
        lambda v: rl2qc.KeptTiles(results, slides=v),
        lambda v: rl2qc.filter_slide(v, Even()),
        lambda v: rl2qc.filter_slide(slide, Even(), coords=v),
        lambda v: rl2qc.filter_cohort(v, results, Even()),
        lambda v: rl2qc.filter_cohort(slide, v, Even()),
        lambda v: rl2qc.filter_patches(v, Even()),
        lambda v: rl2qc.decide(v, 0.1),
        lambda v: rl2qc.dice(v, v),
        lambda v: rl2qc.filter_slide(slide, v),
        lambda v: rl2qc.score(slide, slide, v),
    ):
        refused(call, *NO_PATHS)


def test_patches_and_features(tiny_model: Any) -> None:
    holes = np.full((64, 64, 3), 0.5)
    holes[3, 4, 1] = NAN
    for item in (holes, holes * NAN, holes + np.inf, "x", np.zeros((64, 64)), [[1, 2], [3]]):
        refused(tiny_model.features, [item] * 3)
    refused(lambda v: tiny_model.measure(v), holes[None], np.zeros((2, 64, 64), np.uint8))
    wrong = np.zeros((3, 512))
    wrong[1, 7] = NAN
    for features in (wrong, wrong + np.inf, wrong[:, :5], wrong[0], wrong * 1j, "x", [[1], [2, 3]]):
        refused(tiny_model.latents_of_features, features)
    assert np.isfinite(tiny_model.latents_of_features(np.zeros((2, 512)))).all()


def test_a_model_of_empty_patches(patches: NDArray[np.uint8]) -> None:
    flat = np.arange(120, dtype=np.uint8)[:, None, None, None] * np.ones((64, 64, 3), np.uint8)
    few = np.concatenate([patches, flat[:5]])
    quick: dict[str, Any] = {"backbone": "random", "epochs": 1, "device": "cpu"}
    with pytest.raises(UsageError, match="120 of 120 reference patches are of one colour all over"):
        rl2qc.QualityModel.fit(flat, **quick)
    model = rl2qc.QualityModel.fit(few, **quick)
    assert any("5 of 125 reference patches are of one colour" in w for w in model.warnings_)
    with pytest.raises(Rl2qcError, match="floating-point patches must lie in"):
        rl2qc.QualityModel.fit([np.full((64, 64, 3), NAN)] * 120, **quick)


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_a_model_of_padded_patches(patches: NDArray[np.uint8], colour: int) -> None:
    padded = patches.copy()
    padded[:7, :, 50:] = colour
    padded[7:9, :20] = colour
    padded[9:12, 63:] = colour
    model = rl2qc.QualityModel.fit(padded, backbone="random", epochs=1, device="cpu")
    (said,) = (line for line in model.warnings_ if "margin" in line)
    assert said.startswith("9 of 120 reference patches have a margin of one colour")


def test_networks_of_others() -> None:
    for value in NO_COUNTS:
        with pytest.raises(UsageError, match="batch_size must"):
            NetworkFeatures("toy", "", 4, lambda images: images, batch_size=value)
