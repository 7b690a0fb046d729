"""Image sets stacked for resampling: every metric as a function of row numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics.matrices import Matrices, Rows
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import MetricSpec

__all__ = ["RESAMPLED_AT_MOST", "Resampled", "RowMetric", "Stack", "Stacks"]

RowMetric: TypeAlias = Callable[[Rows, Rows], float]
"""A metric of (real, generated) row numbers of a stack."""
# Images of a set that resamples draw from: their distance matrix is held in memory.
RESAMPLED_AT_MOST = 1000


@dataclass(frozen=True, eq=False)
class Resampled:
    """A metric, the sets as it looks at them, and it as a function of row numbers.

    Attributes
    ----------
    spec
        The metric.
    sets
        The whole sets, the real one first; of pixels, those images that were read.
    stack
        The images that resamples draw from.
    rows, groups
        Numbers of these images by set, and their slides or patients (or None).
    metric
        Called with row numbers of real and of generated images.
    n_resamples
        How often it is resampled.
    settings
    """

    spec: MetricSpec
    sets: tuple[ImageSet, ...]
    stack: Stack
    rows: tuple[Rows, ...]
    groups: tuple[NDArray[np.str_] | None, ...]
    metric: RowMetric
    n_resamples: int
    settings: ScoreSettings


class Stacks:
    """The sets of a card or a comparison, stacked for resampling.

    Attributes
    ----------
    sets
        The real set, then the generated ones.
    settings
    most
        Images of a set that resamples draw from.
    """

    def __init__(self, sets: Sequence[ImageSet], settings: ScoreSettings) -> None:
        self.sets, self.settings, self.most = tuple(sets), settings, RESAMPLED_AT_MOST

    def of(self, spec: MetricSpec) -> Resampled:
        """A metric with all that it is computed and resampled by."""
        of_pixels = "pixels" in spec.needs
        stack = self.of_pixels if of_pixels else self.of_features
        if self.settings.n_resamples and spec.rows is not None and not of_pixels:
            # Here, where threads may help: resampling itself is done by one. What cannot be made is
            # said when it is asked for.
            with suppress(ValueError):
                stack.matrices(spec).prepare()
        return Resampled(
            spec,
            stack.sets if of_pixels else self.sets,
            stack,
            stack.rows,
            tuple(s.groups for s in stack.sets),
            stack.metric(spec),
            spec.resamples(self.settings.n_resamples),
            self.settings,
        )

    @cached_property
    def of_features(self) -> Stack:
        """At most 1,000 images of each set."""
        seed = self.settings.seed
        drawn = [s.sample(self.most, seed) for s in self.sets]
        sets, images = zip(*drawn, strict=True)
        return Stack(sets, images, self.settings)

    @cached_property
    def of_pixels(self) -> Stack:
        """A bounded number of images of each set, each read once."""
        drawn = [s.sample_pixels(self.settings.seed) for s in self.sets]
        sets, images = zip(*drawn, strict=True)
        return Stack(sets, images, self.settings)


@dataclass(frozen=True, eq=False)
class Stack:
    """Images of several sets, numbered through, and metrics of their numbers.

    Attributes
    ----------
    sets
        The images that are drawn from, the real ones first.
    images
        Which image of its whole set each is.
    settings
    """

    sets: tuple[ImageSet, ...]
    images: tuple[Rows, ...]
    settings: ScoreSettings
    _known: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def rows(self) -> tuple[Rows, ...]:
        """Numbers of the images of each set."""
        return _numbered(self.sets)

    def metric(self, spec: MetricSpec) -> RowMetric:
        """A metric as a function of row numbers: by its rows, else by its plain function."""
        work = spec.rows or spec.compute

        def metric(real: Rows, generated: Rows) -> float:
            key = (work, real.tobytes(), generated.tobytes())
            found = self._known.get(key)
            if found is None:
                found = self._found(spec, real, generated)
                if isinstance(found, Mapping):  # the others of its family ask for the same rows
                    self._known[key] = found
            if isinstance(found, Mapping):
                if spec.name not in found:
                    raise ValueError("not defined for these images")
                found = found[spec.name]
            return float(getattr(found, "value", found))

        return metric

    def _found(self, spec: MetricSpec, real: Rows, generated: Rows) -> Any:
        if "unseen" in spec.needs and self.sets[0].unseen is None:
            raise ValueError("needs real images that the generator has not seen")
        if spec.rows is not None:
            return spec.rows(self.matrices(spec), real, generated, self.settings)
        return spec.compute(self.taken(real, spec), self.taken(generated, spec), self.settings)

    def taken(self, rows: Rows, spec: MetricSpec) -> ImageSet:
        """The images of one set at ``rows``, with what a metric needs of them."""
        ends = [numbers[-1] for numbers in self.rows]
        which = int(np.searchsorted(ends, rows[0]))
        return self.sets[which].take(rows - self.rows[which][0], spec.needs)

    def matrices(self, spec: MetricSpec) -> Matrices:
        """All images at once, as the metric needs them."""
        what = next(n for n in spec.needs if n in ("features", "latents", "pixels"))
        key = ("matrices", what)
        if key not in self._known:
            self._known[key] = self._matrices(what)
        found: Matrices = self._known[key]
        return found

    @property
    def features(self) -> Matrices | None:
        """All images by their features; None where no metric asked for them."""
        if not all("features" in s.arrays for s in self.sets):
            return None
        if ("matrices", "features") not in self._known:
            self._known["matrices", "features"] = self._matrices("features")
        found: Matrices = self._known["matrices", "features"]
        return found

    def _matrices(self, what: str) -> Matrices:
        settings, unseen = self.settings, self.sets[0].unseen
        if what == "pixels":
            return Matrices(pixels=[s.pixels for s in self.sets], seed=settings.seed)
        sets = [*self.sets, *([] if unseen is None else [unseen])]
        return Matrices(
            np.concatenate([getattr(s, what) for s in sets]),
            distance=settings.distance,
            groups=_labels(sets) if any(s.groups is not None for s in sets) else None,
            unseen=None if unseen is None else _numbered(sets)[-1],
            seed=settings.seed,
        )


def _labels(sets: Sequence[ImageSet]) -> NDArray[np.str_]:
    """Slide of each image, all sets numbered through: one of one set is none of another's."""
    return np.array(
        [
            f"{n}:{label}"
            for n, s in enumerate(sets)
            for label in (np.arange(len(s)) if s.groups is None else s.groups)
        ]
    )


def _numbered(sets: Sequence[ImageSet]) -> tuple[Rows, ...]:
    ends = np.cumsum([len(s) for s in sets])
    return tuple(np.arange(end - len(s), end) for s, end in zip(sets, ends, strict=True))
