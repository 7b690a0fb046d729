"""Memory does not grow with the slide."""

from __future__ import annotations

import multiprocessing
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from slide_helpers import BrightnessModel, tissue_like

from rl2qc.slides.cohort import run_cohort
from rl2qc.slides.jobs import find_jobs

# Of 4,096 px squares, every twelfth in each direction is tissue.
SIDE, TILE, SQUARE, EVERY = 100_000, 256, 4096, 12
LEVELS = (1, 4, 16, 64)


def write_huge_slide(path: Path) -> None:
    """100,000 x 100,000 px of glass with a piece of tissue here and there, encoded tile by tile."""
    rng = np.random.default_rng(0)
    glass = zlib.compress(np.full((TILE, TILE, 3), 240, np.uint8).tobytes(), 1)
    tissue = zlib.compress(tissue_like(rng, TILE, TILE).tobytes(), 1)

    def tiles(count: int, downsample: int) -> Iterator[bytes]:
        for row in range(count):
            for column in range(count):
                # Squares of tissue, which the coarser levels show, too; the coarsest is not read.
                at = (row * TILE * downsample // SQUARE, column * TILE * downsample // SQUARE)
                inside = downsample <= 16 and at[0] % EVERY == 0 and at[1] % EVERY == 0
                yield tissue if inside else glass

    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for downsample in LEVELS:
            side = SIDE // downsample
            per_cm = 1e4 / (0.5 * downsample)
            tiff.write(
                tiles(-(-side // TILE), downsample),
                shape=(side, side, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                compression="deflate",
                photometric="rgb",
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                subfiletype=1 if downsample > 1 else 0,
                metadata=None,
            )


def peak_of_a_run(path: Path, out: Path, results: multiprocessing.Queue[tuple[int, int]]) -> None:
    jobs, _ = find_jobs([path])
    (row,) = run_cohort(jobs, BrightnessModel(patch_size=256), out)
    # Not ru_maxrss: a child begins with the peak of the process that started it.
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    results.put((row.tiles, int(peak.split()[1])))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux counts it")
def test_a_slide_of_ten_gigapixels(tmp_path: Path) -> None:
    write_huge_slide(tmp_path / "huge.tif")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(
        target=peak_of_a_run, args=(tmp_path / "huge.tif", tmp_path / "out", results)
    )
    process.start()
    tiles, kilobytes = results.get(timeout=600)
    process.join()
    assert tiles > 1500
    assert kilobytes < 2 * 1024**2
