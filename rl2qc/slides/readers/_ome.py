"""What OME's formats have in common: which channels are the colours of a stained slide, and how
deep pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import SlideError

__all__ = ["Channel", "colour_order", "eight_bits", "to_micrometres"]

_WORDS = {"red": 0, "r": 0, "green": 1, "g": 1, "blue": 2, "b": 2}
_COLOURS = {(255, 0, 0): 0, (0, 255, 0): 1, (0, 0, 255): 2}
_UNITS = {
    "nm": 1e-3, "nanometer": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "micrometer": 1.0,
    "micron": 1.0, "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6,
    "meter": 1e6,
}  # fmt: skip


@dataclass(frozen=True)
class Channel:
    """What a file says of a channel: its name, and the colour it is shown in, RGB."""

    name: str = ""
    colour: tuple[int, int, int] | None = None


def colour_order(file: Path, channels: Sequence[Channel]) -> tuple[int, int, int]:
    """Which of the channels are red, green and blue.

    Raises
    ------
    SlideError
        They are not those of a stained slide, or nothing says that they are.

    Examples
    --------
    >>> colour_order(Path("a.zarr"), [Channel("Blue"), Channel("Green"), Channel("Red")])
    (2, 1, 0)
    """
    for found in (
        [_WORDS.get(channel.name.strip().lower(), -1) for channel in channels],
        [_COLOURS.get(channel.colour or (0, 0, 0), -1) for channel in channels],
    ):
        if sorted(found) == [0, 1, 2]:
            return found.index(0), found.index(1), found.index(2)
    names = ", ".join(channel.name or "?" for channel in channels[:6]) or "none"
    raise SlideError(
        f"{file} holds {len(channels)} channels ({names}) that nothing calls red, green and blue: "
        "only stained slides are judged, whose channels are called so"
    )


def eight_bits(
    file: Path, kind: np.dtype[np.generic], bits: int | None
) -> NDArray[np.float64] | None:
    """What 16-bit values are multiplied by; None for 8-bit ones, which stay.

    Raises
    ------
    SlideError
        Values of another kind.
    """
    if kind == np.uint8:
        return None
    if kind == np.uint16:
        return np.array(255 / (2 ** (bits if bits and 8 < bits <= 16 else 16) - 1))
    raise SlideError(f"{file} holds pixels of type {kind}: 8 or 16 bits without a sign are read")


def to_micrometres(value: object, unit: object) -> float | None:
    """A length in micrometres; None where it is none, or in a unit that is none.

    Examples
    --------
    >>> to_micrometres("250", "nm"), to_micrometres(0.5, None), to_micrometres(1, "pixel")
    (0.25, 0.5, None)
    """
    factor = _UNITS.get(str(unit or "um").strip().lower())
    try:
        length = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return length * factor if factor is not None and np.isfinite(length) and length > 0 else None
