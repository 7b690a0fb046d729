"""Which patches a model is trained on: found, cut, left out, drawn, grouped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.core.arguments import check
from rl2qc.errors import UsageError
from rl2qc.images.groups import slide_ids
from rl2qc.images.patch_tissue import tissue_mask
from rl2qc.images.sources.base import Patches, PatchSource, as_source
from rl2qc.images.sources.exclusion import Exclusion
from rl2qc.images.sources.images import About
from rl2qc.images.sources.notes import abouts_of, scale_notes
from rl2qc.images.sources.tiles import cut_tiles, unused_by_center_crop, whole_image
from rl2qc.model.training.settings import TrainSettings
from rl2qc.model.training.split import join_held_out

__all__ = ["Selection", "select_patches", "shows_tissue"]

# Tiles with a smaller share of tissue are left out of the reference.
_MIN_TISSUE = 0.5
# Pixels of tiles that are held between the look for tissue and the pass over them, in bytes; of
# more tiles the images are read a second time.
_HELD_BYTES = 2**30


@dataclass(frozen=True, eq=False)
class Selection:
    """The reference patches before the first of them is measured.

    Attributes
    ----------
    source
        All of them; those of a hold-out that was given come last.
    n_apart
        How many these are; None where the hold-out is to be drawn.
    groups
        Slide, patient or image of each; None where that is not known.
    n_slides
        Slides or patients that ``group_pattern`` found; None without one.
    n_excluded
        Patches that lists left out; None without lists.
    warnings
        What is odd about them.
    """

    source: PatchSource
    n_apart: int | None
    groups: list[str] | None
    n_slides: int | None
    n_excluded: int | None
    warnings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.source)


def select_patches(
    patches: Patches,
    settings: TrainSettings,
    *,
    held_out: Patches | None = None,
    groups: Sequence[str] | None = None,
    backbone_mpp: float | None = None,
) -> Selection:
    """Find the patches of a reference; of files, headers alone are read, but for tiles.

    Parameters
    ----------
    patches, held_out, groups
        As in :meth:`rl2qc.model.quality.QualityModel.fit`.
    settings
    backbone_mpp
        Microns per pixel that the backbone was trained at, if known.

    Raises
    ------
    UsageError
        Nothing there, another resolution than the backbone's, lists that name no patch, a pattern
        that does not match, or tiles of a single image.
    ImageError
        Patches that cannot be read or are too small, or tiles without tissue.
    """
    warnings: list[str] = []
    if settings.included and not settings.excluded:
        raise UsageError("--include keeps some of what --exclude lists: there is no --exclude")
    excluded = Exclusion(settings.excluded, settings.included) if settings.excluded else None
    source = as_source(patches, settings.patch_size)
    apart = None if held_out is None else as_source(held_out, source.size)
    check("groups", groups, Sequence[str] | None)
    if groups is not None and len(groups) != (n := len(source) + len(apart or ())):
        raise UsageError(f"{len(groups)} groups for {n} patches")
    given = source, apart
    source = _prepared(source, settings.tile, excluded, warnings)
    if apart is not None:
        apart = _prepared(apart, settings.tile, excluded, warnings)
    if excluded is not None:
        warnings += _exclusion_warnings(excluded)
    for before in given:
        warnings += [] if before is None else before.warnings
    abouts = [about for before in given if before is not None for about in abouts_of(before)]
    warnings += _scale_warnings(backbone_mpp, settings, abouts)
    if settings.max_patches is not None and settings.max_patches < len(source):
        source = source.sample(settings.max_patches, settings.seed)
    names = [*source.names, *(() if apart is None else apart.names)]
    images = [whole_image(name) for name in names]
    n_slides = None
    if groups is not None:
        found = _groups_left(given[0], groups, source)
        if given[1] is not None and apart is not None:
            found += _groups_left(given[1], groups[len(given[0]) :], apart)
    elif settings.group_pattern is not None:
        found = slide_ids(images, settings.group_pattern)
        n_slides = len(set(found))
    else:
        found = _image_groups(images, apart is not None)
    n_apart = None
    if apart is not None:
        n_apart, source = len(apart), join_held_out(source, apart)
    return Selection(
        source,
        n_apart,
        found or None,
        n_slides,
        None if excluded is None else excluded.count,
        tuple(warnings),
    )


def _groups_left(before: PatchSource, groups: Sequence[str], after: PatchSource) -> list[str]:
    """The groups of the patches that are left, or were cut from images, of those given."""
    if after is before:
        return [str(group) for group in groups[: len(before)]]
    of = dict(zip(before.names, map(str, groups), strict=False))
    return [of[name if name in of else whole_image(name)] for name in after.names]


def _image_groups(images: list[str], is_apart: bool) -> list[str]:
    """The image of each tile, which show one piece of tissue; nothing where each is its own."""
    if len(set(images)) == len(images):
        return []
    if len(set(images)) == 1 and not is_apart:
        raise UsageError(
            "all tiles come from one image, and none can be held out apart from it: name more "
            "images, or clean ones to hold out (--held-out)"
        )
    return images


def _prepared(
    source: PatchSource, tile: bool, excluded: Exclusion | None, warnings: list[str]
) -> PatchSource:
    """The patches of images: tiles if asked for, without those that are to be left out."""
    if tile:
        source = _tiles_of_tissue(source)
    else:
        roomy, unused = unused_by_center_crop(source)
        if roomy:
            warnings.append(
                f"{roomy} of {len(source)} images have room for more than one patch of "
                f"{source.size} px: only their centre is used, and {unused:.0%} of all pixels are "
                "not; pass --tile to use them"
            )
    return source if excluded is None else excluded(source)


def _tiles_of_tissue(source: PatchSource) -> PatchSource:
    """The tiles that show tissue; their pixels too, as far as they fit, read once."""
    most = _HELD_BYTES // (3 * source.size**2)
    held: list[NDArray[np.uint8]] = []
    n_kept = 0

    def wanted(tile: NDArray[np.uint8]) -> bool:
        nonlocal n_kept
        if not shows_tissue(tile):
            return False
        n_kept += 1
        if n_kept <= most:
            held.append(tile.copy())
        else:
            held.clear()
        return True

    tiles = cut_tiles(source, wanted)
    if len(held) < len(tiles):
        return tiles
    return PatchSource(np.stack(held), tiles.size, tiles.names)


def shows_tissue(tile: NDArray[np.uint8]) -> bool:
    """Whether half of a tile (size, size, 3) at least is tissue.

    Examples
    --------
    >>> shows_tissue(np.full((64, 64, 3), 250, np.uint8))
    False
    """
    small = np.asarray(Image.fromarray(np.ascontiguousarray(tile)).reduce(4))
    return bool(tissue_mask(small).mask.mean() >= _MIN_TISSUE)


def _exclusion_warnings(excluded: Exclusion) -> list[str]:
    missing = excluded.missing
    if len(missing) == len(excluded):
        raise UsageError(
            f"none of the {len(excluded)} paths of --exclude is a reference patch, such as "
            f"{missing[0]}: name them as they are given to rl2qc train, or in full"
        )
    if not missing:
        return []
    return [
        f"{len(missing)} of {len(excluded)} paths of --exclude are no reference patches, such as "
        f"{missing[0]}"
    ]


def _scale_warnings(
    backbone_mpp: float | None, settings: TrainSettings, abouts: Sequence[About | None]
) -> list[str]:
    """What is to be said of the patches' resolution beside the backbone's."""
    recorded = {f"{about.mpp:.3g}" for about in abouts if about is not None and about.mpp}
    if settings.mpp is None:
        said = f" (the patches record {', '.join(sorted(recorded)[:3])} um/px)" if recorded else ""
        return [
            "without --mpp the model does not know its resolution: slides are then read at 0.5 "
            f"um/px, and images of another are not noticed{said}"
        ]
    if backbone_mpp is None:
        return scale_notes(settings.mpp, settings.mpp, abouts, "the patches")
    return scale_notes(
        backbone_mpp,
        settings.mpp,
        abouts,
        "the patches",
        model="the backbone",
        advice="choose another --backbone, or pass --any-mpp",
        any_mpp=settings.any_mpp,
    )
