"""Whether results were made with the same model and settings, and what to do if not."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl2qc.filtering.exports import FORMATS

__all__ = ["advice", "changes", "differences", "generally"]

# What can be decided again from recorded scores.
_DECISION = {"alpha", "max_rejected", "method"}
# What may differ from input to input, or does not change results.
_OF_AN_INPUT = ("mpp_override", "coords", "batch_size", "num_workers")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two keys of results, for a person to read.

    Examples
    --------
    >>> old, new = ({"model": {"sha256": "a"}, "settings": {"alpha": a, "formats": ["csv"]}}
    ...             for a in (0.05, 0.01))
    >>> differences(old, new)
    ['alpha 0.05 -> 0.01']
    """
    changed = changes(old["settings"], new["settings"])
    # Formats that are there and no longer asked for do no harm.
    if not _added(old["settings"], new["settings"]):
        changed = [change for change in changed if not change.startswith("formats ")]
    if old["model"].get("sha256") != new["model"].get("sha256"):
        changed.insert(0, f"model {_model_name(old['model'])} -> {_model_name(new['model'])}")
    return changed


def generally(key: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """A key without what may differ from input to input: the resolution that is given for a slide,
    and which file its coordinates are in."""
    settings = {n: v for n, v in key["settings"].items() if n not in _OF_AN_INPUT}
    if kind == "slide":
        settings["coords"] = None if key["settings"].get("coords") is None else "given"
    return {**key, "settings": settings}


def advice(out: Path, old: Mapping[str, Any], new: Mapping[str, Any], changed: list[str]) -> str:
    """How to get from one setting to the other without reading a pixel, and "or "; "" if that
    cannot be."""
    names = {change.split(" ")[0] for change in changed}
    added = _added(old, new) if "formats" in names else []
    if not names <= {*_DECISION, "formats"} or any(FORMATS[n].sort is not None for n in added):
        return ""
    command = ["rl2qc", "decide", str(out)]
    options = _decision(new, names) if names & _DECISION else []
    if added:
        options += ["--format", ",".join(added)]
    done = f"{shlex.join([*command, *options])} does that from the recorded scores"
    if "method" in names and old.get("method"):
        back = shlex.join([*command, *_decision(old, names)])
        done += f" (and {back} brings the old decision back afterwards)"
    return f"{done}; or "


def _decision(settings: Mapping[str, Any], names: set[str]) -> list[str]:
    """The options that ask for the decision of ``settings``."""
    options = ["--alpha", str(settings["alpha"])]
    if settings.get("method"):
        options += ["--method", settings["method"]]
    if "max_rejected" in names:
        options += ["--max-rejected", str(settings["max_rejected"])]
    return options


def _added(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(set(new.get("formats", ())) - set(old.get("formats", ())))


def _model_name(model: Mapping[str, Any]) -> str:
    return f"{model.get('name')} ({str(model.get('sha256'))[:12]})"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two mappings, for a person to read.

    Examples
    --------
    >>> changes({"alpha": 0.05, "stride": None}, {"alpha": 0.01, "stride": None})
    ['alpha 0.05 -> 0.01']
    """
    return [
        f"{name} {_text(old.get(name))} -> {_text(new.get(name))}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def _text(value: Any) -> str:
    if value is None:
        return "default"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
