from __future__ import annotations

import numpy as np
import pytest

from rl2qc.images.patch_tissue import otsu_threshold, tissue_mask

GLASS = (243, 241, 244)
STAINS = {
    "haematoxylin": (120, 90, 160),
    "eosin": (230, 160, 200),
    "pale eosin": (240, 212, 228),
    "DAB": (150, 110, 70),
    "fast red": (220, 80, 90),
    "trichrome": (110, 150, 200),
    "grey": (190, 190, 190),
}
INKS = {
    "green": (40, 140, 90),
    "blue": (50, 60, 180),
    "black": (30, 30, 32),
    "red": (220, 40, 50),
    "yellow": (240, 230, 90),
}


def slide(colour: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Glass above, ``colour`` below row 40, with the noise that a scanner's pictures have."""
    picture = np.empty((80, 60, 3))
    picture[:40], picture[40:] = GLASS, colour
    picture += rng.normal(0, 3, picture.shape)
    return picture.clip(0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("name", [*STAINS, *INKS])
def test_any_stain_and_any_ink_is_tissue(name: str, rng: np.random.Generator) -> None:
    found = tissue_mask(slide({**STAINS, **INKS}[name], rng))
    assert found.mask[41:].mean() > 0.99
    assert found.mask[:39].mean() < 0.01
    assert found.coverage == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("glass", [(255, 255, 255), (243, 241, 244), (215, 217, 214)])
def test_empty_glass_holds_no_tissue(glass: tuple[int, int, int], rng: np.random.Generator) -> None:
    picture = (np.full((80, 60, 3), glass) + rng.normal(0, 3, (80, 60, 3))).clip(0, 255)
    assert tissue_mask(picture.round().astype(np.uint8)).coverage == 0


@pytest.mark.parametrize("name", STAINS)
def test_tissue_everywhere_is_tissue_everywhere(name: str, rng: np.random.Generator) -> None:
    picture = np.array(STAINS[name]) + rng.normal(0, 6, (80, 60, 3))
    found = tissue_mask(picture.clip(0, 255).round().astype(np.uint8))
    assert found.coverage > 0.95


def test_glass_is_found_and_darker_light_changes_nothing(rng: np.random.Generator) -> None:
    picture = slide(STAINS["pale eosin"], rng)
    found = tissue_mask(picture)
    assert found.glass == pytest.approx(GLASS, abs=4)
    dimmed = tissue_mask((picture * 0.9).astype(np.uint8))
    assert (dimmed.mask == found.mask).mean() > 0.99


def test_black_and_white_fill_is_no_tissue(rng: np.random.Generator) -> None:
    picture = slide(STAINS["haematoxylin"], rng)
    picture[:, :10], picture[:, 50:] = 0, 255
    mask = tissue_mask(picture).mask
    assert not mask[:, :10].any()
    assert not mask[:, 51:].any()
    assert mask[41:, 11:49].mean() > 0.99
    assert mask[:39].mean() < 0.01


def test_white_fill_does_not_pass_for_glass(rng: np.random.Generator) -> None:
    # Against white, this dim glass would look stained.
    picture = (slide(STAINS["DAB"], rng) * 0.9).astype(np.uint8)
    picture[:, :40] = 255
    found = tissue_mask(picture)
    assert found.mask[:39].mean() < 0.01
    assert found.mask[41:, 41:].mean() > 0.99


def test_what_was_not_scanned_does_not_count(rng: np.random.Generator) -> None:
    picture = slide(STAINS["DAB"], rng)
    scanned = np.ones(picture.shape[:2], bool)
    scanned[60:] = False
    found = tissue_mask(picture, scanned)
    assert not found.mask[60:].any()
    assert found.coverage == pytest.approx(1 / 3, abs=0.02)


def test_nothing_scanned() -> None:
    found = tissue_mask(np.zeros((4, 5, 3), np.uint8))
    assert found.coverage == 0
    assert not found.mask.any()


def test_wrong_input() -> None:
    with pytest.raises(ValueError, match="uint8"):
        tissue_mask(np.zeros((4, 5, 3)))
    with pytest.raises(ValueError, match="h, w, 3"):
        tissue_mask(np.zeros((4, 5), np.uint8))


def test_otsu_against_its_definition(rng: np.random.Generator) -> None:
    values = np.concatenate([rng.normal(0.2, 0.08, 500), rng.normal(0.7, 0.1, 200)]).clip(0, 1)

    def spread(threshold: float) -> float:
        low, high = values[values <= threshold], values[values > threshold]
        return len(low) * low.var() + len(high) * high.var()

    grid = np.linspace(0.1, 0.9, 801)
    best = min(map(spread, grid))
    # The histogram has 256 bins, so that its optimum is that of the values but for rounding.
    assert spread(otsu_threshold(values)) <= best * 1.01


@pytest.mark.parametrize("values", [[0.5], [0.0, 0.0], [1.0, 1.0, 1.0]])
def test_otsu_of_one_class(values: list[float]) -> None:
    assert 0 <= otsu_threshold(np.array(values)) <= 1
