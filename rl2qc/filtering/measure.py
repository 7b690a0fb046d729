"""Read, measure and judge tiles in one pass over their pixels.

Threads read ahead and measure what needs no model while it works on the batch before; how far
ahead is bounded, so that memory does not grow with the slide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.read_ahead import read_ahead
from rl2qc.errors import ImageError, SlideError
from rl2qc.filtering.settings import FilterSettings
from rl2qc.images.quantities import QUANTITIES, image_quantities
from rl2qc.images.reasons import ReferenceQuantities

__all__ = ["Judged", "Progress", "TileModel", "judge", "reference_quantities"]

# The columns of a table that nothing was measured for.
_COLUMNS = ("log_likelihood", "p_value", *QUANTITIES)

Progress = Callable[[int, int], None]
"""Called with the number of tiles done and of all tiles."""


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


def reference_quantities(model: TileModel) -> ReferenceQuantities | None:
    """What the patches that a model was fitted to are like, if it records that."""
    found = getattr(model, "quantities_", None)
    return found if isinstance(found, ReferenceQuantities) else None


@dataclass(frozen=True)
class Judged:
    """Indices of the items that were judged, their measurements (the model's, then
    :data:`~rl2qc.images.quantities.QUANTITIES`) and extras, and the failures."""

    done: NDArray[np.int64]
    measurements: dict[str, NDArray[np.float64]]
    extras: list[Any]
    failures: list[tuple[Any, str]]


def judge(
    items: Sequence[Any] | NDArray[np.int64],
    read: Callable[[Any], tuple[NDArray[np.uint8], Any]],
    model: TileModel,
    settings: FilterSettings,
    progress: Progress | None,
) -> Judged:
    """Read and measure every item; one that cannot be read is listed and the rest goes on."""
    done: list[int] = []
    extras: list[Any] = []
    failures: list[tuple[Any, str]] = []
    batch: list[NDArray[np.uint8]] = []
    quantities: list[NDArray[np.float64]] = []
    measured: list[dict[str, NDArray[np.float64]]] = []

    def attempt(item: Any) -> tuple[NDArray[np.uint8], NDArray[np.float64], Any] | str:
        try:
            image, extra = read(item)
        except (SlideError, ImageError) as error:
            return str(error)
        return image, image_quantities(image), extra

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
            image, found, extra = result
            batch.append(image)
            quantities.append(found)
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
    if not measured:
        columns = {name: np.empty(0) for name in _COLUMNS}
    else:
        columns = {name: np.concatenate([part[name] for part in measured]) for name in measured[0]}
        columns |= dict(zip(QUANTITIES, np.stack(quantities, axis=1), strict=True))
    return Judged(np.array(done, np.int64), columns, extras, failures)


def _measure(model: TileModel, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    measured = {
        name: np.asarray(values, np.float64) for name, values in model.measure(images).items()
    }
    if "p_value" not in measured or any(v.shape != (len(images),) for v in measured.values()):
        shapes = {name: values.shape for name, values in measured.items()}
        raise ValueError(f"{model.name} must measure p_value (n,) of {len(images)} tiles: {shapes}")
    return measured
