"""Pictures that rl2qc wrote itself: they show results, and are nobody's patches."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from PIL import Image

from rl2qc.core.files import read_json
from rl2qc.core.opening import open_file

__all__ = ["own_beside", "own_pictures"]

_RUN = "run.json"
_RECORD, _RECORD_KEYS = "record.json", {"key", "row", "slide", "files"}
_BENCHMARK = "benchmark.json"
# Rejected tiles are moved beside the folder of those that a record lists.
_ASIDE = {"tiles": "tiles_rejected"}


def own_pictures(place: str, names: Collection[str]) -> set[str]:
    """Files and folders that rl2qc wrote, by what lies in a folder beside them.

    The record of a result lists its files; beside a model lie its training curve and its review
    sheet, beside a benchmark its figures.

    Parameters
    ----------
    place
        The folder.
    names
        What is in it.

    Returns
    -------
    Paths, which need not be below the folder.

    Examples
    --------
    >>> own_pictures("set", ["a.png", "b.png"])
    set()
    """
    names = set(names)
    own: set[str] = set()
    if _RECORD in names:
        record = read_json(Path(place, _RECORD))
        if record.keys() >= _RECORD_KEYS and isinstance(record["files"], list):
            listed = {str(name) for name in record["files"]}
            listed |= {_ASIDE[name] for name in listed & _ASIDE.keys()}
            own |= {os.path.normpath(f"{place}/{name}") for name in listed}
    models = [name.removesuffix(".safetensors") for name in names if name.endswith(".safetensors")]
    pictures = {name for name in names if name.lower().endswith(".png")}
    for model in models:
        beside = {f"{model}.png"} & pictures
        own |= {f"{place}/{name}" for name in beside if _is_figure(place, name)}
    own |= {
        os.path.normpath(f"{place}/{name}")
        for name in pictures
        if name.removesuffix(".review.png") + ".review.csv" in names
        or any(name == f"{model}.{what}.png" for model in models for what in ("review", "curve"))
    }
    if _BENCHMARK in names:
        own |= {f"{place}/{name}" for name in pictures if _is_figure(place, name)}
    return {os.path.normpath(path) for path in own}


def own_beside(place: str) -> set[str]:
    """:func:`own_pictures` of a folder, and those in it that the results beside it list."""
    own = own_pictures(place, _names(place))
    above = os.path.normpath(f"{place}/..")
    if (Path(above) / _RUN).is_file():
        for name in _names(above):
            if (Path(above) / name / _RECORD).is_file():
                own |= own_pictures(f"{above}/{name}", {_RECORD})
    return own


def _names(place: str) -> list[str]:
    try:
        return [path.name for path in Path(place).iterdir()]
    except OSError:
        return []


def _is_figure(place: str, name: str) -> bool:
    """Whether a picture was drawn, as figures are: a photograph of the same name is the user's."""
    try:
        with open_file(Path(place, name)) as file, Image.open(file, formats=("PNG",)) as image:
            return str(image.info.get("Software", "")).startswith("Matplotlib")
    except (OSError, SyntaxError, ValueError):
        return False
