"""What a public call is given, checked in one place: kinds, ranges and numbers that are none.

Settings check their fields by it (:mod:`rl2qc.core.settings`), calls their other arguments.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.errors import UsageError

__all__ = ["COUNT", "Interval", "check", "check_index", "check_path", "check_paths", "check_rows"]


@dataclass(frozen=True)
class Interval:
    """The numbers that an option may be.

    Parameters
    ----------
    low, high
        Its ends; infinite ones are open.
    closed : {"both", "left", "right", "neither"}
        Which ends belong to it.
    unit
        What they are counted in.

    Examples
    --------
    >>> share = Interval(0, 1)
    >>> 0.5 in share, 2 in share, str(Interval(0, 1, "left")), str(Interval(1))
    (True, False, 'lie in [0, 1)', 'be at least 1')
    """

    low: float
    high: float = math.inf
    closed: Literal["both", "left", "right", "neither"] = "both"
    unit: str = ""

    def __contains__(self, value: float) -> bool:
        above = value >= self.low if self.closed in ("both", "left") else value > self.low
        below = value <= self.high if self.closed in ("both", "right") else value < self.high
        return bool(above and below) and math.isfinite(value)

    def __str__(self) -> str:
        left = "[" if self.closed in ("both", "left") else "("
        right = "]" if self.closed in ("both", "right") else ")"
        unit = f" {self.unit}" if self.unit else ""
        if math.isinf(self.high):
            return f"be {'at least' if left == '[' else 'above'} {self.low:g}{unit}"
        return f"lie in {left}{self.low:g}, {self.high:g}{right}{unit}"


COUNT = Interval(1)
"""Whole numbers of which there must be some: tiles of a batch, threads."""

# Stands for lists and tuples of anything.
_SEVERAL = Sequence
_SEQUENCES = (Sequence, Iterable, list, tuple)
_KINDS: dict[Any, tuple[Any, str]] = {
    bool: ((bool, np.bool_), "True or False"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
    str: (str, "text"),
    Path: (os.PathLike, "a path"),
    _SEVERAL: ((Sequence, set, frozenset, np.ndarray), "a list"),
}


def check(
    name: str,
    value: Any,
    hint: Any,
    *,
    within: Interval | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """Refuse an argument of another type, out of range, or that is no choice.

    Parameters
    ----------
    name
        What the caller calls it.
    value
        What was given.
    hint
        Its type, or several: ``int | None``. Types but bool, int, float, str and Path are not
        looked at.
    within
        The numbers that it may be.
    choices
        The words that it may be.

    Returns
    -------
    The value.

    Raises
    ------
    UsageError
        In one line.

    Examples
    --------
    >>> check("batch_size", 32, int, within=COUNT)
    32
    >>> check("batch_size", -1, int, within=COUNT)
    Traceback (most recent call last):
    rl2qc.errors.UsageError: batch_size must be at least 1, got -1
    >>> check("stride", 2.5, int | None)
    Traceback (most recent call last):
    rl2qc.errors.UsageError: stride must be a whole number, got 2.5
    """
    allowed = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None:
        if NoneType in allowed or hint in (object, Any):
            return None
        raise UsageError(f"{name} must have a value, got None")
    kinds = [_SEVERAL if get_origin(k) in _SEQUENCES else k for k in allowed if k is not NoneType]
    if all(kind in _KINDS for kind in kinds) and not any(_is(value, kind) for kind in kinds):
        # Of whole numbers and others, the others say it all.
        told = [_KINDS[kind][1] for kind in kinds if kind is not int or float not in kinds]
        raise UsageError(f"{name} must be {_either(told)}, got {_shown(value)}")
    if _is(value, float):
        if not math.isfinite(value):
            raise UsageError(f"{name} must be finite, got {value}")
        if within is not None and value not in within:
            raise UsageError(f"{name} must {within}, got {value}")
    if choices and isinstance(value, str) and value not in choices:
        raise UsageError(f"{name} must be {_either(choices)}, got {value!r}")
    return value


def check_path(name: str, value: Any) -> Path:
    """A path that is one: no number, no NUL byte.

    Raises
    ------
    UsageError
        It is none.

    Examples
    --------
    >>> check_path("results", 5)
    Traceback (most recent call last):
    rl2qc.errors.UsageError: results must be text or a path, got 5
    """
    path = Path(check(name, value, str | Path))
    if "\0" in str(path):
        raise UsageError(f"{name}: no file name holds a NUL byte: {_shown(str(path))}")
    return path


def check_paths(name: str, value: Any) -> list[str | Path]:
    """One path or several, as a list.

    Raises
    ------
    UsageError
        It is neither, or one of them is no path.

    Examples
    --------
    >>> check_paths("inputs", "a.svs")
    ['a.svs']
    >>> check_paths("inputs", None)
    Traceback (most recent call last):
    rl2qc.errors.UsageError: inputs must be a path or several, got None
    """
    if isinstance(value, str | os.PathLike):
        value = [value]
    elif isinstance(value, bytes | dict) or not isinstance(value, Iterable):
        raise UsageError(f"{name} must be a path or several, got {_shown(value)}")
    found = list(value)
    if odd := {type(path).__name__ for path in found if not isinstance(path, str | os.PathLike)}:
        raise UsageError(f"{name} are given by their paths here, not as {', '.join(sorted(odd))}")
    for path in found:
        check_path(name, os.fspath(path))
    return [path if isinstance(path, str) else Path(path) for path in found]


def check_index(name: str, value: Any, count: int) -> int:
    """An index of ``count`` things, from 0; negative ones count from the end.

    Raises
    ------
    UsageError
        It is no whole number.
    IndexError
        There is no such thing.

    Examples
    --------
    >>> check_index("tile", -1, 3)
    2
    """
    check(name, value, int)
    if not -count <= value < count:
        raise IndexError(f"{name} {value} of {count}")
    return int(value) % count


def check_rows(name: str, values: ArrayLike, width: int | None = None) -> NDArray[Any]:
    """Numbers (n, d), all of them finite.

    Parameters
    ----------
    name
        What the caller calls them.
    values
        Anything that NumPy makes an array of.
    width
        How many a row must have; None takes any.

    Raises
    ------
    UsageError
        Another shape, what are no real numbers, or a row with NaN or infinity: it is named.

    Examples
    --------
    >>> check_rows("features", [[1.0, float("nan")]])
    Traceback (most recent call last):
    rl2qc.errors.UsageError: features must be finite: NaN or infinity in 1 of 1 rows, first row 0
    """
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{name} are no array of numbers: {error}") from None
    wanted = "(n, d)" if width is None else f"(n, {width})"
    if array.ndim != 2 or (width is not None and array.shape[1] != width):
        raise UsageError(f"{name} must be {wanted}, got {array.shape}")
    if array.dtype.kind not in "iuf":
        raise UsageError(f"{name} must be real numbers, got {array.dtype}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise UsageError(
            f"{name} must be finite: NaN or infinity in {len(bad)} of {len(array)} rows, first "
            f"row {bad[0]}"
        )
    return array


def _is(value: Any, kind: Any) -> bool:
    # True is a number to Python, and not to us.
    if isinstance(value, bool | np.bool_):
        return bool(kind is bool)
    return isinstance(value, _KINDS[kind][0])


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _either(choices: Sequence[str]) -> str:
    *most, last = choices
    return f"{', '.join(most)} or {last}" if most else last
