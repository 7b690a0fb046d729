"""Memory does not grow with the slide."""

from __future__ import annotations

import multiprocessing
import os
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cohort_helpers import run_cohort
from slide_helpers import tissue_like

# Of 512 px squares, every 96th in each direction is tissue: few tiles, and all of the slide.
SIDE, TILE, SQUARE, EVERY = 100_000, 256, 512, 96
LEVELS = (1, 4, 16, 64)


def write_huge_slide(path: Path) -> None:
    """100,000 x 100,000 px of glass with a piece of tissue here and there, encoded tile by tile."""
    rng = np.random.default_rng(0)
    glass = zlib.compress(np.full((TILE, TILE, 3), 240, np.uint8).tobytes(), 1)
    noise = tissue_like(rng, TILE, TILE)

    def tissue(share: int) -> bytes:
        """A block whose first ``share`` px in each direction are tissue."""
        pixels = np.full((TILE, TILE, 3), 240, np.uint8)
        pixels[:share, :share] = noise[:share, :share]
        return zlib.compress(pixels.tobytes(), 1)

    def tiles(count: int, downsample: int) -> Iterator[bytes]:
        # Squares begin at whole blocks of every level: 96 are as wide as three of the coarsest.
        block = TILE * downsample
        piece = tissue(min(TILE, SQUARE // downsample))
        for row in range(count):
            for column in range(count):
                inside = all(at * block % (SQUARE * EVERY) < SQUARE for at in (row, column))
                yield piece if inside else glass

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


def peak_of_a_run(path: Path, out: Path) -> tuple[str, int, str, int]:
    """Filter a slide by the shipped model; status, tiles, runtime, and kilobytes at the most."""
    from rl2qc.cohort.inputs.find import find_inputs
    from rl2qc.model.quality import QualityModel

    os.environ.pop("RL2QC_RUNTIME", None)  # the one that users have
    model = QualityModel.load("histology", device="cpu")
    jobs, _ = find_inputs([path])
    (row,) = run_cohort(jobs, model, out)
    # Not ru_maxrss: a child begins with the peak of the process that started it.
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return row.status, row.tiles, model.runtime_name, int(peak.split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux counts it")
def test_a_slide_of_ten_gigapixels(tmp_path: Path) -> None:
    write_huge_slide(tmp_path / "huge.tif")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        run = pool.submit(peak_of_a_run, tmp_path / "huge.tif", tmp_path / "out")
        status, tiles, runtime, kilobytes = run.result()
    assert status == "done"
    # A square of 512 px lies in 3 x 3 or 4 x 4 of the model's tiles of 224 px.
    assert 9 * 9 <= tiles <= 9 * 16
    assert kilobytes < 2e9 / 1024, f"{kilobytes} kB by {runtime}"
