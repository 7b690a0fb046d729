"""Long straight lines, against sums along lines that are looked up point by point."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import map_coordinates, shift

from rl2qc.images.lines import line_responses, line_strengths
from rl2qc.stats.prior import LINES
from rl2qc.synthetic.tissue import synthetic_tissue

SIDE = 224


def tissue(seed: int) -> np.ndarray:
    return synthetic_tissue(SIDE, SIDE, np.random.default_rng(seed))


def spots(seed: int) -> np.ndarray:
    """Pink ground with blue spots of all sizes, none of them in line."""
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    field = sum(cv2.GaussianBlur(noise, (0, 0), s) * s for s in (2, 4, 8))
    blue = 1 / (1 + np.exp(-4 * (field - 0.5)))[..., None]
    return np.uint8(blue * (110, 80, 160) + (1 - blue) * (225, 170, 205))


def crossed(image: np.ndarray, degrees: float, thick: int = 6, light: float = 0.4) -> np.ndarray:
    """A band of darker light across the middle of an image."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    angle = np.deg2rad(degrees)
    inside = np.abs(x * np.cos(angle) + y * np.sin(angle)) < thick / 2
    return np.where(inside[..., None], light * image, image).astype(np.uint8)


def looked_up(image: np.ndarray, directions: int = 48) -> np.ndarray:
    """The strongest bands and dark lines in float64, of points between pixels."""
    small = image.reshape(SIDE // 2, 2, SIDE // 2, 2, 3).mean((1, 3))
    density = -np.log((np.rint(small) + 1) / 256)
    planes = density.sum(2), 4 * (density[..., 0] - density[..., 1])
    rows, columns = np.mgrid[4 : SIDE // 2 - 4, 4 : SIDE // 2 - 4].astype(float)
    steps = np.arange(64) - 31.5
    found = np.zeros(4)
    for number, plane in enumerate(planes):
        plane = cv2.GaussianBlur(plane, (0, 0), 0.8)
        gy, gx = (cv2.Sobel(plane, cv2.CV_64F, *d) / 4 for d in ((0, 1), (1, 0)))
        xx, xy, yy = (
            cv2.Sobel(plane, cv2.CV_64F, *d, ksize=5) / 16 for d in ((2, 0), (1, 1), (0, 2))
        )
        for angle in (np.arange(directions) + 0.5) * np.pi / directions:
            c, s = np.cos(angle), np.sin(angle)
            slope = np.clip(c * gx + s * gy, -1, 1)
            bend = np.clip(c * c * xx + 2 * c * s * xy + s * s * yy, -1, 1)
            sums = np.zeros((2, *rows.shape))
            for step in steps:
                place = [rows + step * c, columns - step * s]
                sums += [map_coordinates(p, place, order=1) for p in (slope, bend)]
            for far in np.arange(4, 19):
                other = shift(sums[0], (-far * s, -far * c), order=1)
                pair = np.maximum(np.minimum(sums[0], -other), np.minimum(-sums[0], other))
                found[number] = max(found[number], pair.max() / 64)
            found[2 + number] = max(found[2 + number], -sums[1].min() / 64)
    return found


def strengths_of(image: np.ndarray) -> list[np.ndarray]:
    """The places of each kind."""
    return [kind.ravel() for part in line_strengths(image) for kind in part]


@pytest.mark.parametrize("degrees", [0, 41, 90, 133])
def test_lines_are_as_strong_as_sums_along_them(degrees):
    image = crossed(tissue(1), degrees, thick=12)
    strongest = [places.max() for places in strengths_of(image)]
    np.testing.assert_allclose(strongest, looked_up(image), atol=0.12)


@pytest.mark.parametrize("degrees", [0, 30, 90, 150])
@pytest.mark.parametrize("light", [0.4, 2.0])
def test_a_band_has_two_edges_and_a_step_one(degrees, light):
    """Dark or pale, in the middle or at the border; a wall between two grounds is no band."""
    ground = np.full((SIDE, SIDE, 3), 110, np.uint8)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    angle = np.deg2rad(degrees)
    across = x * np.cos(angle) + y * np.sin(angle)
    for middle in (0, -60, 60):
        banded = np.where(np.abs(across - middle)[..., None] < 10, light * ground, ground)
        assert line_strengths(np.uint8(banded))[0][0].max() > 0.8
    stepped = np.where(across[..., None] < 0, light * ground, ground)
    wide = np.where(np.abs(across)[..., None] < 40, light * ground, ground)
    assert line_strengths(np.uint8(stepped))[0].max() < 0.1
    assert line_strengths(np.uint8(wide))[0].max() < 0.25


def test_a_line_stands_out_whatever_its_direction():
    images = [spots(seed) for seed in range(6)]
    plain = line_responses(np.stack(images))
    lined = line_responses(
        np.stack([crossed(image, 30.0 * k + 4) for k, image in enumerate(images)])
    )
    column = LINES.index("dark_density")
    assert lined[:, column].min() > plain[:, column].max() + 0.1


def test_how_far_a_line_stands_out_is_told_from_the_strengths():
    image = crossed(tissue(4), 20)
    strengths = strengths_of(image)
    for found, places in zip(line_responses(image[None])[0], strengths, strict=True):
        ordered = sorted(places.tolist())
        usual = ordered[int(0.9 * (len(ordered) - 1))]
        most = min(ordered[-1], 0.999)  # log-odds are bounded
        odds = most / (1 - most), usual / (1 - usual)
        assert found == pytest.approx(odds[0] / sum(odds), rel=1e-5)


def test_one_line_among_many_stands_out_less():
    one = crossed(spots(9), 0)
    many = one.copy()
    for column in range(10, SIDE, 20):
        many[:, column : column + 5] = (many[:, column : column + 5] * 0.4).astype(np.uint8)
    column = LINES.index("dark_density")
    alone, among = line_responses(np.stack([one, many]))[:, column]
    assert alone > 0.99 and among < 0.96


def test_a_line_of_another_colour_is_one_of_colour():
    image = tissue(2)
    pale = image.copy()
    # As dark as the tissue around it, grey.
    pale[:, 100:112] = image[:, 100:112].mean(2, keepdims=True)
    before, after = line_responses(np.stack([image, pale]))
    column = LINES.index("band_colour")
    assert after[column] > before[column] + 0.1


def test_dark_cells_are_no_line():
    image = tissue(3)
    spotted = image.copy()
    for x in range(20, 210, 40):
        cv2.circle(spotted, (x, x), 6, (20, 10, 40), -1)
    before, after = line_responses(np.stack([image, spotted]))
    assert after[LINES.index("dark_density")] < before[LINES.index("dark_density")] + 0.1


def test_images_do_not_depend_on_their_batch():
    images = np.stack([crossed(tissue(seed), 40.0 * seed) for seed in range(3)])
    alone = np.concatenate([line_responses(image[None]) for image in images])
    np.testing.assert_array_equal(line_responses(images), alone)


@pytest.mark.parametrize("shape", [(0, 224, 224), (2, 8, 8), (1, 17, 300), (1, 255, 129)])
def test_other_sizes(shape):
    images = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    found = line_responses(images)
    assert found.shape == (shape[0], len(LINES)) and found.dtype == np.float32
    assert ((found >= 0) & (found <= 1)).all()


def test_pictures_that_are_taken_together_do_not_touch_each_other(stained) -> None:
    images = stained(5, 96)
    # Lines at the border of a picture would run on into its neighbour.
    images[1, -6:], images[2, :6], images[3, :, :5] = 60, 60, 60
    alone = np.concatenate([line_responses(image[None]) for image in images])
    assert len(np.unique(alone[:, 2])) == 5
    for order in (slice(None), slice(1, None), slice(None, None, -1)):
        np.testing.assert_array_equal(line_responses(images[order]), alone[order])
