"""What it costs to read slides and images in a process that may die: CPU time of whole runs.

    python scripts/benchmark_isolation.py ../shared/data/slides/colorectal_ink_a.tiff --repeats 5

Each round runs ``rl2qc filter`` twice, with isolation and without, in turn which first; the ratio
is taken round by round. Counted is the CPU time of the run and all its processes, from the start of
Python to the report, so that what else the machine does matters little.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rl2qc.core.apart import ISOLATION_VARIABLE


def main() -> None:
    """Run, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", nargs="+", type=Path, help="slides, or folders of patches")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--options", default="", help='more of "rl2qc filter", in quotes')
    chosen = parser.parse_args()
    ratios, seconds = list[float](), dict[str, list[float]]({"on": [], "off": []})
    walls = dict[str, list[float]]({"on": [], "off": []})
    for number in range(chosen.repeats):
        for mode in ("on", "off") if number % 2 else ("off", "on"):
            cpu, wall = _run(chosen.inputs, chosen.options.split(), mode)
            seconds[mode].append(cpu)
            walls[mode].append(wall)
        ratios.append(seconds["on"][-1] / seconds["off"][-1])
        print(f"round {number + 1}: {ratios[-1]:.3f}", file=sys.stderr, flush=True)
    report = {
        "cpu_seconds": {
            mode: round(statistics.median(found), 2) for mode, found in seconds.items()
        },
        "wall_seconds": {mode: round(statistics.median(found), 2) for mode, found in walls.items()},
        "cpu_with_over_without": {
            "median": round(statistics.median(ratios), 3),
            "lowest": round(min(ratios), 3),
            "highest": round(max(ratios), 3),
        },
    }
    print(json.dumps(report, indent=2))


def _run(inputs: list[Path], options: list[str], mode: str) -> tuple[float, float]:
    """CPU and wall seconds of a run and of all processes that it had."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "rl2qc", "filter", *map(str, inputs), "--out", out]
        start = time.monotonic()
        process = subprocess.Popen(
            [*command, *options],
            env={**os.environ, ISOLATION_VARIABLE: mode},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        said = process.stderr.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        # 3: done, and a slide is flagged.
        if process.returncode not in (0, 3):
            raise SystemExit(f"the run failed: {said}")
        return used.ru_utime + used.ru_stime, time.monotonic() - start


if __name__ == "__main__":
    main()
