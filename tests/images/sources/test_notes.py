"""What is said of sets: the resolutions that they record, and how they differ."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from rl2qc.errors import UsageError
from rl2qc.filtering.patches import filter_patches
from rl2qc.images.sources.decode import about_image
from rl2qc.images.sources.images import About
from rl2qc.images.sources.notes import difference_warnings, image_notes, scale_notes
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


def profile_of(primaries: list[list[float]] | None) -> bytes:
    """An ICC profile of RGB colours; of tables, where there are no primaries."""
    named = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries or [], strict=False))
    start = 128 + 4 + 12 * len(named)
    tags, content = struct.pack(">I", len(named)), b""
    for name, xyz in named.items():
        tags += struct.pack(">4sII", name, start + len(content), 20)
        content += b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * v) for v in xyz))
    size = struct.pack(">I", start + len(content))
    return (
        (size + b"\0" * 8 + b"mntrRGB XYZ ").ljust(36, b"\0")
        + b"acsp".ljust(92, b"\0")
        + (tags + content)
    )


SRGB = [[0.4361, 0.2225, 0.0139], [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7142]]
DISPLAY_P3 = [[0.5151, 0.2412, -0.0011], [0.2920, 0.6922, 0.0419], [0.1571, 0.0666, 0.7841]]


def test_colour_profiles_that_are_not_applied_are_said(tmp_path, stained):
    image = Image.fromarray(stained(1, 64)[0])
    profiles = {"srgb": profile_of(SRGB), "wide": profile_of(DISPLAY_P3), "table": profile_of(None)}
    profiles |= {"cut": profile_of(SRGB)[:150], "none": None, "odd": b"x" * 200}
    for name, profile in profiles.items():
        for suffix in ("png", "jpg", "tif"):
            image.save(tmp_path / f"{name}.{suffix}", icc_profile=profile)
    abouts = {file.name: about_image(file) for file in sorted(tmp_path.iterdir())}
    other = {Path(name).stem for name, about in abouts.items() if about.other_colours}
    assert other == {"wide", "table"}
    assert sum(about.other_colours for about in abouts.values()) == 6
    said = image_notes(list(abouts), list(abouts.values()))
    assert [line for line in said if "profile" in line] == [
        "6 of 18 images carry a colour profile that is not sRGB's, which is not applied, such as "
        "table.jpg"
    ]


def test_sets_with_and_without_colour_profiles_are_told_apart():
    plain, coloured = [About(64, 64)] * 3, [About(64, 64, other_colours=True)] * 3
    assert difference_warnings({"real": coloured, "generated": coloured}, 64) == []
    (line,) = difference_warnings({"real": coloured, "generated": plain}, 64)
    assert "real 3 of 3; generated 0 of 3" in line
