"""Files that belong to one slide of many: where its tiles lie, where its tissue is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from rl2qc.cohort.inputs.input import Input
from rl2qc.errors import UsageError
from rl2qc.filtering.tissue import RULES, mask_names
from rl2qc.images.tissue_masks import look_up_mask
from rl2qc.slides.coords import look_up_coords, read_coords
from rl2qc.slides.files import named_file

__all__ = ["match_coords", "match_masks"]


def match_coords(place: str | Path | None, inputs: Sequence[Input]) -> list[Input]:
    """The inputs, each slide with its file in the folder ``place``, before any work is done.

    A file goes by the slide's name in the output or by its own. That there is none is for the
    slide to fail with.

    Raises
    ------
    UsageError
        Coordinates of one slide for several, or no coordinates at all.
    """
    if place is None:
        return list(inputs)
    place = Path(place)
    if not place.is_dir():
        read_coords(place)
        _check_alone(inputs, f"--coords {place} holds the tiles of one slide")
        return list(inputs)

    def look_up(item: Input) -> Path | None:
        return look_up_coords(place, item.name, item.own_name)

    return _matched(inputs, look_up, "coords", "_patches.h5")


def match_masks(place: str | Path | None, inputs: Sequence[Input]) -> list[Input]:
    """The inputs, each slide with its mask in the folder ``place``, before any work is done.

    A mask goes by the slide's name in the output or by its own. That there is none is for the
    slide to fail with.

    Raises
    ------
    UsageError
        The mask of one slide for several, several for one, or no such mask nor folder.
    """
    if place is None or str(place) in RULES:
        return list(inputs)
    place = Path(place)
    if not place.is_dir():
        if not place.exists():
            words = ", ".join(RULES)
            raise UsageError(f"no such mask of tissue: {place} (nor one of the words {words})")
        _check_alone(inputs, f"--tissue-mask {place} is the mask of one slide")
        return list(inputs)

    def look_up(item: Input) -> Path | None:
        # The results of a run hold masks by the slide's name in it.
        own = [item.name, named_file(item.name, item.path)]
        return look_up_mask(place, own) or look_up_mask(place, mask_names(item.path))

    return _matched(inputs, look_up, "mask", ".png")


def _check_alone(inputs: Sequence[Input], what: str) -> None:
    count = sum(item.kind == "slide" for item in inputs)
    if count > 1:
        raise UsageError(f"{what} and there are {count}: name the folder of their files")


def _matched(
    inputs: Sequence[Input],
    look_up: Callable[[Input], Path | None],
    field: Literal["coords", "mask"],
    ending: str,
) -> list[Input]:
    """The inputs with the files that are found for them; UsageError for one of two slides."""
    matched, taken = [], dict[Path, Input]()
    for item in inputs:
        file = look_up(item) if item.kind == "slide" else None
        if file is not None and (other := taken.setdefault(file, item)) is not item:
            raise UsageError(
                f"{file} may be of {other.path} or of {item.path}: call their files "
                f"{other.name}{ending} and {item.name}{ending}"
            )
        known: dict[str, Path | None] = {field: file}
        matched.append(replace(item, **known))  # type: ignore[arg-type]
    return matched
