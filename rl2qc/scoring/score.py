"""Score a generated set against a real one: metrics, intervals, baselines, verdicts."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from rl2qc.core.arrays import read_array
from rl2qc.core.opening import need_file
from rl2qc.core.progress import Progress
from rl2qc.core.renamed import old_keyword
from rl2qc.core.text import one_line
from rl2qc.errors import UsageError
from rl2qc.images.sources.base import Patches
from rl2qc.model.quality import DEFAULT_MODEL, QualityModel
from rl2qc.scoring.baselines import Baselines
from rl2qc.scoring.card_rows import card_rows
from rl2qc.scoring.control import (
    controls,
    encoding_words,
    unjudged_by_encoding,
    with_controls,
)
from rl2qc.scoring.copies import copies, duplicates, paired_with
from rl2qc.scoring.evidence import evidence_of
from rl2qc.scoring.headline import Finding, headline
from rl2qc.scoring.judging import Case
from rl2qc.scoring.judging import judged as judged_rows
from rl2qc.scoring.measure import Measured, measure_sets
from rl2qc.scoring.rows import Stacks
from rl2qc.scoring.sample_size import curves, size_warnings
from rl2qc.scoring.scorecard import Scorecard
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.side_by_side import side_by_side
from rl2qc.scoring.spec import chosen_metrics
from rl2qc.scoring.verdict import MANY_COPIES
from rl2qc.scoring.yardstick import with_scales

__all__ = ["score"]


def score(
    generated: Patches,
    real: Patches,
    model: str | Path | QualityModel = DEFAULT_MODEL,
    settings: ScoreSettings | None = None,
    *,
    unseen: Patches | None = None,
    probabilities: ArrayLike | str | Path | Mapping[str, Any] | None = None,
    progress: bool | Progress = False,
    **changes: Any,
) -> Scorecard:
    """Score generated images against real ones.

    Both sets are taken at one size: the model's, or the smaller one's where a set is smaller
    (with a warning: likelihoods are calibrated for the model's size only). Values are those of
    the pure functions in :mod:`rl2qc.metrics`; intervals and baselines come from resampling at
    most 1,000 images of each set (the intervals are then narrowed to the number of all).

    Parameters
    ----------
    generated, real
        Anything that :func:`~rl2qc.images.sources.base.as_source` reads.
    model
        Name of a shipped model, a model file, or a model.
    settings
        Which metrics, and how.
    unseen
        Real images that the generator has not seen, ``real`` being those that it was trained on:
        for the adjusted IRS and for what generated images have in common with training images
        (``nearer_train``). Without them the real set is halved where such images are needed.
    probabilities : array_like, path or mapping, optional
        A classifier's posteriors (n, classes) of the generated images, or a ``.npy`` file of
        them, for the Inception score; a mapping gives those of ``"generated"`` and ``"real"``.
    progress
        Show bars on the standard error, or call a function with (done, total, what).
    **changes
        Single settings: ``k=5``.

    Raises
    ------
    UsageError
        Fewer than two images, k not below the size of a set, images of another resolution than
        the model's, or options that do not fit.
    ImageError
        Files that are no images or too small.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> images = rng.integers(0, 256, (24, 64, 64, 3), dtype=np.uint8)
    >>> card = score(images[:12], images[12:], metrics=["swd"], n_resamples=0)
    >>> 0 < card["swd"] < 1
    True
    """
    started = time.monotonic()
    if "held_out" in changes:
        unseen = old_keyword("held_out", "unseen", changes)
    given = {"generated": probabilities, "real": changes.pop("real_probabilities", None)}
    given = dict(probabilities) if isinstance(probabilities, Mapping) else given
    settings = ScoreSettings.resolve(settings, changes)
    specs = chosen_metrics(settings.metrics, unseen=unseen is not None)
    measured = measure_sets(
        {"generated": generated, "real": real},
        model,
        specs,
        settings,
        unseen=unseen,
        probabilities={t: _load_array(t, p) for t, p in given.items() if p is not None},
        progress=progress,
    )
    generated_set, reference = measured.sets["generated"], measured.sets["real"]
    copied = copies(generated_set, reference)
    stacks = Stacks((reference, generated_set), settings)
    metrics = [stacks.of(spec) for spec in specs]
    found = card_rows(metrics, Baselines(stacks), progress)
    smallest = min(len(generated_set), len(reference))
    twice = duplicates(generated_set)
    # Copies have the names of what they copy: they are no pairs because of that.
    many = len(copied) > MANY_COPIES * smallest
    partner = paired_with(generated_set, reference, asked=settings.paired, found=not many)
    worth = controls(specs, measured.control, settings)
    rows = judged_rows(
        specs,
        with_scales(specs, with_controls(found.rows, worth), measured, settings),
        {**unjudged_by_encoding(specs, measured, worth), **found.unjudged},
        Case(smallest, len(copied), partner is not None),
    )
    finding = Finding(
        smallest,
        twice,
        duplicates(reference),
        len(copied),
        partner is not None,
        encoding_words(measured, worth),
        reference.n_groups,
    )
    against_n = curves(metrics)
    defined = [spec for spec in specs if not math.isnan(rows[spec.name].value)]
    few = size_warnings(defined, {"generated": generated_set, "real": reference})
    made = {
        **_counted(measured, finding),
        "resampled_images_at_most": stacks.most,
        **measured.provenance,
        "seconds": round(time.monotonic() - started, 1),
    }
    return Scorecard(
        rows,
        made,
        (*measured.warnings, *copied.warnings, *twice.warnings(), *few),
        against_n,
        evidence_of(stacks, found.baselines),
        headline(rows, finding),
        side_by_side(measured.by_extractor, ["generated"], specs, settings),
    )


def _counted(measured: Measured, finding: Finding) -> dict[str, Any]:
    """The numbers of images, for the record."""
    real = measured.sets["real"]
    return {
        "n_generated": len(measured.sets["generated"]),
        "n_real": len(real),
        "n_distinct": finding.twice.distinct,
        "n_copies": finding.n_copies,
        "paired": finding.paired,
        "n_unseen": 0 if real.unseen is None else len(real.unseen),
    }


def _load_array(title: str, given: ArrayLike | str | Path) -> ArrayLike:
    """Probabilities as they are, or of a file."""
    if not isinstance(given, str | Path):
        return given
    option = {"generated": "--probabilities", "real": "--real-probabilities"}.get(title, title)
    need_file(given, f"{option} {given}")
    try:
        return read_array(given)
    except ValueError as error:
        raise UsageError(f"{option} {given} is no .npy array: {one_line(error)}") from None
