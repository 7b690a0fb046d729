"""What the map of damage costs: a whole filter run with the general model's head, and without.

    python scripts/benchmark_head.py ../shared/data/slides/colorectal_ink_a.tiff

Both runs are those of one commit, each in a process of its own, in turn: CPU seconds (user and
system, of the process and its children) and the most memory that it held. Without the head the
flow's likelihood decides in its place; reading, tissue, records and exports are the same. Ratios
are taken pair by pair; the median is printed with its range.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from rl2qc.cohort.filter import filter_cohort
from rl2qc.model.quality import QualityModel

MIB = 1024.0


class Headless(QualityModel):
    """A general model that leaves its map aside."""

    @property
    def filter_score(self) -> str:
        return "log_likelihood"

    @property
    def prior(self) -> None:
        return None

    @property
    def adapts(self) -> bool:
        return False


def run_once(slide: Path, model: str, head: bool) -> dict[str, float]:
    """CPU seconds and peak memory (MiB) of this process, which filters the slide."""
    loaded = QualityModel.load(model)
    if not head:
        loaded.__class__ = Headless
        loaded.extractor.head = None
    with tempfile.TemporaryDirectory() as folder:
        (row,) = filter_cohort(slide, folder, loaded, report=False).rows
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "tiles": row.tiles,
        "cpu": sum(u.ru_utime + u.ru_stime for u in used),
        "memory": max(u.ru_maxrss for u in used) / MIB,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", default="general")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--once", choices=["head", "none"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(run_once(options.slide, options.model, options.once == "head")))
        return
    pairs = []
    for repeat in range(options.repeats):
        pair = {}
        # Neither always comes first.
        for which in ("head", "none") if repeat % 2 else ("none", "head"):
            command = [sys.executable, __file__, str(options.slide), "--model", options.model]
            done = subprocess.run(
                [*command, "--once", which], check=True, capture_output=True, text=True
            )
            pair[which] = json.loads(done.stdout.splitlines()[-1])
        pairs.append(pair)
        print(pair, flush=True)
    cpu = [pair["head"]["cpu"] / pair["none"]["cpu"] for pair in pairs]
    more = [pair["head"]["memory"] - pair["none"]["memory"] for pair in pairs]
    print(f"{int(pairs[0]['head']['tiles'])} tiles, {len(pairs)} pairs")
    print(f"CPU time, with / without: {median(cpu):.3f} ({min(cpu):.3f} to {max(cpu):.3f})")
    print(f"memory, more: {median(more):.0f} MiB ({min(more):.0f} to {max(more):.0f})")


if __name__ == "__main__":
    main()
