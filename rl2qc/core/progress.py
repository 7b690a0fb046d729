"""Progress with time left: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

__all__ = ["progress_bar"]

_SECONDS_IN_LOG = 30.0


def progress_bar(show: bool, title: str, items: Iterable[Any] | None = None, **options: Any) -> Any:
    """A tqdm bar on the standard error that leaves nothing behind, over ``items`` if given.

    Where that is no terminal, tqdm would fill the log with a line ten times a second.

    Example
    -------
    >>> list(progress_bar(False, "counting", range(3)))
    [0, 1, 2]
    """
    every = 0.1 if sys.stderr.isatty() else _SECONDS_IN_LOG
    return tqdm(items, desc=title, disable=not show, leave=False, mininterval=every, **options)
