"""Forward passes of each runtime, and a whole filter run against the bare forward pass.

    python scripts/benchmark_slides.py ../shared/data/slides/colorectal_ink_a.tiff

Everything is timed on the same batches and in turn, so that what else the machine does meets all
alike. Ratios are taken round by round; medians are printed with their range over the rounds.

Two questions are answered. How much faster is each runtime than torchvision's ResNet-18 as it comes
(eager, float32, contiguous)? And do reading, tissue, records and exports hide behind the model:
what is the whole run's throughput over that of the model alone?
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray

from rl2qc.cohort.filter import filter_cohort
from rl2qc.errors import Rl2qcError
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.slide import filter_slide
from rl2qc.model.network.backbone import to_tensor
from rl2qc.model.network.runtime import RUNTIME_VARIABLE, RUNTIMES, Runtime, compile_statistics
from rl2qc.model.quality import DEFAULT_MODEL, QualityModel

Batch = NDArray[np.uint8]
Spread = dict[str, float]
PLAIN, WHOLE, BARE = "plain ResNet-18", "whole run", "bare forward pass"
COMPILED: tuple[Runtime, ...] = ("torch", "onnx")


@dataclass(frozen=True)
class Report:
    """Medians with their range over the rounds, and what was run."""

    setting: dict[str, object]
    tiles_per_second: dict[str, Spread]
    times_as_fast_as_plain: dict[str, Spread]
    whole_run_share: Spread


def main() -> None:
    arguments = _parse()
    os.environ[RUNTIME_VARIABLE] = arguments.runtime
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
            (row,) = filter_cohort(arguments.slide, folder, model, settings, report=False).rows
            if row.tiles != tiles:
                raise SystemExit(f"the run judged {row.tiles} tiles, not {tiles}: {row.error}")

    runs: dict[str, Callable[[], None]] = {WHOLE: whole, BARE: _each(model.measure, batches)}
    if not arguments.no_runtimes:
        runs |= {name: _each(run, batches) for name, run in _forward_passes(model).items()}
    seconds = _time(runs, arguments.repeats)
    report = Report(
        setting={
            "slide": arguments.slide.name,
            "tiles": tiles,
            "runtime": compile_statistics(model.backbone, _shape(model)).name,
            "batch_size": arguments.batch_size,
            "reading_threads": arguments.workers,
            "torch_threads": torch.get_num_threads(),
            "repeats": arguments.repeats,
        },
        tiles_per_second={k: _spread([tiles / t for t in v]) for k, v in seconds.items()},
        times_as_fast_as_plain={
            k: _ratio(v, seconds[PLAIN])
            for k, v in seconds.items()
            if PLAIN in seconds and k not in (WHOLE, BARE, PLAIN)
        },
        whole_run_share=_ratio(seconds[WHOLE], seconds[BARE]),
    )
    print(json.dumps(asdict(report), indent=2) if arguments.json else _text(report))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--runtime", choices=RUNTIMES, default="auto", help="that the run uses")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mpp-override", type=float)
    parser.add_argument("--no-runtimes", action="store_true", help="time the run alone")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def _shape(model: QualityModel) -> tuple[int, int]:
    return model.patch_size, model.patch_size


def _batches(slide: Path, model: QualityModel, settings: FilterSettings) -> list[Batch]:
    """The batches that a run gives to the model, which warms it up on the way."""

    class Recorder:
        name, patch_size, mpp, sha256 = model.name, model.patch_size, model.mpp, model.sha256
        quantities_, device = model.quantities_, model.device
        runtime_name, prior, adapts = model.runtime_name, model.prior, model.adapts

        def measure(self, images: Batch) -> dict[str, NDArray[Any]]:
            found.append(images)
            return model.measure(images)

    found: list[Batch] = []
    filter_slide(slide, Recorder(), settings)
    return found


def _forward_passes(model: QualityModel) -> dict[str, Callable[[Batch], object]]:
    """Plain ResNet-18, the backbone as it is, and every runtime that is installed."""
    network = torchvision.models.resnet18(weights=None).eval().to(model.device)

    def plain(batch: Batch) -> None:
        with torch.no_grad():
            x = torch.from_numpy(batch).permute(0, 3, 1, 2).float().contiguous() / 255
            network(x.to(model.device)).cpu()

    def eager(batch: Batch) -> None:
        with torch.no_grad():
            model.backbone.statistics(to_tensor(batch).to(model.device)).cpu()

    passes: dict[str, Callable[[Batch], object]] = {PLAIN: plain, "eager statistics": eager}
    for runtime in COMPILED:
        try:
            forward = compile_statistics(model.backbone, _shape(model), runtime)
        except Rl2qcError as error:
            print(error, file=sys.stderr)
        else:
            passes[forward.name] = forward
    return passes


def _each(function: Callable[[Batch], object], batches: list[Batch]) -> Callable[[], None]:
    def run() -> None:
        for batch in batches:
            function(batch)

    return run


def _time(runs: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each run, all of them in turn ``repeats`` times."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def _ratio(seconds: list[float], others: list[float]) -> Spread:
    """How many times as fast as the others, round by round."""
    return _spread([b / a for a, b in zip(seconds, others, strict=True)])


def _spread(values: list[float]) -> Spread:
    return {"median": median(values), "min": min(values), "max": max(values)}


def _text(report: Report) -> str:
    def table(title: str, rows: dict[str, Spread]) -> list[str]:
        return [title] * bool(rows) + [
            f"  {k:28} {v['median']:8.2f}  ({v['min']:.2f} ... {v['max']:.2f})"
            for k, v in rows.items()
        ]

    lines = [", ".join(f"{key} {value}" for key, value in report.setting.items())]
    lines += table("tiles/s", report.tiles_per_second)
    lines += table(f"times as fast as {PLAIN}", report.times_as_fast_as_plain)
    lines += table("throughput", {f"{WHOLE} / {BARE}": report.whole_run_share})
    return "\n".join(lines)


if __name__ == "__main__":
    main()
