from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from slide_helpers import BrightnessModel, tissue_like

from rl2qc.errors import UsageError, WorkError
from rl2qc.filtering.patches import filter_patches
from rl2qc.images.quantity_names import QUANTITIES


def save(folder: Path, name: str, image: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    Image.fromarray(image).save(folder / name)
    return folder / name


def test_patches(tmp_path: Path, rng: np.random.Generator) -> None:
    folder = tmp_path / "set"
    first = tissue_like(rng, 64, 64)
    save(folder, "a.png", first)
    save(folder, "b.png", tissue_like(rng, 64, 64, (slice(0, 32), slice(None))))
    grey = rng.integers(0, 256, (64, 64), dtype=np.uint8)
    save(folder, "c.png", grey)
    table = filter_patches(folder, BrightnessModel(), mpp=0.5)
    assert (table.name, table.kind) == ("set", "patches")
    assert [p.name for p in table.image_paths] == ["a.png", "b.png", "c.png"]
    assert list(table.columns()) == [
        "x",
        "y",
        "width",
        "height",
        "tissue_fraction",
        "log_likelihood",
        "p_value",
        *QUANTITIES,
        "keep",
        "reason",
        "path",
    ]
    scores = table.measurements["log_likelihood"]
    assert scores[0] == first[..., 0].mean()
    assert scores[2] == grey.mean()
    assert table.tissue_fraction[:2] == pytest.approx([1, 0.5], abs=0.07)
    assert table.x.tolist() == table.y.tolist() == [0, 0, 0]
    assert table.width.tolist() == table.height.tolist() == [64, 64, 64]
    assert table.warnings == ()


def test_larger_patches_are_measured_at_their_centre(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    image = tissue_like(rng, 100, 80)
    table = filter_patches(save(tmp_path, "a.png", image), BrightnessModel(), mpp=0.5)
    assert table.measurements["log_likelihood"][0] == image[18:82, 8:72, 0].mean()
    assert (table.width[0], table.height[0]) == (80, 100)
    assert "their centre is measured" in table.warnings[0]


def test_bad_patches_are_listed_and_the_others_done(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    folder = tmp_path / "set"
    save(folder, "good.png", tissue_like(rng, 64, 64))
    save(folder, "small.png", tissue_like(rng, 32, 64))
    (folder / "text.png").write_text("no image")
    table = filter_patches(folder, BrightnessModel())
    assert [p.name for p in table.image_paths] == ["good.png"]
    reasons = {Path(what).name: reason for what, reason in table.failures}
    assert set(reasons) == {"small.png", "text.png"}
    assert "smaller than the patch" in reasons["small.png"]
    assert "not an image" in reasons["text.png"]
    (folder / "good.png").unlink()
    with pytest.raises(WorkError, match="none of the 2 images"):
        filter_patches(folder, BrightnessModel())


@pytest.mark.parametrize("images", [np.zeros((2, 64, 64, 3), np.uint8), [None, "a.png"]])
def test_what_is_no_path_is_refused(images) -> None:
    with pytest.raises(UsageError, match=r"by their paths here, not as (ndarray|NoneType)"):
        filter_patches(images, BrightnessModel())


def test_a_slide_that_is_nearly_emptied_is_flagged(tmp_path):
    """A stain that the model does not know must not empty a slide unnoticed."""
    images = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")

    class Rejects:
        patch_size, mpp, name = 64, 0.5, "rejects"

        def __init__(self, kept):
            self.kept = kept

        def measure(self, images):
            return {"p_value": np.where(images[:, 0, 0, 0] < self.kept, 1.0, 0.001)}

    order = np.sort(images[:, 0, 0, 0])
    for kept, flagged in ((order[2], True), (order[3], False)):
        table = filter_patches(tmp_path, Rejects(kept))
        said = any("train on clean tiles of your own" in w for w in table.warnings)
        assert said is flagged, table.warnings


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "the resolution of the patches is unknown"),
        ({"mpp": 0.5}, None),
        ({"mpp": 0.55}, "the patches are of 0.55 um/px and the model of 0.5"),
        ({"mpp": 1.0, "any_mpp": True}, "the patches are of 1 um/px"),
    ],
)
def test_the_resolution_is_held_against_the_models(
    tmp_path: Path, rng: np.random.Generator, options: dict[str, float], said: str | None
) -> None:
    save(tmp_path, "a.png", tissue_like(rng, 64, 64))
    warnings = filter_patches(tmp_path, BrightnessModel(), **options).warnings
    assert [said in warning for warning in warnings] == ([True] if said else [])
    with pytest.raises(UsageError, match=r"bring them to 0\.5 um/px"):
        filter_patches(tmp_path, BrightnessModel(), mpp=1.0)
