"""Judge the tiles of a slide, or a set of patches, in one pass over their pixels.

Threads read ahead while the model works on the batch before; how far ahead is bounded, so that
memory does not grow with the slide.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.errors import ImageError, SlideError, UsageError, WorkError
from rl2qc.images.sources import center_crop, list_images, read_image
from rl2qc.slides.coords import Coords, find_coords, read_coords
from rl2qc.slides.decision import keep_tiles, rejected_share, say_over_rejection
from rl2qc.slides.drift import DRIFT_ALARM, MIN_TILES, score_drift
from rl2qc.slides.reader import SlideInfo, SlideReader
from rl2qc.slides.tiling import (
    MAX_ENLARGEMENT,
    TOLERANCE,
    plan_reading,
    tile_grid,
    tissue_fractions,
)
from rl2qc.slides.tissue import tissue_mask

__all__ = [
    "FilterSettings",
    "Progress",
    "TileModel",
    "TileTable",
    "filter_patches",
    "filter_slide",
    "read_ahead",
    "target_mpp",
]

DEFAULT_MPP = 0.5
# The mask has this many pixels along a tile's side, and no more than this along the slide's.
_MASK_PIXELS_PER_TILE = 16
_MASK_PIXELS = 3072
# The picture kept with a table has at least this many along its longer side, if the slide has.
_THUMBNAIL_PIXELS = 1024
# Patches are reduced by this factor before their tissue is measured: at 20x, 2 um per pixel.
_PATCH_REDUCTION = 4
# The columns of a table that nothing was measured for.
_COLUMNS = ("log_likelihood", "p_value")

Progress = Callable[[int, int], None]
"""Called with the number of tiles done and of all tiles."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class TileModel(Protocol):
    """What a model must offer to judge tiles."""

    @property
    def patch_size(self) -> int:
        """Side of a tile in px."""

    @property
    def mpp(self) -> float | None:
        """Microns per pixel that the model was trained at, None if it does not record them."""

    @property
    def name(self) -> str:
        """Name of the model, for the record."""

    def measure(self, images: NDArray[np.uint8]) -> Mapping[str, NDArray[np.floating]]:
        """Judge tiles (n, patch_size, patch_size, 3): (n,) values by name.

        "p_value" must be among them: the conformal p-value that the decision is made by.
        """


