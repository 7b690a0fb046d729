"""A distance on a scale that one knows: how much JPEG, or blur, moves real images as far.

Half of the real set is compressed, or blurred, more and more, and held against the other half, at
the same numbers of images as the generated set is: where it comes as far, that is the answer.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rl2qc.core.progress import track
from rl2qc.images.recipes import Recipe
from rl2qc.images.sources.images import Image
from rl2qc.metrics.matrices import halves
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.measure import Measured
from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import MetricSpec
from rl2qc.synthetic.corruptions import CORRUPTIONS

__all__ = ["RULERS", "AsFarAs", "Ruler", "as_far_as", "with_scales"]

Again = Callable[[ImageSet, Callable[[Image], Image]], ImageSet]
"""Measures images anew, each changed first."""
# Images of either side: every step changes and measures half of them anew.
_IMAGES = 64
# Measurements of a metric on both rulers, about.
_STEPS = 8


@dataclass(frozen=True)
class Ruler:
    """A way to move images, in steps.

    Attributes
    ----------
    name
    none
        The level at which nothing is moved.
    levels
        Mildest first.
    change
        ``change(level)`` is what is done to an image.
    words, milder, stronger
        How a level is called, one short of the mildest, one beyond the strongest.
    """

    name: str
    none: float
    levels: tuple[float, ...]
    change: Callable[[float], Callable[[Image], Image]]
    words: str
    milder: str
    stronger: str


def _jpeg(quality: float) -> Callable[[Image], Image]:
    return Recipe("JPEG", round(quality))


def _blurred(sigma: float) -> Callable[[Image], Image]:
    blur, rng = CORRUPTIONS.get("blur"), np.random.default_rng(0)
    return lambda image: blur(image, sigma, rng)


RULERS = (
    Ruler(
        "jpeg",
        100,
        (95, 90, 80, 70, 60, 50, 40, 30, 20, 10),
        _jpeg,
        "JPEG quality {:.0f}",
        "less than JPEG quality {:.0f}",
        "more than JPEG quality {:.0f}",
    ),
    Ruler(
        "blur",
        0,
        (0.4, 0.6, 0.8, 1, 1.4, 2, 2.8, 4),
        _blurred,
        "a blur of {:.2g} px",
        "less than a blur of {:.2g} px",
        "more than a blur of {:.2g} px",
    ),
)


@dataclass(frozen=True)
class AsFarAs:
    """Where a generated set stands on the rulers.

    Attributes
    ----------
    jpeg, blur
        JPEG quality (100 is none) and standard deviation of a Gaussian blur in px (0 is none) that
        move real images as far; NaN beyond the strongest that is tried.
    words
        The same in a line.
    """

    jpeg: float
    blur: float
    words: str


def with_scales(
    specs: Sequence[MetricSpec],
    rows: Mapping[str, MetricResult],
    measured: Measured,
    settings: ScoreSettings,
) -> dict[str, MetricResult]:
    """The rows, those on a scale with what moves real images as far; without resamples none.

    Parameters
    ----------
    specs, rows
        Of a card, by name.
    measured
        The real set, the generated one, and what measured them.
    settings
    """
    placed, measuring = dict(rows), measured.measuring
    if measuring is None or not settings.n_resamples:
        return placed
    quiet = replace(measuring, needs={"latents"}, progress=False)
    chosen = [s for s in specs if s.on_scale and not math.isnan(rows[s.name].value)]
    if not chosen:
        return placed
    real, generated = measured.sets["real"], measured.sets["generated"]
    with track(measuring.progress, "JPEG and blur", len(chosen) * _STEPS) as step:

        def again(images: ImageSet, change: Callable[[Image], Image]) -> ImageSet:
            changed = quiet.again(images, change)
            step(1)
            return changed

        for spec in chosen:
            try:
                found = as_far_as(spec, real, generated, again, settings)
            except ValueError:  # too few images
                continue
            placed[spec.name] = replace(
                rows[spec.name], as_jpeg=found.jpeg, as_blur=found.blur, as_far_as=found.words
            )
    return placed


def as_far_as(
    spec: MetricSpec, real: ImageSet, generated: ImageSet, again: Again, settings: ScoreSettings
) -> AsFarAs:
    """How much JPEG, and how much blur, moves real images as far as generated ones lie.

    Parameters
    ----------
    spec
        A distance that rises with what is done to images.
    real, generated
    again
        Measures images anew.
    settings

    Raises
    ------
    ValueError
        The real set cannot be halved, or the metric is not defined on so few.
    """
    first, second = halves(np.arange(len(real)), real.groups, settings.seed)
    rng = np.random.default_rng(settings.seed)
    n = min(_IMAGES, len(first), len(second), len(generated))
    fixed, moved = (real.take(np.sort(rng.permutation(rows)[:n])) for rows in (first, second))
    wanted = _value(spec, fixed, generated.take(generated.drawn(n, settings.seed)), settings)
    unmoved = _value(spec, fixed, moved, settings)
    # Read once, however often they are changed.
    pixels = np.stack([moved.source[i] for i in range(n)])
    moved = replace(moved, source=replace(moved.source, items=pixels))

    def at(ruler: Ruler, level: float) -> float:
        return _value(spec, fixed, again(moved, ruler.change(level)), settings)

    found, words = {}, []
    for ruler in RULERS:
        reached, said = _reached(ruler, wanted, unmoved, at)
        found[ruler.name] = reached
        words.append(said)
    return AsFarAs(**found, words=f"as far as {words[0]}, or {words[1]}, moves real images")


def _value(spec: MetricSpec, real: ImageSet, other: ImageSet, settings: ScoreSettings) -> float:
    value = spec.compute(real, other, settings)
    return float(getattr(value, "value", value))


def _reached(
    ruler: Ruler, wanted: float, unmoved: float, at: Callable[[Ruler, float], float]
) -> tuple[float, str]:
    """The level at which ``wanted`` is reached, between two that were tried, and its words."""
    if wanted <= unmoved:
        return ruler.none, ruler.milder.format(ruler.levels[0])
    known: dict[float, float] = {ruler.none: unmoved}

    def value(level: float) -> float:
        if level not in known:
            known[level] = at(ruler, level)
        return known[level]

    # Few steps are needed where each is farther than the one before it.
    index = bisect.bisect_left(_Steps(ruler.levels, value), wanted)
    if index == len(ruler.levels):
        return math.nan, ruler.stronger.format(ruler.levels[-1])
    if index == 0 and value(ruler.levels[0]) > wanted:
        low, high = ruler.none, ruler.levels[0]
    elif index == 0:
        return ruler.levels[0], ruler.words.format(ruler.levels[0])
    else:
        low, high = ruler.levels[index - 1], ruler.levels[index]
    share = (wanted - value(low)) / max(value(high) - value(low), np.finfo(float).tiny)
    level = low + min(max(share, 0.0), 1.0) * (high - low)
    if index == 0:
        return level, ruler.milder.format(ruler.levels[0])
    return level, ruler.words.format(level)


class _Steps(Sequence[float]):
    """Values of the levels, each computed when it is looked at."""

    def __init__(self, levels: tuple[float, ...], value: Callable[[float], float]) -> None:
        self._levels, self._value = levels, value

    def __len__(self) -> int:
        return len(self._levels)

    def __getitem__(self, index: int) -> float:  # type: ignore[override]
        return self._value(self._levels[index])
