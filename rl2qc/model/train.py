"""Train a model and write it down: what ``rl2qc train`` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl2qc.core.arguments import check_path
from rl2qc.core.outputs import check_targets, refuse_to_replace
from rl2qc.core.progress import Progress
from rl2qc.errors import UsageError
from rl2qc.html.figures import training_curve
from rl2qc.html.review_page import LIMIT
from rl2qc.images.sources.base import Patches
from rl2qc.model.quality import QualityModel
from rl2qc.model.review import listed, review_reference
from rl2qc.model.training.fit import fit_reference
from rl2qc.model.training.settings import TrainSettings

__all__ = ["TrainFiles", "check_files", "train"]


@dataclass(frozen=True)
class TrainFiles:
    """What training writes, all beside the model.

    Parameters
    ----------
    model
        ``MODEL.safetensors``.

    Examples
    --------
    >>> str(TrainFiles(Path("mine.safetensors")).curve)
    'mine.png'
    """

    model: Path

    @property
    def curve(self) -> Path:
        """A picture of the loss per epoch."""
        return self.model.with_suffix(".png")

    @property
    def review(self) -> Path:
        """The least likely patches, for ``exclude``."""
        return self.model.with_suffix(".review.csv")

    @property
    def page(self) -> Path:
        """A page on which a person marks patches, for ``exclude`` and ``include``."""
        return self.model.with_suffix(".review.html")

    @property
    def sheet(self) -> Path:
        """The same as pictures."""
        return self.model.with_suffix(".review.png")


def train(
    patches: Patches,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    held_out: Patches | None = None,
    review: bool = False,
    overwrite: bool = False,
    progress: bool | Progress = False,
    **changes: Any,
) -> QualityModel:
    """Train a quality model on clean reference patches, and write it beside its training curve.

    Parameters
    ----------
    patches
        Clean patches of your own stain and scanner: anything that
        :func:`~rl2qc.images.sources.base.as_source` reads.
    out
        Model file to write, ``MODEL.safetensors``; :class:`TrainFiles` names the others.
    settings
        How; :class:`~rl2qc.model.training.settings.TrainSettings` says each option.
    held_out
        Clean patches to hold out; None holds out a share of ``patches``.
    review
        List the least likely 2 % of the reference too (``MODEL.review.csv``) and show them
        (``MODEL.review.png``), for artifacts among them to be left out by ``exclude``; up to 400
        stand on a page that takes marks (``MODEL.review.html``) and saves a list of its own.
    overwrite
        Replace files that are there.
    progress
        A bar on stderr, or a function that is called with what is done.
    changes
        Single options in place of ``settings``, or on top of them; ``groups``, a slide or patient
        for each patch, as in :meth:`QualityModel.fit`.

    Returns
    -------
    QualityModel
        The same that :meth:`QualityModel.fit` makes of these patches; its ``warnings_`` say what
        is odd about them, its ``review_`` is what was listed.

    Raises
    ------
    UsageError
        Too few patches, an impossible option, or a file that is there already.
    ImageError
        Patches that cannot be read or are too small.
    WorkError
        Training failed: features collapsed, or the loss is not finite.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> patches = np.random.default_rng(0).integers(0, 256, (100, 64, 64, 3), np.uint8)
    >>> out = Path(tempfile.mkdtemp()) / "mine.safetensors"
    >>> model = train(patches, out, backbone="random", epochs=1, mpp=0.5)
    >>> model.name, sorted(path.name for path in out.parent.iterdir())
    ('mine', ['mine.png', 'mine.safetensors'])
    """
    groups: Sequence[str] | None = changes.pop("groups", None)
    resolved = TrainSettings.resolve(settings, changes)
    files = TrainFiles(check_path("out", out))
    check_files(files, review, resolved, overwrite)
    fitted = fit_reference(patches, resolved, held_out=held_out, groups=groups, progress=progress)
    model = QualityModel(fitted.parts, batch_size=resolved.batch_size, device=resolved.device)
    model.save(files.model)
    history = model.history_
    training_curve(history.train, history.held_out, history.best_epoch, files.curve)
    if review:
        ranked = review_reference(
            fitted.source,
            fitted.statistics,
            model.measure_statistics,
            fitted.groups,
            prior=model.prior,
            at_least=LIMIT,
        )
        ranked.to_html(files.page, model.name)
        model.review_ = ranked.first(listed(ranked.n_reference))
        model.review_.to_csv(files.review)
        model.review_.to_png(files.sheet)
    return model


def check_files(files: TrainFiles, review: bool, settings: TrainSettings, overwrite: bool) -> None:
    """UsageError for files that cannot, or must not, be written, before any work is done."""
    if files.model.suffix != ".safetensors":
        raise UsageError(f"--out must end in .safetensors, got {files.model.name}")
    excluded = [path.resolve() for path in settings.excluded]
    if review and files.review.resolve() in excluded:
        raise UsageError(
            f"--review would write a new {files.review} over the list that --exclude reads, and "
            "what it names would come back: rename the list first"
        )
    written = [
        files.model,
        files.curve,
        *([files.review, files.sheet, files.page] if review else []),
    ]
    check_targets({"--out": files.model}, overwrite=overwrite)
    refuse_to_replace(written, overwrite=overwrite, option="--out")
