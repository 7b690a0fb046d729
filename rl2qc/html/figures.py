"""Figures, drawn without a display and written whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from rl2qc.core.files import atomic_path

__all__ = ["new_figure", "plain_axes", "rendered", "save_figure", "training_curve"]


def new_figure(width: float, height: float, dpi: float = 140) -> Figure:
    """An empty figure of that size in inches."""
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain_axes(axes: Any) -> None:
    """A pale grid, and no frame above and to the right."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a PNG to ``path``, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def rendered(figure: Figure) -> Image.Image:
    """A figure as a picture, as :func:`save_figure` writes it.

    Examples
    --------
    >>> rendered(new_figure(2, 1, dpi=50)).size
    (100, 50)
    """
    canvas: Any = figure.canvas
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


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
    figure = new_figure(6.4, 4, dpi=120)
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
    plain_axes(axes)
    axes.legend(frameon=False, loc="upper right")
    save_figure(figure, path)
