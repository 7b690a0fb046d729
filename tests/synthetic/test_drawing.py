"""The drawing tools against brute force and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from rl2qc.synthetic.drawing import Canvas


def canvas(height: int = 200, width: int = 240, mpp: float = 1.0, seed: int = 0) -> Canvas:
    return Canvas(height, width, np.random.default_rng(seed), mpp)


@pytest.mark.parametrize("scale", [1.0, 3.0, 11.7])
def test_noise_has_unit_variance_and_the_scale_asked_for(scale: float) -> None:
    noise = canvas(700, 600).noise(scale)
    assert noise.dtype == np.float32
    assert noise.mean() == pytest.approx(0, abs=0.15)
    assert noise.std() == pytest.approx(1, abs=0.2)

    def correlation(lag: int) -> float:
        return float(np.corrcoef(noise[:, lag:].ravel(), noise[:, :-lag].ravel())[0, 1])

    assert abs(correlation(int(4 * scale))) < 0.1
    if scale > 4:
        assert correlation(round(scale / 4)) > 0.7


def test_noise_below_a_pixel_averages_out() -> None:
    # A pixel of 4 um holds 4 x 4 blobs of 1 um: a quarter of their standard deviation is left.
    fine = canvas(512, 512, mpp=1.0).noise(1.0)
    averaged = fine.reshape(128, 4, 128, 4).mean((1, 3)).std()
    assert canvas(512, 512, mpp=4.0).noise(1.0).std() == pytest.approx(averaged, rel=0.05)


def test_noise_keeps_its_physical_size() -> None:
    fine, coarse = canvas(512, 512, mpp=0.5).noise(20), canvas(512, 512, mpp=1.0).noise(20)

    def correlation(noise: np.ndarray, lag: int) -> float:
        return float(np.corrcoef(noise[:, lag:].ravel(), noise[:, :-lag].ravel())[0, 1])

    assert correlation(fine, 16) == pytest.approx(correlation(coarse, 8), abs=0.12)


def test_distance_is_euclidean_in_micrometres(rng: np.random.Generator) -> None:
    mask = ndimage.gaussian_filter(rng.normal(size=(200, 240)), 6) > 0
    exact = 0.5 * ndimage.distance_transform_edt(mask)
    np.testing.assert_allclose(canvas(mpp=0.5).distance(mask), exact, rtol=0.03, atol=0.03)


def test_voronoi_against_brute_force(rng: np.random.Generator) -> None:
    # One stroke a box, so that none crosses another.
    corner = np.stack(np.meshgrid([2, 28, 54], [2, 22, 42, 62]), -1).reshape(-1, 1, 2)
    strokes = (corner + rng.uniform(0, 14, (12, 2, 2))).astype(np.float32)
    strokes[3, 1] = strokes[3, 0]  # a point
    cell, border, to_stroke = canvas(80, 80, mpp=0.5).voronoi(strokes)

    y, x = np.mgrid[:80, :80]
    pixels = np.stack([x, y], -1)[:, :, None].astype(float)
    start, end = np.rint(strokes[:, 0]).astype(float), np.rint(strokes[:, 1]).astype(float)
    along = end - start
    squared = np.maximum((along**2).sum(1), 1e-12)
    t = np.clip(((pixels - start) * along).sum(-1) / squared, 0, 1)
    exact = np.linalg.norm(pixels - start - t[..., None] * along, axis=-1)  # (80, 80, 12)

    mine = np.take_along_axis(exact, cell[..., None].astype(int), -1)[..., 0]
    # A drawn stroke follows the grid, so that it may be half a pixel off the line.
    assert (mine - exact.min(-1)).max() < 1.2
    np.testing.assert_allclose(to_stroke / 0.5, exact.min(-1), atol=1.2)
    nearest, second = np.sort(exact, -1)[..., :2].transpose(2, 0, 1)
    assert np.all(border[second - nearest > 6] > 0.5)
    assert np.all(border[second - nearest > 12] > border[second - nearest < 1].mean())


def test_lattice_covers_the_field_and_keeps_its_distance() -> None:
    points = canvas(400, 300, mpp=0.5).lattice((20.0, 10.0), angle=0.7, jitter=0.1)
    assert points.dtype == np.float32
    assert np.all((points >= 0) & (points < (300, 400)))
    assert len(points) == pytest.approx(300 * 400 * 0.25 / (20 * 10), rel=0.1)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    # Rows are staggered: the nearest neighbours lie 10 um and half a column step away.
    assert apart.min() > 0.5 * 10 / 0.5


def test_contour_of_a_disc() -> None:
    y, x = np.mgrid[:200, :240]
    radius = np.hypot(x - 120, y - 100)
    tools = canvas(mpp=0.5)
    mask = radius < 60
    points, inward = tools.contour(mask, 5.0, tools.distance(mask))
    np.testing.assert_allclose(np.linalg.norm(points - (120, 100), axis=1), 60, atol=1.5)
    exact = ((120, 100) - points) / np.linalg.norm(points - (120, 100), axis=1, keepdims=True)
    assert np.all((inward * exact).sum(1) > 0.95)
    # A chain of pixels counts diagonal steps as one, so it is up to a tenth shorter.
    assert len(points) == pytest.approx(2 * np.pi * 60 * 0.5 / 5.0, rel=0.15)


def test_contour_of_nothing_is_empty() -> None:
    tools = canvas()
    empty = np.zeros(tools.shape, bool)
    points, inward = tools.contour(empty, 5.0, tools.distance(empty))
    assert points.shape == inward.shape == (0, 2)


def test_ellipses_have_their_area_and_value() -> None:
    tools = canvas(mpp=0.5)
    drawn = tools.ellipses(
        np.array([[60.3, 70.8], [170.0, 120.0]], np.float32),
        np.array([[20.0, 10.0], [15.0, 15.0]]),
        np.array([0.6, 0.0]),
        np.array([1.5, 3.0]),
    )
    assert drawn[71, 60] == pytest.approx(1.5, abs=0.01)
    assert drawn[120, 170] == pytest.approx(3.0, abs=0.01)
    area = [drawn[:, :120].sum() / 1.5, drawn[:, 120:].sum() / 3.0]
    # OpenCV widens a shape by half a pixel all around.
    exact = [np.pi * (40.5 * 20.5), np.pi * 30.5**2]
    np.testing.assert_allclose(area, exact, rtol=0.02)


def test_strands_follow_their_direction() -> None:
    tools = canvas(300, 300)
    level = np.zeros(tools.shape, np.float32)
    drawn = tools.strands(level, np.ones(tools.shape), 8.0, 1.0, 1.0)
    across, along = (np.abs(np.diff(drawn, axis=axis)).mean() for axis in (0, 1))
    assert across > 1.5 * along
    assert not tools.strands(level, np.zeros(tools.shape), 8.0, 1.0, 1.0).any()
