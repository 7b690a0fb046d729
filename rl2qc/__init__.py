"""Judge histopathology images: filter slide tiles and score generated sets with one model.

The public names, imported on first use so that ``rl2qc --help`` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rl2qc.benchmarking.benchmark import benchmark
    from rl2qc.cohort.dataset import KeptTiles
    from rl2qc.filtering.slide import filter_slide
    from rl2qc.filtering.table import TileTable
    from rl2qc.metrics.frechet import fid
    from rl2qc.metrics.inception import inception_score
    from rl2qc.metrics.irs import irs
    from rl2qc.metrics.kernel import kid
    from rl2qc.metrics.prdc import prdc
    from rl2qc.metrics.rl2 import rl2
    from rl2qc.metrics.sliced import swd
    from rl2qc.metrics.wad_div import wad_div
    from rl2qc.model.quality import QualityModel
    from rl2qc.scoring.compare import compare
    from rl2qc.scoring.score import score
    from rl2qc.scoring.scorecard import Scorecard
    from rl2qc.scoring.settings import ScoreSettings

__all__ = [
    "KeptTiles",
    "QualityModel",
    "ScoreSettings",
    "Scorecard",
    "TileTable",
    "benchmark",
    "compare",
    "fid",
    "filter_slide",
    "inception_score",
    "irs",
    "kid",
    "prdc",
    "rl2",
    "score",
    "swd",
    "wad_div",
]

_HOMES = {
    "KeptTiles": "rl2qc.cohort.dataset",
    "QualityModel": "rl2qc.model.quality",
    "ScoreSettings": "rl2qc.scoring.settings",
    "Scorecard": "rl2qc.scoring.scorecard",
    "TileTable": "rl2qc.filtering.table",
    "benchmark": "rl2qc.benchmarking.benchmark",
    "compare": "rl2qc.scoring.compare",
    "fid": "rl2qc.metrics.frechet",
    "filter_slide": "rl2qc.filtering.slide",
    "inception_score": "rl2qc.metrics.inception",
    "irs": "rl2qc.metrics.irs",
    "kid": "rl2qc.metrics.kernel",
    "prdc": "rl2qc.metrics.prdc",
    "rl2": "rl2qc.metrics.rl2",
    "score": "rl2qc.scoring.score",
    "swd": "rl2qc.metrics.sliced",
    "wad_div": "rl2qc.metrics.wad_div",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rl2qc' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
