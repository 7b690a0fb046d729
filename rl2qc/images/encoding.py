"""How a set of images is encoded, by its files and by its pixels, and how two sets differ in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl2qc.images.sources.images import About
from rl2qc.images.traces import TRACES

__all__ = ["Difference", "Encoding", "encoding_differences", "stored_as"]

# Of an image of each set, how often the trace of one is the larger: from here on the sets differ by
# their encoding, and farther by one standard error of the smaller set: halves of real sets, by
# slides, and diffusion fakes reach 0.81; of colour, which a stain changes too, 0.86, and images
# stored with colours at half the size 0.99.
_SEPARATED = {"blocks": 0.86, "colour": 0.95, "fading": 0.86, "frame": 0.86, "palette": 0.86}
# How little the finest detail falls off where it is noise; that of lenses falls by 1 and more.
_FLAT = -0.5
# Shares of images that may be stored otherwise.
_OTHERWISE = 0.1
# Median trace of colour below which a set has none: grey images lie at -8, of JPEG and WebP at -3.
_GREY = -5.0
# Fewer images tell nothing by their traces.
_FEWEST = 10
_WORDS = {
    "blocks": "a pattern that repeats every 8 px, as JPEG and resizing leave",
    "colour": "colours without detail, as JPEG and WebP store them",
    "fading": "detail that fades towards the finest, as after resizing",
    "frame": "a frame, as padding with one colour or mirrored edges leaves",
    "palette": "at most 256 colours, as GIF and palettes store them",
}
# Of these more is a sign; of colour and fading, less.
_MORE = ("blocks", "frame", "palette")


@dataclass(frozen=True, eq=False)
class Encoding:
    """How the images of one set are encoded.

    Attributes
    ----------
    abouts
        What each file says of itself; None of images that are no files.
    traces : (n, 11) float32
        Of :func:`rl2qc.images.traces.traces`; None where pixels were not looked at.
    """

    abouts: Sequence[About | None]
    traces: NDArray[np.float32] | None = None

    @property
    def stored(self) -> dict[str, int]:
        """How often the files are stored in which way, the commonest first."""
        return dict(Counter(stored_as(a) for a in self.abouts if a is not None).most_common())

    @property
    def usual(self) -> About | None:
        """One that is stored in the commonest way."""
        stored = self.stored
        usual = next(iter(stored), None)
        return next((a for a in self.abouts if a is not None and stored_as(a) == usual), None)

    def record(self) -> dict[str, int]:
        """Counts for the record; of images that are no files nothing is known."""
        return self.stored or {"no files": len(self.abouts)}


@dataclass(frozen=True)
class Difference:
    """One thing by which the encodings of two sets differ.

    Attributes
    ----------
    kind
        "stored", "grey", or the trace: "blocks", "colour", "fading", "frame", "palette".
    words
        What it is.
    shown_by
        The set whose pixels show a trace, "real" or "generated"; "" of files.
    """

    kind: str
    words: str
    shown_by: str = ""


def stored_as(about: About) -> str:
    """How a file is stored, as far as that can change pixels.

    Examples
    --------
    >>> stored_as(About(8, 8, format="JPEG", lossy="JPEG", quality=75, subsampling="4:2:0"))
    'JPEG 75 4:2:0'
    >>> stored_as(About(8, 8, format="PNG"))
    'lossless'
    """
    words = about.lossy or "lossless"
    if about.quality:
        words += f" {about.quality}"
    if about.subsampling:
        words += f" {about.subsampling}"
    return words + (f" {about.bits} bits" if about.bits > 8 else "")


def encoding_differences(real: Encoding, generated: Encoding) -> list[Difference]:
    """What of two sets is encoded differently; nothing where it is alike.

    Examples
    --------
    >>> png, jpeg = About(8, 8, format="PNG"), About(8, 8, lossy="JPEG", quality=75)
    >>> [d.words for d in encoding_differences(Encoding([png]), Encoding([jpeg]))]
    ['real images are stored as lossless, generated ones as JPEG 75']
    """
    found = []
    a, b = real.stored, generated.stored
    if a and b and _apart(a, b) > _OTHERWISE:
        found.append(
            Difference(
                "stored",
                f"real images are stored as {_listed(a)}, generated ones as {_listed(b)}",
            )
        )
    if real.traces is None or generated.traces is None:
        return found
    # The same image again tells nothing new.
    fewest = min(len(np.unique(t, axis=0)) for t in (real.traces, generated.traces))
    if fewest < _FEWEST:
        return found
    sets = {"real": _measures(real.traces), "generated": _measures(generated.traces)}
    grey = [title for title, of in sets.items() if np.median(of["colour"]) < _GREY]
    if len(grey) == 1:
        found.append(Difference("grey", f"{grey[0]} images have no colour", grey[0]))
    for kind, words in _WORDS.items():
        if kind == "colour" and grey:  # which has no detail then, and no JPEG did that
            continue
        area = _area(sets["real"][kind], sets["generated"][kind])
        needed = _SEPARATED[kind]
        error = float(np.sqrt(needed * (1 - needed) / fewest))
        if abs(area - 0.5) < min(needed + error, 0.99) - 0.5:
            continue
        more = (area > 0.5) == (kind in _MORE)
        which, other = ("generated", "real") if more else ("real", "generated")
        # Beside noise everything fades.
        if kind != "fading" or np.median(sets[other]["flat"]) < _FLAT:
            found.append(Difference(kind, f"{which} images show {words}", which))
    return found


def _measures(traces: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """What sets are compared by, of rows of traces."""
    of = {name: traces[:, i].astype(np.float64) for i, name in enumerate(TRACES)}
    return {
        "blocks": of["vanished"],
        "colour": of["colour"],
        # Tissue has more or less detail; how it falls off from coarse to fine is the optics'.
        "fading": np.minimum(of["band_3"], of["band_4"]) - of["band_0"],
        "frame": of["frame"],
        "palette": of["palette"],
        "flat": of["band_4"] - of["band_2"],
    }


def _area(real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
    """Share of pairs in which the generated image has more, ties counted half."""
    order = np.sort(real)
    below = np.searchsorted(order, generated, "left") + np.searchsorted(order, generated, "right")
    return float(below.mean() / (2 * len(real)))


def _apart(a: dict[str, int], b: dict[str, int]) -> float:
    """Share of images that would have to be stored otherwise for both to be alike."""
    n, m = sum(a.values()), sum(b.values())
    return sum(abs(a.get(k, 0) / n - b.get(k, 0) / m) for k in {*a, *b}) / 2


def _listed(stored: dict[str, int]) -> str:
    if len(stored) == 1:
        return next(iter(stored))
    total = sum(stored.values())
    return ", ".join(f"{name} ({100 * n / total:.0f} %)" for name, n in list(stored.items())[:3])
