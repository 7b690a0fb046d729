"""Near-copies: against brute force, on compressed copies, and on tissue that only neighbours."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from rl2qc.images import duplicates
from rl2qc.images.duplicates import (
    duplicate_warning,
    join_groups,
    near_duplicates,
    thumbnail,
)
from rl2qc.images.sources.base import PatchSource, as_source
from rl2qc.images.sources.files import list_images
from rl2qc.images.sources.tiles import cut_tiles
from rl2qc.model.training.split import split_rows


def thumbnails(source: PatchSource) -> np.ndarray:
    return np.stack([thumbnail(source[i]) for i in range(len(source))])


def brute_force(pictures: np.ndarray, tolerance: float) -> list[int]:
    """Every pair in float64, then a flood fill."""
    x = pictures.astype(np.float64)
    x = (x - x.mean((1, 2), keepdims=True)).reshape(len(x), -1)
    contrast = np.sqrt((x**2).mean(1))
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)
    n, group = len(x), [-1] * len(x)
    near = [
        [
            j
            for j in range(n)
            if (pictures[i] == pictures[j]).all()
            or (min(contrast[i], contrast[j]) >= 0.5 and np.linalg.norm(x[i] - x[j]) <= tolerance)
        ]
        for i in range(n)
    ]
    count = 0
    for start in range(n):
        if group[start] < 0:
            todo = [start]
            while todo:
                i = todo.pop()
                if group[i] < 0:
                    group[i] = count
                    todo += near[i]
            count += 1
    return group


def pictures_with_copies(rng: np.random.Generator) -> np.ndarray:
    """Copies at all distances around the tolerance, chains of them, flat and equal ones."""
    base = rng.normal(100, 20, (40, 16, 16))
    copies = base[rng.integers(0, 40, 120)]
    copies = copies + rng.normal(size=copies.shape) * rng.uniform(0, 4, (120, 1, 1))
    flat = np.full((6, 16, 16), 240.0) + np.array([0, 0, 1, 2, 2, 2])[:, None, None]
    faint = np.full((2, 16, 16), 240.0) + rng.normal(0, 0.1, (2, 16, 16))
    x = np.concatenate([base, copies, base[:5], flat, faint]).astype(np.float32)
    return x[rng.permutation(len(x))]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tolerance", [0.05, 0.2])
def test_as_by_brute_force(seed, tolerance):
    pictures = pictures_with_copies(np.random.default_rng(seed))
    expected = brute_force(pictures, tolerance)
    assert 1 < len(set(expected)) < len(expected)
    assert near_duplicates(pictures, tolerance).tolist() == expected


def test_a_chain_is_one_group(rng):
    # Each step turns by half the tolerance; the ends are far apart.
    a, b = (x - x.mean() for x in rng.normal(size=(2, 16, 16)))
    b -= a * (a * b).sum() / (a * a).sum()
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    angles = np.arange(12) * 0.1
    chain = 100 * (a * np.cos(angles)[:, None, None] + b * np.sin(angles)[:, None, None])
    assert not near_duplicates(chain.astype(np.float32), 0.15).any()
    assert near_duplicates(chain.astype(np.float32), 0.05).tolist() == list(range(12))


def test_pairs_are_merged_before_they_fill_the_memory(rng, monkeypatch):
    pictures = pictures_with_copies(rng)
    expected = near_duplicates(pictures)
    merged = []
    spanning = duplicates._spanning
    monkeypatch.setattr(duplicates, "_MAX_PAIRS", 20)
    monkeypatch.setattr(duplicates, "_spanning", lambda c: merged.append(1) or spanning(c))
    assert near_duplicates(pictures).tolist() == expected.tolist()
    assert merged


def test_thousands_of_equal_and_of_blank_patches(rng):
    one = rng.normal(100, 20, (16, 16)).astype(np.float32)
    assert not near_duplicates(np.repeat(one[None], 5000, axis=0)).any()
    blank = np.full((5000, 16, 16), 255, np.float32)
    assert not near_duplicates(blank).any()


def test_brightness_and_size_do_not_matter_and_colour_does_not_make_copies(stained):
    patch = stained(1, size=128)[0]
    darker = (patch * 0.8).astype(np.uint8)
    small = np.asarray(Image.fromarray(patch).resize((64, 64), Image.Resampling.BOX))
    found = [thumbnails(as_source(x[None]))[0] for x in (patch, darker, small)]
    assert near_duplicates(np.stack(found)).tolist() == [0, 0, 0]
    pink = np.array([230, 120, 180]) + np.random.default_rng(0).normal(0, 8, (30, 64, 64, 3))
    assert len(set(near_duplicates(thumbnails(as_source(pink.round().astype(np.uint8)))))) == 30


def test_nothing_and_one():
    assert near_duplicates(np.empty((0, 16, 16), np.float32)).shape == (0,)
    assert near_duplicates(np.ones((1, 16, 16), np.float32)).tolist() == [0]
    with pytest.raises(ValueError, match="pictures must be"):
        near_duplicates(np.ones((4, 512), np.float32))


def encoded(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_compressed_copies_of_real_patches_are_found(shared_data):
    for folder in ("clean/colorectal/test", "clean/prostate/test"):
        source = as_source(shared_data / folder).sample(60, seed=0)
        images = [source[i] for i in range(60)]
        images += [encoded(image, 50) for image in images]
        groups = near_duplicates(thumbnails(as_source(np.stack(images))))
        assert groups.tolist() == [*range(60)] * 2


def test_neighbouring_tiles_of_real_tissue_are_no_copies(shared_data):
    tiles = cut_tiles(as_source(list_images(shared_data / "clean/other/monuseg")[:4], 224))
    assert len(tiles) >= 4 * 16
    assert len(set(near_duplicates(thumbnails(tiles)))) == len(tiles)


def test_the_count_is_said():
    assert duplicate_warning(np.array([0, 1, 2]), ["a", "b", "c"]) is None
    line = duplicate_warning(np.array([0, 1, 2, 1, 0, 1]), [f"p/{i}.png" for i in range(6)])
    assert line == (
        "5 of 6 reference patches are near-duplicates of another (2 groups), "
        "such as 0.png and 4.png"
    )


def test_copies_and_slides_stay_together(rng):
    copies = near_duplicates(pictures_with_copies(rng))
    n = len(copies)
    slides = [f"s{i}" for i in np.where(rng.random(n) < 0.05, 50, copies // 2)]
    assert len(set(zip(slides, copies, strict=True))) > len(set(copies))
    for groups in (None, slides):
        joined = join_groups(copies, groups, largest=n)
        assert joined is not None
        assert 1 < len(set(joined)) < n
        for seed in range(5):
            train, held = split_rows(n, 0.2, joined, seed)
            assert not set(copies[train]) & set(copies[held])
            if groups:
                assert not {slides[i] for i in train} & {slides[i] for i in held}


def test_no_more_is_joined_than_needed():
    joined = join_groups(np.array([0, 1, 2, 0, 3]), ["a", "a", "b", "c", "d"], largest=5)
    assert joined == ["0", "0", "1", "0", "2"]


def test_a_group_must_not_swallow_the_reference():
    copies = np.zeros(10, np.int64)
    assert join_groups(copies, None, largest=4) is None
    assert join_groups(np.arange(10), ["a"] * 8 + ["b", "c"], largest=2) is not None
