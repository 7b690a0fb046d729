"""Images that are there twice, generated ones that are real ones, and paired scenes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import UsageError
from rl2qc.images.duplicates import near_duplicates, shows_something
from rl2qc.metrics.matrices import Rows
from rl2qc.metrics.neighbors import kneighbors
from rl2qc.scoring.image_sets import ImageSet

__all__ = ["Copies", "Duplicates", "copies", "duplicates", "paired_with"]

# Relative distance of features of one image that were computed in different batches.
_SAME = 1e-5
# Images of one name are scenes of one kind where the nearest real image is the one of that name so
# much more often than by chance, and for so large a share.
_MORE_OFTEN, _SHARE = 5.0, 0.2


@dataclass(frozen=True, eq=False)
class Copies:
    """Images that equal a real one, or show its picture encoded, resized, mirrored or turned.

    Attributes
    ----------
    images, of : (c,) intp
        Which they are, and which real image each equals.
    warnings
        A word about them, with an example, and about unseen images that are in the real set.
    """

    images: Rows
    of: Rows
    warnings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Duplicates:
    """How many distinct images a set holds.

    Attributes
    ----------
    n, distinct
        Images, and those left when each is counted once.
    largest
        How often the commonest is there.
    example
        Names of two that are one; empty where there are none.
    """

    n: int
    distinct: int
    largest: int
    example: tuple[str, ...] = ()

    @property
    def repeated(self) -> int:
        """Images that are there again."""
        return self.n - self.distinct

    def warnings(self, called: str = "generated images") -> tuple[str, ...]:
        """A word about them."""
        if not self.repeated:
            return ()
        return (
            f"{self.n} {called} hold {self.distinct} distinct ones ({self.example[0]} and "
            f"{self.example[1]} are one; the commonest is there {self.largest} times): what looks "
            "at each image alone, or at means, does not see it",
        )


def copies(judged: ImageSet, real: ImageSet, called: str = "generated images") -> Copies:
    """Find the images of a set that are real ones; without features and looks none is found.

    Parameters
    ----------
    judged, real
        Every image of both is looked at.
    called
        What the images are called in the warning.
    """
    same, of = _equal(judged, real)
    warnings = []
    if len(same):
        first, second = judged.source.names[int(same[0])], real.source.names[int(of[0])]
        example = f"{_short(first)} equals {_short(second)}"
        warnings.append(
            f"{len(same)} of {len(judged)} {called} equal a real image ({example}): copies score "
            "like real images, so look at authenticity first"
        )
    if real.unseen is not None and (common := len(_equal(real.unseen, real)[0])):
        warnings.append(
            f"{common} of {len(real.unseen)} unseen images are in the real set as well: "
            "authenticity and the adjusted IRS need images that the generator has not seen"
        )
    return Copies(same, of, tuple(warnings))


def duplicates(images: ImageSet) -> Duplicates:
    """Count the distinct images of a set: blank ones each, near-duplicates, turned or not, once."""
    if images.looks is None:
        return Duplicates(len(images), len(images), 1)
    pictures = images.looks.pictures
    shown = np.flatnonzero(shows_something(pictures))
    member = near_duplicates(pictures[shown], turned=True)
    groups, sizes = np.unique(member, return_counts=True)
    repeated = len(shown) - len(groups)
    if not repeated:
        return Duplicates(len(images), len(images), 1)
    pair = shown[np.flatnonzero(member == groups[sizes.argmax()])[:2]]
    names = tuple(_short(images.source.names[int(i)]) for i in pair)
    return Duplicates(len(images), len(images) - repeated, int(sizes.max()), names)


def _short(name: str) -> str:
    """A path as its file and folder: where these are is nobody's to read."""
    return "/".join(PurePath(name).parts[-2:])


def _equal(judged: ImageSet, real: ImageSet) -> tuple[Rows, Rows]:
    """Images with the features of a real one, or its picture; and which one."""
    found: dict[int, int] = {}
    if judged.looks is not None and real.looks is not None:
        found |= _same_picture(judged.looks.pictures, real.looks.pictures)
    if "features" in judged.arrays and "features" in real.arrays:
        x, y = judged.features, real.features
        nearest = kneighbors(x, y, 1)
        same = nearest.distances[:, 0] <= _SAME * np.linalg.norm(x, axis=1)
        if judged.looks is not None:
            same &= shows_something(judged.looks.pictures)
        found |= {int(i): int(nearest.indices[i, 0]) for i in np.flatnonzero(same)}
    rows = sorted(found)
    return np.array(rows, np.intp), np.array([found[i] for i in rows], np.intp)


def _same_picture(judged: NDArray[np.float32], real: NDArray[np.float32]) -> dict[int, int]:
    """Rows that are near-duplicates of a real picture, turned or not, and the first such."""
    rows, of = np.flatnonzero(shows_something(judged)), np.flatnonzero(shows_something(real))
    groups = near_duplicates(np.concatenate([real[of], judged[rows]]), turned=True)
    first: dict[int, int] = {}
    for row, group in zip(of.tolist(), groups[: len(of)].tolist(), strict=True):
        first.setdefault(group, row)
    return {
        row: first[group]
        for row, group in zip(rows.tolist(), groups[len(of) :].tolist(), strict=True)
        if group in first
    }


def paired_with(
    judged: ImageSet, real: ImageSet, *, asked: bool, found: bool = True
) -> Rows | None:
    """The real image whose scene each generated one shows; None where they are not paired.

    Images are paired by name; they are taken for pairs where their pictures bear it out, or where
    the user says so.

    Parameters
    ----------
    judged, real
    asked
        Whether the user says so.
    found
        Whether pairs that the user does not name are looked for.

    Raises
    ------
    UsageError
        The user says so, and names do not tell which belong together.
    """
    if not asked and not found:
        return None
    known: dict[str, int] = {}
    for row, name in enumerate(real.source.names):
        known.setdefault(_key(name), row)
    of = [known.get(_key(name), -1) for name in judged.source.names]
    unique = len(known) == len(real) and len(set(of)) == len(of)
    if min(of) < 0 or not unique:
        if asked:
            alone = judged.source.names[of.index(-1) if -1 in of else 0]
            raise UsageError(
                "--paired: cannot tell which real image each generated one belongs to, such as "
                f"{alone}: call those that belong together alike"
            )
        return None
    rows = np.array(of, np.intp)
    return rows if asked or _borne_out(judged, real, rows) else None


def _key(name: str) -> str:
    return PurePath(name).stem + name[name.rfind("@page") :] * ("@page" in name)


def _borne_out(judged: ImageSet, real: ImageSet, of: Rows) -> bool:
    """Whether images lie nearest to the one of their name clearly more often than by chance."""
    if judged.looks is None or real.looks is None:
        return False
    x, y = (_unit(s.looks.pictures) for s in (judged, real) if s.looks is not None)
    hits = float(np.mean(np.argmax(x @ y.T, axis=1) == of))
    return hits > max(_MORE_OFTEN / len(real), _SHARE)


def _unit(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = (pictures - pictures.mean(axis=(1, 2), keepdims=True)).reshape(len(pictures), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6))
