"""Training steps in the names of sets: only where a word says that the number is one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["training_steps"]

_WORDS = r"(?:epochs?|ep|steps?|iterations?|iters?|itr|it|checkpoints?|ckpts?|snapshots?|kimgs?)"
_GAP, _NUMBER = r"[\s_.=-]*", r"\d+(?:\.\d+)?[km]?"
# A word and its number, in either order: epoch_10, step=2000, 200kimg, 10k-steps; network-snapshot
# of StyleGAN has the word first. Letters beside them would make other words: "item3", "unit2".
_STEP = re.compile(
    rf"(?<![a-z])(?:{_WORDS}{_GAP}(?P<after>{_NUMBER})(?![a-z\d])"
    rf"|(?<![\d.])(?P<before>{_NUMBER}){_GAP}{_WORDS}(?![a-z]))",
    re.IGNORECASE,
)
_TIMES = {"k": 1_000, "m": 1_000_000}


def training_steps(titles: Sequence[str]) -> list[int] | None:
    """The training steps that names state, where all do and they rise; else None.

    Of several in one name (``epoch=3-step=900``) the last counts. A mere number is no step:
    ``g0``, ``seed_1`` and ``gan2`` are generators.

    Examples
    --------
    >>> training_steps(["epoch_10", "epoch_20", "epoch_40"])
    [10, 20, 40]
    >>> training_steps(["g0", "g2", "g3"]) is None
    True
    """
    found = [_STEP.findall(title) for title in titles]
    stems = {_STEP.sub("", title).casefold() for title in titles}
    if len(titles) < 3 or not all(found) or len(stems) > 1:
        return None
    steps = [_number(*matches[-1]) for matches in found]
    return steps if all(a < b for a, b in pairwise(steps)) else None


def _number(after: str, before: str) -> int:
    text = (after or before).lower()
    times = _TIMES.get(text[-1], 1)
    return round(float(text.rstrip("km")) * times)
