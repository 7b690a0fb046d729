"""Figures of a benchmark: one a corruption, as the RL2 paper draws them, and sample sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rl2qc.benchmarking.findings import CorruptionResult, Findings
from rl2qc.benchmarking.stability import TITLES, SizeCurve, Stability
from rl2qc.html.figures import new_figure, plain_axes

__all__ = ["corruption_figure", "stability_figure"]

_BLUE, _RED, _GREY = "#4477aa", "#cc6677", "#777777"
# The filter's detector first, drawn thicker.
_COLOURS = ("#cc6677", "#4477aa", "#228833", "#ccaa33", "#66ccee", "#aa3377", "#999999", "#222222")
# RL2 that spans more than this is drawn on a logarithmic axis.
_DECADES = 30.0


def corruption_figure(found: Findings, name: str) -> Figure:
    """Corrupted examples, RL2 below them with its interval, and the AUC of every detector.

    Parameters
    ----------
    found
        With its examples, as :func:`~rl2qc.benchmarking.benchmark.benchmark` returned it.
    name
        Of a corruption.

    References
    ----------
    Jeevan et al., "RL2", ISBI 2025, figures 2 to 5.
    """
    result = found.corruptions[name]
    pictures = [*found.examples["clean"], *found.examples[f"corruptions/{name}"]]
    columns = len(result.severities) + 1
    figure = new_figure(1.25 * columns + 0.8, 6.4)
    grid = figure.add_gridspec(3, columns, height_ratios=[1.3, 2.5, 2.5])
    labels = ["clean", *(f"{severity:g}" for severity in result.severities)]
    for column, picture in enumerate(pictures):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(picture.image)
        axes.set(xticks=[], yticks=[])
        axes.set_title(labels[column], fontsize=10)
        axes.spines[:].set_visible(False)
    _distances(_panel(figure, grid[1, :], columns, labels), found, result)
    areas = _panel(figure, grid[2, :], columns, ["", *labels[1:]])
    _areas(areas, result, found.provenance["detectors"])
    return figure


def _distances(axes: Any, found: Findings, result: CorruptionResult) -> None:
    """RL2 at each severity with its band, over that of clean halves."""
    clean, steps = found.clean, np.arange(1, len(result.rows) + 1)
    values = [row.rl2 for row in result.rows]
    low, high = [row.rl2_low for row in result.rows], [row.rl2_high for row in result.rows]
    axes.axhspan(clean.rl2_low, clean.rl2_high, color=_GREY, alpha=0.2, linewidth=0)
    axes.axhline(clean.rl2, color=_GREY, linewidth=1, label="clean halves")
    axes.fill_between(steps, low, high, color=_BLUE, alpha=0.25, linewidth=0)
    band = f"RL2, {found.provenance['level']:.0%} band"
    axes.plot(steps, values, "o-", color=_BLUE, label=band)
    axes.set_ylabel("RL2")
    if max(values) > _DECADES * max(min(values), 1e-9):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    rho = f"Spearman {result.spearman:.2f}" if result.spearman == result.spearman else ""
    axes.set_title(rho, loc="right", fontsize=9, color=_GREY)


def _areas(axes: Any, result: CorruptionResult, detectors: Sequence[str]) -> None:
    """The AUC of every detector at each severity, the filter's with its interval."""
    steps = np.arange(1, len(result.rows) + 1)
    axes.axhline(0.5, color=_GREY, linewidth=1, linestyle=":")
    for i, detector in enumerate(detectors):
        found = [row.auc[detector] for row in result.rows]
        colour = _COLOURS[i % len(_COLOURS)]
        if i == 0:
            ends = [f.low for f in found], [f.high for f in found]
            axes.fill_between(steps, *ends, color=colour, alpha=0.25, linewidth=0)
        axes.plot(
            steps,
            [f.value for f in found],
            "o-",
            color=colour,
            linewidth=2.4 if i == 0 else 1.2,
            markersize=5 if i == 0 else 3.5,
            zorder=3 if i == 0 else 2,
            label=f"{_words(detector)} (filter)" if i == 0 else _words(detector),
        )
    lowest = min(f.low for row in result.rows for f in row.auc.values())
    axes.set(ylabel="AUC, clean against corrupted", ylim=(min(0.45, lowest - 0.03), 1.02))
    axes.set_xlabel(f"{result.title}: {result.unit}")
    axes.legend(frameon=False, fontsize=8, loc="center left", borderaxespad=0)


def stability_figure(result: Stability) -> Figure:
    """RL2, FID and KID against sample size, each as a share of its value at the largest.

    Bands are standard deviations over the draws.
    """
    figure = new_figure(8.6, 3.5)
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


def _sizes(axes: Any, result: Stability, curve: SizeCurve) -> None:
    n, unit = result.n, curve.degraded[-1]
    if unit <= 0:
        axes.text(0.5, 0.5, "no difference to scale by", ha="center", transform=axes.transAxes)
        return
    for label, colour, middle, spread in (
        (f"clean against {result.degradation}", _BLUE, curve.degraded, curve.degraded_std),
        ("clean against other clean images", _GREY, curve.baseline, curve.baseline_std),
    ):
        value, std = np.array(middle) / unit, np.array(spread) / unit
        axes.fill_between(n, value - std, value + std, color=colour, alpha=0.25, linewidth=0)
        axes.plot(n, value, "o-", color=colour, label=label, markersize=4)
    axes.set_xscale("log")
    axes.set_xticks(n, [str(size) for size in n], fontsize=8.5)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axhline(1, color=_RED, linewidth=0.8, linestyle=":")
    plain_axes(axes)


def _panel(figure: Figure, cell: Any, columns: int, labels: Sequence[str]) -> Any:
    """Axes whose steps stand below the pictures."""
    axes = figure.add_subplot(cell)
    axes.set(xlim=(-0.5, columns - 0.5), xticks=range(columns))
    axes.set_xticklabels(labels)
    plain_axes(axes)
    return axes


def _words(detector: str) -> str:
    return detector.replace("_", " ")
