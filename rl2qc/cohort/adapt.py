"""What is usual in the slides of a cohort, from the evidence that their results hold.

Whoever ends a run last, or decides anew, sees all of them: shards, machines, kills and the order of
slides make no difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl2qc.cohort.store.record import ResultFolder
from rl2qc.errors import WorkError
from rl2qc.filtering.evidence import EVIDENCE, Evidence
from rl2qc.stats.adaptation import Adaptation, adapt, cohort_of, split_groups
from rl2qc.stats.prior import GeneralPrior

__all__ = ["cohort_adaptations"]


def cohort_adaptations(results: Sequence[ResultFolder]) -> dict[str, Adaptation]:
    """What is usual in the cohort of each result, by its name.

    Slides that differ in stain or scanner are cohorts of their own
    (:func:`rl2qc.stats.adaptation.split_groups`). A slide that is alone in its cohort has none,
    and neither has one without evidence, or of a model with a reference of its own.

    Parameters
    ----------
    results
        Of one run, by name.
    """
    found = [(result.name, *usual) for result in results if (usual := _usual(result)) is not None]
    if len(found) < 2:
        return {}
    prior, own = found[0][1], {name: adaptation for name, _, adaptation in found}
    groups = split_groups(list(own.values()), prior)
    cohorts: dict[str, Adaptation] = {}
    for group in np.unique(groups):
        names = [name for name, of in zip(own, groups, strict=True) if of == group]
        if len(names) > 1:
            cohorts |= dict.fromkeys(names, cohort_of([own[name] for name in names], prior))
    return cohorts


def _usual(result: ResultFolder) -> tuple[GeneralPrior, Adaptation] | None:
    """What is usual in one slide; None where it has no say."""
    record = result.read_record()
    if record is None or EVIDENCE not in record.files:
        return None
    try:
        evidence = Evidence.load(result.path / EVIDENCE)
    except WorkError:
        return None  # its own decision says so
    if not evidence.adapts or not len(evidence):
        return None
    return evidence.prior, adapt(evidence.values, evidence.prior)
