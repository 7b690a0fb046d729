"""The answer of a card: realism, diversity, memorisation and coverage, a plain line each."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from rl2qc.core.text import number
from rl2qc.scoring.copies import Duplicates
from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.spec import METRICS, MetricSpec
from rl2qc.scoring.verdict import MANY_COPIES, Unjudged, is_few, lies_with_copies, standing

__all__ = ["Finding", "Line", "headline", "to_text"]

Standing: TypeAlias = Literal["well", "badly", ""]

# Share of repeated images above that of the real set from which repetition decides on diversity.
_REPEATED = 0.02
# Slides below which baselines do not know how much slides differ.
_FEW_GROUPS = 20
_WIDTH = 86


@dataclass(frozen=True)
class Line:
    """The answer to one question.

    Attributes
    ----------
    question
        "Realism", "Diversity", "Memorisation" or "Coverage".
    answer
        In plain words.
    evidence
        The numbers that it rests on.
    change
        What would make it surer, or another.
    standing
        "well", "badly", or "" for neither.
    """

    question: str
    answer: str
    evidence: str
    change: str
    standing: Standing = ""

    def to_dict(self) -> dict[str, str]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Finding:
    """What is known of the sets beside the metrics.

    Attributes
    ----------
    n_images
        In the smaller set.
    twice, twice_real
        Repeated images of the generated set, and of the real one.
    n_copies
        Generated images that are real ones.
    paired
        Whether each generated image shows the scene of a real one.
    encoding
        Why realism is not judged: the sets are encoded differently. "" where it is.
    n_groups
        Slides or the like of the real set; None where they are not known.
    """

    n_images: int
    twice: Duplicates
    twice_real: Duplicates
    n_copies: int = 0
    paired: bool = False
    encoding: str = ""
    n_groups: int | None = None


def headline(rows: Mapping[str, MetricResult], found: Finding) -> tuple[Line, ...]:
    """A line for each question that the chosen metrics, or the images, can answer.

    Parameters
    ----------
    rows
        The card, with verdicts.
    found
    """
    asked: dict[str, list[tuple[MetricSpec, MetricResult]]] = {}
    for name, row in rows.items():
        spec = METRICS.get(name) if name in METRICS else None
        if spec is None or not spec.recommended or math.isnan(row.percentile):
            continue
        asked.setdefault(spec.question, []).append((spec, row))
    lines = (
        _realism(asked.get("Realism", []), found),
        _diversity(asked.get("Diversity", []), found),
        _memorisation(asked.get("Memorisation", []), found),
        _coverage(asked.get("Coverage", []), found),
    )
    return tuple(line for line in lines if line is not None)


_Rows: TypeAlias = "Sequence[tuple[MetricSpec, MetricResult]]"


def _realism(rows: _Rows, found: Finding) -> Line | None:
    if not rows:
        return None
    if found.encoding:
        return _encoded("Realism", found)
    judged = [(s, r) for s, r in rows if not isinstance(r.verdict, Unjudged)]
    far = [spec.name for spec, row in judged if _worse(row)]
    evidence = _beside(judged)
    if not judged:
        return None
    if not far:
        return _alike("Realism", "not told apart from real images", judged, found)
    near = [spec.name for spec, _ in judged if spec.name not in far]
    # Their own rows say "perhaps", or that few images are not told apart: no "not by" these.
    unsure = [s.name for s, _ in judged if s.name in near and is_few(s, found.n_images)]
    if not near:
        answer = "farther from real images than these are from each other"
    elif _few_groups(found):
        return Line(
            "Realism",
            f"cannot be told by {found.n_groups} groups of real images: farther by {_listed(far)}, "
            f"not by {_listed(near)}",
            evidence,
            f"real images of {_FEW_GROUPS} groups at least",
        )
    else:
        answer = f"farther from real images by {_listed(far)}"
        if sure := [name for name in near if name not in unsure]:
            answer += f", not by {_listed(sure)}"
        if unsure:
            answer += f"; too few images to tell by {_listed(unsure)}"
    change = "images that real ones are not told from"
    few = "" if unsure else _few(judged, found)
    return Line("Realism", answer + few, evidence, change, "badly")


def _diversity(rows: _Rows, found: Finding) -> Line | None:
    twice = found.twice
    share, usual = (t.repeated / t.n for t in (twice, found.twice_real))
    if share > usual + _REPEATED:
        return Line(
            "Diversity",
            f"repeats itself: {twice.n} images hold {twice.distinct} distinct ones",
            f"near-duplicates by their pixels, such as {' and '.join(twice.example)}; of the real "
            f"set {found.twice_real.repeated} of {found.twice_real.n} are there again",
            "leave the repeated images out, and the score is of the others",
            "badly",
        )
    judged = [(s, r) for s, r in rows if not isinstance(r.verdict, Unjudged)]
    if not judged:
        return _encoded("Diversity", found) if found.encoding and rows else None
    less = [(s, r) for s, r in judged if r.percentile < 2.5]
    more = [(s, r) for s, r in judged if r.percentile > 97.5]
    if less:
        answer = "less varied than real images"
        change = "images that lie as far from each other as real ones do"
    elif more:
        answer = "spread wider than real images: more varied, or noisier"
        change = "a look at the worst images: noise and faults spread features as well"
    else:
        return _alike("Diversity", "as varied as real images", judged, found)
    stands: Standing = "badly" if less else ""
    return Line("Diversity", answer + _few(judged, found), _beside(judged), change, stands)


def _memorisation(rows: _Rows, found: Finding) -> Line | None:
    if found.n_copies:
        return Line(
            "Memorisation",
            f"{found.n_copies} of {found.twice.n} generated images are real ones",
            "equal features, or near-duplicates by their pixels",
            "leave these images out",
            "badly",
        )
    if found.paired:
        return Line(
            "Memorisation",
            "no copies; each image shows the scene of a real one, so nearness says nothing",
            "pairs by name, borne out by their pictures; no near-duplicates among them",
            "real images that the generator has not seen (--unseen)",
        )
    seen = [(s, r) for s, r in rows if lies_with_copies(s, r)]
    if seen:
        return Line(
            "Memorisation",
            "nearer to single real images than new real ones are: memorised?" + _few(seen, found),
            _beside(seen),
            "a look at the nearest pairs; --paired where images show the scenes of real ones",
            "" if _few_groups(found) else "badly",
        )
    if not rows:
        return None
    return _alike("Memorisation", "no sign of copies", rows, found)


def _coverage(rows: _Rows, found: Finding) -> Line | None:
    judged = [(s, r) for s, r in rows if not isinstance(r.verdict, Unjudged)]
    if not judged:
        return _encoded("Coverage", found) if found.encoding and rows else None
    if any(_worse(row) for _, row in judged):
        answer = "misses part of what real images show" + _few(judged, found)
        return Line(
            "Coverage", answer, _beside(judged), "images of the real ones that are missed", "badly"
        )
    if found.n_copies > MANY_COPIES * found.n_images or any(
        "copies" in row.verdict for _, row in judged
    ):
        return Line(
            "Coverage",
            "not judged: copies of real images cover them",
            _beside(judged),
            "leave the copies out",
        )
    return _alike("Coverage", "covers what real images show", judged, found)


def _encoded(question: str, found: Finding) -> Line:
    return Line(
        question,
        "not judged: the sets are encoded differently",
        found.encoding,
        "save both sets alike, or rl2qc score --harmonize",
    )


def _alike(question: str, answer: str, rows: _Rows, found: Finding) -> Line:
    """An answer of what cannot be told apart, which few images are not to be praised for."""
    few = [spec for spec, _ in rows if is_few(spec, found.n_images)]
    if few:
        wanted = max(spec.enough for spec in few)
        return Line(
            question,
            f"cannot be told of {found.n_images} images",
            _beside(rows),
            f"more images, {max(wanted, 50)} at least",
        )
    if question == "Realism" and found.n_copies > MANY_COPIES * found.n_images:
        return Line(
            question,
            f"{answer}, to which copies add",
            _beside(rows),
            "leave the copies out",
        )
    return Line(
        question, answer, _beside(rows), "more images would show smaller differences", "well"
    )


def _worse(row: MetricResult) -> bool:
    return standing(row) == "badly"


def _few(rows: _Rows, found: Finding) -> str:
    if _few_groups(found):
        return f" (by {found.n_groups} groups of real images alone)"
    return " (few images)" if any(is_few(spec, found.n_images) for spec, _ in rows) else ""


def _few_groups(found: Finding) -> bool:
    """Whether the real images are of so few slides that others might differ from them as much."""
    return found.n_groups is not None and found.n_groups < _FEW_GROUPS


def _beside(rows: _Rows) -> str:
    """Values beside those of real images against real ones."""
    return "; ".join(
        f"{spec.name} {number(row.observed)}, of real against real {number(row.baseline)} "
        f"({number(row.baseline_low)} to {number(row.baseline_high)})"
        + (f", {row.as_far_as}" if row.as_far_as else "")
        for spec, row in rows
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def to_text(lines: Sequence[Line]) -> list[str]:
    """Lines for the terminal: the answer, then what it rests on and what would change it."""
    found: list[str] = []
    for line in lines:
        parts = (line.answer, line.evidence, f"would change it: {line.change}")
        said = [row for part in parts for row in textwrap.wrap(part, _WIDTH)]
        found += [f"{line.question + ':' if i == 0 else '':14}{row}" for i, row in enumerate(said)]
    return found
