"""Filter the tiles of a whole slide."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.arguments import check_path
from rl2qc.core.defaults import DEFAULT_MODEL
from rl2qc.core.progress import Progress
from rl2qc.errors import SlideError
from rl2qc.filtering.given import check_given, given_warnings, nothing_there
from rl2qc.filtering.looks import cover_tiles, worst_looks
from rl2qc.filtering.measure import Measured, TileModel, find_model, measure_tiles
from rl2qc.filtering.pixels import TileWindow
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.table import TileTable
from rl2qc.filtering.table_facts import ODD_COLOURS
from rl2qc.filtering.tissue import SlideTissue, edge_warnings, find_tissue, mask_of
from rl2qc.filtering.verdict import rules_in
from rl2qc.images.cells import CELL
from rl2qc.images.hue_order import swapped_colours
from rl2qc.images.resolution import target_mpp
from rl2qc.slides.coords import Coords, find_coords, read_coords
from rl2qc.slides.files import slide_name
from rl2qc.slides.info import SlideInfo
from rl2qc.slides.readers.base import SlideReader, open_slide
from rl2qc.slides.stretch import file_corners, file_sides
from rl2qc.slides.tiling import (
    ReadPlan,
    beyond_grid,
    plan_reading,
    readable_bounds,
    tile_grid,
    tissue_fractions,
)

__all__ = ["filter_slide", "filter_tiles"]

# The mask has this many pixels along a tile's side, and no more than this along the slide's.
_MASK_PIXELS_PER_TILE = 16
_MASK_PIXELS = 3072
# The picture kept with a table has at least this many along its longer side, if the slide has.
_THUMBNAIL_PIXELS = 1024


def filter_slide(
    path: str | Path,
    model: TileModel | str | Path = DEFAULT_MODEL,
    settings: FilterSettings | None = None,
    *,
    coords: Coords | str | Path | None = None,
    progress: bool | Progress = False,
    **changes: Any,
) -> TileTable:
    """Measure every tile of a slide that holds tissue, and decide which are kept.

    Parameters
    ----------
    path
        A slide that one of :data:`rl2qc.slides.readers.base.READERS` opens, or the folder of a
        DICOM slide.
    model
        What measures the tiles, or a model's name or file; its ``patch_size`` (px) and ``mpp``
        (um/px) say how they are cut.
    settings
        How tiles are cut and decided on.
    coords
        Tiles to take in place of a grid: a TRIDENT or CLAM file, or a folder that holds the
        slide's. All of them are measured in their order, whatever tissue they hold. Tiles larger
        than the model's are looked at in parts, and the worst decides, unless ``covering`` says
        otherwise.
    progress
        True shows a bar; a function is called with (tiles done, all, what) after every batch.
    **changes
        Single options of :class:`~rl2qc.filtering.settings.FilterSettings`: ``alpha=0.01``.

    Returns
    -------
    TileTable
        A row for each tile, and everything there is to say about the slide.

    Raises
    ------
    SlideError
        The slide cannot be read, has no resolution, or is coarser than the model reads.
    UsageError
        A setting that does not exist or is out of range, an ``mpp`` that is far from the model's,
        coordinates of another slide, or no mask where one was asked for.
    ImageError
        A mask that cannot be read, or of another slide's shape.

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
    >>> table = filter_slide(path, Even(), alpha=0.05)
    >>> len(table), table.mpp, table.keep.sum()
    (6, 0.5, np.int64(0))
    >>> table.decide(alpha=0.01).keep.sum()
    np.int64(6)
    """
    path = check_path("path", path)
    settings = FilterSettings.resolve(settings, changes)
    settings = settings.changes(tissue_mask=mask_of(settings.tissue_mask, Path(path)))
    place = settings.coords if coords is None else coords
    if not isinstance(place, Coords | None):
        place = check_path("coords", place)
        place = read_coords(find_coords(place, slide_name(path)))
    return filter_tiles(path, find_model(model), settings, place, progress)


def filter_tiles(
    path: Path,
    model: TileModel,
    settings: FilterSettings,
    coords: Coords | None = None,
    progress: bool | Progress = False,
) -> TileTable:
    """:func:`filter_slide` where model, settings and coordinates are found already."""
    target = target_mpp(model.mpp, settings.mpp, any_mpp=settings.any_mpp)
    with open_slide(
        path, mpp_override=settings.mpp_override, icc=settings.icc, reader=settings.reader
    ) as slide:
        seen = _look_at(slide, path, model.patch_size, target, settings, coords)
        side, workers = seen.window.side, settings.num_workers

        def read(corner: NDArray[np.int64]) -> tuple[NDArray[np.uint8], None]:
            x, y = corner.tolist()
            return seen.window.read(slide, x, y, side), None

        seen.window.expect(slide, seen.looks, side, workers=workers, window=settings.window)
        # The picture is read beside the model, which has no need of it.
        with ThreadPoolExecutor(1, thread_name_prefix="rl2qc-thumbnail") as pool:
            thumbnail = pool.submit(_thumbnail, slide, seen.overview)
            measured = measure_tiles(seen.looks, read, model, settings, progress, slide_name(path))
            cell = CELL * side / model.patch_size
            measured = worst_looks(measured, seen.corners, seen.looks, seen.of, cell)
    return _table(path, model, settings, seen, measured, thumbnail.result())


@dataclass(frozen=True)
class _Seen:
    """What is seen of a slide before its tiles are measured.

    Attributes
    ----------
    plan, window
        How tiles are read, and what of each the model sees.
    side
        Of a tile, in level-0 px.
    overlap
        What neighbours share, in px of the model's.
    overview
        (h, w, 3) uint8.
    corners, fractions
        (n, 2) int64 and (n,) float64: where the tiles are, and their shares of tissue.
    looks, of
        (m, 2) and (m,) int64: where the model looks, and which tile that shows.
    step
        Of the grid, in level-0 px; None for imported tiles.
    """

    info: SlideInfo
    plan: ReadPlan
    window: TileWindow
    side: int
    overlap: int
    overview: NDArray[np.uint8]
    tissue: SlideTissue
    corners: NDArray[np.int64]
    fractions: NDArray[np.float64]
    looks: NDArray[np.int64]
    of: NDArray[np.int64]
    step: int | None
    given: Coords | None
    warnings: tuple[str, ...]


def _look_at(
    slide: SlideReader,
    path: Path,
    size: int,
    target: tuple[float, list[str]],
    settings: FilterSettings,
    given: Coords | None,
) -> _Seen:
    (mpp, warnings), info = target, slide.info
    try:
        finest = info.mpp / max(info.stretch)
        plan = plan_reading(info.mpp, info.level_downsamples, mpp, finest=finest)
    except ValueError as error:
        raise SlideError(f"{path}: {error}") from error
    warnings += info.warnings
    if plan.scale < 1:
        warnings.append(f"the slide has {info.mpp:g} um/px: tiles are enlarged to {mpp:g} um/px")
    window, stride = TileWindow.of_plan(plan, size), settings.stride or size
    if given is None:
        side, overlap = window.side, max(0, size - stride)
        step: int | None = (every := max(1, round(stride * plan.downsample)))
        corners = _grid(info, plan, side, every, shift=settings.edges != "leave")
    else:
        side, overlap, corners = given.side(info.level_downsamples), 0, given.corners()
        step = None
        check_given(given, corners, info)
        warnings += given_warnings(given, path, side, window.side, info.mpp, settings.covering)
    overview = slide.read_overview(
        max(side / _MASK_PIXELS_PER_TILE, max(info.bounds[2:]) / _MASK_PIXELS)
    )
    tissue = find_tissue(overview, info, settings.tissue_mask)
    warnings += tissue.warnings
    share = partial(
        tissue_fractions, tissue.mask, origin=info.bounds[:2], downsample=overview.downsample
    )
    fractions = share(corners, side)
    # What was asked for is measured, glass too.
    chosen = np.ones(len(corners), np.bool_)
    if step is not None:
        # Of a tile that was moved, also what the others do not show.
        shown = beyond_grid(corners, side, info.bounds[:2], step)
        chosen = np.minimum(fractions, share(*shown)) >= settings.min_tissue
        if settings.edges == "leave":
            warnings += edge_warnings(tissue.mask, corners, side, info, overview)
    warnings += nothing_there(chosen, side, settings.min_tissue, given)
    corners = corners[chosen]
    whole = settings.covering != "centre"
    looks, of = cover_tiles(corners, side, window.side, info.dimensions, whole=whole)
    return _Seen(
        info,
        plan,
        window,
        side,
        overlap,
        overview.rgb,
        tissue,
        corners,
        fractions[chosen],
        looks,
        of,
        step,
        given,
        tuple(warnings),
    )


def _grid(
    info: SlideInfo, plan: ReadPlan, side: int, step: int, *, shift: bool
) -> NDArray[np.int64]:
    """The corners of all tiles of a slide; those at its edges can be read whole."""
    bounds, level = info.bounds, plan.level
    if shift:
        downsample = info.level_downsamples[level]
        bounds = readable_bounds(bounds, side, info.level_dimensions[level], downsample)
    return tile_grid(bounds, side, step, shift=shift)


def _table(
    path: Path,
    model: TileModel,
    settings: FilterSettings,
    seen: _Seen,
    measured: Measured,
    thumbnail: NDArray[np.uint8],
) -> TileTable:
    count, done, info, plan = len(seen.corners), measured.done, seen.info, seen.plan
    if count and not len(done):
        raise SlideError(
            f"{path}: none of its {count} tiles can be read: {measured.failures[0][1]}"
        )
    warnings = list(seen.warnings)
    if odd := seen.tissue.odd_colours or swapped_colours(measured.hue_orders):
        warnings.append(f"{ODD_COLOURS}: {odd}")
    if measured.failures:
        warnings.append(f"{len(measured.failures)} of {count} tiles cannot be read")
    given, own = seen.given, info.own
    corners = file_corners(seen.corners[done], info.stretch)
    width, height = file_sides(seen.side, info.stretch)
    table = TileTable(
        name=slide_name(path),
        path=path,
        kind="slide",
        x=corners[:, 0],
        y=corners[:, 1],
        width=np.full(len(done), width, np.int64),
        height=np.full(len(done), height, np.int64),
        tissue_fraction=seen.fractions[done],
        measurements=measured.measurements,
        keep=np.ones(len(done), np.bool_),
        alpha=settings.alpha,
        mpp=plan.mpp,
        slide_mpp=info.mpp,
        mpp_source=info.mpp_source,
        level=plan.level,
        scale=plan.scale,
        dimensions=own.dimensions,
        bounds=own.bounds,
        tissue_threshold=seen.tissue.threshold,
        tissue_coverage=seen.tissue.coverage,
        tissue_source=seen.tissue.source,
        failures=_failures(measured, info),
        warnings=tuple(warnings),
        thumbnail=thumbnail,
        scanner=info.scanner,
        icc=settings.icc,
        patch_size=model.patch_size,
        tile_size=None if given is None else max(1, round(seen.side / plan.downsample)),
        overlap=seen.overlap,
        step=seen.step,
        stretch=info.stretch,
        covered=len(seen.looks) > len(seen.corners),
        reader=settings.reader,
        level_dimensions=own.level_dimensions[plan.level],
        coords=None if given is None else given.about,
        odd_colours=odd,
        reference=model.quantities_,
        evidence=measured.evidence,
    )
    return table.decide(
        settings.alpha, method=settings.method, adapt=settings.adapt, **rules_in(settings)
    )


def _failures(measured: Measured, info: SlideInfo) -> tuple[tuple[str, str], ...]:
    places = [(file_corners(xy, info.stretch), reason) for xy, reason in measured.failures]
    return tuple((f"{x}, {y}", reason) for (x, y), reason in places)


def _thumbnail(slide: SlideReader, overview: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A small slide has few mask pixels, and its overview would be too coarse to look at."""
    if max(overview.shape) < _THUMBNAIL_PIXELS:
        with suppress(SlideError):
            return slide.read_overview(max(slide.info.bounds[2:]) / _THUMBNAIL_PIXELS).rgb
    return overview
