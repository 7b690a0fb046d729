"""Time and size of the report of a large cohort, and of the page to review it on.

    python scripts/benchmark_report.py ../shared/data/slides/CMU-1-Small-Region.svs [--slides 1000]

A slide is filtered once, its result is copied under as many names, and both pages are written.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import rl2qc
from rl2qc.cohort.page import write_cohort_page
from rl2qc.cohort.store.record import RECORD


def copy_results(out: Path, slide: str, count: int) -> None:
    """Copy the result of ``slide`` until ``out`` holds ``count`` of them."""
    for i in range(count - 1):
        folder = out / f"copy_{i:04d}"
        shutil.copytree(out / slide, folder)
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        record["row"]["name"] = record["slide"]["name"] = folder.name
        (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")


def main() -> None:
    """Print seconds and the megabytes of each page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--slides", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        rl2qc.filter_cohort(options.slide, out, formats=("csv",), report=False)
        copy_results(out, options.slide.stem, options.slides)
        report = timed(lambda: write_cohort_page(out))
        sizes = [f"{p.name} {p.stat().st_size / 1e6:.1f} MB" for p in sorted(out.glob("*.html"))]
        print(f"{options.slides} slides: {report}, {', '.join(sizes)}")
        before = peak_mb()
        review = timed(lambda: rl2qc.review(out))
        page = (out / "review.html").stat().st_size / 1e6
        print(f"review: {review}, {page:.1f} MB, memory +{peak_mb() - before:.0f} MB")


def timed(work: Callable[[], object]) -> str:
    """What work takes, in words."""
    start, worked = time.perf_counter(), time.process_time()
    work()
    seconds, of_processor = time.perf_counter() - start, time.process_time() - worked
    return f"{seconds:.1f} s, of the processor {of_processor:.1f} s"


def peak_mb() -> float:
    """The most memory that was in use so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
