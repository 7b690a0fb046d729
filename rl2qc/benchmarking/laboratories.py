"""Laboratories that a model may not know: which clean tiles it keeps there, what damage it finds.

A model can be faultless on images like its reference and useless on all others. Each sub-folder of
a folder is a laboratory with clean images of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from rl2qc.benchmarking.findings import OWN, LabResult
from rl2qc.benchmarking.judge import Judge
from rl2qc.benchmarking.settings import BenchmarkSettings
from rl2qc.core.progress import Step
from rl2qc.errors import ImageError, UsageError
from rl2qc.images.digest import digests_of, pixel_digest
from rl2qc.images.sources.base import PatchSource, open_images
from rl2qc.images.sources.files import is_hidden
from rl2qc.images.sources.images import Image, center_crop
from rl2qc.images.sources.tiles import cut_tiles, whole_image
from rl2qc.model.quality import QualityModel
from rl2qc.stats.auc import auc
from rl2qc.synthetic.corruptions import CORRUPTIONS, CorruptionSpec

__all__ = [
    "DAMAGE",
    "MOST_TILES",
    "Laboratory",
    "damage_of",
    "find_laboratories",
    "lab_warnings",
    "measure_laboratory",
]

DAMAGE = (
    ("blur", 1.0),
    ("blur", 2.0),
    ("noise", 0.05),
    ("jpeg", 20.0),
    ("ink", 0.1),
    ("pen", 0.1),
    ("bubble", 0.1),
    ("fold", 0.1),
    ("out_of_focus", 0.1),
    ("out_of_focus", 0.3),
    ("thread", 0.1),
)
"""What tiles are damaged with, mild enough to tell models apart."""

MOST_TILES, _QUICK = 100, 30
_TILES_OF_AN_IMAGE = 4
_FEW = 20
_NAMED = 5


@dataclass(frozen=True)
class Laboratory:
    """Tiles of one laboratory, and the images that were left out.

    Attributes
    ----------
    tiles
    images
        Those that tiles were cut from.
    left_out
        Name and reason of each image that gave none.
    """

    tiles: PatchSource
    images: PatchSource
    left_out: tuple[tuple[str, str], ...] = ()


def find_laboratories(
    folder: str | Path, size: int, settings: BenchmarkSettings
) -> tuple[dict[str, Laboratory], list[str]]:
    """Tiles of the images in every sub-folder of ``folder``, by its name; folders without any.

    Large images are cut, and give four tiles at most; a laboratory gives :data:`MOST_TILES`, drawn
    at random. Images are taken at the scale that they have.

    Raises
    ------
    UsageError
        No such folder, or no sub-folder with an image of ``size`` px or more.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"no such folder: {folder}")
    found, warnings = {}, []
    for place in sorted(p for p in folder.iterdir() if p.is_dir() and not is_hidden(p.name)):
        try:
            lab = _laboratory(place, size, settings)
        except UsageError as error:
            warnings.append(str(error))
            continue
        if len(lab.tiles):
            found[place.name] = lab
        else:
            name, reason = lab.left_out[0]
            said = f"none of {len(lab.left_out)} images gives a tile ({Path(name).name}: {reason})"
            warnings.append(f"{place.name}: {said}")
    if not found:
        raise UsageError(
            f"no images of at least {size} x {size} px in the sub-folders of {folder}: --labs "
            "wants a folder for each laboratory"
        )
    return found, warnings


def _laboratory(place: Path, size: int, settings: BenchmarkSettings) -> Laboratory:
    images = open_images(place)
    rows, left_out = [], []
    for row, name in enumerate(images.names):
        try:
            height, width = images.shape(row)
        except ImageError as error:
            left_out.append((name, str(error)))
            continue
        if min(height, width) < size:
            left_out.append((name, f"{width} x {height} px is smaller than {size} px"))
        else:
            rows.append(row)
    large = PatchSource(images.items, size, images.names).take(rows)
    if not rows:
        return Laboratory(large, large, tuple(left_out))
    tiles, rng = cut_tiles(large), np.random.default_rng(settings.seed)
    homes: dict[str, list[int]] = {}
    for tile in rng.permutation(len(tiles)).tolist():
        homes.setdefault(whole_image(tiles.names[tile]), []).append(tile)
    # A round of one tile an image after the other, so that no image crowds out the rest.
    rounds = [own[k] for k in range(_TILES_OF_AN_IMAGE) for own in homes.values() if k < len(own)]
    most = min(settings.n, _QUICK if settings.quick else MOST_TILES)
    return Laboratory(tiles.take(sorted(rounds[:most])), large, tuple(left_out))


def damage_of(settings: BenchmarkSettings) -> tuple[tuple[CorruptionSpec, float], ...]:
    """Corruptions and severities: :data:`DAMAGE`, or what is asked for.

    Examples
    --------
    >>> [(spec.name, s) for spec, s in damage_of(BenchmarkSettings(corruptions=("blur", "stain")))]
    [('blur', 1.0), ('blur', 2.0), ('stain', 0.25)]
    """
    if settings.corruptions is None:
        return tuple((CORRUPTIONS.get(name), severity) for name, severity in DAMAGE)
    chosen = []
    for spec in map(CORRUPTIONS.get, dict.fromkeys(settings.corruptions)):
        usual = [severity for name, severity in DAMAGE if name == spec.name]
        chosen += [(spec, severity) for severity in usual or spec.severities[1:2]]
    return tuple(chosen)


