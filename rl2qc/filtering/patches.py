"""Filter image files, taken as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.core.progress import Progress
from rl2qc.errors import ImageError, WorkError
from rl2qc.filtering.measure import Measured, TileModel, find_model, measure_tiles
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.table import TileTable
from rl2qc.images.resolution import check_scale
from rl2qc.images.sources.base import center_crop, open_images, read_named, source_of
from rl2qc.images.tissue import tissue_mask

__all__ = ["filter_images", "filter_patches", "scale_warnings"]

# Patches are reduced by this factor before their tissue is measured: at 20x, 2 um per pixel.
_PATCH_REDUCTION = 4


def filter_patches(
    paths: str | Path | Sequence[str | Path],
    model: TileModel | str | Path = "general",
    settings: FilterSettings | None = None,
    *,
    name: str | None = None,
    progress: bool | Progress = False,
    **changes: Any,
) -> TileTable:
    """Measure image files, taken as they are, and decide which are kept.

    Every image that can be read has a row, whatever its share of tissue. Of images larger than
    ``model.patch_size`` the centre is measured. Unlike slides, images are not brought to the
    model's resolution: ``mpp`` says theirs, and a warning of the table that it is not known.

    Parameters
    ----------
    paths
        Files, folders, globs, or items of registered image sources.
    model
        What measures them, or a model's name or file.
    settings
        How they are decided on; options of slides mean nothing here.
    name
        Name of the set; that of the first folder by default.
    progress
        True shows a bar; a function is called with (images done, all, what) after every batch.
    **changes
        Single options of :class:`~rl2qc.filtering.settings.FilterSettings`: ``alpha=0.01``.

    Returns
    -------
    TileTable
        A row for each image, in the order of the listing.

    Raises
    ------
    WorkError
        Not one of the images can be measured.
    UsageError
        No images there, a setting that does not exist or is out of range, or images of another
        resolution than the model's.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for i, grey in enumerate((120, 240)):
    ...     Image.new("RGB", (64, 64), (grey,) * 3).save(folder / f"{i}.png")
    >>> class Dark:
    ...     patch_size, mpp, name = 64, 0.5, "dark"
    ...     def measure(self, images):
    ...         return {"p_value": 1 - images.mean(axis=(1, 2, 3)) / 255}
    >>> filter_patches(folder, Dark(), mpp=0.5, alpha=0.1).keep
    array([ True, False])
    """
    settings, model = FilterSettings.resolve(settings, changes), find_model(model)
    said = scale_warnings(model.mpp, settings.mpp_override or settings.mpp, settings.any_mpp)
    files = [Path(name) for name in open_images(paths).names]
    first = Path(paths) if isinstance(paths, str | Path) else Path(paths[0])
    # What an image source has that is no folder of files goes by its own name.
    folder = first if first.is_dir() or not source_of(files[0]).on_disk else files[0].parent
    table = filter_images(files, folder, model, settings, progress)
    return replace(table, name=name or table.name, warnings=(*said, *table.warnings))


def scale_warnings(model_mpp: float | None, mpp: float | None, any_mpp: bool) -> list[str]:
    """What is to be said of the resolution of patches, which are taken as they are.

    Raises
    ------
    UsageError
        It is far from the model's.
    """
    advice = "use a model that was trained at theirs, or pass --any-mpp"
    warning = check_scale(model_mpp, mpp, "the patches", advice=advice, any_mpp=any_mpp)
    return [] if warning is None else [warning]


def filter_images(
    files: Sequence[Path],
    folder: Path,
    model: TileModel,
    settings: FilterSettings,
    progress: bool | Progress = False,
) -> TileTable:
    """:func:`filter_patches` where everything is found already."""

    def read(file: Path) -> tuple[NDArray[np.uint8], tuple[int, int, float]]:
        image = read_named(file)
        try:
            patch = center_crop(image, model.patch_size)
        except ImageError as error:
            raise ImageError(f"{file}: {error}") from error
        small = Image.fromarray(np.ascontiguousarray(patch)).reduce(_PATCH_REDUCTION)
        tissue = float(tissue_mask(np.asarray(small)).mask.mean())
        return patch, (image.shape[1], image.shape[0], tissue)

    measured = measure_tiles(files, read, model, settings, progress, folder.name)
    if not len(measured.done):
        raise WorkError(
            f"none of the {len(files)} images of {folder} can be measured: "
            f"{measured.failures[0][1]}"
        )
    widths, heights, tissue = (np.array(column) for column in zip(*measured.extras, strict=True))
    zeros = np.zeros(len(measured.done), np.int64)
    table = TileTable(
        name=folder.resolve().name,
        path=folder,
        kind="patches",
        x=zeros,
        y=zeros,
        width=widths.astype(np.int64),
        height=heights.astype(np.int64),
        tissue_fraction=tissue.astype(np.float64),
        measurements=measured.measurements,
        keep=np.ones(len(measured.done), np.bool_),
        alpha=settings.alpha,
        image_paths=tuple(files[i] for i in measured.done),
        tissue_coverage=float(tissue.mean()),
        failures=tuple((str(file), reason) for file, reason in measured.failures),
        warnings=_warnings(widths, heights, model.patch_size, measured),
        max_rejected=settings.max_rejected,
        patch_size=model.patch_size,
        reference=model.quantities_,
        evidence=measured.evidence,
    )
    return table.decide(settings.alpha, method=settings.method, adapt=settings.adapt)


def _warnings(
    widths: NDArray[np.int64], heights: NDArray[np.int64], size: int, measured: Measured
) -> tuple[str, ...]:
    count, warnings = len(measured.done) + len(measured.failures), []
    larger = int(((widths > size) | (heights > size)).sum())
    if larger:
        warnings.append(
            f"{larger} of {count} images are larger than {size} x {size} px: "
            "their centre is measured"
        )
    if measured.failures:
        warnings.append(f"{len(measured.failures)} of {count} images cannot be measured")
    return tuple(warnings)
