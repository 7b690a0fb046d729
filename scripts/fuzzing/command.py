"""The command of scripts that alter files, and what became of each."""

from __future__ import annotations

import argparse
import resource
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Outcome", "cap_memory", "run"]


@dataclass(frozen=True)
class Outcome:
    """What became of an altered file: "judged", "refused", "killed" or "wrong", and why."""

    what: str
    verdict: str
    why: str = ""


def cap_memory(gigabytes: float) -> None:
    """Bound what this process and its helpers may take beside what is taken by now."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = taken + int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def run(fuzz: Callable[[int, int], list[Outcome]], about: str | None, count: int) -> None:
    """The command of a script that alters files: says what went wrong, then counts."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="bound on memory")
    chosen = parser.parse_args()
    cap_memory(chosen.gigabytes)
    outcomes = fuzz(chosen.count, chosen.seed)
    for outcome in outcomes:
        if outcome.verdict in ("wrong", "killed"):
            print(f"{outcome.verdict.upper()} {outcome.what}: {outcome.why}")
    print(dict(Counter(outcome.verdict for outcome in outcomes)))
