"""What is to be said of a set of images: what was done to them, how they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rl2qc.images.resolution import MAX_RATIO, TOLERANCE, check_scale
from rl2qc.images.sources.images import About, InMemory, PatchSource
from rl2qc.images.sources.pages import split_page

__all__ = ["abouts_of", "difference_warnings", "image_notes", "scale_notes", "sized_abouts"]


def abouts_of(source: PatchSource) -> list[About | None]:
    """What each image says of itself; ImageError where one is none."""
    return [source.items.about(row) for row in range(len(source))]


def sized_abouts(source: PatchSource) -> list[About | None]:
    """:func:`abouts_of`; of arrays, which say nothing else of themselves, the size."""
    found = []
    of_all = source.items.one_size if isinstance(source.items, InMemory) else None
    for row, about in enumerate(abouts_of(source)):
        size = None if about is not None else of_all or source.items.header(row)
        found.append(about if size is None else About(*size))
    return found


def image_notes(names: Sequence[str], abouts: Sequence[About | None]) -> list[str]:
    """One line for each thing that was done to some of the images.

    Examples
    --------
    >>> image_notes(["a.jpg", "b.jpg"], [About(8, 8, turned=6), About(8, 8)])
    ['1 of 2 images is turned to the side that its tag (EXIF orientation) calls up, such as a.jpg']
    """
    lines = []
    for is_so, words in _NOTES:
        found = [
            (n, a) for n, a in zip(names, abouts, strict=True) if a is not None and is_so(n, a)
        ]
        if found:
            name, about = found[0]
            lines.append(_counted(len(found), len(names), words(about), name))
    return lines


def _counted(count: int, total: int, words: tuple[str, str], name: str) -> str:
    return f"{count} of {total} images {words[count > 1]}, such as {name}"


def _turned(about: About) -> tuple[str, str]:
    return (
        "is turned to the side that its tag (EXIF orientation) calls up",
        "are turned to the side that their tags (EXIF orientation) call up",
    )


def _scaled(about: About) -> tuple[str, str]:
    white = f"{about.white:g} is taken for white"
    return (
        f"is of {about.bits} bits per channel and does not fill them: {white}",
        f"are of {about.bits} bits per channel and do not fill them: {white}",
    )


def _first_frame(about: About) -> tuple[str, str]:
    frames = f"{about.pages} frames, of which the first is read"
    return f"holds {frames}", f"hold several frames ({frames})"


def _grey(about: About) -> tuple[str, str]:
    what = "a single channel, which is taken for red, green and blue"
    return f"has {what}", f"have {what}"


def _other_colours(about: About) -> tuple[str, str]:
    what = "a colour profile that is not sRGB's, which is not applied"
    return f"carries {what}", f"carry {what}"


def _is_first_of_several(name: str, about: About) -> bool:
    # The pages of a TIFF that is a file of its own have names of their own.
    return about.pages > 1 and (about.format != "TIFF" or split_page(name)[0] == Path(name))


_NOTES: tuple[tuple[Callable[[str, About], bool], Callable[[About], tuple[str, str]]], ...] = (
    (lambda _, a: a.turned > 1, _turned),
    (lambda _, a: a.bits > 8 and a.white != 2.0 ** min(a.bits, 16) - 1, _scaled),
    (_is_first_of_several, _first_frame),
    # A file of a microscope's channel; greys of other formats are meant as they are.
    (lambda _, a: a.grey and a.format == "TIFF", _grey),
    (lambda _, a: a.other_colours, _other_colours),
)


def scale_notes(
    model_mpp: float | None,
    given: float | None,
    abouts: Sequence[About | None],
    what: str = "the images",
    *,
    model: str = "the model",
    advice: str = "or use a model that was trained at theirs (rl2qc train --mpp)",
    any_mpp: bool = False,
) -> list[str]:
    """What is to be said of the resolution of images: what they record is held against what is
    given and against the model's.

    Parameters
    ----------
    model_mpp, given
        Microns per pixel of the model, and those that the user says the images have.
    abouts
        What the images say of themselves.
    what, model, advice, any_mpp
        As in :func:`~rl2qc.images.resolution.check_scale`.

    Raises
    ------
    UsageError
        All that record a resolution record one that is far from the model's, and none is given; or
        the one that is given is far from it.

    Examples
    --------
    >>> scale_notes(0.5, 0.5, [About(8, 8, mpp=0.25)])
    ['1 of 1 images records 0.25 um/px, and 0.5 is taken in its place']
    """
    recorded = [about.mpp for about in abouts if about is not None and about.mpp is not None]
    if given is not None or not recorded:
        said = check_scale(model_mpp, given, what, model=model, advice=advice, any_mpp=any_mpp)
        lines = [] if said is None else [said]
        other = [mpp for mpp in recorded if given and _ratio(mpp, given) > 1 + TOLERANCE]
        if other:
            verb, place = ("record", "their") if len(other) > 1 else ("records", "its")
            lines.append(
                f"{len(other)} of {len(abouts)} images {verb} {_most(other):g} um/px, and "
                f"{given:g} is taken in {place} place"
            )
        return lines
    near = [mpp for mpp in recorded if model_mpp is None or _ratio(mpp, model_mpp) <= MAX_RATIO]
    far = [mpp for mpp in recorded if model_mpp and _ratio(mpp, model_mpp) > MAX_RATIO]
    advice += ", or pass --mpp if what they record is wrong"
    said = check_scale(
        model_mpp, _most(near or far), what, model=model, advice=advice, any_mpp=any_mpp
    )
    lines = [] if said is None else [said]
    if near and far:
        verb = "record" if len(far) > 1 else "records"
        lines.append(
            f"{len(far)} of {len(abouts)} images {verb} {_most(far):g} um/px, far from the "
            f"{model_mpp:g} um/px of {model}"
        )
    return lines


def _ratio(a: float, b: float) -> float:
    return max(a / b, b / a)


def _most(values: Sequence[float]) -> float:
    """The commonest of resolutions, which are often rounded."""
    return Counter(float(f"{value:.3g}") for value in values).most_common(1)[0][0]


def difference_warnings(sets: Mapping[str, Sequence[About | None]], size: int) -> list[str]:
    """What sets that are compared do not have in common, and what that does to metrics.

    Parameters
    ----------
    sets
        What the images say of themselves, by title.
    size
        Side of the patches that are compared, px.

    Examples
    --------
    >>> sets = {"real": [About(512, 512)], "generated": [About(256, 256)]}
    >>> len(difference_warnings(sets, 224))
    1
    """
    known = {t: [a for a in abouts if a is not None] for t, abouts in sets.items()}
    known = {title: abouts for title, abouts in known.items() if abouts}
    lines = []
    sizes = {
        title: _listed([f"{a.width} x {a.height} px" for a in s]) for title, s in known.items()
    }
    if len({size for listed in sizes.values() for size in listed}) > 1:
        lines.append(
            f"images differ in size ({_by_title(sizes)}): the central {size} px of each are "
            "compared, so metrics are right only if all show tissue at one scale"
        )
    coloured = {title: sum(a.other_colours for a in s) for title, s in known.items()}
    if len({count / len(known[title]) for title, count in coloured.items()}) > 1:
        shares = "; ".join(f"{t} {n} of {len(known[t])}" for t, n in coloured.items())
        lines.append(
            f"images carry colour profiles that are not sRGB's in some sets ({shares}), which are "
            "not applied: bring all to sRGB first"
        )
    scales = {
        title: _listed([f"{_most([a.mpp]):g}" for a in s if a.mpp]) for title, s in known.items()
    }
    values = [float(mpp) for listed in scales.values() for mpp in listed]
    if values and max(values) / min(values) > 1 + TOLERANCE:
        named = {title: listed for title, listed in scales.items() if listed}
        lines.append(f"images record different resolutions in um/px ({_by_title(named)})")
    return lines


def _listed(values: Sequence[str]) -> dict[str, int]:
    """The three commonest, counted."""
    return dict(Counter(values).most_common(3))


def _by_title(sets: Mapping[str, Mapping[str, int]]) -> str:
    return "; ".join(
        f"{title} " + ", ".join(f"{value} ({count})" for value, count in listed.items())
        for title, listed in sets.items()
    )
