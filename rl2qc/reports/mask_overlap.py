"""Dice between two folders of masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rl2qc.atomic import atomic_path
from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources import list_images
from rl2qc.metrics.agreement import dice
from rl2qc.metrics.resampling import bootstrap

__all__ = ["MaskOverlap", "mask_overlap", "read_mask"]


@dataclass(frozen=True)
class MaskOverlap:
    """Dice of pairs of masks.

    Attributes
    ----------
    value
        Mean over the pairs.
    low, high
        95 % bootstrap interval over the pairs; None for a single one.
    names
        File name of each pair, without its suffix.
    per_image
        Dice of each pair.
    n_empty
        Pairs in which neither mask holds anything; they score 1.
    warnings
        Plain sentences.
    """

    value: float
    low: float | None
    high: float | None
    names: tuple[str, ...]
    per_image: tuple[float, ...]
    n_empty: int
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def to_json(self, path: str | Path) -> None:
        """Write :meth:`to_dict` to ``path``, whole or not at all."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")


def mask_overlap(
    masks_a: str | Path,
    masks_b: str | Path,
    *,
    labels: Sequence[int] | None = None,
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
    n_resamples, seed
        Of the bootstrap interval.

    Raises
    ------
    UsageError
        For masks without a partner.
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
    per_image, n_empty = [], 0
    for stem in first:  # one pair at a time: folders may be large
        try:
            found = dice([read_mask(first[stem])], [read_mask(second[stem])], labels=labels)
        except ValueError as error:
            raise ImageError(f"{first[stem]} and {second[stem]}: {error}") from None
        per_image.append(found.value)
        n_empty += found.n_empty
    low = high = None
    if len(per_image) > 1:
        found_interval = bootstrap(
            np.mean, per_image, n_resamples=n_resamples, bounds=(0, 1), seed=seed
        )
        low, high = found_interval.low, found_interval.high
    warnings = []
    if lossy := [p for p in (*first.values(), *second.values()) if p.suffix.lower() in _LOSSY]:
        warnings.append(
            f"{len(lossy)} masks are JPEG files, such as {lossy[0].name}: compression blurs their "
            "edges, and every grey but 0 counts as foreground; save masks as PNG"
        )
    return MaskOverlap(
        float(np.mean(per_image)), low, high, tuple(first), tuple(per_image), n_empty,
        tuple(warnings),
    )  # fmt: skip


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
