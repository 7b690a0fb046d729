"""Names, numbers and tables as text."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

__all__ = [
    "area",
    "brief",
    "interval",
    "layout",
    "number",
    "one_line",
    "percent",
    "printable",
    "valid_text",
]


def valid_text(value: object) -> str:
    """A name with the bytes replaced that are no UTF-8.

    Examples
    --------
    >>> valid_text("caf\\udce9") == "caf\N{REPLACEMENT CHARACTER}"
    True
    """
    return os.fsencode(str(value)).decode("utf-8", "replace")


def printable(text: str) -> str:
    """File names need not be valid text, nor one line; terminals and tables insist on it.

    Examples
    --------
    >>> print(printable("a\\nb"))
    a\N{REPLACEMENT CHARACTER}b
    """
    valid = os.fsencode(text).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in valid)


def one_line(error: BaseException) -> str:
    """What an error says, in a line; its kind where it says nothing.

    Examples
    --------
    >>> one_line(KeyError("keep")), one_line(ValueError())
    ("KeyError: 'keep'", 'ValueError')
    """
    text = " ".join(str(error).split())
    if isinstance(error, KeyError) or not text:
        return f"{type(error).__name__}: {text}".removesuffix(": ")
    return text


def brief(text: str, most: int = 60) -> str:
    """What a file holds, for a message: of long texts the beginning.

    Examples
    --------
    >>> brief("0.5"), brief("a" * 99, 5)
    ('0.5', 'aa...')
    """
    return text if len(text) <= most else f"{text[: most - 3]}..."


def number(value: float) -> str:
    """Four digits, or a dash for what is not defined.

    >>> number(1234.5), number(0.012345), number(math.nan)
    ('1234', '0.01235', '-')
    """
    return "-" if math.isnan(value) else f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def percent(share: float) -> str:
    """A share in percent; small ones keep a digit, and 0 and 100 % mean none and all.

    Examples
    --------
    >>> [percent(share) for share in (0.0, 1e-4, 0.05, 0.123, 0.933, 0.9999, 1.0, math.nan)]
    ['0%', '< 0.1%', '5%', '12%', '93.3%', '> 99.9%', '100%', '-']
    """
    if math.isnan(share):
        return "-"
    shown = f"{share:.0%}" if 0.1 <= share <= 0.9 else f"{share:.1%}"
    if shown in ("0.0%", "100.0%") and share not in (0.0, 1.0):
        return "< 0.1%" if share < 0.5 else "> 99.9%"
    return shown.replace(".0%", "%")


def area(um2: float) -> str:
    """Square microns, of large areas in square millimetres.

    Examples
    --------
    >>> area(812.4), area(2_345_678.0)
    ('812 µm²', '2.35 mm²')
    """
    if um2 < 1e4:
        return f"{um2:.0f} µm²"
    return f"{um2 / 1e6:.3g} mm²"


def interval(low: float, high: float) -> str:
    """Two numbers with the word between them, or a dash."""
    return "-" if math.isnan(low) else f"{number(low)} to {number(high)}"


def layout(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lines of aligned columns; those in ``right`` are aligned to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
