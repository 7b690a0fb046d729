"""The correlation of shifted images against every shift by itself."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.images import overlaps


def best_of_all_shifts(x, y):
    """Of the parts in common, in float64."""
    side, best = len(x), -1.0
    for down in range(1 - side, side):
        for right in range(1 - side, side):
            rows, columns = (
                (slice(max(0, d), side + min(0, d)), slice(max(0, -d), side + min(0, -d)))
                for d in (down, right)
            )
            a, b = x[rows[0], columns[0]], y[rows[1], columns[1]]
            if a.size < overlaps.SHARE * side**2 or min(a.var(), b.var()) < overlaps._CONTRAST**2:
                continue
            best = max(best, np.corrcoef(a.ravel(), b.ravel())[0, 1])
    return best


def test_best_correlation_is_that_of_brute_force(rng):
    scene = rng.normal(128, 30, (24, 24))
    images = np.stack(
        [scene[:16, :16], scene[3:19, 5:21], scene[8:, :16], rng.normal(size=(16,) * 2)]
    )
    images[3, :8] *= 40  # half of it is of one colour, nearly
    pairs = np.array([(i, j) for i in range(4) for j in range(4)])
    shifts = overlaps._Shifts(16)
    found = shifts.correlate(shifts.of_images(images.astype(np.float32)), pairs)
    expected = [best_of_all_shifts(images[i], images[j]) for i, j in pairs]
    assert found == pytest.approx(expected, abs=1e-4)
    assert found[1] == pytest.approx(1) == found[4]


def test_pairs_of_many_chunks_are_found_as_alone(rng, monkeypatch):
    scene = rng.normal(128, 30, (60, 60)).astype(np.float32)
    corners = rng.integers(0, 44, (12, 2))
    images = np.stack([scene[y : y + 16, x : x + 16] for y, x in corners])
    pairs = np.array([(i, j) for i in range(12) for j in range(i)])
    alone = [bool(overlaps.overlapping(images, pair[None])[0]) for pair in pairs]
    assert 0 < sum(alone) < len(pairs)
    monkeypatch.setattr(overlaps, "_MANY", 21)
    monkeypatch.setattr(overlaps, "_CHUNK", 4)
    assert overlaps.overlapping(images, pairs).tolist() == alone
