"""What a quality model is made of, however it was come by: fitted, or read from a file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rl2qc.errors import WorkError
from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.detectors.book import Calibration, DetectorSet
from rl2qc.model.network.backbone import ResNet18Features
from rl2qc.model.network.branch import ScoreBranch
from rl2qc.model.network.head import DamageHead

__all__ = ["History", "ModelParts"]


@dataclass(frozen=True, eq=False)
class ModelParts:
    """All that :class:`rl2qc.model.quality.QualityModel` knows; its attributes say what each is."""

    backbone: ResNet18Features
    density: FeatureDensity
    patch_size: int
    mpp: float | None
    detectors: DetectorSet
    calibration: Calibration
    reference_latent_mean: NDArray[np.float32]
    quantities: ReferenceQuantities | None
    history: History
    provenance: dict[str, Any]
    head: DamageHead | None = None
    branch: ScoreBranch | None = None
    taught: NDArray[np.uint8] | None = None
    warnings: tuple[str, ...] = ()


@dataclass
class History:
    """Negative log-likelihood after every epoch, in nats per dimension."""

    train: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)

    def add(self, train_log_prob: Tensor, held_out_log_prob: Tensor) -> None:
        """Append an epoch, given mean log-likelihoods per dimension.

        Raises
        ------
        WorkError
            The held-out likelihood is not finite.
        """
        self.train.append(-float(train_log_prob))
        self.held_out.append(-float(held_out_log_prob))
        if not math.isfinite(self.held_out[-1]):
            raise WorkError(
                "the held-out likelihood is not finite: lower --learning-rate, or check that the "
                "reference patches are clean"
            )

    @property
    def best_epoch(self) -> int:
        return int(np.argmin(self.held_out))

    @property
    def best(self) -> float:
        return self.held_out[self.best_epoch]
