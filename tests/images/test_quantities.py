from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from rl2qc.images.quantities import (
    MIN_SIDE,
    QUANTITIES,
    image_quantities,
    measure_quantities,
)
from rl2qc.synthetic.corruptions import corrupt
from rl2qc.synthetic.stain import EOSIN, ERYTHROCYTE, HEMATOXYLIN


def of(image: np.ndarray) -> dict[str, float]:
    return dict(zip(QUANTITIES, image_quantities(image).tolist(), strict=True))


def grey(light: np.ndarray) -> np.ndarray:
    """(h, w) as RGB."""
    return np.repeat(np.clip(np.rint(light), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def through(densities: np.ndarray) -> np.ndarray:
    """Light behind optical densities (h, w, 3)."""
    return np.clip(np.rint(256 * np.exp(-densities) - 1), 0, 255).astype(np.uint8)


def block_means(values: np.ndarray, side: int) -> np.ndarray:
    rows, columns = (n // side for n in values.shape[:2])
    blocks = values[: rows * side, : columns * side].astype(np.float64)
    return blocks.reshape(rows, side, columns, side, *values.shape[2:]).mean(axis=(1, 3))


# ---------------------------------------------------------------- focus


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_focus_by_brute_force(rng: np.random.Generator, sigma: float) -> None:
    light = 128 + 60 * ndimage.gaussian_filter(rng.normal(size=(128, 128)), sigma)
    image = grey(light)
    exact = image[..., 0].astype(np.float64)
    soft, softer = (ndimage.gaussian_filter(exact, s, mode="mirror") for s in (1.0, 2.0))
    fine, mid = block_means((exact - soft) ** 2, 32), block_means((soft - softer) ** 2, 32)
    ratios = np.sort((0.5 * np.log2((fine + 0.25) / (mid + 0.25)))[mid > 4])
    expected = ratios[round(0.3 * (len(ratios) - 1))]
    assert of(image)["focus"] == pytest.approx(expected, abs=0.02)


def test_blur_lowers_focus_and_contrast_does_not(stained: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    image = stained(1, 224)[0]
    focus = [of(corrupt(image, "blur", s, rng))["focus"] for s in (0.8, 1.2, 2.0)]
    assert of(image)["focus"] > focus[0] > focus[1] > focus[2]
    half = np.asarray(128 + (image.astype(np.float64) - 128) / 2, np.uint8)
    assert of(half)["focus"] == pytest.approx(of(image)["focus"], abs=0.1)


def test_focus_sees_the_softer_part(rng: np.random.Generator) -> None:
    light = 128 + 40 * rng.normal(size=(128, 128))
    mixed = light.copy()
    mixed[:, :64] = 128 + 120 * ndimage.gaussian_filter(light - 128, 2.0)[:, :64] / 20
    assert of(grey(mixed))["focus"] < of(grey(light))["focus"] - 1


# ---------------------------------------------------------------- noise


def test_noise_by_brute_force(rng: np.random.Generator) -> None:
    image = grey(128 + 9 * rng.normal(size=(96, 64)))
    kernel = np.outer([1, -2, 1], [1, -2, 1])
    residual = np.abs(ndimage.convolve(image[..., 0].astype(np.float64), kernel, mode="mirror"))
    blocks = np.sort(block_means(residual, 8).ravel()) * np.sqrt(np.pi / 2) / 6
    assert of(image)["noise"] == pytest.approx(blocks[round(0.1 * (len(blocks) - 1))], rel=1e-4)


@pytest.mark.parametrize("sigma", [4.0, 8.0, 16.0])
def test_noise_is_in_grey_levels(rng: np.random.Generator, sigma: float) -> None:
    noisy = of(grey(128 + sigma * rng.normal(size=(224, 224))))["noise"]
    # Of the quieter blocks, hence a little less.
    assert 0.7 * sigma < noisy < sigma


def test_structure_is_no_noise() -> None:
    y, x = np.mgrid[:224, :224]
    waves = 128 + 60 * np.sin(x / 9) + 40 * np.cos(y / 7)
    assert of(grey(waves))["noise"] < 0.5
    edges = np.where((x // 40) % 2, 200, 60)
    assert of(grey(edges))["noise"] < 0.01


# ---------------------------------------------------------------- blocks


@pytest.mark.parametrize("shift", [(0, 0), (3, 5), (7, 1)])
def test_blocks_wherever_their_grid_begins(
    rng: np.random.Generator, shift: tuple[int, int]
) -> None:
    blocks = np.kron(rng.uniform(100, 156, (30, 30)), np.ones((8, 8)))
    blocks += rng.normal(0, 1, blocks.shape)
    image = grey(blocks[shift[0] : shift[0] + 224, shift[1] : shift[1] + 224])
    assert of(image)["blockiness"] > 3
    assert of(grey(128 + 20 * rng.normal(size=(224, 224))))["blockiness"] < 0.2
    # Blocks of another size are none of JPEG's.
    others = np.kron(rng.uniform(100, 156, (33, 33)), np.ones((7, 7)))
    assert of(grey(others[:224, :224] + rng.normal(0, 1, (224, 224))))["blockiness"] < 1


def test_compression_makes_blocks(stained: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    image = stained(1, 224)[0]
    found = [of(corrupt(image, "jpeg", q, rng))["blockiness"] for q in (30, 15, 5)]
    assert of(image)["blockiness"] < found[0] < found[1] < found[2]


def test_one_edge_is_no_block(rng: np.random.Generator) -> None:
    light = np.full((224, 224), 240.0) + rng.normal(0, 1, (224, 224))
    light[:56, :56] = 90
    assert of(grey(light))["blockiness"] < 0.3


# ---------------------------------------------------------------- colours


def test_no_mixture_of_stains_has_an_odd_hue(rng: np.random.Generator) -> None:
    stains = np.array([HEMATOXYLIN, EOSIN, ERYTHROCYTE])
    amounts = np.kron(rng.uniform(0, 1.2, (28, 28, 3)), np.ones((8, 8, 1)))
    assert of(through(amounts @ stains))["odd_hue"] < 0.002


@pytest.mark.parametrize(
    "density",
    [(2.5, 0.7, 1.2), (2.4, 1.5, 0.5), (0.4, 2.0, 2.6), (0.3, 0.5, 2.0), (2.0, 2.0, 2.2)],
    ids=["green", "blue", "red", "yellow", "black"],
)
def test_ink_has_an_odd_hue(density: tuple[float, float, float]) -> None:
    densities = np.tile(np.array(EOSIN) * 0.6, (224, 224, 1))
    densities[:, :56] = density
    assert of(through(densities))["odd_hue"] == pytest.approx(0.25, abs=0.005)


def test_black_and_white_have_no_hue() -> None:
    for level in (0, 255):
        assert of(grey(np.full((64, 64), level)))["odd_hue"] == 0


def test_density_by_brute_force(stained: Callable[..., np.ndarray]) -> None:
    image = stained(1, 96)[0]
    small = np.rint(block_means(image, 4))
    densities = -np.log((small + 1) / 256)
    squares = np.sort(block_means(densities.mean(axis=2), 2).ravel())
    found = of(image)
    assert found["density"] == pytest.approx(squares.mean(), abs=0.005)
    assert found["darkness"] == pytest.approx(squares[round(0.98 * (len(squares) - 1))], abs=0.01)
    assert found["white"] == pytest.approx((small.min(axis=2) > 215).mean(), abs=0.01)


def test_white_is_a_share_of_the_area() -> None:
    image = np.full((64, 64, 3), 120, np.uint8)
    image[:16] = 240
    assert of(image)["white"] == 0.25


# ---------------------------------------------------------------- input


@pytest.mark.parametrize("level", [0, 127, 255])
@pytest.mark.parametrize("size", [(MIN_SIDE, MIN_SIDE), (16, 300), (225, 131)])
def test_always_finite(level: int, size: tuple[int, int]) -> None:
    found = image_quantities(np.full((*size, 3), level, np.uint8))
    assert np.isfinite(found).all()
    assert found.shape == (len(QUANTITIES),)


def test_several_at_once(stained: Callable[..., np.ndarray]) -> None:
    images = stained(3)
    np.testing.assert_array_equal(
        measure_quantities(images), [image_quantities(image) for image in images]
    )
    assert measure_quantities([]).shape == (0, len(QUANTITIES))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((8, 64, 3), np.uint8),
    ],
)
def test_what_cannot_be_measured(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected|at least"):
        image_quantities(image)
