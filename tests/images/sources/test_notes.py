"""What is said of sets: the resolutions that they record, and how they differ."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from rl2qc.errors import UsageError
from rl2qc.filtering.patches import filter_patches
from rl2qc.images.sources.decode import about_image
from rl2qc.images.sources.images import About
from rl2qc.images.sources.notes import difference_warnings, scale_notes
from rl2qc.scoring.score import score


def recorded(mpp: float | None, n: int = 1) -> list[About]:
    return [About(64, 64, "TIFF", mpp=mpp)] * n


def test_each_way_to_record_a_resolution(tmp_path, stained):
    pixels = stained(1, 64)[0]
    tifffile.imwrite(tmp_path / "cm.tif", pixels, resolution=(4e4, 4e4), resolutionunit=3)
    tifffile.imwrite(tmp_path / "inch.tif", pixels, resolution=(101600,) * 2, resolutionunit=2)
    tifffile.imwrite(tmp_path / "imagej.tif", pixels, imagej=True, resolution=(4, 4),
                     metadata={"unit": "um"})  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, photometric="rgb",
                     metadata={"axes": "YXS", "PhysicalSizeX": 0.25,
                               "PhysicalSizeXUnit": "\u00b5m"})  # fmt: skip
    tifffile.imwrite(tmp_path / "aperio.tif", pixels, description="Aperio |MPP = 0.25|")
    for name in ("a.png", "a.jpg", "a.bmp"):
        Image.fromarray(pixels).save(tmp_path / name, dpi=(101600, 101600) if "jpg" not in name
                                     else (50800, 50800))  # fmt: skip
    found = {file.name: about_image(file).mpp for file in tmp_path.iterdir()}
    assert found.pop("a.jpg") == pytest.approx(0.5)
    assert found == pytest.approx(dict.fromkeys(found, 0.25), rel=1e-3)
    assert len(found) == 7


@pytest.mark.parametrize("dpi", [72, 96, 300, 600, 1200])
def test_a_printers_resolution_is_none(tmp_path, stained, dpi):
    for name in ("a.png", "a.jpg", "a.tif"):
        Image.fromarray(stained(1, 64)[0]).save(tmp_path / name, dpi=(dpi, dpi))
        assert about_image(tmp_path / name).mpp is None


def test_what_is_recorded_is_held_against_the_model():
    assert scale_notes(0.5, None, recorded(0.5)) == []
    assert scale_notes(0.5, 0.5, recorded(0.5)) == []
    with pytest.raises(UsageError, match=r"of 0\.25 um/px and the model of 0\.5"):
        scale_notes(0.5, None, recorded(0.25))
    assert "0.25" in scale_notes(0.5, None, recorded(0.25), any_mpp=True)[0]
    assert "0.25 um/px, and 0.5 is taken" in scale_notes(0.5, 0.5, recorded(0.25))[0]
    mixed = scale_notes(0.5, None, [*recorded(0.5, 3), *recorded(0.25, 2)])
    assert mixed == ["2 of 5 images record 0.25 um/px, far from the 0.5 um/px of the model"]
    assert "is unknown" in scale_notes(0.5, None, recorded(None))[0]


class Even:
    patch_size, mpp, name = 64, 0.5, "even"

    def measure(self, images):
        return {"p_value": np.ones(len(images))}


def test_filter_holds_what_patches_record_against_the_model(tmp_path, stained):
    for i, image in enumerate(stained(3, 64)):
        Image.fromarray(image).save(tmp_path / f"{i}.png", dpi=(101600, 101600))
    with pytest.raises(UsageError, match=r"the patches are of 0\.25 um/px"):
        filter_patches(tmp_path, Even())
    assert "0.25" in filter_patches(tmp_path, Even(), any_mpp=True).warnings[0]
    assert "3 of 3 images record 0.25" in filter_patches(tmp_path, Even(), mpp=0.5).warnings[0]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"side": 128},
            "images differ in size (generated 128 x 128 px (12); real 64 x 64 px (12))",
        ),
        ({"suffix": ".jpg"}, "real images are stored as lossless, generated ones as JPEG 75 4:2:0"),
        ({"suffix": ".webp"}, "real images are stored as lossless, generated ones as WebP"),
        ({"suffix": ".tif"}, None),
        ({"suffix": ".bmp"}, None),
    ],
)
def test_sets_that_differ_are_told_apart(tmp_path, stained, tiny_model, other, said):
    side, suffix = other.get("side", 64), other.get("suffix", ".png")
    for title, seed, size, end in (("real", 1, 64, ".png"), ("gen", 2, side, suffix)):
        (tmp_path / title).mkdir()
        for i, image in enumerate(stained(12, 64, seed=seed)):
            image = cv2.resize(image, (size, size))
            Image.fromarray(image).save(tmp_path / title / f"{i}{end}")
    card = score(tmp_path / "gen", tmp_path / "real", tiny_model, metrics=["rl2"], n_resamples=0)
    found = [w for w in card.warnings if w.startswith(("images ", "the sets ")) and "differ" in w]
    # Images that were enlarged are encoded differently as well.
    assert any(said in w for w in found) if said else not found


def test_sizes_within_a_set_and_other_scales():
    small, large = About(256, 256, "PNG"), About(512, 512, "PNG")
    assert "512 x 512 px (2), 256 x 256 px (1)" in difference_warnings(
        {"real": [large, large, small], "generated": [large]}, 224
    )[0]  # fmt: skip
    sets = {"real": recorded(0.25, 2), "generated": recorded(0.5)}
    assert "different resolutions" in difference_warnings(sets, 64)[0]
    assert difference_warnings({"real": [large, None], "generated": [None]}, 224) == []


def test_the_sizes_of_arrays_are_held_against_those_of_files(tmp_path, stained, tiny_model):
    """Arrays say nothing of themselves, but how large their images are."""
    (tmp_path / "real").mkdir()
    for i, image in enumerate(stained(6, size=96)):
        Image.fromarray(image).save(tmp_path / "real" / f"{i}.png")
    np.save(tmp_path / "small.npy", stained(6, 64))
    options = {"metrics": ["rl2"], "n_resamples": 0, "cache": False}
    for generated in (tmp_path / "small.npy", stained(6, 64)):
        said = score(generated, tmp_path / "real", tiny_model, **options).warnings
        line = next(line for line in said if "differ in size" in line)
        assert "generated 64 x 64 px (6)" in line and "real 96 x 96 px (6)" in line
    said = score(stained(6, size=96), tmp_path / "real", tiny_model, **options).warnings
    assert not any("differ in size" in line for line in said)
