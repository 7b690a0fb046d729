"""Figures, drawn without a display and written whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rl2qc.core.files import atomic_path

__all__ = ["training_curve"]


def training_curve(
    train: Sequence[float], held_out: Sequence[float], best_epoch: int, path: str | Path
) -> None:
    """Draw the loss of training and held-out patches per epoch, the kept epoch marked.

    Parameters
    ----------
    train, held_out
        Negative log-likelihood per epoch, nats per dimension.
    best_epoch
        Index into them of the weights that were kept.
    path
        PNG file to write.
    """
    figure = Figure(figsize=(6.4, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    epochs = range(1, len(train) + 1)
    axes.plot(epochs, train, color="#4477aa", label="training patches")
    axes.plot(epochs, held_out, color="#cc6677", label="held-out patches")
    axes.plot(
        best_epoch + 1,
        held_out[best_epoch],
        "o",
        color="#cc6677",
        label=f"kept: epoch {best_epoch + 1}, {held_out[best_epoch]:.3f}",
    )
    axes.set(xlabel="epoch", ylabel="negative log-likelihood, nats per dimension")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
