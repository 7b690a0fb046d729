"""What the number of images does to a score: curves against it, a limit, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics.frechet import fid_infinity
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.rows import Stack
from rl2qc.scoring.scorecard import Curve
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import CATALOGUE

__all__ = ["about_sizes", "curves"]

# Sizes of the curves as shares of a set, how often each is drawn, and the fewest images.
_SHARES, _REPEATS, _FEWEST = (0.125, 0.25, 0.5, 1.0), 3, 10
# Of either set, for the line of FID in 1/N: it takes no more images to draw it well.
_LIMIT_IMAGES, _LIMIT_POINTS = 20_000, 6
# Metrics of fitted covariances.
_OF_COVARIANCES = ("fid", "r_fid")
# Below so many slides an interval over slides is rough.
_FEW_GROUPS = 10


def curves(
    names: Sequence[str],
    pair: tuple[ImageSet, ImageSet],
    stack: Stack,
    settings: ScoreSettings,
) -> dict[str, Curve]:
    """Metrics against the number of images, and where FID goes along its 1/N law.

    Parameters
    ----------
    names
        Of the metrics; those that have no curve are left out.
    pair
        The real and the generated set.
    stack
        Their rows.
    settings
        Without resamples there are no curves.
    """
    real, generated = stack.rows
    shares = [s for s in _SHARES if s * min(len(real), len(generated)) >= _FEWEST]
    if not settings.n_resamples or len(shares) < 2:
        return {}
    rng = np.random.default_rng(settings.seed)
    draws = [
        [
            (
                np.sort(rng.permutation(real)[: round(share * len(real))]),
                np.sort(rng.permutation(generated)[: round(share * len(generated))]),
            )
            for _ in range(_REPEATS if share < 1 else 1)
        ]
        for share in shares
    ]
    found = {}
    for name in names:
        # The ratio of FIDs is a median over splits of whole sets, which a subset has not got.
        if CATALOGUE[name].kind not in ("features", "latents") or name == "r_fid":
            continue
        if name not in stack.metrics:
            continue
        try:
            metric = stack.metrics[name]
            means = [float(np.mean([metric(*rows) for rows in draw])) for draw in draws]
        except ValueError:  # too few images for this metric at the smallest size
            continue
        found[name] = Curve(tuple(len(draw[0][1]) for draw in draws), tuple(means))
    if "fid" in found:
        found["fid"] = _with_limit(found["fid"], pair, settings.seed)
    return found


def about_sizes(
    names: Sequence[str], sets: Mapping[str, ImageSet], floor: str = "floor"
) -> list[str]:
    """Warnings of numbers of images that are too small for the metrics called ``names``.

    ``floor`` is what the reader is to compare them with.
    """
    dimension = max(
        (s.features.shape[1] for s in sets.values() if s.features is not None), default=0
    )
    wanted = {
        # Below that many images a covariance is not determined.
        name: max(CATALOGUE[name].enough, dimension + 1 if name in _OF_COVARIANCES else 0)
        for name in names
    }
    warnings = []
    if few := [title for title, s in sets.items() if len(s) < max(wanted.values(), default=0)]:
        smallest = min(len(s) for s in sets.values())
        sizes: dict[int, list[str]] = {}
        for name, enough in wanted.items():
            if enough > smallest:
                sizes.setdefault(enough, []).append(name)
        settle = "; ".join(f"{', '.join(sizes[n])} ({n})" for n in sorted(sizes, reverse=True))
        biased = [name for name in names if name in _OF_COVARIANCES and smallest <= dimension]
        why = f"; so few in {dimension} dimensions bias {_listed(biased)}" if biased else ""
        warnings.append(
            f"{_listed([f'{len(sets[title])} {title}' for title in few])} images are few; wanted: "
            f"{settle}. Compare these metrics with their {floor} and with sets of the same size, "
            f"not with published values{why}"
        )
    for title, s in sets.items():
        if s.groups is not None and (n := len(set(s.groups.tolist()))) < _FEW_GROUPS:
            warnings.append(f"{n} slides in the {title} set are few: intervals over them are rough")
    return warnings


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _with_limit(curve: Curve, pair: tuple[ImageSet, ImageSet], seed: int) -> Curve:
    """A curve of FID with its extrapolation, where there are images enough for the 1/N law."""
    real, generated = (_some(s, seed) for s in pair)
    limit = fid_infinity(real, generated, n_points=_LIMIT_POINTS, seed=seed)
    if limit.warnings:
        return replace(curve, note="; ".join(limit.warnings))
    sizes = f"{limit.sizes[0]} to {limit.sizes[-1]} images"
    note = f"linear in 1/N from {sizes}: R squared {limit.r_squared:.3f}"
    return replace(curve, limit=limit.value, note=note)


def _some(image_set: ImageSet, seed: int) -> NDArray[np.float32]:
    x = image_set.features
    assert x is not None
    if len(x) <= _LIMIT_IMAGES:
        return x
    return x[np.random.default_rng(seed).permutation(len(x))[:_LIMIT_IMAGES]]
