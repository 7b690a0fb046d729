"""Dice between two folders of masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.progress import Progress, track
from rl2qc.core.provenance import versions
from rl2qc.core.results import Result
from rl2qc.core.schemas import load_schema
from rl2qc.errors import ImageError, UsageError
from rl2qc.images.groups import slide_ids
from rl2qc.images.sources.decode import read_mask as read_stored
from rl2qc.images.sources.files import find_files
from rl2qc.metrics import dice as of_arrays
from rl2qc.scoring.settings import DiceSettings
from rl2qc.stats.resampling import bootstrap

__all__ = ["SCHEMA_VERSION", "Dice", "dice", "read_mask", "schema"]

SCHEMA_VERSION = 2
# Below so many pairs or slides an interval over them is rough.
_FEW = 10


_WORST = 5


@dataclass(frozen=True)
class Dice(Result):
    """Dice of pairs of masks.

    Attributes
    ----------
    value
        Mean over the pairs.
    low, high
        Bootstrap interval over the pairs, or slides; None for a single one.
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
    provenance
        Inputs, settings and versions.

    Examples
    --------
    >>> found = Dice(0.75, 0.5, 1.0, ("a", "b"), (0.5, 1.0), None, 0, None, ())
    >>> [row["dice"] for row in found.csv_rows()]
    [0.5, 1.0]
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
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Dice {self.value:.4f} of {len(self.names)} pairs>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as the schema in the package describes it (:func:`schema`)."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """One line a pair."""
        groups = self.groups or ("",) * len(self.names)
        return [
            {"name": name, "dice": value, "group": group}
            for name, value, group in zip(self.names, self.per_image, groups, strict=True)
        ]

    def table(self) -> str:
        """The mean with its interval, and the worst pairs."""
        spread = "" if self.low is None else f"  ({self.low:.4f} to {self.high:.4f})"
        slides = "" if self.groups is None else f" of {len(set(self.groups))} slides"
        count = f"{len(self.names)} pairs{slides}, {self.n_empty} empty"
        worst = sorted(zip(self.per_image, self.names, strict=True))[:_WORST]
        return f"dice  {self.value:.4f}{spread}  {count}\nworst " + ", ".join(
            f"{name} {value:.3f}" for value, name in worst
        )


def dice(
    masks_a: str | Path,
    masks_b: str | Path,
    settings: DiceSettings | None = None,
    *,
    progress: bool | Progress = False,
    **changes: Any,
) -> Dice:
    """Mean Dice of the masks of two folders, paired by file name without suffix.

    For models that translate stains or styles: segment source and translation, then compare.

    Parameters
    ----------
    masks_a, masks_b
        Folders (searched recursively), files or globs.
    settings
        Labels, groups (of the masks of the first folder), the interval.
    progress
        Show a bar on the standard error, or call a function with (done, total, what).
    **changes
        Single settings: ``labels=[1, 2]``.

    Raises
    ------
    UsageError
        For masks without a partner, labels that no mask holds, or a pattern that does not match.
    ImageError
        For files that are no masks, or pairs of different size.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> folders = [Path(tempfile.mkdtemp()) for _ in "ab"]
    >>> for folder, width in zip(folders, (4, 2)):
    ...     mask = np.zeros((8, 8), np.uint8)
    ...     mask[:, :width] = 255
    ...     Image.fromarray(mask).save(folder / "m.png")
    >>> round(dice(*folders).value, 3)
    0.667
    """
    settings = DiceSettings.resolve(settings, changes)
    warnings: list[str] = []
    first, second = (_by_stem(masks, warnings) for masks in (masks_a, masks_b))
    for here, there, folder in ((first, second, masks_b), (second, first, masks_a)):
        if alone := [stem for stem in here if stem not in there]:
            raise UsageError(
                f"{len(alone)} masks have no partner of their name in {folder}, "
                f"such as {here[alone[0]].name}"
            )
    groups = None
    if settings.group_pattern is not None:
        paths = [str(path) for path in first.values()]
        groups = slide_ids(paths, settings.group_pattern, option="--group-pattern")
    found = _Pairs(settings.labels)
    with track(progress, "masks", len(first)) as step:
        for stem in first:  # one pair at a time: folders may be large
            found.add(first[stem], second[stem])
            step(1)
    units = len(first) if groups is None else len(set(groups))
    low, high = _interval(found.values, groups, settings) if units > 1 else (None, None)
    warnings += _label_warnings(settings.labels or (), found.held, (masks_a, masks_b))
    warnings += _warnings(found, units, groups is not None, [*first.values(), *second.values()])
    return Dice(
        float(np.mean(found.values)),
        low,
        high,
        tuple(first),
        tuple(found.values),
        None if settings.labels is None else tuple(settings.labels),
        found.n_empty,
        None if groups is None else tuple(groups),
        tuple(warnings),
        {
            "masks_a": str(masks_a),
            "masks_b": str(masks_b),
            "settings": settings.record(),
            "versions": versions(),
        },
    )


class _Pairs:
    """Dice of pairs of masks, and which labels either side holds."""

    def __init__(self, labels: Sequence[int] | None) -> None:
        self.labels, self.n_empty = labels, 0
        self.values: list[float] = []
        self.held: tuple[set[int], set[int]] = set(), set()

    def add(self, first: Path, second: Path) -> None:
        pair = read_mask(first), read_mask(second)
        try:
            found = of_arrays.dice(pair[:1], pair[1:], labels=self.labels)
        except ValueError as error:
            raise ImageError(f"{first} and {second}: {error}") from None
        self.values.append(found.value)
        self.n_empty += found.n_empty
        if self.labels is not None:
            for seen, mask in zip(self.held, pair, strict=True):
                seen.update(np.unique(mask).astype(int).tolist())


def _interval(
    values: Sequence[float], groups: Sequence[str] | None, settings: DiceSettings
) -> tuple[float, float]:
    found = bootstrap(
        np.mean,
        values,
        groups=None if groups is None else [groups],
        n_resamples=settings.n_resamples,
        level=settings.level,
        bounds=(0, 1),
        seed=settings.seed,
    )
    return found.low, found.high


def _warnings(found: _Pairs, units: int, by_slide: bool, files: Sequence[Path]) -> list[str]:
    warnings = []
    if found.n_empty == len(found.values):
        warnings.append(
            f"all {found.n_empty} pairs are empty and score 1: is there nothing to segment, or "
            "did the segmentation fail?"
        )
    if 1 < units < _FEW:
        name = "slides" if by_slide else "pairs"
        warnings.append(f"{units} {name} are few: the interval over them is rough")
    if lossy := [path for path in files if path.suffix.lower() in _LOSSY]:
        warnings.append(
            f"{len(lossy)} masks are JPEG files, such as {lossy[0].name}: compression blurs their "
            "edges, and every grey but 0 counts as foreground; save masks as PNG"
        )
    return warnings


def schema() -> dict[str, Any]:
    """The JSON Schema of :meth::meth:`Dice.to_dict`."""
    return load_schema("scoring", "dice")


def _label_warnings(
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
                "and scores 0: do both folders use the same label numbers?"
            )
    return warnings


def _listed(labels: Iterable[int]) -> str:
    ordered = sorted(labels)
    return ", ".join(map(str, ordered[:10])) + ", ..." * (len(ordered) > 10)


_LOSSY = {".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif"}


def read_mask(path: str | Path) -> NDArray[np.generic]:
    """A mask (h, w) with its label numbers as stored: greys, palette indices or bits.

    Raises
    ------
    ImageError
        For a file that is no image, or one with three different channels.
    """
    array: NDArray[np.generic]
    try:
        array = read_stored(path)
    except ImageError as error:
        raise ImageError(f"{path} cannot be read as a mask: {error}") from error
    if array.dtype.kind == "f":
        raise ImageError(f"{path} is no mask: it holds fractions, not label numbers")
    if array.ndim == 3:
        colours = array[..., :3] if array.shape[2] > 2 else array[..., :1]
        if (colours != colours[..., :1]).any():
            raise ImageError(f"{path} is no mask: its channels differ; save label numbers as greys")
        array = colours[..., 0]
    return array


def _by_stem(masks: str | Path, warnings: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    listed = find_files(masks)
    warnings += listed.warnings
    for path in listed.files:
        if path.stem in found:
            raise UsageError(f"two masks are called {path.stem}: {found[path.stem]} and {path}")
        found[path.stem] = path
    return found
