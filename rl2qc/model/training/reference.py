"""The reference patches, decoded once."""

from __future__ import annotations

import numpy as np

from rl2qc.core.progress import progress_bar
from rl2qc.images.sources.base import PatchSource, batches
from rl2qc.model.network.statistics import Rows, Statistics, StatisticsExtractor
from rl2qc.synthetic.damage import random_damage

# The probe wants about this many damaged patches; small references are damaged several times.
N_DAMAGED, MAX_COPIES = 600, 3


def _damaged_statistics(
    extractor: StatisticsExtractor, source: PatchSource, seed: int, progress: bool
) -> tuple[Statistics, Rows]:
    """Statistics of damaged copies (m, 2048), and the row of each one's original."""
    copies = min(MAX_COPIES, -(-N_DAMAGED // len(source)))
    found = []
    with progress_bar(progress, "damaged copies", total=copies * len(source), unit="img") as bar:
        for copy in range(copies):
            row = 0
            for images in batches(source, extractor.batch_size):
                rngs = (np.random.default_rng((seed, copy, row + i)) for i in range(len(images)))
                damaged = [random_damage(im, rng) for im, rng in zip(images, rngs, strict=True)]
                found.append(extractor.of_batch(np.stack(damaged)))
                row += len(images)
                bar.update(len(images))
    return np.concatenate(found), np.tile(np.arange(len(source)), copies)
