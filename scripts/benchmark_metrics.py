"""Time and memory of the metrics against the usual way to compute them, side by side in one run.

    python scripts/benchmark_metrics.py
    python scripts/benchmark_metrics.py --quick
    python scripts/benchmark_metrics.py --only fid wad --repeats 5 --json metrics.json

Every measurement is a process of its own; the two of a row take turns, and one table of medians
with their targets is printed. Memory is what the work adds to the peak of its process, its input
not counted. CPU seconds, of all threads, hold on a busy machine as well. OMP_NUM_THREADS sets the
threads. Images are procedural tissue; the Inception-v3 of the RL2 row has random weights, which
cost what the trained ones do: its FID means nothing. That row takes most of the time, which
--images 400 shortens in proportion.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import metrics_at_work
from metrics_at_work import write_images


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    title
        With the size in braces.
    size, quick
        Size, and that of ``--quick``.
    ours, theirs
        Names of the functions that prepare the work.
    target
        In words.
    met
        Whether a measurement meets it.
    images
        Given the size, how many real and generated images of how many px the work reads.
    one_value
        Both compute the same quantity.
    """

    title: str
    size: int
    quick: int
    ours: str
    theirs: str | None
    target: str
    met: Callable[[Pair], bool]
    images: Callable[[int], tuple[int, int, int]] | None = None
    one_value: bool = True


@dataclass(frozen=True)
class Measured:
    seconds: float
    cpu: float
    megabytes: float
    value: float


@dataclass(frozen=True)
class Pair:
    ours: Measured
    theirs: Measured | None

    @property
    def speedup(self) -> float:
        return self.theirs.seconds / self.ours.seconds if self.theirs else float("nan")

    @property
    def saving(self) -> float:
        """How many times the CPU seconds of ours the others take."""
        return self.theirs.cpu / self.ours.cpu if self.theirs else float("nan")

    @property
    def memory_share(self) -> float:
        return self.ours.megabytes / self.theirs.megabytes if self.theirs else float("nan")

    @property
    def difference(self) -> float:
        return abs(self.ours.value / self.theirs.value - 1) if self.theirs else float("nan")


