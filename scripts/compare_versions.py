"""Prove that a change of the code leaves the numbers alone: run two checkouts, compare all outputs.

    python scripts/compare_versions.py --before OLD --after NEW --out WORK
    python scripts/compare_versions.py --after NEW --out WORK --outputs WORK_OF_ANOTHER
    python scripts/compare_versions.py --after NEW --out WORK --only score,compare

Both versions train, filter, decide, score, compare and benchmark the same shared images by the
command line, and do the same through Python; then values, p-values, intervals, baselines, verdict
directions, kept flags, reasons, tensors and pictures are compared one by one. Times, versions,
places and text are not. Renamed keys, words and what is meant to differ stand in versions/names.py,
what is run in versions/steps.py.

Both must run with the same --threads: sums in another order differ in the last digits, and what is
trained on them in more. The old version's outputs are kept: steps that WORK/before holds are not
run again without --again, but where threads or what they read have changed. --outputs takes them
from another WORK. The new version's are made anew (--keep compares what is there). All of it takes
about 20 minutes of one core a version; --only quick takes three, without train and benchmark.

The exit code is 1 if anything differs by more than the tolerance and is not listed as intended.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from versions.comparing import compare, compare_becomes, print_groups, print_listed
from versions.inputs import make_inputs
from versions.names import canonical
from versions.reading import Arrays, read_outputs, texts_of
from versions.running import Side, run_steps
from versions.steps import PARTS, QUICK, STEPS, Step


def main() -> int:
    """Run, compare, print; the exit code."""
    given = _arguments()
    wanted = {*given.only, *(QUICK if "quick" in given.only else ())}
    steps = [step for step in STEPS if {step.part, step.key} & wanted]
    if not steps:
        raise SystemExit(f"--only names no part or step: choose from {', '.join(PARTS)}, quick")
    work, old = given.out.resolve(), (given.outputs or given.out).resolve()
    places: dict[str, Any] = {
        "before": old / "before",
        "inputs": old / "inputs",
        "data": given.data.resolve(),
        "threads": given.threads,
    }
    if given.before is not None:
        make_inputs(places["data"], places["inputs"])
        before = Side("before", given.before.resolve(), old / "before", **places)
        run_steps(before, steps, again=given.again)
    elif not (old / "before/steps").is_dir():
        raise SystemExit(f"{old} holds no outputs of an old version: name its checkout, --before")
    if given.after is None:
        return 0
    after = Side("after", given.after.resolve(), work / given.name, **places)
    run_steps(after, steps, again=not given.keep)
    return _report(old / "before", after.folder, steps, given)


def _arguments() -> argparse.Namespace:
    about, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, help="checkout of the old version")
    parser.add_argument("--after", type=Path, help="checkout of the new version")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="shared images")
    parser.add_argument("--out", type=Path, required=True, help="folder for inputs and outputs")
    parser.add_argument("--outputs", type=Path, help="an --out that holds the old outputs")
    parser.add_argument("--name", default="after", help="folder of the new outputs in --out")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=list(PARTS),
        help=f"parts or steps (score/plain): {','.join(PARTS)}; or quick",
    )
    parser.add_argument("--again", action="store_true", help="run the old version again as well")
    parser.add_argument("--keep", action="store_true", help="keep the new outputs that are there")
    parser.add_argument("--tolerance", type=float, default=1e-6, help="relative (default: 1e-6)")
    parser.add_argument("--threads", type=int, default=2, help="of every library (default: 2)")
    parser.add_argument("--most", type=int, default=40, help="differences to list (default: 40)")
    parser.add_argument(
        "--texts", action="store_true", help="also show verdicts whose words changed"
    )
    return parser.parse_args()


def _report(before: Path, after: Path, steps: Sequence[Step], given: argparse.Namespace) -> int:
    old, new = _outputs(before, steps), _outputs(after, steps)
    left_out = [s.key for s in steps if _state(before, s) is None or _state(after, s) is None]
    for key in left_out:
        _drop(old, key)
        _drop(new, key)
    groups = compare(old, new, given.tolerance)
    if any(step.part == "faults" for step in steps):
        groups |= compare_becomes(old, new, given.tolerance)
    print()
    print_groups(groups)
    if left_out:
        print(f"\nnot compared: {', '.join(left_out)}")
    if given.texts:
        _print_texts(before, after, steps)
    print_listed(groups.values(), given.most)
    failed = sum(len(group.unintended) for group in groups.values())
    numbers = sum(group.numbers for group in groups.values())
    print(
        f"\n{numbers} numbers, tolerance {given.tolerance:g}: "
        + (f"{failed} keys differ" if failed else "the same")
    )
    return 1 if failed else 0


def _outputs(folder: Path, steps: Sequence[Step]) -> Arrays:
    found: Arrays = {}
    for step in steps:
        if (folder / step.key).is_dir():
            found |= read_outputs(folder / step.key, step.key)
        state = _state(folder, step)
        if state is not None:
            right = state["code"] in step.codes
            found[canonical(f"{step.key}/exit")] = np.array(0 if right else state["code"])
    return found


def _state(folder: Path, step: Step) -> dict[str, Any] | None:
    """What is known of a step that was run; None where it was not."""
    try:
        state: dict[str, Any] = json.loads((folder / "steps" / f"{step.key}.json").read_text())
    except FileNotFoundError:
        return None
    return None if state["left_out"] else state


def _drop(arrays: Arrays, key: str) -> None:
    for name in [name for name in arrays if name.startswith(canonical(key) + "/")]:
        del arrays[name]


def _print_texts(before: Path, after: Path, steps: Sequence[Step]) -> None:
    for step in steps:
        old, new = (texts_of(folder / step.key, step.key) for folder in (before, after))
        for key in old.keys() & new.keys():
            if old[key] != new[key]:
                print(f"  {key}: {old[key]!r} -> {new[key]!r}")


if __name__ == "__main__":
    raise SystemExit(main())
