"""What all kinds of lying files share: the verdict, odd values, and damage to any file."""

from __future__ import annotations

import json
import math
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rl2qc.errors import Rl2qcError

__all__ = ["VALUES", "Outcome", "alter_bytes", "alter_json", "alter_kind", "judged", "one_of"]

T = TypeVar("T")

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 10**18, 2**63, -(2**70), 1e308, -0.5, 2.0, math.nan, math.inf),
    *("", "x", "..", "../../x", "/etc/passwd", "\x00", "=1+1", "64", "a" * 5000, "\udce9"),
    *([], {}, [1], ["../../x"], [[[]]], {"a": {"b": None}}, [1, 2, 3, 4, 5], ["a", "a"]),
)
"""What fields of files are replaced by."""
# Seconds that reading one small file may take, and after which it is given up.
_PATIENCE, _HANGS = 60, 120


@dataclass(frozen=True)
class Outcome:
    """What became of one altered file: "refused", "harmless" or "wrong", and why."""

    kind: str
    what: str
    verdict: str
    why: str = ""


class _Hang(BaseException):
    """No error that a reader may take for one of the file's."""


@contextmanager
def _watched() -> Iterator[None]:
    """Nothing within waits without end, as for a pipe; where there are no alarms, it may."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def late(*_: object) -> None:
        raise _Hang

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(_HANGS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def one_of(rng: np.random.Generator, items: Any) -> Any:
    """One of some items, any of them as likely."""
    items = list(items)
    return items[int(rng.integers(len(items)))]


def judged(kind: str, what: str, read: Callable[[], str]) -> Outcome:
    """The verdict on one file.

    ``read`` reads it and says what is wrong with what it found, "" for nothing: a refusal is an
    error of rl2qc in one line, and any other error is wrong.
    """
    began = time.monotonic()
    try:
        with _watched():
            why = read()
        verdict = "wrong" if why else "harmless"
    except Rl2qcError as error:
        verdict, why = "refused", str(error)
        if "\n" in why or len(why) > 2000:
            verdict, why = "wrong", f"an error of {len(why)} letters: {why[:60]!r}"
    # What is foreign is what is looked for.
    except (Exception, _Hang) as error:
        verdict, why = "wrong", f"{type(error).__name__}: {str(error)[:200]}"
    if (seconds := time.monotonic() - began) > _PATIENCE:
        verdict, why = "wrong", f"it took {seconds:.0f} s"
    return Outcome(kind, what, verdict, why)


def alter_bytes(file: Path, rng: np.random.Generator) -> str:
    """Cut a file short, or change one of its bytes."""
    content = bytearray(file.read_bytes())
    if not content:
        return "it is empty as it was"
    at = int(rng.integers(len(content)))
    if rng.random() < 0.3:
        file.write_bytes(content[:at])
        return f"cut at {at} bytes"
    content[at] = int(rng.integers(256))
    file.write_bytes(content)
    return f"byte {at} is {content[at]}"


def alter_kind(file: Path, rng: np.random.Generator, away: Path) -> str:
    """Put something else in the place of a file; ``away`` is a free place outside."""
    choice: str = one_of(rng, ("gone", "a folder", "a link outside", "deep", "huge", "a pipe"))
    if choice == "a link outside":
        shutil.move(file, away)
        file.symlink_to(away)
        return choice
    file.unlink()
    if choice == "a folder":
        file.mkdir()
    elif choice == "a pipe":
        import os

        os.mkfifo(file)
    elif choice == "deep":
        file.write_text("[" * 200_000)
    elif choice == "huge":
        with file.open("wb") as opened:
            opened.truncate(2**31)
    return choice


def alter_json(content: Any, rng: np.random.Generator) -> str:
    """Change or remove one value in nested data; which, in words."""
    path, holder, key = one_of(rng, _places(content))
    if isinstance(holder, dict) and rng.random() < 0.15:
        del holder[key]
        return f"{path} is gone"
    holder[key] = one_of(rng, VALUES)
    return f"{path} = {json.dumps(holder[key])[:40]}"


def _places(content: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every place in nested data: its name, what holds it, and its key there."""
    items: Any = ()
    if isinstance(content, Mapping):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content)
    for key, value in list(items):
        yield f"{path}.{key}", content, key
        yield from _places(value, f"{path}.{key}")
