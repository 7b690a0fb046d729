"""Judge histopathology images: filter slide tiles and score generated sets with one model.

The public names, imported on first use so that ``rl2qc --help`` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rl2qc.metrics.rl2 import rl2
    from rl2qc.metrics.wad_div import wad_div
    from rl2qc.model.quality import QualityModel
    from rl2qc.reports.scorecard import Scorecard, score
    from rl2qc.slides.filtering import TileTable, filter_slide

__all__ = ["QualityModel", "Scorecard", "TileTable", "filter_slide", "rl2", "score", "wad_div"]

_HOMES = {
    "QualityModel": "rl2qc.model.quality",
    "Scorecard": "rl2qc.reports.scorecard",
    "TileTable": "rl2qc.slides.filtering",
    "filter_slide": "rl2qc.slides.filtering",
    "rl2": "rl2qc.metrics.rl2",
    "score": "rl2qc.reports.scorecard",
    "wad_div": "rl2qc.metrics.wad_div",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rl2qc' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
