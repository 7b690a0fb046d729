"""Time and memory of reading many small images from tar shards, with a stub for an extractor.

    python scripts/benchmark_sources.py
    python scripts/benchmark_sources.py --images 50000 100000 200000 --side 32

Writes shards of WebDataset, then opens them, asks each image for its header and its digest, reads
all of them in batches and keeps 16 numbers of each. Every size is a process of its own; the table
says seconds (of the CPU) and the peak of memory: seconds grow in proportion.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from rl2qc.images.sources.base import open_images
from rl2qc.images.sources.images import PatchSource, batches

PER_SHARD = 10_000


def write_shards(folder: Path, n: int, side: int) -> None:
    """Shards of PNG images with labels, no two images alike."""
    rng = np.random.default_rng(0)
    for start in range(0, n, PER_SHARD):
        with tarfile.open(folder / f"part-{start // PER_SHARD:04}.tar", "w") as shard:
            for number in range(start, min(start + PER_SHARD, n)):
                buffer = io.BytesIO()
                pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
                Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
                for suffix, content in ((".png", buffer.getvalue()), (".cls", b"0")):
                    info = tarfile.TarInfo(f"{number:07}{suffix}")
                    info.size = len(content)
                    shard.addfile(info, io.BytesIO(content))


def work(folder: Path, n: int, side: int) -> dict[str, float]:
    """What it takes to open, check and read the first ``n`` images."""
    started, cpu = time.perf_counter(), time.process_time()
    last = (n - 1) // PER_SHARD
    opened = open_images(f"{folder}/part-{{0000..{last:04}}}.tar")
    source = PatchSource(opened.items, side, opened.names).take(range(n))
    for row in range(len(source)):
        source.items.header(row)
    features = np.empty((len(source), 16), np.float32)
    done = 0
    for images in batches(source, 256):
        features[done : done + len(images)] = images.reshape(len(images), -1)[:, :16]
        done += len(images)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "images": done,
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "gigabytes": peak / (1 << 30 if sys.platform == "darwin" else 1 << 20),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[50_000, 100_000, 200_000])
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder, n, side = options.child
        print(json.dumps(work(Path(folder), int(n), int(side))))
        return
    print(f"{os.cpu_count()} CPUs; target: 200,000 images in at most 2 GB, linear time\n")
    print("| images | seconds | CPU seconds | per 1,000 | peak |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        write_shards(Path(folder), max(options.images), options.side)
        for n in options.images:
            command = [sys.executable, __file__, "--child", folder, str(n), str(options.side)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            print(
                f"| {found['images']:,} | {found['seconds']:.1f} | {found['cpu']:.1f} | "
                f"{1000 * found['cpu'] / n:.3f} | {found['gigabytes']:.2f} GB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
