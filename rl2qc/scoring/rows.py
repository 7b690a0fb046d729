"""Image sets stacked for resampling: every metric as a function of row numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics.matrices import Matrices, Rows
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import MetricSpec

__all__ = ["RESAMPLED_AT_MOST", "RowMetric", "Stack", "Stacks"]

RowMetric: TypeAlias = Callable[[Rows, Rows], float]
"""A metric of (real, generated) row numbers of a stack."""
# Images of a set that resamples draw from: their distance matrix is held in memory.
RESAMPLED_AT_MOST = 1000


class Stacks:
    """The sets of a card or a comparison, and what each metric is resampled by.

    Attributes
    ----------
    sets
        The real set, then the generated ones.
    settings
    """

    def __init__(self, sets: Sequence[ImageSet], settings: ScoreSettings) -> None:
        self.sets, self.settings = tuple(sets), settings

    @property
    def most(self) -> int:
        """Images of a set that resamples draw from."""
        return RESAMPLED_AT_MOST

    @property
    def grouped(self) -> bool:
        """Whether slides or patients are known of a set."""
        return any(s.groups is not None for s in self.sets)

    def prepare(self, specs: Sequence[MetricSpec]) -> None:
        """Compute what resamples of the metrics pick rows of, while threads may help."""
        if not self.settings.n_resamples:
            return
        for spec in specs:
            if spec.rows is not None and "pixels" not in spec.needs:
                self.stack(spec).matrices(spec).prepare()

    def stack(self, spec: MetricSpec) -> Stack:
        """The rows that a metric is resampled by."""
        return self.of_pixels if "pixels" in spec.needs else self.of_features

    def sets_of(self, spec: MetricSpec) -> tuple[ImageSet, ...]:
        """The sets as a metric looks at them: of pixels, those images that were read."""
        return self.of_pixels.sets if "pixels" in spec.needs else self.sets

    @cached_property
    def of_features(self) -> Stack:
        """At most 1,000 images of each set."""
        seed = self.settings.seed
        images = [s.drawn(RESAMPLED_AT_MOST, seed) for s in self.sets]
        sets = [s.take(rows) for s, rows in zip(self.sets, images, strict=True)]
        if (unseen := sets[0].unseen) is not None:
            fewer = unseen.take(unseen.drawn(RESAMPLED_AT_MOST, seed))
            sets[0] = sets[0].beside(fewer)
        return Stack(tuple(sets), tuple(images), self.settings)

    @cached_property
    def of_pixels(self) -> Stack:
        """A bounded number of images of each set, each read once."""
        images = [s.drawn(s.readable, self.settings.seed) for s in self.sets]
        sets = tuple(s.take(rows).with_pixels() for s, rows in zip(self.sets, images, strict=True))
        return Stack(sets, tuple(images), self.settings)


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

    @property
    def groups(self) -> tuple[NDArray[np.str_] | None, ...]:
        """Slide or patient of each image by set, or None."""
        return tuple(s.groups for s in self.sets)

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
        if not all(s.has("features") for s in self.sets):
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
            groups=None if settings.group_pattern is None else _labels(sets),
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
