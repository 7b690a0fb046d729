"""What a quality model is made of, however it was come by: fitted, or read from a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.model.backbone import ResNet18Features
from rl2qc.model.density import FeatureDensity
from rl2qc.model.scores import ScoreBook
from rl2qc.model.training import History

__all__ = ["ModelParts"]


@dataclass(frozen=True, eq=False)
class ModelParts:
    """All that :class:`rl2qc.model.quality.QualityModel` knows; its attributes say what each is."""

    backbone: ResNet18Features
    density: FeatureDensity
    patch_size: int
    mpp: float | None
    scores: ScoreBook
    calibration: dict[str, NDArray[np.float64]]
    reference_latent_mean: NDArray[np.float32]
    quantities: ReferenceQuantities | None
    history: History
    provenance: dict[str, Any]
