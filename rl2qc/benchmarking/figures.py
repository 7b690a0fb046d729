"""Figures of a benchmark: one for each ladder, as the RL2 paper draws them, and sample sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rl2qc.benchmarking.result import Benchmark
from rl2qc.benchmarking.stability import TITLES, SizeCurve, Stability
from rl2qc.core.files import atomic_path

__all__ = ["ladder_figure", "save_figure", "stability_figure"]

_BLUE, _RED, _GREY = "#4477aa", "#cc6677", "#777777"
# After the filter's score, drawn thicker.
_COLOURS = ("#cc6677", "#4477aa", "#228833", "#ccaa33", "#66ccee", "#aa3377", "#999999", "#222222")
# RL2 that spans more than this is drawn on a logarithmic axis.
_DECADES = 30.0


def ladder_figure(result: Benchmark, name: str) -> Figure:
    """Degraded examples, RL2 below them with its interval, and the AUC of every score.

    Parameters
    ----------
    result
        With its examples, as :func:`~rl2qc.benchmarking.benchmark.benchmark` returned it.
    name
        Of a ladder.

    References
    ----------
    Jeevan et al., "RL2", ISBI 2025, figures 2 to 5.
    """
    ladder, clean = result.ladders[name], result.clean
    pictures = [*result.examples["clean"], *result.examples[f"ladders/{name}"]]
    columns = len(ladder.severities) + 1
    figure = _figure(1.25 * columns + 0.8, 6.4)
    grid = figure.add_gridspec(3, columns, height_ratios=[1.3, 2.5, 2.5])
    labels = ["clean", *(f"{severity:g}" for severity in ladder.severities)]
    for column, picture in enumerate(pictures):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(picture.image)
        axes.set(xticks=[], yticks=[])
        axes.set_title(labels[column], fontsize=10)
        axes.spines[:].set_visible(False)

    steps = np.arange(1, columns)
    distance = _panel(figure, grid[1, :], columns, labels)
    values = [row.rl2 for row in ladder.rows]
    low, high = [row.rl2_low for row in ladder.rows], [row.rl2_high for row in ladder.rows]
    distance.axhspan(clean.rl2_low, clean.rl2_high, color=_GREY, alpha=0.2, linewidth=0)
    distance.axhline(clean.rl2, color=_GREY, linewidth=1, label="clean halves")
    distance.fill_between(steps, low, high, color=_BLUE, alpha=0.25, linewidth=0)
    distance.plot(steps, values, "o-", color=_BLUE, label=f"RL2, {result.run['level']:.0%} band")
    distance.set_ylabel("RL2")
    if max(values) > _DECADES * max(min(values), 1e-9):
        distance.set_yscale("log")
    else:
        distance.set_ylim(bottom=0)
    distance.legend(frameon=False, fontsize=9, loc="upper left")
    rho = f"Spearman {ladder.spearman:.2f}" if ladder.spearman == ladder.spearman else ""
    distance.set_title(rho, loc="right", fontsize=9, color=_GREY)

    area = _panel(figure, grid[2, :], columns, ["", *labels[1:]])
    area.axhline(0.5, color=_GREY, linewidth=1, linestyle=":")
    for i, score in enumerate(result.run["scores"]):
        found = [row.auc[score] for row in ladder.rows]
        colour = _COLOURS[i % len(_COLOURS)]
        if i == 0:
            ends = [f.low for f in found], [f.high for f in found]
            area.fill_between(steps, *ends, color=colour, alpha=0.25, linewidth=0)
        area.plot(
            steps,
            [f.value for f in found],
            "o-",
            color=colour,
            linewidth=2.4 if i == 0 else 1.2,
            markersize=5 if i == 0 else 3.5,
            zorder=3 if i == 0 else 2,
            label=f"{_words(score)} (filter)" if i == 0 else _words(score),
        )
    lowest = min(row.auc[score].low for row in ladder.rows for score in row.auc)
    area.set(ylabel="AUC, clean against degraded", ylim=(min(0.45, lowest - 0.03), 1.02))
    area.set_xlabel(f"{ladder.title}: {ladder.unit}")
    area.legend(frameon=False, fontsize=8, loc="center left", borderaxespad=0)
    return figure


def stability_figure(result: Stability) -> Figure:
    """RL2, FID and KID against sample size, each as a share of its value at the largest.

    Bands are standard deviations over the draws.
    """
    figure = _figure(8.6, 3.5)
    panels: Sequence[Any] = figure.subplots(1, len(result.curves), sharey=True)
    for axes, (name, curve) in zip(panels, result.curves.items(), strict=True):
        _sizes(axes, result, curve)
        axes.set_title(TITLES[name], fontsize=11)
        axes.set_xlabel("images a side")
    panels[0].set_ylabel(f"share of the value at {result.n[-1]}")
    panels[0].set_ylim(bottom=min(0.0, panels[0].get_ylim()[0]))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=2, loc="outside upper center")
    return figure


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a PNG to ``path``, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def _sizes(axes: Any, result: Stability, curve: SizeCurve) -> None:
    n, unit = result.n, curve.degraded[-1]
    if unit <= 0:
        axes.text(0.5, 0.5, "no difference to scale by", ha="center", transform=axes.transAxes)
        return
    for label, colour, middle, spread in (
        (f"clean against {result.degradation}", _BLUE, curve.degraded, curve.degraded_std),
        ("clean against other clean images", _GREY, curve.floor, curve.floor_std),
    ):
        value, std = np.array(middle) / unit, np.array(spread) / unit
        axes.fill_between(n, value - std, value + std, color=colour, alpha=0.25, linewidth=0)
        axes.plot(n, value, "o-", color=colour, label=label, markersize=4)
    axes.set_xscale("log")
    axes.set_xticks(n, [str(size) for size in n], fontsize=8.5)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axhline(1, color=_RED, linewidth=0.8, linestyle=":")
    _plain(axes)


def _panel(figure: Figure, cell: Any, columns: int, labels: Sequence[str]) -> Any:
    """Axes whose steps stand below the pictures."""
    axes = figure.add_subplot(cell)
    axes.set(xlim=(-0.5, columns - 0.5), xticks=range(columns))
    axes.set_xticklabels(labels)
    _plain(axes)
    return axes


def _plain(axes: Any) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _words(score: str) -> str:
    return score.replace("_", " ")
