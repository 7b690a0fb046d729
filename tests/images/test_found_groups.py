"""Groups that nobody named: by names, folders, overlaps and near-duplicates."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rl2qc.images.found_groups import find_groups, groups_by_name
from rl2qc.images.overlaps import overlapping


def scene(seed: int, side: int = 96) -> np.ndarray:
    field = gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 2)
    return (128 + 40 * field / field.std()).astype(np.float32)


def near(labels) -> np.ndarray:
    """Nearest images (n, 1) that are of the same group wherever there is another."""
    labels = np.asarray(labels)
    same = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
    return same.argmax(axis=1)[:, None]


@pytest.mark.parametrize(
    "pattern", ["{s}__{x}_{y}.png", "a/{s}_x{x}_y{y}.jpg", "{s}-({x},{y}).tif", "{s} {x} {y}.png"]
)
def test_stems_and_coordinates_are_groups(pattern):
    slides = np.arange(24) % 3
    names = [pattern.format(s=f"case_{s}", x=64 * i, y=128 * s) for i, s in enumerate(slides)]
    labels, evidence = groups_by_name(names)
    assert labels.tolist() == slides.tolist()
    assert "coordinates" in evidence


@pytest.mark.parametrize(
    "names",
    [
        [f"{i}.png" for i in range(20)],
        [f"sample_label0_{i:04}.png" for i in range(20)],
        [f"2021_03_{i}.png" for i in range(20)],
        [f"TCGA-AA-{3000 + i}_{i}.png" for i in range(20)],
        [f"class{i % 2}/{i}.png" for i in range(20)],
    ],
)
def test_names_without_evidence_are_no_groups(names):
    assert groups_by_name(names) == (None, "")
    # Nearest images do not care for the names.
    rng = np.random.default_rng(0)
    assert groups_by_name(names, rng.integers(20, size=(20, 3)))[0] is None


@pytest.mark.parametrize("pattern", ["s{s}_{i}.png", "{s}/{i}.png"])
def test_stems_and_folders_count_where_pictures_bear_them_out(pattern):
    slides = np.arange(60) % 6
    names = [pattern.format(s=s, i=i) for i, s in enumerate(slides)]
    labels, evidence = groups_by_name(names, near(slides))
    assert labels.tolist() == slides.tolist()
    assert "nearest to each other" in evidence


def test_shifted_tiles_overlap_and_others_do_not():
    wide = scene(0, 160)
    at = [(0, 0), (16, 0), (0, 21), (7, 11), (100, 100)]
    tiles = np.stack([wide[y : y + 32, x : x + 32] for y, x in at] + [scene(1)[:32, :32]])
    pairs = np.array([[0, i] for i in range(1, 6)])
    assert overlapping(tiles, pairs).tolist() == [True, True, True, False, False]
    # Pale margins are alike wherever they lie.
    assert not overlapping(np.full((2, 32, 32), 240, np.float32), np.array([[0, 1]])).any()


def test_overlaps_and_near_duplicates_are_joined():
    wide = scene(3, 200)
    thumbnails = np.stack(
        [
            wide[:32, :32],
            wide[12:44, :32],
            scene(4)[:32, :32],
            scene(5)[:32, :32],
            scene(4)[:32, :32],
        ]
    )
    thumbnails[4] += np.random.default_rng(0).normal(0, 2, (32, 32))
    pictures = np.stack([cv2.resize(t, (16, 16), interpolation=cv2.INTER_AREA) for t in thumbnails])
    nearest = np.array([[1], [0], [4], [2], [2]])
    found = find_groups([f"{i}.png" for i in range(5)], pictures, thumbnails, nearest)
    assert found.labels.tolist() == [0, 0, 1, 2, 1]
    assert found.evidence == ("2 near-duplicates in 1 groups", "4 images that overlap others")
    alone = find_groups(["a.png", "b.png"], pictures[2:4], thumbnails[2:4], np.array([[1], [0]]))
    assert alone.labels is None and alone.evidence == ()
