"""What the number of images does to a score: curves against it, a limit, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits

from rl2qc.metrics.matrices import Rows
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.results import Curve
from rl2qc.scoring.rows import Resampled, RowMetric, Stack
from rl2qc.scoring.spec import MetricSpec

__all__ = ["curves", "size_warnings"]

_Draws: TypeAlias = Sequence[Sequence[tuple[Rows, Rows]]]

# Sizes of the curves as shares of a set, how often each is drawn, and the fewest images.
_SHARES, _REPEATS, _FEWEST = (0.125, 0.25, 0.5, 1.0), 3, 10
# Below so many slides an interval over slides is rough.
_FEW_GROUPS = 10


def curves(metrics: Sequence[Resampled]) -> dict[str, Curve]:
    """Metrics of two sets against the number of images, and where they go where a law is known.

    Metrics that have no curve are left out; without resamples there is none.
    """
    with threadpool_limits(1):  # small products: threads would wait for each other
        return _curves(metrics)


def _curves(metrics: Sequence[Resampled]) -> dict[str, Curve]:
    drawn: dict[int, _Draws] = {}
    found = {}
    for metric in metrics:
        spec, stack = metric.spec, metric.stack
        if not spec.curve or spec.of == "real" or not metric.n_resamples:
            continue
        if id(stack) not in drawn:
            drawn[id(stack)] = _draws(stack)
        try:
            curve = _curve(metric.metric, drawn[id(stack)])
        except ValueError:  # too few images for this metric at the smallest size
            continue
        if curve is not None:
            found[spec.name] = _with_limit(metric, curve)
    return found


def _draws(stack: Stack) -> _Draws:
    """Rows of both sets at every size; none where there are too few of them."""
    real, generated = stack.rows
    shares = [s for s in _SHARES if s * min(len(real), len(generated)) >= _FEWEST]
    rng = np.random.default_rng(stack.settings.seed)
    return [
        [
            (
                np.sort(rng.permutation(real)[: round(share * len(real))]),
                np.sort(rng.permutation(generated)[: round(share * len(generated))]),
            )
            for _ in range(_REPEATS if share < 1 else 1)
        ]
        for share in shares
    ]


def _curve(metric: RowMetric, draws: _Draws) -> Curve | None:
    if len(draws) < 2:
        return None
    means = [float(np.mean([metric(*rows) for rows in draw])) for draw in draws]
    return Curve(tuple(len(draw[0][1]) for draw in draws), tuple(means))


def _with_limit(metric: Resampled, curve: Curve) -> Curve:
    """A curve with what its metric knows of the limit, of the whole sets."""
    if not callable(metric.spec.curve):
        return curve
    real, generated = metric.sets
    try:
        return metric.spec.curve(curve, real, generated, metric.settings)
    except ValueError as error:
        return replace(curve, note=f"no limit: {error}")


def size_warnings(
    specs: Sequence[MetricSpec], sets: Mapping[str, ImageSet], baseline: str = "baseline"
) -> list[str]:
    """Warnings of numbers of images that are too small for the metrics.

    ``baseline`` is what the reader is to compare them with.
    """
    dimension = max(
        (s.features.shape[1] for s in sets.values() if "features" in s.arrays), default=0
    )
    wanted = {
        # Below that many images a covariance is not determined.
        spec.name: max(spec.enough, dimension + 1 if spec.fits_covariance else 0)
        for spec in specs
    }
    warnings = []
    if few := [title for title, s in sets.items() if len(s) < max(wanted.values(), default=0)]:
        smallest = min(len(s) for s in sets.values())
        sizes: dict[int, list[str]] = {}
        for name, enough in wanted.items():
            if enough > smallest:
                sizes.setdefault(enough, []).append(name)
        settle = "; ".join(f"{', '.join(sizes[n])} ({n})" for n in sorted(sizes, reverse=True))
        biased = [s.name for s in specs if s.fits_covariance and smallest <= dimension]
        why = f"; so few in {dimension} dimensions bias {_listed(biased)}" if biased else ""
        warnings.append(
            f"{_listed([f'{len(sets[title])} {title}' for title in few])} images are few; wanted: "
            f"{settle}. Compare these metrics with their {baseline} and with sets of the same "
            f"size, not with published values{why}"
        )
    for title, s in sets.items():
        if s.groups is not None and (n := len(set(s.groups.tolist()))) < _FEW_GROUPS:
            warnings.append(f"{n} slides in the {title} set are few: intervals over them are rough")
    return warnings


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
