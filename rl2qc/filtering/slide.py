"""Judge the tiles of a whole slide."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import SlideError, UsageError
from rl2qc.filtering.measure import Progress, TileModel, judge, reference_quantities
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.table import TileTable
from rl2qc.images.colours import odd_colours
from rl2qc.images.resolution import TOLERANCE, target_mpp
from rl2qc.images.tissue import tissue_mask
from rl2qc.slides.coords import Coords, find_coords, read_coords
from rl2qc.slides.files import slide_name
from rl2qc.slides.readers.openslide import SlideInfo, SlideReader
from rl2qc.slides.tiling import plan_reading, tile_grid, tissue_fractions

__all__ = ["filter_slide"]

# The mask has this many pixels along a tile's side, and no more than this along the slide's.
_MASK_PIXELS_PER_TILE = 16
_MASK_PIXELS = 3072
# The picture kept with a table has at least this many along its longer side, if the slide has.
_THUMBNAIL_PIXELS = 1024


def filter_slide(
    path: str | Path,
    model: TileModel,
    *,
    alpha: float = 0.05,
    mpp: float | None = None,
    mpp_override: float | None = None,
    min_tissue: float = 0.1,
    stride: int | None = None,
    batch_size: int = 32,
    num_workers: int = 2,
    icc: bool = False,
    any_mpp: bool = False,
    max_rejected: float = 0.5,
    coords: str | Path | Coords | None = None,
    progress: Progress | None = None,
) -> TileTable:
    """Judge every tile of a slide that holds tissue.

    Parameters
    ----------
    path
        A slide that OpenSlide reads, or the folder of a DICOM slide.
    model
        What judges the tiles; its ``patch_size`` and ``mpp`` say how they are cut.
    alpha
        A tile is kept if its p-value is above. Of tiles like those the model was calibrated on,
        this share is rejected.
    mpp
        Microns per pixel to read tiles at, in place of the model's.
    mpp_override
        Microns per pixel at level 0, in place of what the slide records.
    min_tissue
        Tiles with a smaller share of tissue are left out.
    stride
        Distance between neighbouring tiles in px at ``mpp``; ``patch_size`` by default.
    batch_size
        Tiles judged at a time.
    num_workers
        Threads that read.
    icc
        Take colours through the slide's ICC profile to sRGB. It shifts scores: only for a model
        that was trained on patches treated alike.
    any_mpp
        Read at ``mpp`` even if it is far from the model's.
    max_rejected
        A larger share of rejected tissue is flagged.
    coords
        Tiles to judge in place of a grid: a TRIDENT or CLAM file, or a folder that holds the
        slide's. All of them are judged in their order, whatever tissue they hold. Of tiles larger
        than the model's the centre is judged.
    progress
        Called after every batch.

    Raises
    ------
    SlideError
        The slide cannot be read, has no resolution, or is coarser than the model reads.
    UsageError
        A setting that is out of range, or an ``mpp`` that is far from the model's.

    Examples
    --------
    >>> import tempfile, tifffile
    >>> path = Path(tempfile.mkdtemp()) / "stained.tif"
    >>> tifffile.imwrite(path, np.full((128, 192, 3), (170, 90, 150), np.uint8), tile=(64, 64),
    ...                  photometric="rgb", resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    >>> class Even:
    ...     patch_size, mpp, name = 64, 0.5, "even"
    ...     def measure(self, images):
    ...         return {"p_value": 1 / (1 + images.std(axis=(1, 2, 3)))}
    >>> table = filter_slide(path, Even())
    >>> len(table), table.mpp, table.keep.sum()
    (6, 0.5, np.int64(0))
    >>> table.decide(alpha=0.01).keep.sum()
    np.int64(6)
    """
    path = Path(path)
    settings = FilterSettings(
        alpha=alpha,
        mpp=mpp,
        mpp_override=mpp_override,
        min_tissue=min_tissue,
        stride=stride,
        batch_size=batch_size,
        num_workers=num_workers,
        icc=icc,
        any_mpp=any_mpp,
        max_rejected=max_rejected,
    )
    target, warnings = target_mpp(model.mpp, mpp, any_mpp=any_mpp)
    name = slide_name(path)
    if coords is None or isinstance(coords, Coords):
        given = coords
    else:
        given = read_coords(find_coords(coords, name))
    with SlideReader(path, mpp_override=mpp_override, icc=icc) as slide:
        info = slide.info
        warnings += info.warnings
        try:
            plan = plan_reading(info.mpp, info.level_downsamples, target)
        except ValueError as error:
            raise SlideError(f"{path}: {error}") from error
        if plan.scale < 1:
            warnings.append(
                f"the slide has {info.mpp:g} um/px: tiles are enlarged to {target:g} um/px"
            )
        # Whole pixels, so that neighbouring tiles share their edges exactly.
        side = max(1, round(model.patch_size * plan.downsample))
        step = max(1, round((stride or model.patch_size) * plan.downsample))
        seen, overlap = side, max(0, model.patch_size - (stride or model.patch_size))
        if given is not None:
            side = given.side(info.level_downsamples)
            overlap = 0
            warnings += _check_given(given, path, side, seen, info)

        overview = slide.read_overview(
            max(side / _MASK_PIXELS_PER_TILE, max(info.bounds[2:]) / _MASK_PIXELS)
        )
        shown = (overview.valid >= 0.5) & overview.readable
        tissue = tissue_mask(overview.rgb, shown)
        if colours := odd_colours(overview.rgb, shown):
            warnings.append(f"colours look wrong: {colours}")
        # What the overview could not show may be tissue: its tiles are tried one by one.
        mask = tissue.mask | ~overview.readable
        corners = tile_grid(info.bounds, side, step) if given is None else given.xy
        fractions = tissue_fractions(
            mask, corners, side, origin=info.bounds[:2], downsample=overview.downsample
        )
        chosen = fractions >= (min_tissue if given is None else 0)
        if given is not None and not len(corners):
            warnings.append(f"{given.path} holds no coordinates")
        elif not len(corners):
            warnings.append(f"the slide is smaller than one tile of {side} px")
        elif not chosen.any():
            warnings.append(f"no tile holds {min_tissue:.0%} tissue")
        corners, fractions = corners[chosen], fractions[chosen]

        # The centre of a tile whose side is not the model's.
        inset = (side - seen) // 2

        def read(corner: NDArray[np.int64]) -> tuple[NDArray[np.uint8], None]:
            region = slide.read_region(
                int(corner[0]) + inset,
                int(corner[1]) + inset,
                (model.patch_size, model.patch_size),
                level=plan.level,
                scale=plan.scale,
            )
            return region.rgb, None

        # The picture is read beside the model, which has no need of it.
        with ThreadPoolExecutor(1, thread_name_prefix="rl2qc-thumbnail") as pool:
            thumbnail = pool.submit(_thumbnail, slide, overview.rgb)
            judged = judge(corners, read, model, settings, progress)
    if len(corners) and not len(judged.done):
        raise SlideError(
            f"{path}: none of its {len(corners)} tiles can be read: {judged.failures[0][1]}"
        )
    if judged.failures:
        warnings.append(f"{len(judged.failures)} of {len(corners)} tiles cannot be read")
    corners, fractions = corners[judged.done], fractions[judged.done]
    sides = np.full(len(corners), side, np.int64)
    return TileTable(
        name=name,
        path=path,
        kind="slide",
        x=corners[:, 0],
        y=corners[:, 1],
        width=sides,
        height=sides,
        tissue_fraction=fractions,
        measurements=judged.measurements,
        keep=np.ones(len(judged.done), np.bool_),
        alpha=alpha,
        mpp=plan.mpp,
        slide_mpp=info.mpp,
        mpp_source=info.mpp_source,
        level=plan.level,
        scale=plan.scale,
        dimensions=info.dimensions,
        bounds=info.bounds,
        tissue_threshold=tissue.threshold,
        tissue_coverage=tissue.coverage,
        failures=tuple((f"{corner[0]}, {corner[1]}", reason) for corner, reason in judged.failures),
        warnings=tuple(warnings),
        thumbnail=thumbnail.result(),
        scanner=info.scanner,
        icc=icc,
        max_rejected=max_rejected,
        patch_size=model.patch_size if given is None else max(1, round(side / plan.downsample)),
        overlap=overlap,
        level_dimensions=info.level_dimensions[plan.level],
        coords=None if given is None else {"layout": given.layout, "attributes": given.attributes},
        odd_colours=colours,
        reference=reference_quantities(model),
    ).decide(alpha)


def _thumbnail(slide: SlideReader, overview: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A small slide has few mask pixels, and its overview would be too coarse to look at."""
    if max(overview.shape) < _THUMBNAIL_PIXELS:
        with suppress(SlideError):
            return slide.read_overview(max(slide.info.bounds[2:]) / _THUMBNAIL_PIXELS).rgb
    return overview


def _check_given(given: Coords, path: Path, side: int, seen: int, info: SlideInfo) -> list[str]:
    """Whether coordinates are the slide's, and what is to be said about their tiles.

    Raises
    ------
    UsageError
        They are of a slide of another size, or lie outside this one.
    """
    width, height = info.dimensions
    # Files of CLAM's kind that were made by others give the size of level 0 at any level.
    sizes = info.level_dimensions if given.level else info.level_dimensions[:1]
    if given.slide_size is not None and given.slide_size not in sizes:
        raise UsageError(
            f"{given.path} is of a slide of {given.slide_size[0]:g} x {given.slide_size[1]:g} px "
            f"and this one has {width} x {height} px: is it another slide's file?"
        )
    if len(given.xy) and ((given.xy < 0) | (given.xy >= info.dimensions)).any():
        raise UsageError(
            f"{given.path} holds coordinates outside the slide of {width} x {height} px: "
            "is it another slide's file?"
        )
    warnings = []
    of, name = given.attributes.get("name"), slide_name(path)
    # Of slides that are named alike, results go by the name of the folder, too.
    if isinstance(of, str) and of not in (name, path.name) and not of.endswith(f"__{name}"):
        warnings.append(f"the coordinates are of a slide called {of!r}, by what their file says")
    if abs(side / seen - 1) > TOLERANCE:
        how = (
            "the centre of each is judged"
            if side > seen
            else "each is judged with what is around it"
        )
        warnings.append(
            f"the coordinates are of tiles of {side * info.mpp:.0f} um and the model judges "
            f"{seen * info.mpp:.0f} um: {how}"
        )
    return warnings