ROWS = {
    "wad": Row(
        "WAD-Div, {} x 512, against scipy cdist + full sort", 10_000, 2_000,
        "wad_div_ours", "wad_div_scipy", ">= 8 x faster, memory <= 1/10, same to 1e-9",
        lambda p: p.speedup >= 8 and p.memory_share <= 0.1 and p.difference < 1e-9,
    ),
    "wad-large": Row(
        "WAD-Div, {} x 512", 50_000, 10_000, "wad_div_ours", None, "<= 60 s, <= 1 GB",
        lambda p: p.ours.seconds <= 60 and p.ours.megabytes <= 1000,
    ),
    "stream": Row(
        "3 nearest of {} x 512 to each of 10,000", 100_000, 20_000, "nearest_ours", None,
        "<= 1 GB with the features",
        lambda p: p.ours.megabytes + 100_000 * 512 * 4 / 1e6 <= 1000,
    ),
    "irs": Row(
        "IRS_inf and bounds, N = 1,281,166, n = {}, after retrieval", 50_000, 5_000,
        "irs_ours", None, "<= 1 s", lambda p: p.ours.seconds <= 1,
    ),
    "fid": Row(
        "FID, {} x 2048, against scipy sqrtm", 2_000, 500,
        "fid_ours", "fid_sqrtm", ">= 4 x faster, same to 1e-6",
        lambda p: p.speedup >= 4 and p.difference < 1e-6,
    ),
    "fid-fidelity": Row(
        "FID, {} x 2048, against torch-fidelity", 2_000, 500,
        "fid_ours", "fid_fidelity", ">= 4 x less CPU, same to 1e-6",
        lambda p: p.saving >= 4 and p.difference < 1e-6,
    ),
    "kid": Row(
        "KID, 2 x {} x 512, 100 x 1000, against torch-fidelity", 10_000, 2_000,
        "kid_ours", "kid_fidelity", ">= 1.5 x less CPU", lambda p: p.saving >= 1.5,
        one_value=False,  # subsets of their own
    ),
    "prdc": Row(
        "precision, recall, density, coverage, 2 x {} x 512, against prdc", 10_000, 2_000,
        "prdc_ours", "prdc_theirs", ">= 3 x less CPU, the same",
        lambda p: p.saving >= 3 and p.difference < 1e-12,
    ),
    "rl2": Row(
        "RL2 of {0} + {0} images, against FID with Inception-v3", 1_000, 60,
        "rl2_of_images", "fid_of_images", ">= 3 x faster", lambda p: p.speedup >= 3,
        lambda n: (n, n, 256), one_value=False,
    ),
    "score": Row(
        "rl2qc score of {} + 12/7 as many patches, cached", 350, 70,
        "score_command", None, "<= 20 s", lambda p: p.ours.seconds <= 20,
        lambda n: (n * 12 // 7, n, 128),
    ),
    "again": Row(
        "RL2 and KID of {0} + {0} cached patches, in a running process", 250, 50,
        "score_again", None, "<= 2 s CPU", lambda p: p.ours.cpu <= 2,
        lambda n: (n, n, 128),
    ),
}  # fmt: skip


def peak_bytes() -> int:
    """Highest memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cpu_seconds() -> float:
    """Of this process and of the children that it has waited for."""
    return sum(os.times()[:4])


def child(job: str, size: int, folder: Path) -> None:
    """Prepare and measure one piece of work and print it as JSON."""
    work = getattr(metrics_at_work, job)(size, folder)
    before, cpu, started = peak_bytes(), cpu_seconds(), time.perf_counter()
    value = work()
    seconds = time.perf_counter() - started
    cpu = cpu_seconds() - cpu
    added = (peak_bytes() - before) / 1e6
    print(json.dumps({"seconds": seconds, "cpu": cpu, "megabytes": added, "value": value}))


def run(job: str, size: int, folder: Path) -> Measured:
    command = [sys.executable, __file__, "--child", job, str(size), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{job} failed:\n{done.stderr}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def typical(measured: list[Measured]) -> Measured:
    """Medians of times and memory."""
    return Measured(
        median(m.seconds for m in measured),
        median(m.cpu for m in measured),
        median(m.megabytes for m in measured),
        measured[0].value,
    )


def compare(row: Row, size: int, folder: Path, repeats: int) -> Pair:
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(run(row.ours, size, folder))
        if row.theirs:
            theirs.append(run(row.theirs, size, folder))
    return Pair(typical(ours), typical(theirs) if theirs else None)


HEADER = ("work", "ours", "theirs", "faster", "memory", "target", "")


def cells(row: Row, size: int, pair: Pair) -> tuple[str, ...]:
    """One line of the table."""

    def one(m: Measured) -> str:
        memory = f", {m.megabytes:.0f} MB" if m.megabytes >= 1 else ""  # none: it was a child's
        return f"{m.seconds:.3g} s ({m.cpu:.3g} s CPU){memory}"

    met = ("met" if row.met(pair) else "MISSED") if size == row.size else f"at {row.size:,}"
    title = row.title.format(f"{size:,}")
    if not pair.theirs:
        return title, one(pair.ours), "-", "-", "-", row.target, met
    share = f"{pair.memory_share:.2g} x" if pair.ours.megabytes >= 1 else "-"
    faster = f"{pair.speedup:.1f} x"
    return title, one(pair.ours), one(pair.theirs), faster, share, row.target, met


def print_line(cells: tuple[str, ...]) -> None:
    """Of a Markdown table, at once: a later row may fail."""
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, for a first look")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--images", type=int, help="size of the RL2 row, whose cost is linear")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        job, size, folder = options.child
        child(job, int(size), Path(folder))
        return

    threads = os.environ.get("OMP_NUM_THREADS", "all")
    made = {"cpus": os.cpu_count(), "threads": threads, "repeats": options.repeats}
    results: dict[str, dict[str, Any]] = {}
    print(f"{os.cpu_count()} CPUs, {threads} threads, medians of {options.repeats}\n")
    print_line(HEADER)
    print_line(("---",) * len(HEADER))
    for name in options.only:
        row = ROWS[name]
        size = row.quick if options.quick else row.size
        if name == "rl2" and options.images:
            size = options.images
        with tempfile.TemporaryDirectory() as folder:
            if row.images:
                write_images(Path(folder), *row.images(size))
            pair = compare(row, size, Path(folder), options.repeats)
        print_line(cells(row, size, pair))
        results[name] = {
            "work": row.title.format(f"{size:,}"),
            "size": size,
            "ours": vars(pair.ours),
            "theirs": vars(pair.theirs) if pair.theirs else None,
            "target": row.target,
            "met": row.met(pair) if size == row.size else None,
        }
        if options.json:
            options.json.write_text(json.dumps({**made, "rows": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
