"""Judge slides and patches; the names that the rest of the package uses."""

from __future__ import annotations

from rl2qc.slides.judging import Progress, TileModel
from rl2qc.slides.patch_set import filter_patches
from rl2qc.slides.resolution import target_mpp
from rl2qc.slides.settings import FilterSettings
from rl2qc.slides.table import TileTable
from rl2qc.slides.whole_slide import filter_slide

__all__ = [
    "FilterSettings",
    "Progress",
    "TileModel",
    "TileTable",
    "filter_patches",
    "filter_slide",
    "target_mpp",
]
