"""Time and size of the report of a large cohort.

    python scripts/benchmark_report.py ../shared/data/slides/CMU-1-Small-Region.svs [--slides 1000]

A slide is filtered once, its result is copied under as many names, and the report is written.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
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
        start, worked = time.perf_counter(), time.process_time()
        write_cohort_page(out)
        seconds = time.perf_counter() - start
        worked = time.process_time() - worked
        sizes = [f"{p.name} {p.stat().st_size / 1e6:.1f} MB" for p in sorted(out.glob("*.html"))]
        print(
            f"{options.slides} slides: {seconds:.1f} s, of the processor {worked:.1f} s, "
            f"{', '.join(sizes)}"
        )


if __name__ == "__main__":
    main()