@dataclass(frozen=True)
class FilterSettings:
    """How tiles are cut and judged; the defaults are those of :func:`filter_slide`.

    Raises
    ------
    UsageError
        A value that is out of range.
    """

    alpha: float = 0.05
    mpp: float | None = None
    mpp_override: float | None = None
    min_tissue: float = 0.1
    stride: int | None = None
    batch_size: int = 32
    num_workers: int = 2
    icc: bool = False
    any_mpp: bool = False
    max_rejected: float = 0.5
    coords: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1:
            raise UsageError(f"alpha must lie in [0, 1), got {self.alpha}")
        for name in ("min_tissue", "max_rejected"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("mpp", "mpp_override"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UsageError(f"{name} must be a positive number of um/px, got {value}")
        for name in ("stride", "batch_size", "num_workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")


@dataclass(frozen=True, eq=False)
class TileTable:
    """The judged tiles of one slide, or the judged patches of one set.

    Scores are kept as they were measured; ``keep`` is a decision made from them, and
    :meth:`decide` makes another without a look at the pixels.

    Attributes
    ----------
    name, path, kind
        What was judged; ``kind`` is "slide" or "patches".
    x, y, width, height
        (n,) int64, the tiles in level-0 px, as OpenSlide counts them; for patches 0, 0 and the
        image's size.
    tissue_fraction
        (n,) float64 in [0, 1].
    measurements
        (n,) float64 columns of the model: "log_likelihood" (nats), "p_value", ...
    keep
        (n,) bool, the decision (:func:`rl2qc.slides.decision.keep_tiles`).
    alpha, method
        The level of that decision, and how it was made.
    image_paths
        The files of patches; empty for a slide.
    mpp, slide_mpp
        Microns per pixel of the tiles and of level 0; None for patches.
    level, scale
        The level that was read and its pixels per pixel of a tile; None for patches.
    dimensions, bounds
        Size at level 0 and its scanned part (x, y, width, height); None for patches.
    tissue_threshold, tissue_coverage
        Absorbed share of light that counts as tissue, and the share of the scanned area that is
        tissue (of all patches, for patches).
    failures
        What could not be read, with the reason: "x, y" of a tile or the path of a patch.
    warnings
        What the reader of the table must know.
    thumbnail
        (h, w, 3) uint8 of the scanned part, for pictures; None for patches.
    scanner
        What the slide says about its scanner.
    icc
        Whether colours went through the slide's ICC profile.
    max_rejected
        A larger share of rejected tissue is flagged.
    patch_size, overlap
        Side of a tile and what neighbours share, in px at ``mpp``.
    level_dimensions
        Size of the level that was read; None for patches.
    coords
        "layout" and "attributes" of the file that the tiles were taken from; None for a grid.
    """

    name: str
    path: Path
    kind: str
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    width: NDArray[np.int64]
    height: NDArray[np.int64]
    tissue_fraction: NDArray[np.float64]
    measurements: dict[str, NDArray[np.float64]]
    keep: NDArray[np.bool_]
    alpha: float
    image_paths: tuple[Path, ...] = ()
    mpp: float | None = None
    slide_mpp: float | None = None
    mpp_source: str | None = None
    level: int | None = None
    scale: float | None = None
    dimensions: tuple[int, int] | None = None
    bounds: tuple[int, int, int, int] | None = None
    tissue_threshold: float | None = None
    tissue_coverage: float | None = None
    failures: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    thumbnail: NDArray[np.uint8] | None = field(default=None, repr=False)
    scanner: str = ""
    icc: bool = False
    max_rejected: float = 0.5
    method: str = "threshold"
    patch_size: int | None = None
    overlap: int = 0
    level_dimensions: tuple[int, int] | None = None
    coords: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def unreadable(self) -> int:
        """Number of tiles or images that could not be read."""
        return len(self.failures)

    @property
    def kept_share(self) -> float:
        """Share of the judged tiles that is kept; NaN where there is none."""
        return float(self.keep.mean()) if len(self) else math.nan

    @property
    def rejected_share(self) -> float:
        """Share of the tissue in the judged tiles that is rejected; NaN where there is none."""
        return rejected_share(self.keep, self.tissue_fraction * self.width * self.height)

    @property
    def drift(self) -> float:
        """Distance of the scores to the reference (:func:`rl2qc.slides.drift.score_drift`)."""
        return score_drift(self.measurements["p_value"])

    @property
    def flags(self) -> tuple[str, ...]:
        """Why a person should look before the result is used; empty where nothing is odd."""
        flags = {
            "no tissue": self.kind == "slide" and not len(self) and not self.failures,
            "unlike the reference": len(self) >= MIN_TILES and self.drift >= DRIFT_ALARM,
            "over-rejected": self.rejected_share > self.max_rejected,
            "unreadable tiles": self.unreadable > 0,
        }
        return tuple(name for name, raised in flags.items() if raised)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Every column by name, in the order of the exports."""
        columns: dict[str, NDArray[Any]] = {
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
            "tissue_fraction": self.tissue_fraction,
            **self.measurements,
            "keep": self.keep,
        }
        if self.kind == "patches":
            columns["path"] = np.array([str(path) for path in self.image_paths], dtype=object)
        return columns

    def decide(
        self, alpha: float, *, method: str = "threshold", max_rejected: float | None = None
    ) -> TileTable:
        """The same measurements, decided anew by :func:`rl2qc.slides.decision.keep_tiles`."""
        decided = replace(
            self,
            keep=keep_tiles(self.measurements["p_value"], alpha, method),
            alpha=alpha,
            method=method,
            max_rejected=self.max_rejected if max_rejected is None else max_rejected,
        )
        warnings = say_over_rejection(self.warnings, decided.rejected_share, decided.max_rejected)
        return replace(decided, warnings=warnings)


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

    Example
    -------
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
    target, warnings = target_mpp(model, mpp, any_mpp=any_mpp)
    name = path.stem if path.is_file() else path.name
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
            warnings += _check_given(given, side, seen, info)

        overview = slide.read_overview(
            max(side / _MASK_PIXELS_PER_TILE, max(info.bounds[2:]) / _MASK_PIXELS)
        )
        tissue = tissue_mask(overview.rgb, (overview.valid >= 0.5) & overview.readable)
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
        # A small slide has few mask pixels, and its picture would be too coarse to look at.
        thumbnail = overview.rgb
        if max(thumbnail.shape) < _THUMBNAIL_PIXELS:
            with suppress(SlideError):
                thumbnail = slide.read_overview(max(info.bounds[2:]) / _THUMBNAIL_PIXELS).rgb

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

        judged = _judge(corners, read, model, settings, progress)
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
        thumbnail=thumbnail,
        scanner=info.scanner,
        icc=icc,
        max_rejected=max_rejected,
        patch_size=model.patch_size if given is None else max(1, round(side / plan.downsample)),
        overlap=overlap,
        level_dimensions=info.level_dimensions[plan.level],
        coords=None if given is None else {"layout": given.layout, "attributes": given.attributes},
    ).decide(alpha)


def _check_given(given: Coords, side: int, seen: int, info: SlideInfo) -> list[str]:
    """Whether coordinates are the slide's, and what is to be said about their tiles.

    Raises
    ------
    UsageError
        They lie outside the slide.
    """
    if len(given.xy) and ((given.xy < 0) | (given.xy >= info.dimensions)).any():
        width, height = info.dimensions
        raise UsageError(
            f"{given.path} holds coordinates outside the slide of {width} x {height} px: "
            "is it another slide's file?"
        )
    if abs(side / seen - 1) <= TOLERANCE:
        return []
    how = "the centre of each is judged" if side > seen else "each is judged with what is around it"
    return [
        f"the coordinates are of tiles of {side * info.mpp:.0f} um and the model judges "
        f"{seen * info.mpp:.0f} um: {how}"
    ]


def filter_patches(
    paths: str | Path | Sequence[str | Path],
    model: TileModel,
    *,
    name: str | None = None,
    alpha: float = 0.05,
    batch_size: int = 32,
    num_workers: int = 2,
    max_rejected: float = 0.5,
    progress: Progress | None = None,
) -> TileTable:
    """Judge image files, taken as they are: their resolution is trusted to be the model's.

    Every image that can be read has a row, whatever its share of tissue. Of images larger than
    ``model.patch_size`` the centre is judged.

    Parameters
    ----------
    paths
        Files, folders or globs.
    name
        Name of the set; that of the first folder by default.
    model, alpha, batch_size, num_workers, max_rejected, progress
        As in :func:`filter_slide`.

    Raises
    ------
    WorkError
        Not one of the images can be judged.
    UsageError
        No images there, or a setting that is out of range.
    """
    settings = FilterSettings(
        alpha=alpha, batch_size=batch_size, num_workers=num_workers, max_rejected=max_rejected
    )
    files = list_images(paths)
    first = Path(paths) if isinstance(paths, str | Path) else Path(paths[0])
    folder = first if first.is_dir() else files[0].parent

    def read(file: Path) -> tuple[NDArray[np.uint8], tuple[int, int, float]]:
        image = read_image(file)
        try:
            patch = center_crop(image, model.patch_size)
        except ImageError as error:
            raise ImageError(f"{file}: {error}") from error
        small = Image.fromarray(np.ascontiguousarray(patch)).reduce(_PATCH_REDUCTION)
        tissue = float(tissue_mask(np.asarray(small)).mask.mean())
        return patch, (image.shape[1], image.shape[0], tissue)

    judged = _judge(files, read, model, settings, progress)
    if not len(judged.done):
        raise WorkError(
            f"none of the {len(files)} images of {folder} can be judged: {judged.failures[0][1]}"
        )
    widths, heights, tissue = (np.array(column) for column in zip(*judged.extras, strict=True))
    warnings: list[str] = []
    larger = int(((widths > model.patch_size) | (heights > model.patch_size)).sum())
    if larger:
        side = model.patch_size
        warnings.append(
            f"{larger} of {len(files)} images are larger than {side} x {side} px: "
            "their centre is judged"
        )
    if judged.failures:
        warnings.append(f"{len(judged.failures)} of {len(files)} images cannot be judged")
    zeros = np.zeros(len(judged.done), np.int64)
    return TileTable(
        name=name or folder.resolve().name,
        path=folder,
        kind="patches",
        x=zeros,
        y=zeros,
        width=widths.astype(np.int64),
        height=heights.astype(np.int64),
        tissue_fraction=tissue.astype(np.float64),
        measurements=judged.measurements,
        keep=np.ones(len(judged.done), np.bool_),
        alpha=alpha,
        image_paths=tuple(files[i] for i in judged.done),
        tissue_coverage=float(tissue.mean()),
        failures=tuple((str(file), reason) for file, reason in judged.failures),
        warnings=tuple(warnings),
        max_rejected=max_rejected,
        patch_size=model.patch_size,
    ).decide(alpha)


def read_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, window: int
) -> Iterator[Result]:
    """``map(function, items)`` by threads, in order, at most ``window`` results ahead.

    Example
    -------
    >>> list(read_ahead(abs, [-1, -2, -3], workers=2, window=2))
    [1, 2, 3]
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="rl2qc-read") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= window:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


@dataclass(frozen=True)
class _Judged:
    """Indices of the items that were judged, their measurements and extras, and the failures."""

    done: NDArray[np.int64]
    measurements: dict[str, NDArray[np.float64]]
    extras: list[Any]
    failures: list[tuple[Any, str]]


def _judge(
    items: Sequence[Any] | NDArray[np.int64],
    read: Callable[[Any], tuple[NDArray[np.uint8], Any]],
    model: TileModel,
    settings: FilterSettings,
    progress: Progress | None,
) -> _Judged:
    """Read and measure every item; one that cannot be read is listed and the rest goes on."""
    done: list[int] = []
    extras: list[Any] = []
    failures: list[tuple[Any, str]] = []
    batch: list[NDArray[np.uint8]] = []
    measured: list[dict[str, NDArray[np.float64]]] = []

    def attempt(item: Any) -> tuple[NDArray[np.uint8], Any] | str:
        try:
            return read(item)
        except (SlideError, ImageError) as error:
            return str(error)

    def measure() -> None:
        measured.append(_measure(model, np.stack(batch)))
        batch.clear()

    if progress is not None:
        progress(0, len(items))
    # One batch at the model, one ready for it.
    window = 2 * settings.batch_size
    results = read_ahead(attempt, items, workers=settings.num_workers, window=window)
    for index, result in enumerate(results):
        if isinstance(result, str):
            failures.append((items[index], result))
        else:
            image, extra = result
            batch.append(image)
            done.append(index)
            extras.append(extra)
        if len(batch) == settings.batch_size:
            measure()
            if progress is not None:
                progress(index + 1, len(items))
    if batch:
        measure()
        if progress is not None:
            progress(len(items), len(items))
    columns = (
        {name: np.concatenate([part[name] for part in measured]) for name in measured[0]}
        if measured
        else {name: np.empty(0) for name in _COLUMNS}
    )
    return _Judged(np.array(done, np.int64), columns, extras, failures)


def _measure(model: TileModel, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    measured = {
        name: np.asarray(values, np.float64) for name, values in model.measure(images).items()
    }
    if "p_value" not in measured or any(v.shape != (len(images),) for v in measured.values()):
        shapes = {name: values.shape for name, values in measured.items()}
        raise ValueError(f"{model.name} must measure p_value (n,) of {len(images)} tiles: {shapes}")
    return measured


def target_mpp(
    model: TileModel, mpp: float | None, *, any_mpp: bool = False
) -> tuple[float, list[str]]:
    """The resolution to read at, and what is to be said about it.

    Raises
    ------
    UsageError
        ``mpp`` is far from what the model was trained at, and ``any_mpp`` is False.
    """
    if mpp is None and model.mpp is None:
        return DEFAULT_MPP, [
            f"the model does not record its resolution: tiles are read at {DEFAULT_MPP} um/px "
            "(20x); pass --mpp to choose"
        ]
    if mpp is None or model.mpp is None:
        return mpp or model.mpp or DEFAULT_MPP, []
    ratio = max(mpp / model.mpp, model.mpp / mpp)
    if ratio > MAX_ENLARGEMENT and not any_mpp:
        raise UsageError(
            f"tiles of {mpp:g} um/px are far from the {model.mpp:g} um/px that the model was "
            f"trained at, and their scores would mean little: leave --mpp out, train at {mpp:g} "
            f"(rl2qc train --mpp {mpp:g}), or pass --any-mpp to read them all the same"
        )
    if ratio > 1 + TOLERANCE:
        return mpp, [f"tiles are read at {mpp:g} um/px, but the model was trained at {model.mpp:g}"]
    return mpp, []
