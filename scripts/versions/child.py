"""Python calls that give the command line's numbers, for a version that PYTHONPATH names.

Run as a program of its own by scripts/compare_versions.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from versions import child_calls, child_faults
from versions.child_tools import Places

JOBS: dict[str, Callable[[Places], None]] = {
    "fit": child_calls.fit,
    "models": child_calls.models,
    "tables": child_calls.tables,
    "cards": child_calls.cards,
    "metrics": child_calls.metrics,
    "kept": child_calls.kept,
    "calls": child_calls.calls,
    "resume-slides": child_faults.resume,
    "resume-patches": child_faults.resume,
    "fit-copies": child_faults.fit_copies,
    "hidden": child_faults.hidden,
    "small": child_faults.small,
    "pixels": child_faults.coords_pixels,
}


def main() -> None:
    """Do one job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=JOBS)
    for name in ("out", "inputs", "data", "before", "side"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--old", type=Path)
    given = vars(parser.parse_args())
    job = given.pop("job")
    JOBS[job](Places(**given))


if __name__ == "__main__":
    main()
