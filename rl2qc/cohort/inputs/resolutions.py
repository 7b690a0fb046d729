"""Which resolution a table gives for a slide, by any of its names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rl2qc.cohort.inputs.input import Input
from rl2qc.errors import UsageError
from rl2qc.slides.files import slide_name, slide_place
from rl2qc.slides.scenes import split_scene

__all__ = ["differ", "find_mpp", "unused"]


def differ(a: float, b: float) -> bool:
    """Whether two resolutions are not one that was rounded."""
    return abs(a / b - 1) > 1e-3


def _called(item: Input) -> tuple[str, ...]:
    """What a table may call a slide: by its place or by name."""
    path, place = item.path, slide_place(item.path)
    given = path if place == path else path.parent
    places = (str(path), str(given), str(place))
    names = (*places, item.name, path.name, place.name, slide_name(path), path.stem)
    file, scene = split_scene(path)
    # What is given for a file counts for every slide in it.
    return names if scene is None else (*names, str(file), file.name, slide_name(file), file.stem)


def find_mpp(table: Mapping[str, float], item: Input, source: object) -> float | None:
    """What a table gives for a slide, by any of its names.

    Raises
    ------
    UsageError
        Two resolutions for one slide.
    """
    given = {name: table[name] for name in _called(item) if name in table} if table else {}
    if not given:
        return None
    first, mpp = next(iter(given.items()))
    for name, other in given.items():
        if differ(mpp, other):
            raise UsageError(
                f"{source} gives {mpp:g} um/px for {first} and {other:g} for {name}, which are one "
                "slide: leave the line of the wrong one out"
            )
    return mpp


def unused(table: Mapping[str, float], inputs: Sequence[Input], source: object) -> list[str]:
    """A misspelt name in a table of resolutions must not go unnoticed."""
    known = {name for item in inputs for name in _called(item)}
    left = [name for name in table if name not in known]
    if not left:
        return []
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    return [f"{source} has a resolution for {left[0]}{more}, which is no slide of this run"]
