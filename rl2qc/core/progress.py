"""Progress with time left: a bar in a terminal, a line now and then in a log, or a function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias

from tqdm import tqdm

__all__ = ["Progress", "Step", "progress_bar", "track"]

_SECONDS_IN_LOG = 30.0

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with what is done, how much there is, and what it is: (3, 20, "resampling")."""


def progress_bar(show: bool, title: str, items: Iterable[Any] | None = None, **options: Any) -> Any:
    """A tqdm bar on the standard error that leaves nothing behind, over ``items`` if given.

    Where that is no terminal, tqdm would fill the log with a line ten times a second.

    Examples
    --------
    >>> list(progress_bar(False, "counting", range(3)))
    [0, 1, 2]
    """
    every = 0.1 if sys.stderr.isatty() else _SECONDS_IN_LOG
    return tqdm(items, desc=title, disable=not show, leave=False, mininterval=every, **options)


class Step(Protocol):
    """What :func:`track` hands out."""

    def __call__(self, more: int = 1, what: str | None = None) -> object:
        """``more`` is done; from now on ``what`` is."""


@contextmanager
def track(progress: bool | Progress, what: str, total: int) -> Iterator[Step]:
    """A function to be called with how much more is done, and with what comes next.

    Parameters
    ----------
    progress
        True shows a bar, False nothing; a function is called with (done, total, what).
    what, total
        What is done, and how much of it there is.

    Examples
    --------
    >>> seen = []
    >>> with track(lambda done, total, what: seen.append((done, total, what)), "cuts", 2) as step:
    ...     step(1)
    ...     step(1, "glue")
    >>> seen
    [(0, 2, 'cuts'), (1, 2, 'cuts'), (2, 2, 'glue')]
    """
    if callable(progress):
        done, now = 0, what
        progress(0, total, what)

        def report(more: int = 1, what: str | None = None) -> None:
            nonlocal done, now
            done, now = done + more, what or now
            progress(done, total, now)

        yield report
    else:
        with progress_bar(progress, what, total=total) as bar:

            def show(more: int = 1, what: str | None = None) -> None:
                if what is not None:
                    # In a log each would be a line of its own.
                    bar.set_description(what, refresh=sys.stderr.isatty())
                bar.update(more)

            yield show
