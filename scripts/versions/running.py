"""Run the steps in one version, one at a time, each once."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from versions.steps import Step

__all__ = ["Side", "run_steps"]

_SCRIPTS = Path(__file__).resolve().parents[1]
_READS = re.compile(r"\{(before|side)\}/(\w+/[\w-]+)")


@dataclass(frozen=True)
class Side:
    """One version and the folders of its run.

    Attributes
    ----------
    name
        "before" or "after".
    checkout
        Its source tree, which holds the package.
    folder, before
        Outputs of this version, and of the old one.
    inputs, data
    python
        The interpreter.
    threads
        Of every library: sums in another order differ in the last digit.
    """

    name: str
    checkout: Path
    folder: Path
    before: Path
    inputs: Path
    data: Path
    python: str = sys.executable
    threads: int = 2

    def fill(self, text: str, out: Path) -> str:
        """A text of a step with this version's folders."""
        folders = {"inputs": self.inputs, "data": self.data, "out": out, "side": self.folder}
        for name, path in {**folders, "before": self.before}.items():
            text = text.replace(f"{{{name}}}", str(path))
        return text

    def command(self, step: Step, out: Path) -> list[str]:
        """The command line of a step."""
        arguments = [self.fill(argument, out) for argument in step.arguments]
        if arguments[0] != "call":
            return [self.python, "-m", "rl2qc", *arguments]
        places = {"out": out, "inputs": self.inputs, "data": self.data, "before": self.before}
        given = [part for name, path in places.items() for part in (f"--{name}", str(path))]
        return [
            self.python,
            "-m",
            "versions.child",
            *arguments[1:],
            *given,
            "--side",
            str(self.folder),
        ]

    @property
    def environment(self) -> dict[str, str]:
        """This version first, its own feature cache, the weights of the inputs."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RL2QC_", "SLURM_"))}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(self.threads))
        cache = str(self.folder / "cache")
        path = os.pathsep.join(map(str, (self.checkout, _SCRIPTS)))
        places = {
            "PYTHONPATH": path,
            "RL2QC_CACHE": cache,
            "TORCH_HOME": str(self.inputs / "torch"),
        }
        return {**kept, **threads, **places}

    def check(self) -> None:
        """SystemExit unless the interpreter takes the package from this checkout."""
        code = "import rl2qc; print(rl2qc.__file__)"
        found = subprocess.run(
            [self.python, "-c", code],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if not found.stdout.startswith(f"{self.checkout}/"):
            raise SystemExit(
                f"{self.checkout} gives no rl2qc: {found.stdout.strip() or found.stderr[-500:]}"
            )


def run_steps(side: Side, steps: Sequence[Step], *, again: bool) -> None:
    """Run what was not run with the same arguments and threads before, and what reads outputs that
    are newer than its own; all of it if ``again``."""
    side.folder.mkdir(parents=True, exist_ok=True)
    todo: list[Step] = []
    for step in steps:
        anew = {(place, other.key) for other in todo for place in ("before", "side")}
        if again or not _is_done(side, step) or anew & set(_reads(step)):
            todo.append(step)
    if not todo:
        print(f"{side.name}: all {len(steps)} steps are there (--again runs them again)")
        return
    side.check()
    if again:
        shutil.rmtree(side.folder / "cache", ignore_errors=True)
    slowness = 1.0
    for number, step in enumerate(todo, start=1):
        left = todo[number - 1 :]
        of_part = sum(s.seconds for s in left if s.part == step.part)
        everything = sum(s.seconds for s in left)
        print(
            f"{side.name} {number}/{len(todo)}  {step.key}"
            f"  ({_time(slowness * of_part)} left of {step.part}, "
            f"{_time(slowness * everything)} in all)",
            flush=True,
        )
        took = _run(side, step)
        slowness = 0.7 * slowness + 0.3 * took / step.seconds


def _reads(step: Step) -> list[tuple[str, str]]:
    """The steps whose outputs a step reads: of "before" or of its own "side", and their keys."""
    return _READS.findall(" ".join([*step.arguments, step.copies]))


def _is_done(side: Side, step: Step) -> bool:
    """Whether a step was run like that, and after those whose outputs it reads."""
    done = _known(side.folder, step.key)
    if done is None or done["left_out"] or done["code"] < 0:
        return False
    if done["arguments"] != [*step.arguments, step.copies] or done.get("threads") != side.threads:
        return False
    folders = {"before": side.before, "side": side.folder}
    read = [_known(folders[place], key) for place, key in _reads(step)]
    return all(other is not None and other["ended"] <= done["started"] for other in read)


def _known(folder: Path, key: str) -> dict[str, Any] | None:
    """What is known of a step that was run."""
    marker = folder / "steps" / f"{key}.json"
    if not marker.exists():
        return None
    known: dict[str, Any] = json.loads(marker.read_text(encoding="utf-8"))
    return {"started": 0.0, "ended": 0.0, **known}


def _marker(side: Side, step: Step) -> Path:
    return side.folder / "steps" / step.part / f"{step.name}.json"


def _run(side: Side, step: Step) -> float:
    """Run one step; its seconds."""
    out, log = side.folder / step.key, side.folder / "logs" / f"{step.key}.txt"
    shutil.rmtree(out, ignore_errors=True)
    if step.needs and not Path(side.fill(step.needs, out)).expanduser().exists():
        print(f"    left out: no {side.fill(step.needs, out)}")
        _mark(side, step, {"left_out": True, "code": 0})
        return float(step.seconds)
    out.mkdir(parents=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    if step.copies:
        # Times stay, since they tell whether a file was written again.
        shutil.copytree(side.fill(step.copies, out), out / "results", copy_function=shutil.copy2)
    began, started, used = time.time(), time.monotonic(), _processor_seconds()
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(
            side.command(step, out),
            env=side.environment,
            cwd=side.folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    took, used = time.monotonic() - started, _processor_seconds() - used
    if done.returncode not in step.codes:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        print(f"    exit code {done.returncode}: {' / '.join(said[-3:])[-400:]}\n    {log}")
    about = {
        "left_out": False,
        "code": done.returncode,
        "threads": side.threads,
        "started": began,
        "ended": time.time(),
        "seconds": round(took, 1),
        "processor_seconds": round(used, 1),
    }
    _mark(side, step, about)
    return took


def _mark(side: Side, step: Step, about: dict[str, Any]) -> None:
    marker = _marker(side, step)
    marker.parent.mkdir(parents=True, exist_ok=True)
    content = {"arguments": [*step.arguments, step.copies], **about}
    marker.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
