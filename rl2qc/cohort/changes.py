"""Whether results were made with the same model and settings, and what to do if not.

Which settings count is told by their phases (:mod:`rl2qc.filtering.settings`). A record that lacks
one holds the value of its day: an option that came later locks nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rl2qc.cohort.settings import DecideSettings
from rl2qc.filtering.exports.registry import FORMATS
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.tissue import rule_of

__all__ = ["advice", "changes", "differences", "generally", "is_asked", "settings_of"]


def settings_of(key: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a key of any day, complete, and without what no result depends on."""
    known = FilterSettings.complete(key["settings"])
    return {n: value for n, value in known.items() if n not in FilterSettings.names("speed")}


def is_asked(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether the results of a slide depend on an option at all: on tiles at the edges of a grid,
    or on how imported ones are looked at.

    Examples
    --------
    >>> is_asked("edges", {"coords": "a.h5"}), is_asked("covering", {"coords": "a.h5"})
    (False, True)
    """
    given = settings.get("coords") is not None
    return {"edges": not given, "covering": given}.get(name, True)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two keys of results, for a person to read.

    Examples
    --------
    >>> old, new = ({"model": {"sha256": "a"}, "settings": {"alpha": a, "formats": ["csv"]}}
    ...             for a in (0.05, 0.01))
    >>> differences(old, new)
    ['alpha 0.05 -> 0.01']
    """
    before, after = settings_of(old), settings_of(new)
    changed = changes(before, after)
    # Formats that are there and no longer asked for do no harm.
    if not _added(before, after):
        changed = [change for change in changed if not change.startswith("formats ")]
    if old["model"].get("sha256") != new["model"].get("sha256"):
        changed.insert(0, f"model {_model_name(old['model'])} -> {_model_name(new['model'])}")
    return changed


def generally(key: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """A key without what may differ from input to input; of slides, whether they have coordinates
    and masks of their own at all stays."""
    known = settings_of(key)
    own = FilterSettings.names(per_input=True)
    settings = {name: value for name, value in known.items() if name not in own}
    if kind == "slide":
        settings["coords"] = None if known.get("coords") is None else "given"
        settings["tissue_mask"] = rule_of(known["tissue_mask"])
    return {"model": key["model"], "settings": settings}


def advice(
    out: Path, old: Mapping[str, Any], new: Mapping[str, Any], changed: Iterable[str]
) -> str:
    """How to go on without reading a pixel again, and "or "; "" if that cannot be."""
    if old["model"].get("sha256") != new["model"].get("sha256"):
        own = old["model"].get("name")
        if own == new["model"].get("name"):
            # The shipped model was another before.
            return f"{shlex.join(['rl2qc', 'decide', str(out)])} decides anew on what is there, "
        # The default model was another before.
        return f"pass --model {own} to go on with theirs, "
    before, after = settings_of(old), settings_of(new)
    names = {change.split(" ")[0] for change in changed}
    if later := _as_before(before, names):
        return f"pass {later} to go on as these were made, "
    decision = names & set(FilterSettings.names("decision"))
    added = _added(before, after) if "formats" in names else []
    if names - decision - {"formats"} or any(FORMATS.get(n).sort is not None for n in added):
        return ""
    command = ["rl2qc", "decide", str(out)]
    options = _decision(after, decision) if decision else []
    if added:
        options += ["--format", ",".join(added)]
    done = f"{shlex.join([*command, *options])} does that from the recorded scores"
    if "method" in decision:
        back = shlex.join([*command, *_decision(before, decision)])
        done += f" (and {back} brings the old decision back afterwards)"
    return f"{done}; or "


def _as_before(settings: Mapping[str, Any], changed: set[str]) -> str:
    """The options that ask for what results of before hold, if that is all that differs."""
    was, usual = FilterSettings.complete({}), FilterSettings().record()
    later = [
        name
        for name in FilterSettings.names("pixels")
        if name in changed and settings[name] == was[name] != usual[name]
    ]
    options = [f"--{name.replace('_', '-')} {was[name]}" for name in later]
    return " ".join(options) if set(later) == changed else ""


def _decision(settings: Mapping[str, Any], changed: set[str]) -> list[str]:
    """The options of ``rl2qc decide`` that ask for the decision of ``settings``."""
    usual = DecideSettings()
    options = ["--alpha", str(settings["alpha"])]
    for name in FilterSettings.names("decision"):
        value = settings[name]
        if name != "alpha" and name in changed and value != getattr(usual, name):
            options += [f"--{name.replace('_', '-')}", str(value)]
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
