"""What a pipeline requires of scores: "rl2 < 20, coverage > .6"."""

from __future__ import annotations

import math
import operator
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl2qc.core.text import number
from rl2qc.errors import UsageError
from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.spec import METRICS

__all__ = ["Requirement", "failed", "read_requirements"]

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_PART = re.compile(r"(?P<name>\w+)\s*(?P<sign>[<>]=?)\s*(?P<limit>[-+.\deE]+)")


@dataclass(frozen=True)
class Requirement:
    """A metric and what it must be.

    Attributes
    ----------
    name
        Of the metric.
    sign
        "<", "<=", ">" or ">=".
    limit
    """

    name: str
    sign: str
    limit: float

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.limit:g}"


def read_requirements(text: str, measured: Sequence[str] | None = None) -> tuple[Requirement, ...]:
    """Requirements, separated by commas.

    Parameters
    ----------
    text
        Such as "rl2 < 20, coverage > .6"; or a TOML file whose key ``require`` is that, or a list.
    measured
        Names of the metrics that are chosen; all without.

    Raises
    ------
    UsageError
        A part that is no requirement, or of no metric, or of one that is not measured; a file that
        cannot be read, or without the key.

    Examples
    --------
    >>> [str(r) for r in read_requirements("rl2 < 20, coverage>.6")]
    ['rl2 < 20', 'coverage > 0.6']
    """
    found = []
    rules = _of_file(text) if text.lower().endswith(".toml") else text
    for part in filter(None, (p.strip() for p in rules.split(","))):
        match = _PART.fullmatch(part)
        try:
            limit = float(match["limit"]) if match else math.nan
        except ValueError:
            limit = math.nan
        if match is None or math.isnan(limit):
            raise UsageError(
                f"--require {part!r} must be a metric, <, <=, > or >=, and a number, such as "
                "'rl2 < 20'"
            )
        found.append(Requirement(METRICS.get(match["name"]).name, match["sign"], limit))
    if not found:
        raise UsageError("--require names nothing: give such as 'rl2 < 20, coverage > .6'")
    if measured is not None:
        names = {METRICS.get(name).name for name in measured}
        if left := sorted({r.name for r in found} - names):
            raise UsageError(
                f"--require asks for {', '.join(left)}, which --metrics {','.join(measured)} "
                "leaves out: add it there"
            )
    return tuple(found)


def _of_file(path: str) -> str:
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("require")
    except OSError as error:
        raise UsageError(f"--require: cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--require: {path} is no TOML: {error}") from error
    rules = [found] if isinstance(found, str) else found
    if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules):
        raise UsageError(
            f"--require: {path} has no require = 'rl2 < 20, coverage > .6', nor a list of such"
        )
    return ",".join(rules)


def failed(
    requirements: tuple[Requirement, ...], rows: Mapping[str, MetricResult]
) -> tuple[str, ...]:
    """A line for each requirement that is not met; one without a value is not.

    Examples
    --------
    >>> rows = {"rl2": MetricResult(25.0, False, "")}
    >>> failed(read_requirements("rl2 < 20, rl2 > 3, fid < 1"), rows)
    ('rl2 < 20 is not met: 25', 'fid < 1 is not met: it was not computed')
    """
    lines = []
    for wanted in requirements:
        value = rows[wanted.name].value if wanted.name in rows else math.nan
        if math.isnan(value):
            lines.append(f"{wanted} is not met: it was not computed")
        elif not _COMPARE[wanted.sign](value, wanted.limit):
            lines.append(f"{wanted} is not met: {number(value)}")
    return tuple(lines)
