"""What the number of images does to a score: curves against it, a limit, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics.frechet import fid_infinity
from rl2qc.metrics.neighbors import kneighbors
from rl2qc.reports.catalogue import CATALOGUE
from rl2qc.reports.image_sets import ImageSet, ScoreSettings, Stack
from rl2qc.reports.scorecard import Curve

__all__ = ["about_held_out", "about_sizes", "curves"]

# Sizes of the curves as shares of a set, how often each is drawn, and the fewest images.
_SHARES, _REPEATS, _FEWEST = (0.125, 0.25, 0.5, 1.0), 3, 10
# Of either set, for the line of FID in 1/N: it takes no more images to draw it well.
_LIMIT_IMAGES, _LIMIT_POINTS = 20_000, 6
# RL2 and neighbour distances settle from about here on.
_ENOUGH = 300
# Relative distance of features of one image that were computed in different batches.
_SAME = 1e-5
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
        if CATALOGUE[name].kind not in ("features", "latents") or name not in stack.metrics:
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


def about_sizes(names: Sequence[str], sets: Mapping[str, ImageSet]) -> list[str]:
    """Warnings of numbers of images that are too small for the metrics called ``names``."""
    warnings = [
        f"{len(s)} {title} images are few: RL2 is stable from about {_ENOUGH}, neighbour "
        "distances of fewer are larger"
        for title, s in sets.items()
        if len(s) < _ENOUGH
    ]
    smallest = min(len(s) for s in sets.values())
    if wanting := [n for n in names if CATALOGUE[n].enough > smallest]:
        listed = ", ".join(f"{n} ({CATALOGUE[n].enough})" for n in wanting)
        warnings.append(
            f"{smallest} images are fewer than these metrics need to settle: {listed}: compare "
            "them with their floor and with sets of the same size only"
        )
    dimension = max(
        (s.features.shape[1] for s in sets.values() if s.features is not None), default=0
    )
    if "fid" in names and smallest <= dimension:
        warnings.append(
            f"FID of {smallest} images in {dimension} dimensions is biased upwards: compare it "
            "with its floor and with sets of the same size, not with published values"
        )
    for title, s in sets.items():
        if s.groups is not None and (n := len(set(s.groups.tolist()))) < _FEW_GROUPS:
            warnings.append(f"{n} slides in the {title} set are few: intervals over them are rough")
    return warnings


def about_held_out(real: ImageSet, held_out: ImageSet | None) -> list[str]:
    """A warning if held-out images are in the real set as well."""
    if held_out is None or real.features is None or held_out.features is None:
        return []
    nearest = kneighbors(held_out.features, real.features, 1).distances[:, 0]
    size = np.linalg.norm(held_out.features, axis=1)
    if not (common := np.count_nonzero(nearest <= _SAME * size)):
        return []
    return [
        f"{common} of {len(held_out)} held-out images are in the real set as well: authenticity "
        "and the adjusted IRS need images that the generator has not seen"
    ]


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
