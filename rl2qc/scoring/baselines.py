"""The floor of every score: real against real, and where the generated set stands."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics.frechet import rank_warnings
from rl2qc.scoring.copies import authenticity_null
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.rows import Stack
from rl2qc.scoring.scorecard import Metric
from rl2qc.scoring.settings import ScoreSettings, resamples_of
from rl2qc.scoring.values import Value
from rl2qc.stats.baseline import Null, null_distribution

__all__ = ["Floors", "against_null", "beside", "r_fid_of_floors"]


def r_fid_of_floors(floors: Floors, stack: Stack, settings: ScoreSettings) -> Value:
    """The floor of FID over FID at the numbers of images that the floor has."""
    try:
        null, _ = floors("fid", stack)
    except ValueError as error:
        return Value(math.nan, note=str(error))
    if not null.observed:
        return Value(math.nan, note="undefined: the generated images equal the real ones")
    assert stack.features is not None
    smallest, dimension = min(null.n_real, null.n_generated), stack.features.features.shape[1]
    note = f"median of {resamples_of('fid', settings)} splits"
    return Value(
        null.floor / null.observed,
        null.n_real,
        null.n_generated,
        "; ".join((note, *rank_warnings(smallest, dimension))),
    )


def against_null(
    name: str, row: Metric, stack: Stack, floors: Floors, settings: ScoreSettings
) -> tuple[Metric, NDArray[np.float64]]:
    """A row with its floor and its place among real-against-real values, and those values."""
    if name == "authenticity":
        null, values = floors.of_authenticity(row.value)
    else:
        null, values = floors("fid" if name == "r_fid" else name, stack)
    if name == "r_fid":
        # The floor of FID over each of its real-against-real values: 1 by definition.
        values = null.floor / np.maximum(values, np.finfo(float).tiny)
        low, high = np.quantile(values, [(1 - settings.level) / 2, (1 + settings.level) / 2])
        null = replace(
            null,
            floor=1.0,
            low=float(low),
            high=float(high),
            observed=row.value,
            percentile=100 - null.percentile,
        )
    return beside(row, null), values


def beside(row: Metric, null: Null) -> Metric:
    """A row with its floor."""
    return replace(
        row,
        floor=null.floor,
        floor_low=null.low,
        floor_high=null.high,
        observed=null.observed,
        null_percentile=null.percentile,
        null_n_real=null.n_real,
        null_n_generated=null.n_generated,
    )


class Floors:
    """Real-against-real nulls and the values behind them; FID's serves its ratio as well."""

    def __init__(
        self, settings: ScoreSettings, pair: tuple[ImageSet, ImageSet], held_out: ImageSet | None
    ) -> None:
        self._settings, self._pair, self._held_out = settings, pair, held_out
        self._known: dict[str, tuple[Null, NDArray[np.float64]]] = {}

    def __call__(self, name: str, stack: Stack) -> tuple[Null, NDArray[np.float64]]:
        if name not in self._known:
            self._known[name] = self._make(name, stack)
        return self._known[name]

    def of_authenticity(self, observed: float) -> tuple[Null, NDArray[np.float64]]:
        """Of whole sets: a half would lack half of the originals of copies."""
        return authenticity_null(*self._pair, self._held_out, observed, self._settings)

    def _make(self, name: str, stack: Stack) -> tuple[Null, NDArray[np.float64]]:
        if name == "nearer_train":
            return self._shuffled(stack)
        seen: list[float] = []

        def metric(real: NDArray[np.intp], candidates: NDArray[np.intp]) -> float:
            seen.append(stack.metrics[name](real, candidates))
            return seen[-1]

        null = null_distribution(
            metric,
            *stack.rows,
            real_groups=stack.groups[0],
            generated_groups=stack.groups[1],
            n_resamples=resamples_of(name, self._settings),
            level=self._settings.level,
            seed=self._settings.seed,
        )
        # Real-against-real and real-against-generated values take turns.
        return null, np.array(seen[::2])

    def _shuffled(self, stack: Stack) -> tuple[Null, NDArray[np.float64]]:
        """Halves of the real set would hide half of the copies: held-out images serve instead."""
        assert stack.features is not None
        n, level = resamples_of("nearer_train", self._settings), self._settings.level
        real, generated = stack.rows
        values = stack.features.nearer_train_null(real, generated, n)
        observed = stack.features.nearer_train(real, generated)
        below = np.mean((values < observed) + 0.5 * (values == observed))
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        null = Null(
            floor=float(np.median(values)),
            low=float(low),
            high=float(high),
            percentile=100 * float(below),
            observed=observed,
            n_real=len(real),
            n_generated=len(generated),
            level=level,
            n_resamples=n,
            by_group=stack.groups[0] is not None,
        )
        return null, values
