"""Procedural artifacts: area, locality, and the physics each one claims."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from rl2qc.synthetic.artifacts import bubble, fold, ink, out_of_focus, pen
from rl2qc.synthetic.corruptions import CORRUPTIONS
from rl2qc.synthetic.tissue import synthetic_tissue

every = pytest.mark.parametrize(
    "name", [spec.name for spec in CORRUPTIONS if spec.kind == "artifact"]
)


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    return synthetic_tissue(160, 200, np.random.default_rng(0))


@every
@pytest.mark.parametrize("severity", [0.03, 0.25, 0.8, 1.0])
def test_the_severity_is_the_share_of_the_area(
    name: str, severity: float, image: NDArray[np.uint8]
) -> None:
    damaged = CORRUPTIONS.get(name).damage(image, severity, np.random.default_rng(1))
    assert damaged.image.shape == image.shape
    assert damaged.image.dtype == np.uint8
    assert damaged.mask.dtype == np.bool_
    assert damaged.mask.mean() == pytest.approx(severity, abs=1 / image[..., 0].size)


@every
def test_no_severity_changes_nothing(name: str, image: NDArray[np.uint8]) -> None:
    damaged = CORRUPTIONS.get(name).damage(image, 0.0, np.random.default_rng(1))
    np.testing.assert_array_equal(damaged.image, image)
    assert not np.shares_memory(damaged.image, image)
    assert not damaged.mask.any()


@every
@pytest.mark.parametrize("seed", range(4))
def test_damage_is_seen_inside_the_mask_alone(
    name: str, seed: int, image: NDArray[np.uint8]
) -> None:
    before = image.copy()
    damaged = CORRUPTIONS.get(name).damage(image, 0.3, np.random.default_rng(seed))
    np.testing.assert_array_equal(image, before)
    change = np.abs(damaged.image.astype(int) - image).max(2)
    # A soft edge may spread by a few pixels.
    outside = ~ndimage.binary_dilation(damaged.mask, iterations=5)
    assert change[outside].max() == 0
    inside = ndimage.binary_erosion(damaged.mask, iterations=4)
    assert np.median(change[inside]) >= 8


@every
def test_the_generator_decides(name: str, image: NDArray[np.uint8]) -> None:
    a, b, c = (
        CORRUPTIONS.get(name).damage(image, 0.3, np.random.default_rng(s)).image for s in (5, 5, 6)
    )
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


@every
@pytest.mark.parametrize("shape", [(16, 24), (64, 17)])
def test_small_images_are_treated_alike(name: str, shape: tuple[int, int]) -> None:
    small = np.full((*shape, 3), 150, np.uint8)
    damaged = CORRUPTIONS.get(name).damage(small, 0.5, np.random.default_rng(0))
    assert damaged.image.shape == small.shape
    assert damaged.mask.mean() == pytest.approx(0.5, abs=0.01)


@every
@pytest.mark.parametrize(
    ("bad", "severity", "message"),
    [
        (np.zeros((32, 32), np.uint8), 0.5, "uint8"),
        (np.zeros((32, 32, 4), np.uint8), 0.5, "uint8"),
        (np.zeros((32, 32, 3), np.float32), 0.5, "uint8"),
        (np.zeros((32, 32, 3), np.uint8), -0.1, "share"),
        (np.zeros((32, 32, 3), np.uint8), 1.1, "share"),
        (np.zeros((32, 32, 3), np.uint8), float("nan"), "share"),
    ],
)
def test_impossible_input_is_refused(
    name: str,
    bad: NDArray[np.uint8],
    severity: float,
    message: str,
    rng: np.random.Generator,
) -> None:
    with pytest.raises(ValueError, match=message):
        CORRUPTIONS.get(name).damage(bad, severity, rng)


@pytest.mark.parametrize("artifact", [ink, fold])
@pytest.mark.parametrize("seed", range(3))
def test_layers_only_absorb(artifact, seed: int, image: NDArray[np.uint8]) -> None:  # type: ignore[no-untyped-def]
    damaged = artifact(image, 0.4, np.random.default_rng(seed))
    assert np.all(damaged.image <= image)


def test_ink_sticks_to_tissue_more_than_to_glass() -> None:
    half = np.full((200, 200, 3), 242, np.uint8)
    half[:, 100:] = (190, 120, 170)
    inked = ink(half, 1.0, np.random.default_rng(0)).image
    added = -np.log(np.maximum(inked, 1) / half).sum(2)
    assert np.median(added[:, 120:]) > 2 * np.median(added[:, :80])


@pytest.mark.parametrize("seed", range(6))
def test_a_fold_doubles_or_triples_the_density(seed: int) -> None:
    level = 180
    even = np.full((200, 200, 3), level, np.uint8)
    folded = fold(even, 0.4, np.random.default_rng(seed))
    # The crease is darker still: take the median of the band.
    inside = ndimage.binary_erosion(folded.mask, iterations=4)
    layers = np.log(np.median(folded.image[inside]) / 235) / np.log(level / 235)
    assert 1.6 < layers < 3.1


def test_nothing_folds_on_glass() -> None:
    glass = np.full((100, 100, 3), 242, np.uint8)
    np.testing.assert_array_equal(fold(glass, 0.4, np.random.default_rng(0)).image, glass)


def test_a_pen_stroke_is_one_colour_on_glass() -> None:
    glass = np.full((200, 200, 3), 242, np.uint8)
    marked = pen(glass, 0.4, np.random.default_rng(3))
    inside = ndimage.binary_erosion(marked.mask, iterations=6)
    added = -np.log(np.maximum(marked.image[inside], 1) / 242.0)
    # All densities lie on one line through the origin.
    singular = np.linalg.svd(added, compute_uv=False)
    assert singular[1] < 0.05 * singular[0]
    assert singular[0] > 0


@pytest.mark.parametrize("seed", range(4))
def test_a_bubble_has_a_dark_rim_around_a_pale_inside(seed: int) -> None:
    even = np.full((224, 224, 3), 180, np.uint8)
    damaged = bubble(even, 0.2, np.random.default_rng(seed))
    depth = ndimage.distance_transform_edt(damaged.mask)
    profile = [np.mean(damaged.image[(depth > d) & (depth <= d + 2)]) for d in range(0, 16, 2)]
    centre = np.mean(damaged.image[depth > 0.9 * depth.max()])
    assert min(profile) < 0.6 * 180
    assert centre > 180


@pytest.mark.parametrize("radius", [0.5, 2.0, 4.3])
def test_defocus_is_a_convolution_with_a_disc(radius: float, image: NDArray[np.uint8]) -> None:
    soft = out_of_focus(image, 1.0, np.random.default_rng(0), radius).image
    # The area of each pixel that lies within the disc, by counting 41 x 41 points of it.
    reach = int(np.ceil(radius)) + 1
    fine = (np.arange(41) - 20) / 41
    grid = np.arange(-reach, reach + 1)
    y, x = (grid[:, None] + fine).ravel()[:, None], (grid[:, None] + fine).ravel()[None]
    covered = (np.hypot(x, y) <= radius).reshape(len(grid), 41, len(grid), 41).mean((1, 3))
    kernel = covered / covered.sum()
    exact = np.stack(
        [ndimage.convolve(image[..., c].astype(float), kernel, mode="mirror") for c in range(3)], -1
    )
    error = np.abs(soft - exact)
    # The kernel approximates the covered area by a ramp one pixel wide.
    assert error.mean() < 1.5
    assert error.max() < 12


def test_a_defocus_below_half_a_pixel_is_refused(image: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="radius"):
        out_of_focus(image, 0.5, np.random.default_rng(0), radius=0.2)
