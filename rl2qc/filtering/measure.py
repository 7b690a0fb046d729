"""Read and measure tiles in one pass over their pixels.

Threads read ahead and measure what needs no model while it works on the batch before; how far
ahead is bounded, so that memory does not grow with the slide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getattr_static
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.progress import Progress, track
from rl2qc.core.read_ahead import read_ahead
from rl2qc.errors import ImageError, SlideError, UsageError
from rl2qc.filtering.evidence import Evidence
from rl2qc.filtering.settings import FilterSettings
from rl2qc.images.cells import CellMap
from rl2qc.images.hue_order import hue_order
from rl2qc.images.quantities import image_quantities
from rl2qc.images.quantity_names import QUANTITIES
from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.slides.readers.base import ReaderDied
from rl2qc.stats.prior import GeneralPrior

__all__ = ["Measured", "TileModel", "find_model", "measure_tiles"]

# What a model with a prior measures beside columns.
_EVIDENCE = ("evidence", "cells")
# The columns of a table that nothing was measured for.
_COLUMNS = ("log_likelihood", "p_value", *QUANTITIES)


class TileModel(Protocol):
    """What the filter must know of a model of tiles.

    A model of one's own needs ``patch_size``, ``mpp``, ``name`` and ``measure``; where it lacks
    others, :func:`find_model` gives it theirs: no hash, no quantities, no runtime, no device.

    Examples
    --------
    >>> class Dark:
    ...     patch_size, mpp, name = 64, 0.5, "dark"
    ...     def measure(self, images):
    ...         return {"p_value": 1 - images.mean(axis=(1, 2, 3)) / 255}
    >>> find_model(Dark()).patch_size
    64
    """

    @property
    def patch_size(self) -> int:
        """Side of a tile in px."""

    @property
    def mpp(self) -> float | None:
        """Microns per pixel that the model was trained at, None if it does not record them."""

    @property
    def name(self) -> str:
        """Name of the model, for the record."""

    @property
    def sha256(self) -> str:
        """Hash of the model's file; "" for one that has none, of which no result is ever taken to
        be up to date."""

    @property
    def quantities_(self) -> ReferenceQuantities | None:
        """What the patches that the model was fitted to are like, if it records that."""

    @property
    def runtime_name(self) -> str | None:
        """What computes its forward pass, and the version, for the record."""

    @property
    def device(self) -> object:
        """Where it runs, such as "cuda:0"; None if it does not say."""

    @property
    def prior(self) -> GeneralPrior | None:
        """What its evidence means; None for a model that gives none."""

    @property
    def adapts(self) -> bool:
        """Whether its evidence is judged beside what is usual in the slides at hand; False for one
        with a reference of its own."""

    def measure(self, images: NDArray[np.uint8]) -> Mapping[str, NDArray[Any]]:
        """Measure tiles (n, patch_size, patch_size, 3): (n,) values by name.

        "p_value" must be among them: the conformal p-value that the decision is made by. A model
        with a ``prior`` gives "evidence" (n, e) and "cells" (n, h, w, 2) too
        (:class:`rl2qc.filtering.evidence.Evidence`).
        """


# The members that a model may lack, and what is taken in their place.
_OPTIONAL: Mapping[str, Any] = {
    "sha256": "",
    "quantities_": None,
    "runtime_name": None,
    "device": None,
    "prior": None,
    "adapts": False,
}
_ABSENT = object()
_NEEDED = ("patch_size", "mpp", "name", "measure")


class _WithDefaults:
    """A model with what it lacks of :class:`TileModel`."""

    def __init__(self, model: object) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        # Python asks for these before there is a model, when it copies.
        if name.startswith("__") or name == "_model":
            raise AttributeError(name)
        if name in _OPTIONAL:
            return getattr(self._model, name, _OPTIONAL[name])
        return getattr(self._model, name)


def find_model(model: TileModel | str | Path) -> TileModel:
    """A model by its name or file, or the one that is given, complete.

    Raises
    ------
    UsageError
        There is no such model, or what is given is none.
    CheckpointError
        Its file is damaged.

    Examples
    --------
    >>> class Even:
    ...     patch_size, mpp, name = 64, 0.5, "even"
    ...     def measure(self, images):
    ...         return {"p_value": np.ones(len(images))}
    >>> find_model(Even()).sha256
    ''
    >>> find_model(object())
    Traceback (most recent call last):
    rl2qc.errors.UsageError: object is no model of tiles: it lacks patch_size, mpp, name, measure
    """
    if isinstance(model, str | Path):
        # Here, since torch takes seconds to load and not every model needs it.
        from rl2qc.model.quality import QualityModel

        model = QualityModel.load(model)
    if isinstance(model, _WithDefaults):
        return cast(TileModel, model)
    if isinstance(model, type):
        raise UsageError(f"{model.__name__} is a class: give a model that is made of it")
    lacking = [name for name in _NEEDED if not hasattr(model, name)]
    if lacking:
        raise UsageError(
            f"{type(model).__name__} is no model of tiles: it lacks {', '.join(lacking)}"
        )
    # Not by hasattr: to ask for the runtime is to make it.
    if all(getattr_static(model, name, _ABSENT) is not _ABSENT for name in _OPTIONAL):
        return model
    return cast(TileModel, _WithDefaults(model))


@dataclass(frozen=True)
class Measured:
    """Indices of the items that were measured, their measurements (the model's, then
    :data:`~rl2qc.images.quantity_names.QUANTITIES`) and extras, the failures, the evidence of a
    model that gives it, and the order of hues of each
    (:func:`rl2qc.images.hue_order.hue_order`)."""

    done: NDArray[np.int64]
    measurements: dict[str, NDArray[np.float64]]
    extras: list[Any]
    failures: list[tuple[Any, str]]
    evidence: Evidence | None = None
    hue_orders: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


def measure_tiles(
    items: Sequence[Any] | NDArray[np.int64],
    read: Callable[[Any], tuple[NDArray[np.uint8], Any]],
    model: TileModel,
    settings: FilterSettings,
    progress: bool | Progress = False,
    what: str = "tiles",
) -> Measured:
    """Read and measure every item; one that cannot be read is listed and the rest goes on.

    Parameters
    ----------
    items
        Whatever ``read`` takes, one a tile.
    read
        The pixels of an item (patch_size, patch_size, 3), and anything else there is to note.
    model, settings
        What measures them, how many at a time, and by how many threads they are read.
    progress, what
        As in :func:`rl2qc.core.progress.track`.
    """
    done: list[int] = []
    extras: list[Any] = []
    failures: list[tuple[Any, str]] = []
    batch: list[NDArray[np.uint8]] = []
    quantities: list[NDArray[np.float64]] = []
    orders: list[float] = []
    measured: list[dict[str, NDArray[Any]]] = []

    def attempt(item: Any) -> tuple[NDArray[np.uint8], NDArray[np.float64], float, Any] | str:
        try:
            image, extra = read(item)
        except ReaderDied:
            # All the others would die, too.
            raise
        except (SlideError, ImageError) as error:
            return str(error)
        return image, image_quantities(image), hue_order(image), extra

    results = read_ahead(attempt, items, workers=settings.num_workers, window=settings.window)
    told = 0
    with track(progress, what, len(items)) as step:
        for index, result in enumerate(results):
            if isinstance(result, str):
                failures.append((items[index], result))
            else:
                image, found, order, extra = result
                orders.append(order)
                batch.append(image)
                quantities.append(found)
                done.append(index)
                extras.append(extra)
            if len(batch) == settings.batch_size:
                measured.append(_measure(model, np.stack(batch)))
                batch.clear()
                step(index + 1 - told)
                told = index + 1
        if batch:
            measured.append(_measure(model, np.stack(batch)))
        if told < len(items):
            step(len(items) - told)
    return Measured(
        np.array(done, np.int64),
        _columns(measured, quantities),
        extras,
        failures,
        _evidence(model, measured),
        np.array(orders, np.float64),
    )


def _columns(
    measured: Sequence[Mapping[str, NDArray[Any]]],
    quantities: Sequence[NDArray[np.float64]],
) -> dict[str, NDArray[np.float64]]:
    """The measurements of all batches, one column each."""
    if not measured:
        return {name: np.empty(0) for name in _COLUMNS}
    names = [name for name, values in measured[0].items() if values.ndim == 1]
    columns = {
        name: np.concatenate([part[name] for part in measured]).astype(np.float64) for name in names
    }
    return columns | dict(zip(QUANTITIES, np.stack(quantities, axis=1), strict=True))


def _evidence(model: TileModel, measured: Sequence[Mapping[str, NDArray[Any]]]) -> Evidence | None:
    """The evidence of all batches, if the model gives it."""
    if model.prior is None or not measured:
        return None
    values, cells = (np.concatenate([part[name] for part in measured]) for name in _EVIDENCE)
    return Evidence(model.prior, values, CellMap(model.prior.classes, cells), adapts=model.adapts)


def _measure(model: TileModel, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    measured = {name: np.asarray(values) for name, values in model.measure(images).items()}
    wanted = {"p_value"} | (set(_EVIDENCE) if model.prior is not None else set())
    if not wanted <= measured.keys() or any(
        values.shape[:1] != (len(images),) or (values.ndim != 1 and name not in _EVIDENCE)
        for name, values in measured.items()
    ):
        shapes = {name: values.shape for name, values in measured.items()}
        raise ValueError(
            f"{model.name} must measure {', '.join(sorted(wanted))} of {len(images)} tiles, (n,) "
            f"each but evidence (n, e) and cells (n, h, w, 2): {shapes}"
        )
    return measured
