"""What the filter asks of a quality model: what tiles measure, and where in them damage is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.progress import Progress
from rl2qc.core.threads import one_thread
from rl2qc.errors import UsageError
from rl2qc.images.cells import encode_cells
from rl2qc.images.quantities import odd_hue_cells
from rl2qc.images.sources.base import Patches, PatchSource
from rl2qc.model.calibration import conformal_p_values
from rl2qc.model.detectors.base import FILTER_SCORE
from rl2qc.model.detectors.book import Calibration, DetectorSet
from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.model.network.statistics import StatisticsExtractor
from rl2qc.stats.prior import GeneralPrior

__all__ = ["MeasuresTiles"]


class MeasuresTiles:
    """The part of :class:`rl2qc.model.quality.QualityModel` that measures tiles."""

    name: str
    patch_size: int
    extractor: StatisticsExtractor
    detectors_: DetectorSet
    calibration_: Calibration

    def at_one_size(self, patches: Patches) -> PatchSource:
        """Patches as a source of the size that the network sees."""
        raise NotImplementedError

    def measure_statistics(self, statistics: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """What the filter records of rows (n, d) of :meth:`statistics`, (n,) each.

        ``score`` is the filter's, ``log_likelihood`` the flow's in nats, and ``p_value`` the
        score's.
        """
        name = self.filter_score
        found = self.detectors_(statistics, [name, "log_likelihood"])
        return {
            "score": found[name],
            "log_likelihood": found["log_likelihood"],
            "p_value": conformal_p_values(found[name], self.calibration_[name]),
        }

    def measure(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """:meth:`measure_statistics` of one batch (b, patch_size, patch_size, 3) uint8; of a
        network with a map, its evidence (b, e) and cells (b, h, w, 4) as well."""
        rows, cells = self.extractor.with_cells(images)
        with one_thread():
            measured: dict[str, NDArray[Any]] = {**self.measure_statistics(rows)}
            if self.prior is not None and cells is not None:
                evidence = rows[:, STATISTICS_DIM:]
                of_tiles = self.prior.reasons(evidence)
                measured["evidence"] = evidence
                hue = odd_hue_cells(images, cells.shape[1:3])
                measured["cells"] = encode_cells(cells, self.prior.cells, of_tiles, hue)
        return measured

    def artifact_map(
        self, patches: Patches, *, progress: bool | Progress = False
    ) -> NDArray[np.float32]:
        """Where damage is: evidence (n, h, w, classes) float32 in [0, 1] of each cell of 8 px.

        Parameters
        ----------
        patches
        progress
            A bar on stderr, or a function that is called with what is done.

        Raises
        ------
        UsageError
            The network has no map: load the general model, or one that was trained on it.
        """
        if self.extractor.head is None:
            raise UsageError(
                f"the model {self.name} has no map of damage: load general, or a model that was "
                "trained on it"
            )
        return self.extractor.cells_of_source(self.at_one_size(patches), progress=progress)

    @property
    def classes(self) -> tuple[str, ...]:
        """What the map of damage tells apart; none for a network without."""
        return () if self.extractor.head is None else self.extractor.head.classes

    @property
    def prior(self) -> GeneralPrior | None:
        """What the network was taught of damage across laboratories; None for one without a map."""
        return self.detectors_.prior

    @property
    def filter_score(self) -> str:
        """The detector that decides what the filter keeps: the combined one, or the evidence of a
        model that has no reference of its own."""
        return FILTER_SCORE if FILTER_SCORE in self.detectors_.names else "evidence"

    @property
    def adapts(self) -> bool:
        """Whether slides are judged beside what is usual in them, for want of a reference."""
        return self.filter_score != FILTER_SCORE

    @property
    def runtime_name(self) -> str:
        """Runtime and version that compute the statistics, for the record."""
        return self.extractor.compiled(self.patch_size, self.patch_size).name
