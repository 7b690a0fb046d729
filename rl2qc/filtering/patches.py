"""Filter image files, taken as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.core.defaults import DEFAULT_MODEL
from rl2qc.core.progress import Progress
from rl2qc.errors import ImageError, UsageError, WorkError
from rl2qc.filtering.measure import Measured, TileModel, find_model, measure_tiles
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.table import TileTable
from rl2qc.filtering.table_facts import ODD_COLOURS
from rl2qc.filtering.verdict import rules_in
from rl2qc.images.hue_order import swapped_colours
from rl2qc.images.patch_tissue import tissue_mask
from rl2qc.images.resolution import check_scale
from rl2qc.images.sources.ahead import PicturesAhead
from rl2qc.images.sources.base import center_crop, open_images, source_of
from rl2qc.images.sources.images import About
from rl2qc.images.sources.notes import image_notes, scale_notes

__all__ = ["check_given_scale", "filter_images", "filter_patches"]

# Patches are reduced by this factor before their tissue is measured: at 20x, 2 um per pixel.
_PATCH_REDUCTION = 4
# Images whose headers are looked at before any is measured.
_LOOKED_AT = 16


def filter_patches(
    paths: str | Path | Sequence[str | Path],
    model: TileModel | str | Path = DEFAULT_MODEL,
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
    mpp = settings.mpp_override or settings.mpp
    said = check_given_scale(model.mpp, mpp, settings.any_mpp)
    found = open_images(paths)
    files = [Path(name) for name in found.names]
    first = Path(paths) if isinstance(paths, str | Path) else Path(paths[0])
    # What an image source has that is no folder of files goes by its own name.
    folder = first if first.is_dir() or not source_of(files[0]).on_disk else files[0].parent
    table = filter_images(files, folder, model, settings, progress, mpp=mpp)
    warnings = (*said, *found.warnings, *table.warnings)
    return replace(table, name=name or table.name, warnings=warnings)


_SCALE: Mapping[str, Any] = {
    "what": "the patches",
    "advice": "use a model that was trained at theirs, or pass --any-mpp",
}


def check_given_scale(model_mpp: float | None, mpp: float | None, any_mpp: bool) -> list[str]:
    """Refuse a resolution that the user gives for patches, which are taken as they are.

    Returns
    -------
    What is to be said once: that the model records none.

    Raises
    ------
    UsageError
        It is far from the model's.
    """
    said = check_scale(model_mpp, mpp, any_mpp=any_mpp, **_SCALE)
    return [said] if said is not None and model_mpp is None else []


def filter_images(
    files: Sequence[Path],
    folder: Path,
    model: TileModel,
    settings: FilterSettings,
    progress: bool | Progress = False,
    *,
    mpp: float | None = None,
) -> TileTable:
    """:func:`filter_patches` where everything is found already; ``mpp`` is what the user gives."""
    # Before the model's work: a few headers tell of what cannot be judged at all.
    _scale_warnings(model.mpp, mpp, _some_abouts(files), settings)

    ahead = PicturesAhead(files, workers=settings.num_workers, window=settings.window)

    def read(file: Path) -> tuple[NDArray[np.uint8], tuple[int, int, float, About | None]]:
        image, about = ahead.read(file)
        try:
            patch = center_crop(image, model.patch_size)
        except ImageError as error:
            raise ImageError(f"{file}: {error}") from error
        small = Image.fromarray(np.ascontiguousarray(patch)).reduce(_PATCH_REDUCTION)
        tissue = float(tissue_mask(np.asarray(small)).mask.mean())
        return patch, (image.shape[1], image.shape[0], tissue, about)

    measured = measure_tiles(files, read, model, settings, progress, folder.name)
    if not len(measured.done):
        raise WorkError(
            f"none of the {len(files)} images of {folder} can be measured: "
            f"{measured.failures[0][1]}"
        )
    *sizes, abouts = zip(*measured.extras, strict=True)
    widths, heights, tissue = map(np.array, sizes)
    said = [
        *_scale_warnings(model.mpp, mpp, abouts, settings),
        *image_notes([str(files[i]) for i in measured.done], abouts),
        *_warnings(widths, heights, model.patch_size, measured),
    ]
    if odd := swapped_colours(measured.hue_orders):
        said.append(f"{ODD_COLOURS}: {odd}")
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
        warnings=tuple(said),
        patch_size=model.patch_size,
        odd_colours=odd,
        reference=model.quantities_,
        evidence=measured.evidence,
    )
    return table.decide(
        settings.alpha, method=settings.method, adapt=settings.adapt, **rules_in(settings)
    )


def _scale_warnings(
    model_mpp: float | None,
    mpp: float | None,
    abouts: Sequence[About | None],
    settings: FilterSettings,
) -> list[str]:
    # Of a model that records none, that is said once and not of every set.
    if model_mpp is None:
        return []
    return scale_notes(model_mpp, mpp, abouts, any_mpp=settings.any_mpp, **_SCALE)


def _some_abouts(files: Sequence[Path]) -> list[About | None]:
    """What a few images, from the first to the last, say of themselves."""
    found = []
    for i in np.unique(np.linspace(0, len(files) - 1, _LOOKED_AT).astype(int)):
        with suppress(ImageError, UsageError):
            found.append(open_images(files[i]).items.about(0))
    return found


def _warnings(
    widths: NDArray[np.int64], heights: NDArray[np.int64], size: int, measured: Measured
) -> list[str]:
    count, warnings = len(measured.done) + len(measured.failures), []
    larger = int(((widths > size) | (heights > size)).sum())
    if larger:
        warnings.append(
            f"{larger} of {count} images are larger than {size} x {size} px: "
            "their centre is measured"
        )
    if measured.failures:
        # The reason names the file.
        warnings.append(
            f"{len(measured.failures)} of {count} images cannot be measured: "
            f"{measured.failures[0][1]}"
            + (f" (and {len(measured.failures) - 1} more)" if len(measured.failures) > 1 else "")
        )
    return warnings
