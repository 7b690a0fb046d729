"""The arrays behind the numbers of a scorecard, for pages and further analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.images.sources.images import PatchSource
from rl2qc.scoring.rows import Stacks

__all__ = ["Evidence", "evidence_of"]

_Floats: TypeAlias = NDArray[np.float64]

# Real images that are shown beside a generated one.
_NEAREST = 4


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a scorecard was computed from; empty where it was not asked for.

    Attributes
    ----------
    sources
        The images, ``real`` and ``generated``.
    log_likelihood, keep
        For each image of ``real`` and ``generated``.
    baselines
        Values of real against real by metric.
    spacing
        Distances to the k nearest neighbours in the own set, flat, by set, at equal numbers.
    generated : (g,) intp
        The generated images whose neighbours follow: all, or those drawn of a large set.
    nearest : (g, m) intp
        Nearest real images of each of them, nearest first.
    nearest_distance : (g, m) float64
    """

    sources: Mapping[str, PatchSource]
    log_likelihood: Mapping[str, _Floats]
    keep: Mapping[str, NDArray[np.bool_]]
    baselines: Mapping[str, _Floats]
    spacing: Mapping[str, _Floats]
    generated: NDArray[np.intp]
    nearest: NDArray[np.intp]
    nearest_distance: _Floats


def evidence_of(stacks: Stacks, baselines: Mapping[str, _Floats]) -> Evidence:
    """The evidence of one generated set.

    Parameters
    ----------
    stacks
        The real set and the generated one.
    baselines
        Values of real against real by metric.
    """
    stack, settings = stacks.of_features, stacks.settings
    sets = dict(zip(("real", "generated"), stacks.sets, strict=True))
    spacing, nearest, distances = {}, np.empty((0, 0), dtype=np.intp), np.empty((0, 0))
    if (matrices := stack.features) is not None:
        size = min(len(rows) for rows in stack.rows)
        rng = np.random.default_rng(settings.seed)
        for title, rows in zip(sets, stack.rows, strict=True):
            if size > settings.k:
                drawn = rng.permutation(rows)[:size]
                spacing[title] = matrices.spacing(drawn, settings.k).ravel()
        real, generated = stack.rows
        at, distances = matrices.nearest_of_all(generated, real, min(_NEAREST, len(real)))
        nearest = stack.images[0][at]
    judged = {title: s.arrays for title, s in sets.items() if "log_likelihood" in s.arrays}
    return Evidence(
        sources={title: s.source for title, s in sets.items()},
        log_likelihood={title: arrays["log_likelihood"] for title, arrays in judged.items()},
        keep={title: arrays["keep"] for title, arrays in judged.items()},
        baselines=baselines,
        spacing=spacing,
        generated=stack.images[1],
        nearest=nearest,
        nearest_distance=distances,
    )
