"""Compare two versions' arrays, and print what was found."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from versions.names import BECOMES, INTENDED, REQUIRED, canonical, group_of
from versions.reading import Arrays

__all__ = ["Difference", "Group", "compare", "compare_becomes", "print_groups", "print_listed"]

_TINY = 1e-9
# In an array, differences are shares of the value, or of this share of its largest one.
_OF_LARGEST = 1e-3


@dataclass(frozen=True)
class Difference:
    """Two arrays that differ by more than the tolerance.

    ``largest`` is the largest relative difference; infinite for text, shapes and what is missing.
    """

    key: str
    largest: float
    said: str
    intended: str = ""


@dataclass
class Group:
    """What one part of the run says of one kind of numbers."""

    numbers: int = 0
    equal: int = 0
    largest: float = 0.0
    differences: list[Difference] = field(default_factory=list)
    new: int = 0

    @property
    def unintended(self) -> list[Difference]:
        """Differences that nobody meant."""
        return [d for d in self.differences if not d.intended]


Groups = dict[tuple[str, str], Group]


def compare(before: Arrays, after: Arrays, tolerance: float) -> Groups:
    """All arrays by part and kind. What only the new version has is counted, not a difference."""
    groups: Groups = {}
    gone = {key.removesuffix("files") for key in before if _is_file(key) and key not in after}
    for key in [*before, *(key for key in after if key not in before)]:
        # Of a file that is missing, that is said once.
        if not _is_file(key) and any(key.startswith(file) for file in gone):
            continue
        group = groups.setdefault((key.partition("/")[0], group_of(key)), Group())
        if key not in before:
            group.new += 1
            continue
        group.numbers += before[key].size
        if key not in after:
            group.differences.append(_difference(key, math.inf, "missing in the new version"))
            continue
        gaps = relative(before[key], after[key])
        if gaps is None:
            said = f"{_short(before[key])} -> {_short(after[key])}"
            group.differences.append(_difference(key, math.inf, said))
            continue
        group.equal += int((gaps == 0).sum())
        worst = float(gaps.max(initial=0))
        if worst > tolerance:
            at = np.unravel_index(int(gaps.argmax()), gaps.shape)
            found = _difference(
                key,
                worst,
                f"{before[key][at]} -> {after[key][at]}"
                + (f", {int((gaps > tolerance).sum())} of {gaps.size}" if gaps.ndim else ""),
            )
            group.differences.append(found)
            worst = 0.0 if found.intended else worst
        group.largest = max(group.largest, worst)
    return groups


def compare_becomes(before: Arrays, after: Arrays, tolerance: float) -> Groups:
    """What the new version must give because the old one's command line gave it."""
    groups: Groups = {}
    for new, old in ((canonical(a), canonical(b)) for a, b in BECOMES):
        wanted = {k.removeprefix(old): a for k, a in before.items() if _is_below(k, old)}
        given = {k.removeprefix(new): a for k, a in after.items() if _is_below(k, new)}
        found = Group()
        if not given:
            said = "this version has it not (yet)"
            found.differences.append(Difference(new, math.inf, said))
        for name, array in wanted.items() if given else ():
            # Provenance tells how a thing was made, which is not the same.
            if "provenance" in name:
                continue
            found.numbers += array.size
            gaps = relative(array, given[name]) if name in given else None
            worst = math.inf if gaps is None else float(gaps.max(initial=0))
            found.equal += 0 if gaps is None else int((gaps == 0).sum())
            found.largest = max(found.largest, worst)
            if worst > tolerance:
                found.differences.append(Difference(f"{new}{name}", worst, f"not as {old}{name}"))
        groups[("becomes", new)] = found
    found = groups[("becomes", "required")] = Group()
    for key, wanted_value in ((canonical(key), value) for key, value in REQUIRED):
        if key in after:
            found.numbers += 1
            if float(after[key]) == wanted_value:
                found.equal += 1
            else:
                said = f"{after[key]}, and must be {wanted_value:g}"
                found.differences.append(Difference(key, math.inf, said))
    return groups


def relative(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float64] | None:
    """Relative differences, element by element; None where shapes or kinds differ."""
    if before.shape != after.shape or _is_text(before) != _is_text(after):
        return None
    if _is_text(before):
        return np.where(before == after, 0.0, math.inf)
    a, b = before.astype(np.float64), after.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    sizes = np.maximum(np.abs(a), np.abs(b))
    largest = float(np.nanmax(np.where(np.isfinite(sizes), sizes, 0), initial=0))
    least = max(_TINY, _OF_LARGEST * largest if a.ndim else 0)
    with np.errstate(invalid="ignore"):
        gaps = np.abs(a - b) / np.maximum(sizes, least)
    return np.asarray(np.where(same, 0.0, np.where(np.isnan(gaps), math.inf, gaps)))


def _is_file(key: str) -> bool:
    return key.endswith("/files")


def _is_text(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "U"


def _is_below(key: str, prefix: str) -> bool:
    return key == prefix or key.startswith(f"{prefix}/")


def _difference(key: str, largest: float, said: str) -> Difference:
    meant = next((m for m in INTENDED if re.fullmatch(canonical(m.keys), key)), None)
    return Difference(key, largest, said, "" if meant is None else f"fault {meant.fault}")


def _short(array: NDArray[Any]) -> str:
    if not array.ndim:
        return str(array)[:60]
    return f"{'text' if _is_text(array) else 'numbers'} {array.shape}"


# ------------------------------------------------------------------ the account


def print_groups(groups: Groups) -> None:
    """The table: a line for each part and kind."""
    rows = [("part", "kind", "compared", "equal", "largest", "differing", "intended", "new")]
    for (part, kind), group in groups.items():
        meant = len(group.differences) - len(group.unintended)
        share = (
            "-"
            if not group.numbers
            else f"{math.floor(1000 * group.equal / group.numbers) / 10:g} %"
        )
        rows.append(
            (
                part,
                kind,
                str(group.numbers),
                share,
                f"{group.largest:.1e}" if group.largest else "0",
                str(len(group.unintended)),
                str(meant),
                str(group.new),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (
            c.ljust(w) if i < 2 else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def print_listed(groups: Iterable[Group], most: int) -> None:
    """The differences that nobody meant, the largest of each step first; then the intended."""
    listed = [d for group in groups for d in group.differences]
    bad = [d for d in listed if not d.intended]
    if bad:
        print(f"\n{len(bad)} differ:")
    for difference in sorted(bad, key=lambda d: d.key)[:most]:
        size = "" if math.isinf(difference.largest) else f"  ({difference.largest:.1e})"
        print(f"  {difference.key}{size}\n      {difference.said}")
    if len(bad) > most:
        print(f"  and {len(bad) - most} more (--most)")
    meant = [d for d in listed if d.intended]
    if meant:
        print(f"\n{len(meant)} differ as intended:")
    for about in INTENDED:
        count = sum(bool(re.fullmatch(canonical(about.keys), d.key)) for d in meant)
        if count:
            print(f"  fault {about.fault}, {count} keys: {about.why}")
