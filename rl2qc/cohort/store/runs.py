"""The runs of a folder, each with what it was asked and what became of it, as ``run.json`` has
them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl2qc.images.sources.places import seen_from

__all__ = ["command_line", "with_run"]

# What the manifest said of its last run alone, before it had them all.
_OF_A_RUN = (
    *("command", "shard", "started", "seconds", "finished", "model", "settings", "versions"),
    "runtime",
)


def command_line(folder: Path, arguments: Sequence[str] | None = None) -> list[str]:
    """How this process was called, its files as they are seen from a folder.

    Examples
    --------
    >>> command_line(Path("/a/out"), ["/opt/bin/rl2qc", "filter", "/a/x.svs", "--out=/a/out"])
    ['rl2qc', 'filter', '../x.svs', '--out=.']
    """
    program, *given = sys.argv if arguments is None else arguments
    name = Path(program).name
    return ["rl2qc" if name == "__main__.py" else name, *(_shown(folder, a) for a in given)]


def _shown(folder: Path, argument: str) -> str:
    option, equals, value = argument.partition("=")
    if equals and option.startswith("--"):
        return f"{option}={_shown(folder, value)}"
    return seen_from(folder, argument) if Path(argument).is_absolute() else argument


def with_run(manifest: Mapping[str, Any], run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs of a manifest, with the present state of one of them.

    Parameters
    ----------
    manifest
        What it says by now; that of 0.1.0 tells its last run alone.
    run
        With "id", by which it is told from the others.

    Examples
    --------
    >>> old = {"started": "2026-01-01", "finished": True, "inputs": {}}
    >>> runs = with_run(old, {"id": "a", "finished": False})
    >>> with_run({"runs": runs}, {"id": "a", "finished": True})
    [{'started': '2026-01-01', 'finished': True}, {'id': 'a', 'finished': True}]
    """
    before = manifest.get("runs")
    if before is None:
        only = {name: manifest[name] for name in _OF_A_RUN if name in manifest}
        before = [only] if "started" in only else []
    kept = [dict(other) for other in before]
    for i, other in enumerate(kept):
        if other.get("id") == run["id"]:
            return [*kept[:i], dict(run), *kept[i + 1 :]]
    return [*kept, dict(run)]
