"""Scores at every so many steps of a training loop that one writes oneself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rl2qc.core.files import write_csv
from rl2qc.core.settings import Interval
from rl2qc.errors import UsageError
from rl2qc.scoring.scorecard import Scorecard
from rl2qc.scoring.streaming import ImageSetScorer

__all__ = ["ScoreEvery", "scalars"]


class ScoreEvery:
    """A callback for a plain loop: call it with the step, and every so often it scores.

    Parameters
    ----------
    scorer
        The real set and the metrics.
    images
        What gives the generated images: a function ``generate(n)``, a DataLoader, anything that
        :meth:`ImageSetScorer.update_all` takes. A generator is used up after one score.
    n
        How many images to take.
    every
        Steps between scores.
    log
        Called with (name, value, step) for each number: ``SummaryWriter().add_scalar`` will do.
    on_card
        Called with (card, step), to write pages, say.

    Attributes
    ----------
    history : dict of Scorecard
        The cards by step, without their pictures.

    Raises
    ------
    UsageError
        ``every`` below 1.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> real = rng.integers(0, 256, (12, 64, 64, 3), np.uint8)
    >>> scores = ScoreEvery(
    ...     ImageSetScorer(real, metrics=["swd"], n_resamples=0, values="[0, 1]"),
    ...     lambda n: rng.random((n, 3, 64, 64)), n=8, every=2)
    >>> [scores(step) is not None for step in range(1, 5)], sorted(scores.history)
    ([False, True, False, True], [2, 4])
    """

    def __init__(
        self,
        scorer: ImageSetScorer,
        images: Any,
        n: int | None = None,
        *,
        every: int = 1,
        log: Callable[[str, float, int], object] | None = None,
        on_card: Callable[[Scorecard, int], object] | None = None,
    ) -> None:
        if every not in Interval(1):
            raise UsageError(f"every must be at least 1, got {every}")
        self.scorer, self.images, self.n, self.every = scorer, images, n, every
        self.log, self.on_card = log, on_card
        self.history: dict[int, Scorecard] = {}

    def __call__(self, step: int) -> Scorecard | None:
        """The card of this step, or None where it is none of its turns."""
        if step % self.every:
            return None
        self.scorer.reset()
        self.scorer.update_all(self.images, self.n)
        card = self.scorer.compute()
        # Without the images of every step in memory.
        self.scorer.reset()
        self.history[step] = replace(card, evidence=None)
        if self.log is not None:
            for name, value in scalars(card).items():
                self.log(name, value, step)
        if self.on_card is not None:
            self.on_card(card, step)
        return card

    def to_csv(self, path: str | Path) -> None:
        """Write a line a step and metric to ``path``, whole or not at all."""
        rows = [
            {"step": step, **row} for step, card in self.history.items() for row in card.csv_rows()
        ]
        header = list(rows[0]) if rows else ["step", "metric"]
        write_csv(Path(path), header, ([row[name] for name in header] for row in rows))


def scalars(card: Scorecard, prefix: str = "rl2qc/") -> Mapping[str, float]:
    """The numbers of a card by name, with the ends of their intervals where there are any.

    Examples
    --------
    >>> import numpy as np
    >>> import rl2qc
    >>> images = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), dtype=np.uint8)
    >>> card = rl2qc.score(images[:12], images[12:], metrics=["swd"], n_resamples=0)
    >>> list(scalars(card))
    ['rl2qc/swd']
    """
    found = {}
    for name, row in card.metrics.items():
        for suffix, value in (("", row.value), ("/low", row.low), ("/high", row.high)):
            if not math.isnan(value):
                found[f"{prefix}{name}{suffix}"] = value
    return found
