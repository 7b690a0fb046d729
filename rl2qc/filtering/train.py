"""Training on slides as well: the patches of a model are the filter's tiles there."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Any

from rl2qc.core.arguments import check_path
from rl2qc.core.progress import Progress
from rl2qc.filtering.slide_tiles import draw_tiles
from rl2qc.images.sources.base import Patches
from rl2qc.model import train as of_patches
from rl2qc.model.quality import QualityModel
from rl2qc.model.storage import load_backbone
from rl2qc.model.training.settings import TrainSettings

__all__ = ["train"]

# Of tiles that are drawn from slides, where nothing says otherwise.
_SIZE, _MPP = 224, 0.5


@wraps(of_patches.train, assigned=("__doc__",))
def train(
    patches: Patches,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    progress: bool | Progress = False,
    **changes: Any,
) -> QualityModel:
    """:func:`rl2qc.model.train.train`; of slides, with ``uncurated``, too."""
    calls = {name: changes.pop(name) for name in _CALL if name in changes}
    resolved = TrainSettings.resolve(settings, changes)
    if not resolved.uncurated:
        return of_patches.train(patches, out, resolved, progress=progress, **calls)
    files, review = of_patches.TrainFiles(check_path("out", out)), calls.get("review", False)
    of_patches.check_files(files, review, resolved, calls.get("overwrite", False))
    size = resolved.patch_size or _SIZE
    mpp = resolved.mpp or load_backbone(resolved.backbone, resolved.seed).mpp or _MPP
    drawn = draw_tiles(
        patches, size, mpp, most=resolved.max_patches, seed=resolved.seed, progress=progress
    )
    if drawn is None:
        return of_patches.train(patches, out, resolved, progress=progress, **calls)
    resolved = resolved.changes(patch_size=size, mpp=mpp)
    calls["groups"] = drawn.groups
    model = of_patches.train(drawn.patches, out, resolved, progress=progress, **calls)
    model.warnings_ = (*drawn.warnings, *model.warnings_)
    return model


# What a call takes beside settings.
_CALL = ("held_out", "review", "overwrite", "groups")
