"""Training on slides as well: the patches of a model are the filter's tiles there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.core.arguments import check_path
from rl2qc.core.progress import Progress
from rl2qc.errors import UsageError
from rl2qc.filtering.slide_tiles import NamedSlide, draw_tiles
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
        try:
            return of_patches.train(patches, out, resolved, progress=progress, **calls)
        except UsageError as error:
            if not _are_slides(patches):
                raise
            raise UsageError(f"{error}; of slides, --uncurated draws tiles") from error
    files, review = of_patches.TrainFiles(check_path("out", out)), calls.get("review", False)
    of_patches.check_files(files, review, resolved, calls.get("overwrite", False))
    slides, warnings = slides_in(patches)
    if not slides:
        return of_patches.train(patches, out, resolved, progress=progress, **calls)
    size = resolved.patch_size or _SIZE
    mpp = resolved.mpp or load_backbone(resolved.backbone, resolved.seed).mpp or _MPP
    drawn = draw_tiles(
        slides, size, mpp, most=resolved.max_patches, seed=resolved.seed, progress=progress
    )
    resolved = resolved.changes(patch_size=size, mpp=mpp)
    calls["groups"] = drawn.groups
    model = of_patches.train(drawn.patches, out, resolved, progress=progress, **calls)
    model.warnings_ = (*warnings, *drawn.warnings, *model.warnings_)
    return model


# What a call takes beside settings.
_CALL = ("held_out", "review", "overwrite", "groups")


def _are_slides(patches: Any) -> bool:
    with suppress(UsageError):
        return bool(slides_in(patches)[0])
    return False


def slides_in(patches: Any) -> tuple[list[NamedSlide], list[str]]:
    """The slides among what was given, as ``rl2qc filter`` finds them, and what is to be said of
    them; none among patches.

    Raises
    ------
    UsageError
        Slides beside patches, or what :func:`~rl2qc.cohort.inputs.find.find_inputs` refuses.
    """
    given = [patches] if isinstance(patches, str | Path) else patches
    if not isinstance(given, Sequence) or not all(isinstance(p, str | Path) for p in given):
        return [], []
    found, warnings = find_inputs(given)
    slides = [NamedSlide(one.name, one.path, one.mpp) for one in found if one.kind == "slide"]
    others = [one.path for one in found if one.kind != "slide"]
    if slides and others:
        raise UsageError(
            f"slides beside patches ({others[0]}): train on one kind, or cut the slides into tiles "
            "first (rl2qc filter --format tiles)"
        )
    return slides, warnings if slides else []
