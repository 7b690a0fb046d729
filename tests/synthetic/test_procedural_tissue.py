"""Procedural tissue: physics, scale, and likeness to the real thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import openslide
import pytest
from numpy.typing import NDArray

from rl2qc.images.sources.files import list_images, read_image
from rl2qc.synthetic.slide import SyntheticSlide, synthetic_slide, write_pyramid
from rl2qc.synthetic.stain import EOSIN, HEMATOXYLIN, Stain
from rl2qc.synthetic.tissue import synthetic_patches, synthetic_tissue


def tissue(seed: int = 0, side: int = 448, **options: object) -> NDArray[np.uint8]:
    return synthetic_tissue(side, side, np.random.default_rng(seed), **options)  # type: ignore[arg-type]


def density(image: NDArray[np.uint8], stain: Stain) -> NDArray[np.float64]:
    return -np.log(np.maximum(image, 1) / np.array(stain.white))


def test_the_seed_decides() -> None:
    np.testing.assert_array_equal(tissue(1), tissue(1))
    assert (tissue(1) != tissue(2)).mean() > 0.5


@pytest.mark.parametrize(
    ("only", "vector"), [("hematoxylin", HEMATOXYLIN), ("eosin", EOSIN)], ids=["h", "e"]
)
def test_a_single_stain_colours_along_its_vector(only: str, vector: tuple[float, ...]) -> None:
    other = {"hematoxylin": "eosin_strength", "eosin": "hematoxylin_strength"}[only]
    stain = replace(Stain(), **{other: 0.0})
    found = density(tissue(stain=stain), stain).reshape(-1, 3)
    strong = found[(found.sum(1) > 0.8) & (found.max(1) < 3)]
    main = np.linalg.svd(strong, full_matrices=False)[2][0]
    cosine = abs(main @ np.array(vector)) / np.linalg.norm(vector)
    assert cosine > 0.995


def test_twice_the_stain_is_twice_the_density() -> None:
    once = Stain()
    twice = replace(once, hematoxylin_strength=2.0, eosin_strength=2.0)
    a, b = (density(tissue(stain=s), s).sum(2) for s in (once, twice))
    # Optics and noise act on light, not on density: compare pale, even pixels.
    even = (a > 0.3) & (a < 1.0)
    assert np.median(b[even] / a[even]) == pytest.approx(2, rel=0.05)


def test_an_island_lies_on_white_glass() -> None:
    picture = synthetic_tissue(400, 600, np.random.default_rng(3), mpp=2.0, island=True)
    corners = picture[[5, 5, -5, -5], [5, -5, 5, -5]].astype(float)
    np.testing.assert_allclose(corners, np.broadcast_to(Stain().white, (4, 3)), atol=8)
    glass = (picture.min(2) > 225).mean()
    assert 0.1 < glass < 0.6
    # Without glass around it, only lumens, vessels and clefts are white.
    assert (tissue(3, mpp=1.0).min(2) > 225).mean() < 0.25


def test_size_in_micrometres_does_not_depend_on_the_resolution() -> None:
    def length(mpp: float) -> float:
        """Half width of the autocorrelation of the picture, in micrometres."""
        side = round(600 / mpp)
        widths = []
        for seed in range(3):
            grey = tissue(seed, side, mpp=mpp).mean(2)
            power = np.abs(np.fft.fft2(grey - grey.mean())) ** 2
            correlation = np.fft.ifft2(power).real[0, : side // 4]
            widths.append(float(np.argmax(correlation < 0.5 * correlation[0]) * mpp))
        return float(np.mean(widths))

    assert length(0.5) == pytest.approx(length(1.0), rel=0.35)


def test_laboratories_differ_within_reason() -> None:
    stains = [Stain.sample(np.random.default_rng(seed)) for seed in range(40)]
    vectors = np.array([s.hematoxylin for s in stains])
    assert np.all(vectors > 0)
    assert np.all(vectors.std(0) > 0.01)
    assert all(0.5 < s.eosin_strength < 2 for s in stains)


@pytest.mark.parametrize("n", [1, 5, 66])
def test_patches_are_as_many_as_asked_for_and_differ(n: int) -> None:
    patches = synthetic_patches(n, 32, np.random.default_rng(0))
    assert patches.shape == (n, 32, 32, 3)
    assert patches.dtype == np.uint8
    assert len(np.unique(patches.reshape(n, -1), axis=0)) == n


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: synthetic_tissue(31, 64, rng), "at least 32"),
        (lambda rng: synthetic_tissue(64, 64, rng, mpp=0.0), "mpp"),
        (lambda rng: synthetic_tissue(64, 64, rng, mpp=float("nan")), "mpp"),
        (lambda rng: synthetic_patches(0, 64, rng), "at least one"),
    ],
)
def test_impossible_requests_are_refused(call, message, rng) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call(rng)


def test_it_resembles_real_tissue(shared_data: Path) -> None:
    files = list_images(shared_data / "clean" / "colorectal" / "test")[::8]
    real = [cv2.resize(read_image(f), (224, 224)) for f in files]
    # Those patches show crypts at about one micrometre a pixel.
    drawn = list(synthetic_patches(32, 224, np.random.default_rng(5), mpp=1.0))

    def slope(image: NDArray[np.uint8]) -> float:
        """Exponent of the power spectrum between 4 and 80 cycles a patch."""
        grey = image.mean(2)
        window = np.hanning(224)[:, None] * np.hanning(224)
        power = np.abs(np.fft.fftshift(np.fft.fft2((grey - grey.mean()) * window))) ** 2
        y, x = np.indices(power.shape) - 112
        ring = np.hypot(y, x).astype(int)
        mean = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
        return float(np.polyfit(np.log(np.arange(4, 80)), np.log(mean[4:80]), 1)[0])

    def summary(images: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
        rows = [
            [*im.mean((0, 1)), *im.std((0, 1)), slope(im), np.median(density(im, Stain()))]
            for im in images
        ]
        return np.array(rows)

    a, b = summary(real), summary(drawn)
    # A drawn patch is no further from the average real one than other real ones are.
    assert np.all(np.abs(b.mean(0) - a.mean(0)) < 2 * a.std(0))


def test_shares_count_pixels(rng: np.random.Generator) -> None:
    mask = rng.random((40, 50)) < 0.3
    slide = SyntheticSlide(np.zeros((40, 50, 3), np.uint8), {"ink": mask}, 0.5)
    shares = slide.shares([0, 7, 40], [0, 13, 30], 10)["ink"]
    exact = [mask[y : y + 10, x : x + 10].mean() for x, y in ((0, 0), (7, 13), (40, 30))]
    np.testing.assert_allclose(shares, exact, rtol=1e-12)


def test_a_slide_tells_where_it_is_damaged() -> None:
    options = {"height": 512, "width": 768, "mpp": 2.0}
    damaged = synthetic_slide(np.random.default_rng(4), **options)  # type: ignore[arg-type]
    clean = synthetic_slide(np.random.default_rng(4), **options, damaged=False)  # type: ignore[arg-type]
    assert clean.masks == {}
    changed = (damaged.rgb.astype(int) - clean.rgb).any(2)
    union = np.any(list(damaged.masks.values()), axis=0)
    assert all(0.01 < mask.mean() < 0.2 for mask in damaged.masks.values())
    # Nearly all damaged tissue looks different, and undamaged tissue does not.
    assert changed[union].mean() > 0.9
    tissue_only = cv2.blur(clean.rgb.min(2), (65, 65)) < 200
    reach = cv2.dilate(union.astype(np.uint8), np.ones((15, 15))).astype(bool)
    assert changed[tissue_only & ~reach].mean() < 0.01


def test_the_pyramid_opens_with_its_resolution(tmp_path: Path, rng: np.random.Generator) -> None:
    rgb = np.asarray(cv2.blur(rng.integers(0, 256, (600, 900, 3), np.uint8), (9, 9)), np.uint8)
    path = tmp_path / "slide.tiff"
    write_pyramid(path, rgb, mpp=0.25)
    with openslide.OpenSlide(path) as slide:
        assert slide.level_dimensions == ((900, 600), (450, 300), (225, 150))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.25)
        level0 = np.asarray(slide.read_region((0, 0), 0, (900, 600)).convert("RGB"))
        level1 = np.asarray(slide.read_region((0, 0), 1, (450, 300)).convert("RGB"))
    np.testing.assert_array_equal(level0, rgb)
    mean = rgb.reshape(300, 2, 450, 2, 3).mean((1, 3))
    np.testing.assert_allclose(level1, mean, atol=1)
    assert [p.name for p in tmp_path.iterdir()] == ["slide.tiff"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [32, 48, 64])
@pytest.mark.parametrize("island", [False, True])
def test_small_fields_may_hold_no_crypt(side: int, island: bool) -> None:
    for seed in range(12):
        field = synthetic_tissue(side, side, np.random.default_rng(seed), island=island)
        assert field.shape == (side, side, 3)
        assert np.ptp(field) > 20
