"""Connected parts against scipy's, morphology against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from rl2qc.images.components import (
    Components,
    closed,
    dilated,
    distances,
    highest,
    local_mean,
    lowest,
    opened,
)

EIGHT = np.ones((3, 3))


@pytest.fixture
def mask(rng: np.random.Generator) -> NDArray[np.bool_]:
    return np.asarray(ndimage.gaussian_filter(rng.normal(size=(40, 50)), 1.5) > 0.08)


def test_parts_and_their_means(mask: NDArray[np.bool_], rng: np.random.Generator) -> None:
    parts, values = Components.of(mask), rng.random(mask.shape)
    labels, count = ndimage.label(mask, EIGHT)
    assert parts.count == count + 1
    index = np.arange(1, count + 1)
    assert sorted(parts.area[1:]) == sorted(ndimage.sum_labels(mask, labels, index))
    assert sorted(parts.means(values)[1:]) == pytest.approx(
        sorted(ndimage.mean(values, labels, index))
    )
    shares = ndimage.standard_deviation(values, labels, index) / ndimage.mean(values, labels, index)
    assert sorted(parts.variation(values.astype(np.float32))[1:]) == pytest.approx(
        sorted(shares), abs=1e-4
    )


def test_parts_that_a_larger_mask_joins(mask: NDArray[np.bool_]) -> None:
    joined = dilated(mask, 5)
    parts = Components.of(mask, joined)
    assert parts.count == ndimage.label(joined, EIGHT)[1] + 1
    np.testing.assert_array_equal(parts.labels > 0, mask)


def test_radius_and_contact() -> None:
    mask = np.zeros((20, 30), np.bool_)
    mask[5:14, 4:13] = True
    other = np.zeros_like(mask)
    other[:, 13] = True
    parts = Components.of(mask)
    assert parts.radii()[1] == pytest.approx(5, abs=0.3)
    # 11 of the 40 pixels around a square of 9 px.
    assert parts.contact(other)[1] == pytest.approx(11 / 40)


def test_picked_parts_never_hold_the_outside(mask: NDArray[np.bool_]) -> None:
    parts = Components.of(mask)
    np.testing.assert_array_equal(parts.pick(np.ones(parts.count, np.bool_)), mask)


def test_morphology(mask: NDArray[np.bool_]) -> None:
    assert not (mask & ~closed(mask, 7)).any()
    assert not (opened(mask, 7) & ~mask).any()
    np.testing.assert_array_equal(
        dilated(mask, 5), ndimage.binary_dilation(mask, np.ones((5, 5), np.bool_))
    )
    exact = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    assert np.abs(distances(mask) - exact).max() < 0.06 * exact.max() + 0.1


def test_local_means_count_the_given_pixels_alone(
    mask: NDArray[np.bool_], rng: np.random.Generator
) -> None:
    values = rng.random(mask.shape).astype(np.float32)
    found = local_mean(values, mask, 5)
    window = np.s_[10:15, 20:25]
    assert found[12, 22] == pytest.approx(values[window][mask[window]].mean(), abs=1e-5)


def test_highest_and_lowest(rng: np.random.Generator) -> None:
    rgb = rng.integers(0, 256, (7, 9, 3)).astype(np.uint8)
    np.testing.assert_array_equal(highest(rgb), rgb.max(axis=2))
    np.testing.assert_array_equal(lowest(rgb), rgb.min(axis=2))
