"""Judge image files, taken as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.errors import ImageError, WorkError
from rl2qc.filtering.measure import Progress, TileModel, judge, reference_quantities
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.table import TileTable
from rl2qc.images.sources.base import center_crop
from rl2qc.images.sources.files import list_images, read_image
from rl2qc.images.tissue import tissue_mask

__all__ = ["filter_patches"]

# Patches are reduced by this factor before their tissue is measured: at 20x, 2 um per pixel.
_PATCH_REDUCTION = 4


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

    judged = judge(files, read, model, settings, progress)
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
        reference=reference_quantities(model),
    ).decide(alpha)
