"""RL2 the paper's way: the flow is fitted to one half of the real set, the other is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rl2qc.errors import UsageError
from rl2qc.metrics.matrices import Rows, halves
from rl2qc.model.training.density_alone import FEWEST, fit_density_alone
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.measuring import Measuring

__all__ = ["FittedTo", "fit_to_real"]


@dataclass(frozen=True, eq=False)
class FittedTo:
    """What a flow was fitted to.

    Attributes
    ----------
    reference
        Rows of the real set that it was not fitted to.
    n, n_groups
        Images that it was fitted to, the held-out ones among them, and of how many slides; None
        where these are not known.
    """

    reference: Rows
    n: int
    n_groups: int | None

    def record(self) -> dict[str, int | None]:
        """Plain data."""
        return {"n_real": self.n, "groups": self.n_groups}


def fit_to_real(
    measure: Measuring, sets: dict[str, ImageSet], beside: Sequence[dict[str, ImageSet]]
) -> tuple[Measuring, FittedTo | None]:
    """Where that is asked for, fit the flow to one half of the real set, and measure by it.

    Parameters
    ----------
    measure
        What measured the sets.
    sets
        By title; changed in place: the real set is its other half, latents and likelihoods are by
        the new flow.
    beside
        The same sets by other extractors: their real set is halved too.

    Raises
    ------
    UsageError
        A half is too small for a flow.
    """
    if not measure.settings.fit:
        return measure, None
    real, seed = sets["real"], measure.settings.seed
    try:
        first, reference = halves(np.arange(len(real)), real.groups, seed)
    except ValueError:
        raise UsageError("--fit halves the real set: it needs images of two slides") from None
    if min(len(first), len(reference)) < FEWEST:
        how = "" if real.groups is None else f" in halves of whole groups ({real.n_groups} groups)"
        raise UsageError(
            f"--fit needs {2 * FEWEST} real images at least, one half for the flow and one to "
            f"score against, got {len(first)} and {len(reference)}{how}: give more"
        )
    if not measure.needs & {"latents", "likelihood"}:
        raise UsageError("--fit is for metrics of latents or likelihoods, and none was chosen")
    part = real.take(first)
    fitted = fit_density_alone(
        part.arrays["pooled"], part.groups, seed=seed, progress=measure.progress
    )
    measure = replace(measure, fitted=fitted)
    sets["real"] = real.take(reference)
    for title, images in sets.items():
        sets[title] = replace(images, arrays=measure.refitted(dict(images.arrays)))
    for of in beside:
        of["real"] = of["real"].take(reference)
    return measure, FittedTo(reference, len(first), part.n_groups)
