from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.filtering.slide import filter_slide
from rl2qc.images.colours import odd_colours
from rl2qc.images.reasons import REASONS
from rl2qc.slides.readers.base import open_slide
from rl2qc.synthetic.stain import EOSIN, HEMATOXYLIN
from rl2qc.synthetic.tissue import synthetic_tissue

DAB = (0.27, 0.57, 0.78)


@pytest.fixture(scope="module")
def slide() -> np.ndarray:
    """A procedural slide as an overview shows it."""
    return synthetic_tissue(256, 256, np.random.default_rng(1), mpp=4.0, island=True)


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    """Procedural tissue without glass around it."""
    return synthetic_tissue(256, 256, np.random.default_rng(2), mpp=2.0)


def as_ycc(rgb: np.ndarray) -> np.ndarray:
    """Y, Cb and Cr in place of red, green and blue."""
    return np.ascontiguousarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]])


def from_ycc(rgb: np.ndarray) -> np.ndarray:
    """Red, green and blue taken for Y, Cb and Cr."""
    return np.asarray(
        cv2.cvtColor(np.ascontiguousarray(rgb[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB), np.uint8
    )


def nuclei(colour: tuple[int, int, int], background: int) -> np.ndarray:
    """Fluorescent spots that cover a tenth of a dark field."""
    rng = np.random.default_rng(3)
    field = cv2.GaussianBlur(rng.normal(size=(256, 256)), (0, 0), 4)
    amount = np.clip((field - np.quantile(field, 0.85)) / field.std(), 0, 1)[..., None]
    noise = rng.normal(0, 2, (256, 256, 1))
    return np.clip(background + noise + amount * np.array(colour), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("stains", [(HEMATOXYLIN, EOSIN), (HEMATOXYLIN, DAB), (EOSIN, EOSIN)])
def test_stains_in_transmitted_light_pass(
    stains: tuple[tuple[float, ...], ...], rng: np.random.Generator
) -> None:
    amounts = cv2.GaussianBlur(rng.gamma(1.0, 0.6, (256, 256, 2)), (0, 0), 2)
    light = np.asarray(240 * np.exp(-amounts @ np.array(stains)), np.uint8)
    assert odd_colours(light) == ""
    light[:, :60] = 240
    assert odd_colours(light) == ""


@pytest.mark.parametrize("name", ["slide", "tissue"])
def test_tissue_passes_and_its_negative_does_not(name: str, request: pytest.FixtureRequest) -> None:
    rgb = request.getfixturevalue(name)
    assert odd_colours(rgb) == ""
    assert "inverted" in odd_colours(255 - rgb)


def test_a_mistaken_colour_space(slide: np.ndarray) -> None:
    for wrong in (as_ycc(slide), from_ycc(slide)):
        assert "as when YCbCr is shown as RGB" in odd_colours(wrong)


# Grey spots on a black that is like that of what was not scanned cannot be told from glass.
@pytest.mark.parametrize(
    ("colour", "background"),
    [((0, 0, 220), 2), ((0, 220, 0), 2), ((0, 0, 220), 15), ((200, 200, 200), 15)],
)
def test_fluorescence(colour: tuple[int, int, int], background: int) -> None:
    assert odd_colours(nuclei(colour, background))


def test_what_was_not_scanned_does_not_count(slide: np.ndarray) -> None:
    framed = np.zeros((512, 512, 3), np.uint8)
    framed[128:384, 128:384] = slide
    assert odd_colours(framed) == ""
    scanned = framed.any(axis=2)
    framed[~scanned] = (255, 0, 255)
    assert odd_colours(framed, scanned) == ""
    assert odd_colours(np.zeros((4, 4, 3), np.uint8)) == ""


def test_it_is_flagged_apart_from_the_scores(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = tissue_like(rng, 256, 320, (slice(64, 256), slice(0, 320)))
    right = filter_slide(write_slide(tmp_path / "right.tif", pixels), BrightnessModel())
    wrong = filter_slide(write_slide(tmp_path / "wrong.tif", 255 - pixels), BrightnessModel())
    assert "colours look wrong" not in right.flags
    assert "colours look wrong" in wrong.flags
    assert any(said.startswith("colours look wrong: the") for said in wrong.warnings)
    # A hue that is no stain's is no sign of ink there.
    assert set(wrong.decide(0.999).reasons) <= {*REASONS} - {"ink or pen"}
    # Whatever is decided: the colours stay wrong.
    assert "colours look wrong" in wrong.decide(0.0).flags


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("colorectal_ink_a.tiff", ""),
        ("CMU-1-Small-Region.svs", ""),
        ("TCGA-CR-7395-01A-01-TS1.svs", ""),
        ("CMU-1-dicom", "YCbCr"),
    ],
)
def test_real_slides(shared_data: Path, name: str, said: str) -> None:
    with open_slide(shared_data / "slides" / name, mpp_override=0.5) as slide:
        overview = slide.read_overview(max(slide.info.bounds[2:]) / 800)
    scanned = overview.valid >= 0.5
    found = odd_colours(overview.rgb, scanned)
    assert (said in found) if said else not found
    if not said:
        assert "inverted" in odd_colours(255 - overview.rgb, scanned)
