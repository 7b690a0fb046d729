"""One pass over the reference patches: each is decoded once, and gives all that is asked of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.progress import Progress, track
from rl2qc.images.digest import DIGEST_BYTES, pixel_digest
from rl2qc.images.duplicates import SIDE, near_duplicates, thumbnail
from rl2qc.images.quantities import image_quantities
from rl2qc.images.quantity_names import QUANTITIES
from rl2qc.images.sources.base import PatchSource, batches
from rl2qc.model.network.statistics import Rows, Statistics, StatisticsExtractor
from rl2qc.synthetic.damage import random_damage

__all__ = ["ReferencePass", "measure_again", "read_reference"]

# The probe wants about this many damaged patches; small references are damaged several times.
N_DAMAGED, MAX_COPIES = 600, 3
# Grey levels within which a line is of one colour, after JPEG too.
_ALIKE = 2


@dataclass(frozen=True, eq=False)
class ReferencePass:
    """What one pass over n patches found.

    Attributes
    ----------
    statistics : (n, 2048) float32
    damaged : (m, 2048) float32
        Statistics of damaged copies: of every patch the first, then of every patch the second.
        None yet where the pixels were kept for a backbone that is still to be trained.
    sources : (m,) int64
        The row of the patch that each damaged one is a copy of.
    quantities : (n, 7) float64
        In the order of :data:`rl2qc.images.quantity_names.QUANTITIES`.
    duplicates : (n,) int64
        The number of each patch's group of near-duplicates.
    digests : (n, 8) uint8
        What the patches are known again by (:func:`rl2qc.images.digest.pixel_digest`).
    margin : (n,) float32
        Share of each patch that is of one colour at its edges; 1 of one that is so all over.
    pixels : (n, size, size, 3) uint8
        The patches themselves; None unless they were asked for.
    """

    statistics: Statistics
    damaged: Statistics
    sources: Rows
    quantities: NDArray[np.float64]
    duplicates: NDArray[np.int64]
    digests: NDArray[np.uint8]
    margin: NDArray[np.float32]
    pixels: NDArray[np.uint8] | None = None

    def take(self, rows: Rows) -> ReferencePass:
        """What was found of some of the patches."""
        numbers = np.full(len(self.statistics), -1)
        numbers[rows] = np.arange(len(rows))
        copies = np.flatnonzero(numbers[self.sources] >= 0)
        return ReferencePass(
            self.statistics[rows],
            self.damaged[copies],
            numbers[self.sources[copies]],
            self.quantities[rows],
            self.duplicates[rows],
            self.digests[rows],
            self.margin[rows],
            None if self.pixels is None else self.pixels[rows],
        )


def read_reference(
    source: PatchSource,
    extractor: StatisticsExtractor,
    *,
    seed: int,
    keep_pixels: bool = False,
    progress: bool | Progress = False,
) -> ReferencePass:
    """Decode every patch once.

    Parameters
    ----------
    source
    extractor
        Gives the statistics of patches and of their damaged copies.
    seed
        Of the damage.
    keep_pixels
        Keep the patches in memory, for the backbone to be trained on; damaged copies then wait for
        :func:`measure_again`.
    progress
        A bar on stderr, or a function that is called with what is done.
    """
    n, size = len(source), source.size
    copies = 0 if keep_pixels else _copies(n)
    statistics, damaged = _empty(n, copies, extractor.width)
    quantities = np.empty((n, len(QUANTITIES)))
    thumbnails = np.empty((n, SIDE, SIDE), np.float32)
    digests = np.empty((n, DIGEST_BYTES), np.uint8)
    margin = np.empty(n, np.float32)
    pixels = np.empty((n, size, size, 3), np.uint8) if keep_pixels else None
    start = 0
    with track(progress, "reference", n) as step:
        for images in batches(source, extractor.batch_size):
            rows = slice(start, start + len(images))
            statistics[rows] = extractor.of_batch(images)
            for copy in range(copies):
                damaged[copy, rows] = extractor.of_batch(_damage(images, start, copy, seed))
            quantities[rows] = [image_quantities(image) for image in images]
            thumbnails[rows] = [thumbnail(image) for image in images]
            digests[rows] = [list(pixel_digest(image)) for image in images]
            margin[rows] = [_margin(image) for image in images]
            if pixels is not None:
                pixels[rows] = images
            start += len(images)
            step(len(images))
    return ReferencePass(
        statistics,
        damaged.reshape(copies * n, extractor.width),
        np.tile(np.arange(n), copies),
        quantities,
        near_duplicates(thumbnails),
        digests,
        margin,
        pixels,
    )


def _margin(image: NDArray[np.uint8]) -> float:
    """Share of an image that rows and columns of one colour at its edges take."""
    left = 1.0
    for lines in (image, image.swapaxes(0, 1)):
        seen = np.flatnonzero(np.ptp(lines, axis=1).max(axis=1) > _ALIKE)
        left *= (seen[-1] + 1 - seen[0]) / len(lines) if len(seen) else 0.0
    return 1 - left


def measure_again(
    found: ReferencePass,
    extractor: StatisticsExtractor,
    *,
    seed: int,
    progress: bool | Progress = False,
) -> ReferencePass:
    """The statistics of a backbone that was trained on the pixels that were kept."""
    assert found.pixels is not None
    n = len(found.pixels)
    copies = _copies(n)
    statistics, damaged = _empty(n, copies, extractor.width)
    with track(progress, "reference again", n) as step:
        for start in range(0, n, extractor.batch_size):
            images = found.pixels[start : start + extractor.batch_size]
            rows = slice(start, start + len(images))
            statistics[rows] = extractor.of_batch(images)
            for copy in range(copies):
                damaged[copy, rows] = extractor.of_batch(_damage(images, start, copy, seed))
            step(len(images))
    return replace(
        found,
        statistics=statistics,
        damaged=damaged.reshape(copies * n, extractor.width),
        sources=np.tile(np.arange(n), copies),
    )


def _copies(n: int) -> int:
    """Damaged copies of each of n patches."""
    return min(MAX_COPIES, -(-N_DAMAGED // n))


def _empty(n: int, copies: int, width: int) -> tuple[Statistics, Statistics]:
    """Room for the statistics of n patches and of their damaged copies."""
    return np.empty((n, width), np.float32), np.empty((copies, n, width), np.float32)


def _damage(images: NDArray[np.uint8], start: int, copy: int, seed: int) -> NDArray[np.uint8]:
    """A damaged copy of each patch of a batch; of one patch always the same."""
    rngs = (np.random.default_rng((seed, copy, start + i)) for i in range(len(images)))
    return np.stack([random_damage(im, rng) for im, rng in zip(images, rngs, strict=True)])
