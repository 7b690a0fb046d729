"""What is usual in the slides of a cohort, from the evidence that their results hold.

Whoever ends a run last, or decides anew, sees all of them: shards, machines, kills and the order of
slides make no difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rl2qc.cohort.store.record import ResultFolder
from rl2qc.cohort.store.tables import read_evidence
from rl2qc.errors import WorkError
from rl2qc.filtering.corrected import Corrected
from rl2qc.stats.adaptation import Adaptation, adapt, cohort_of
from rl2qc.stats.prior import GeneralPrior
from rl2qc.stats.splitting import split_groups

__all__ = ["ALONE", "Beside", "cohort_adaptations"]

# So many slides that are alike say that one that is not is apart.
_ALIKE = 3


class Beside(NamedTuple):
    """What a slide is judged beside.

    Attributes
    ----------
    cohort
        What is usual in the slides like it; None where there are none.
    apart
        Whether it is unlike all others, several of which are alike.
    corrected
        What a person said of its tiles and of others; None leaves what was said before.
    """

    cohort: Adaptation | None = None
    apart: bool = False
    corrected: Corrected | None = None


ALONE = Beside()
"""A slide that nothing is known beside."""


def cohort_adaptations(results: Sequence[ResultFolder]) -> dict[str, Beside]:
    """What is usual in the cohort of each result, by its name.

    Slides that differ in stain or scanner are cohorts of their own
    (:func:`rl2qc.stats.splitting.split_groups`). A slide that is alone in its cohort has none,
    and neither has one without evidence, or of a model with a reference of its own.

    Parameters
    ----------
    results
        Of one run, by name.
    """
    kinds: dict[bytes, tuple[GeneralPrior, dict[str, Adaptation]]] = {}
    for result in results:
        if (usual := _usual(result)) is not None:
            prior, own = usual
            kinds.setdefault(_digest(prior), (prior, {}))[1][result.name] = own
    cohorts: dict[str, Beside] = {}
    # What two models say of evidence cannot be compared.
    for prior, alike in kinds.values():
        cohorts |= _cohorts(alike, prior)
    return cohorts


def _cohorts(own: dict[str, Adaptation], prior: GeneralPrior) -> dict[str, Beside]:
    if len(own) < 2:
        return {}
    groups = split_groups(list(own.values()), prior)
    cohorts: dict[str, Beside] = {}
    several = int(np.bincount(groups).max()) >= _ALIKE
    for group in np.unique(groups):
        names = [name for name, of in zip(own, groups, strict=True) if of == group]
        if len(names) > 1:
            alike = Beside(cohort_of([own[name] for name in names], prior))
            cohorts |= dict.fromkeys(names, alike)
        else:
            cohorts[names[0]] = Beside(apart=several)
    return cohorts


def _digest(prior: GeneralPrior) -> bytes:
    digest = hashlib.sha256("\n".join(prior.classes).encode())
    for name, array in sorted(prior.state().items()):
        digest.update(f"{name} {array.shape}".encode() + array.tobytes())
    return digest.digest()


def _usual(result: ResultFolder) -> tuple[GeneralPrior, Adaptation] | None:
    """What is usual in one slide; None where it has no say."""
    try:
        evidence = read_evidence(result.path, result.check_record())
    except WorkError:
        return None  # its own decision says so
    if evidence is None or not evidence.adapts or not len(evidence):
        return None
    return evidence.prior, adapt(evidence.values, evidence.prior)
