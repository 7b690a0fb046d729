"""Throughput of a whole filter run against the bare forward pass of the same batches.

    python scripts/benchmark_slides.py ../shared/data/slides/colorectal_ink_a.tiff

Reading, tissue, records and exports should hide behind the model: the share printed last is the
whole run's throughput over that of the model alone. Both are timed in turn, so that what else the
machine does meets both alike, and medians are compared. For reference, torchvision's ResNet-18 as
it comes (eager, float32, contiguous) is timed on the same batches, too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray

from rl2qc.model.quality import DEFAULT_MODEL, QualityModel
from rl2qc.slides.cohort import prepare_output, run_cohort
from rl2qc.slides.filtering import FilterSettings, filter_slide
from rl2qc.slides.jobs import find_jobs

Batch = NDArray[np.uint8]


def main() -> None:
    arguments = _parse()
    model = QualityModel.load(arguments.model)
    settings = FilterSettings(
        batch_size=arguments.batch_size,
        num_workers=arguments.workers,
        mpp_override=arguments.mpp_override,
    )
    batches = _batches(arguments.slide, model, settings)
    tiles = sum(map(len, batches))

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            jobs, _ = find_jobs([arguments.slide])
            prepare_output(Path(folder), jobs)
            (row,) = run_cohort(jobs, model, Path(folder), settings)
            if row.tiles != tiles:
                raise SystemExit(f"the run judged {row.tiles} tiles, not {tiles}: {row.error}")

    def bare() -> None:
        for batch in batches:
            model.measure(batch)

    plain = torchvision.models.resnet18(weights=None).eval()

    def eager() -> None:
        with torch.no_grad():
            for batch in batches:
                plain(torch.from_numpy(batch).permute(0, 3, 1, 2).float().contiguous() / 255)

    runs: dict[str, Callable[[], None]] = {"whole run": whole, "forward pass": bare}
    if not arguments.no_eager:
        runs["eager ResNet-18"] = eager
    seconds = _time(runs, arguments.repeats)
    print(
        f"{tiles} tiles, batches of {arguments.batch_size}, {arguments.workers} reading threads, "
        f"{torch.get_num_threads()} torch threads, medians of {arguments.repeats}"
    )
    rates = {name: tiles / statistics.median(times) for name, times in seconds.items()}
    for name, times in seconds.items():
        spread = f"{tiles / max(times):.1f} ... {tiles / min(times):.1f}"
        print(f"{name:16} {rates[name]:8.1f} tiles/s  ({spread})")
    print(f"whole run / forward pass    {rates['whole run'] / rates['forward pass']:.1%}")
    if "eager ResNet-18" in rates:
        print(f"forward pass / eager        {rates['forward pass'] / rates['eager ResNet-18']:.2f}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mpp-override", type=float)
    parser.add_argument("--no-eager", action="store_true", help="leave plain ResNet-18 out")
    return parser.parse_args()


def _batches(slide: Path, model: QualityModel, settings: FilterSettings) -> list[Batch]:
    """The batches that a run gives to the model, which warms it up on the way."""

    class Recorder:
        name, patch_size, mpp = model.name, model.patch_size, model.mpp

        def measure(self, images: Batch) -> dict[str, NDArray[np.float64]]:
            found.append(images)
            return model.measure(images)

    found: list[Batch] = []
    filter_slide(
        slide,
        Recorder(),
        batch_size=settings.batch_size,
        num_workers=settings.num_workers,
        mpp_override=settings.mpp_override,
    )
    return found


def _time(runs: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each run, all of them in turn ``repeats`` times."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