def measure_laboratory(
    lab: Laboratory, model: QualityModel, settings: BenchmarkSettings, level: float, step: Step
) -> tuple[LabResult, list[tuple[Image, bool]]]:
    """What a model says of a laboratory, and its first tiles with whether each is kept.

    A model that adapts judges tiles beside what is usual in the laboratory's own; damaged tiles
    are judged beside the clean ones.

    Parameters
    ----------
    lab
        With at least one tile.
    model
    settings
    level
        Of all intervals.
    step
        Called once an image.

    Raises
    ------
    ImageError
        No tile can be read.
    """
    images, rows, unread = _read(lab.tiles)
    if not images:
        raise ImageError(f"none of {len(lab.tiles)} tiles can be read ({unread[0][1]})")
    clean = _statistics(model, images, step)
    judged = Judge(model, clean)
    keep = judged.p_values > settings.alpha
    areas, rejected, damaged = {}, {}, []
    for spec, severity in damage_of(settings):
        step(0, f"{spec.name} {severity:g}")
        changed = [
            spec(image, severity, np.random.default_rng([settings.seed, i]))
            for i, image in enumerate(images)
        ]
        found = _statistics(model, changed, step)
        scores, p_values = judged(found)
        name = f"{spec.name} {severity:g}"
        areas[name] = auc(
            judged.scores,
            scores,
            paired=True,
            n_resamples=settings.n_resamples,
            level=level,
            seed=settings.seed,
        )
        rejected[name] = float((p_values <= settings.alpha).mean())
        damaged.append(found)
    homes = {whole_image(lab.tiles.names[row]) for row in rows}
    kept = float(keep.mean())
    # Tiles of one image are alike: the interval is that of as many images.
    interval = binomtest(round(kept * len(homes)), len(homes)).proportion_ci(level)
    known = model.taught_
    result = LabResult(
        n=len(images),
        n_images=len(homes),
        kept=kept,
        kept_low=min(float(interval.low), kept),
        kept_high=max(float(interval.high), kept),
        kept_mixed=judged.kept_among(np.concatenate(damaged), settings.alpha, settings.seed),
        auc=areas,
        rejected=rejected,
        taught=None if known is None else _taught(lab, images, homes, digests_of(known)),
        left_out=(*lab.left_out, *unread),
    )
    return result, list(zip(images, keep.tolist(), strict=True))


def _read(tiles: PatchSource) -> tuple[list[Image], list[int], list[tuple[str, str]]]:
    """Tiles that can be read, their rows, and name and reason of the others."""
    images, rows, failed = [], [], []
    for row in range(len(tiles)):
        try:
            images.append(tiles[row])
            rows.append(row)
        except ImageError as error:
            failed.append((tiles.names[row], str(error)))
    return images, rows, failed


def _statistics(model: QualityModel, images: Sequence[Image], step: Step) -> NDArray[np.float32]:
    found = model.statistics(np.stack(images))
    step(len(images))
    return found


def _taught(
    lab: Laboratory, tiles: Sequence[Image], homes: set[str], known: frozenset[bytes]
) -> int:
    """How many images, or tiles where these are cut, taught the model."""
    size = lab.tiles.size
    whole = [
        center_crop(lab.images.items[row], size)
        for row, name in enumerate(lab.images.names)
        if name in homes
    ]
    of_images = sum(pixel_digest(image) in known for image in whole)
    of_tiles = sum(pixel_digest(image) in known for image in tiles)
    return max(of_images, of_tiles)


def lab_warnings(labs: Mapping[str, LabResult], alpha: float) -> list[str]:
    """What is to be said of laboratories."""
    said = []
    others = {name: lab for name, lab in labs.items() if name != OWN}
    poor = [f"{name} ({lab.kept:.0%})" for name, lab in others.items() if lab.kept < 1 - 3 * alpha]
    if poor:
        said.append(
            f"of {len(others)} laboratories {len(poor)} lose clean tiles, kept where "
            f"{1 - alpha:.0%} were asked for: {', '.join(poor)}"
        )
    known = [f"{name} ({lab.taught} of {lab.n_images})" for name, lab in labs.items() if lab.taught]
    if known:
        said.append(f"images that taught the model, whose figures are too good: {', '.join(known)}")
    if labs and all(lab.taught is None for lab in labs.values()):
        said.append("the model does not say which images taught it: none can be recognised")
    few = [f"{name} ({lab.n})" for name, lab in labs.items() if lab.n < _FEW]
    if few:
        said.append(f"few tiles, so that figures say little: {', '.join(few)}")
    for name, lab in labs.items():
        if lab.left_out:
            first = "; ".join(f"{Path(n).name}: {reason}" for n, reason in lab.left_out[:_NAMED])
            more = len(lab.left_out) - _NAMED
            said.append(
                f"{name}: {len(lab.left_out)} images left out ({first}"
                f"{f'; {more} more' if more > 0 else ''})"
            )
    return said
