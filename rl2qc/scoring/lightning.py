"""Scores in a Trainer of Lightning; needs the extra ``lightning``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rl2qc.core.registry import Extra
from rl2qc.scoring.callbacks import ScoreEvery, scalars
from rl2qc.scoring.streaming import ImageSetScorer

_Base: Any = object
with suppress(ImportError):  # said by the class when somebody makes one
    from lightning.pytorch import Callback

    _Base = Callback

__all__ = ["LightningScores"]


class LightningScores(_Base):  # type: ignore[misc]
    """A callback for Lightning's Trainer: scores at the end of validation epochs, logged.

    Each metric is logged as ``rl2qc/<name>``, so that ``ModelCheckpoint(monitor="rl2qc/rl2")``
    and early stopping can follow it. Only the first process scores.

    Parameters
    ----------
    scorer
        The real set and the metrics.
    generate
        ``generate(module, n)`` gives images of the module that is trained.
    n
        How many images to generate.
    every
        Validation epochs between scores.

    Examples
    --------
    >>> import pytest
    >>> _ = pytest.importorskip("lightning")
    >>> import numpy as np
    >>> from rl2qc.scoring.streaming import ImageSetScorer
    >>> real = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), np.uint8)
    >>> scorer = ImageSetScorer(real, metrics=["rl2"], n_resamples=0, values="[-1, 1]")
    >>> LightningScores(scorer, lambda module, n: module.sample(n), n=64).every
    1
    """

    def __init__(
        self,
        scorer: ImageSetScorer,
        generate: Callable[[Any, int], Any],
        n: int,
        *,
        every: int = 1,
    ) -> None:
        Extra("lightning", "rl2qc[lightning]").require("LightningScores")
        self.scorer, self.generate, self.n, self.every = scorer, generate, n, every

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Score, and log what came of it."""
        if trainer.sanity_checking or (trainer.current_epoch + 1) % self.every:
            return
        if trainer.is_global_zero:
            # Without gradients: Lightning validates so.
            scores = ScoreEvery(self.scorer, lambda n: self.generate(pl_module, n), self.n)
            card = scores(trainer.global_step)
            assert card is not None
            pl_module.log_dict(dict(scalars(card)), rank_zero_only=True)
