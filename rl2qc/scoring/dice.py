"""Dice between two folders of masks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rl2qc.core.files import atomic_path
from rl2qc.core.schemas import load_schema
from rl2qc.errors import ImageError, UsageError
from rl2qc.images.groups import slide_ids
from rl2qc.images.sources.files import list_images
from rl2qc.metrics.dice import dice
from rl2qc.stats.resampling import bootstrap

__all__ = ["SCHEMA_VERSION", "MaskOverlap", "mask_overlap", "read_mask", "schema"]

SCHEMA_VERSION = 1
# Below so many pairs or slides an interval over them is rough.
_FEW = 10


@dataclass(frozen=True)
class MaskOverlap:
    """Dice of pairs of masks.

    Attributes
    ----------
    value
        Mean over the pairs.
    low, high
        95 % bootstrap interval over the pairs, or slides; None for a single one.
    names
        File name of each pair, without its suffix.
    per_image
        Dice of each pair.
    labels
        Those averaged over; None where all but 0 is foreground.
    n_empty
        Pairs in which neither mask holds anything; they score 1.
    groups
        Slide or patient of each pair, resampled whole; None where pairs were.
    warnings
        Plain sentences.
    """

    value: float
    low: float | None
    high: float | None
    names: tuple[str, ...]
    per_image: tuple[float, ...]
    labels: tuple[int, ...] | None
    n_empty: int
    groups: tuple[str, ...] | None
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as the schema in the package describes it (`schema`)."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def to_json(self, path: str | Path) -> None:
        """Write :meth:`to_dict` to ``path``, whole or not at all."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")


def mask_overlap(
    masks_a: str | Path,
    masks_b: str | Path,
    *,
    labels: Sequence[int] | None = None,
    group_pattern: str | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> MaskOverlap:
    """Mean Dice of the masks of two folders, paired by file name without suffix.

    Parameters
    ----------
    masks_a, masks_b
        Folders (searched recursively), files or globs.
    labels
        Classes to average over; all that is not 0 is foreground where left out.
    group_pattern
        Regular expression whose first group is the slide or patient of a mask of the first
        folder (`rl2qc.images.groups.slide_ids`): whole groups are then resampled.
    n_resamples, seed
        Of the bootstrap interval.

    Raises
    ------
    UsageError
        For masks without a partner, labels that no mask holds, or a pattern that does not match.
    ImageError
        For files that are no masks, or pairs of different size.
    """
    first, second = (_by_stem(masks) for masks in (masks_a, masks_b))
    for here, there, folder in ((first, second, masks_b), (second, first, masks_a)):
        if alone := [stem for stem in here if stem not in there]:
            raise UsageError(
                f"{len(alone)} masks have no partner of their name in {folder}, "
                f"such as {here[alone[0]].name}"
            )
    groups = None
    if group_pattern is not None:
        paths = [str(path) for path in first.values()]
        groups = slide_ids(paths, group_pattern, option="--group-pattern")
    per_image, n_empty = [], 0
    held: tuple[set[int], set[int]] = set(), set()
    for stem in first:  # one pair at a time: folders may be large
        pair = read_mask(first[stem]), read_mask(second[stem])
        try:
            found = dice(pair[:1], pair[1:], labels=labels)
        except ValueError as error:
            raise ImageError(f"{first[stem]} and {second[stem]}: {error}") from None
        per_image.append(found.value)
        n_empty += found.n_empty
        if labels is not None:
            for seen, mask in zip(held, pair, strict=True):
                seen.update(np.unique(mask).astype(int).tolist())
    warnings = _about_labels(labels or (), held, (masks_a, masks_b))
    if n_empty == len(per_image):
        warnings.append(
            f"all {n_empty} pairs are empty and score 1: is there nothing to segment, or did the "
            "segmentation fail?"
        )
    units, name = (len(per_image), "pairs") if groups is None else (len(set(groups)), "slides")
    low = high = None
    if units > 1:
        interval = bootstrap(
            np.mean,
            per_image,
            groups=None if groups is None else [groups],
            n_resamples=n_resamples,
            bounds=(0, 1),
            seed=seed,
        )
        low, high = interval.low, interval.high
    if 1 < units < _FEW:
        warnings.append(f"{units} {name} are few: the interval over them is rough")
    if lossy := [p for p in (*first.values(), *second.values()) if p.suffix.lower() in _LOSSY]:
        warnings.append(
            f"{len(lossy)} masks are JPEG files, such as {lossy[0].name}: compression blurs their "
            "edges, and every grey but 0 counts as foreground; save masks as PNG"
        )
    return MaskOverlap(
        float(np.mean(per_image)),
        low,
        high,
        tuple(first),
        tuple(per_image),
        None if labels is None else tuple(labels),
        n_empty,
        None if groups is None else tuple(groups),
        tuple(warnings),
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of :meth:`MaskOverlap.to_dict`."""
    return load_schema("scoring", "dice")


def _about_labels(
    labels: Sequence[int], held: tuple[set[int], set[int]], folders: tuple[str | Path, str | Path]
) -> list[str]:
    """Warnings of labels that a folder lacks; UsageError where nothing is left to compare."""
    absent = set(labels) - held[0] - held[1]
    if labels and absent == set(labels):
        raise UsageError(
            f"no mask holds label {_listed(absent)}: they hold {_listed(held[0] | held[1])}"
        )
    warnings = []
    if absent:
        warnings.append(f"label {_listed(absent)} is in no mask and counts for nothing")
    for seen, folder in zip(held, folders, strict=True):
        if missing := set(labels) - seen - absent:
            warnings.append(
                f"label {_listed(missing)} is in no mask of {folder}, which hold {_listed(seen)}, "
                "and scores 0: are both folders coded alike?"
            )
    return warnings


def _listed(labels: Iterable[int]) -> str:
    ordered = sorted(labels)
    return ", ".join(map(str, ordered[:10])) + ", ..." * (len(ordered) > 10)


_LOSSY = {".jpg", ".jpeg"}


def read_mask(path: str | Path) -> NDArray[np.generic]:
    """A mask (h, w) with its label numbers as stored: greys, palette indices or bits.

    Raises
    ------
    ImageError
        For a file that is no image, or one with three different channels.
    """
    try:
        with Image.open(path) as image:
            array: NDArray[np.generic] = np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path} cannot be read as a mask: {error}") from error
    if array.dtype.kind == "f":
        raise ImageError(f"{path} is no mask: it holds fractions, not label numbers")
    if array.ndim == 3:
        colours = array[..., :3] if array.shape[2] > 2 else array[..., :1]
        if (colours != colours[..., :1]).any():
            raise ImageError(f"{path} is no mask: its channels differ; save label numbers as greys")
        array = colours[..., 0]
    return array


def _by_stem(masks: str | Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in list_images(masks):
        if path.stem in found:
            raise UsageError(f"two masks are called {path.stem}: {found[path.stem]} and {path}")
        found[path.stem] = path
    return found
