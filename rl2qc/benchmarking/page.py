"""The figures and the page of a benchmark, and the folder for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from rl2qc.benchmarking.figures import corruption_figure, stability_figure
from rl2qc.benchmarking.findings import Findings
from rl2qc.core import outputs
from rl2qc.errors import UsageError
from rl2qc.html.environment import encode, script, write_page
from rl2qc.html.figures import rendered
from rl2qc.synthetic.corruptions import CORRUPTIONS

__all__ = ["CSV", "JSON", "PAGE", "check_folder", "draw_figures", "write_report"]

PAGE, JSON, CSV = "benchmark.html", "benchmark.json", "benchmark.csv"
# Side of a picture on the page, px.
_SIDE = 144


def check_folder(
    out: str | Path, figures: Iterable[str] | None = None, *, overwrite: bool = False
) -> None:
    """Refuse a folder in which a benchmark would replace what is there.

    Parameters
    ----------
    out
        The folder.
    figures
        Names of the figures; those of all corruptions by default.
    overwrite
        Whether files may be replaced.

    Raises
    ------
    UsageError
        It is a file, or holds a benchmark or another file of its names.
    """
    out = Path(out)
    if (out / PAGE).exists() and not overwrite:
        raise UsageError(f"{out} holds a benchmark: choose another folder or pass --overwrite")
    names = CORRUPTIONS.names() if figures is None else figures
    drawn = (f"{name}.png" for name in (*names, "stability"))
    outputs.check_folder(out, (PAGE, JSON, CSV, *drawn), overwrite=overwrite)


def draw_figures(found: Findings) -> dict[str, Figure]:
    """All figures of a benchmark, by the names of their files.

    Raises
    ------
    UsageError
        For a benchmark without its examples.
    """
    if "clean" not in found.examples:
        raise UsageError("the report needs the benchmark as benchmark() returned it")
    figures = {name: corruption_figure(found, name) for name in found.corruptions}
    if found.stability is not None:
        figures["stability"] = stability_figure(found.stability)
    return figures


def write_report(found: Findings, figures: Mapping[str, Figure], path: str | Path) -> None:
    """Write the page, every picture inside it, to ``path``, whole or not at all."""
    drawn = {name: encode(rendered(figure), kind="drawing") for name, figure in figures.items()}
    write_page(
        path,
        "benchmark.html.j2",
        scripts=(script("zoom.js"),),
        grade=_grade,
        kept_grade=partial(_kept_grade, alpha=found.provenance["settings"]["alpha"]),
        result=found,
        run=found.provenance,
        columns=max(len(result.rows) for result in found.corruptions.values()),
        figures=drawn,
        stability=drawn.get("stability"),
        strips={
            place: [
                {"picture": encode(example.image, _SIDE), "keep": example.keep}
                for example in examples
            ]
            for place, examples in found.examples.items()
            if not place.startswith("corruptions/")
        },
    )


def _grade(area: float) -> str:
    """How good an AUC is, for its colour.

    >>> [_grade(area) for area in (0.97, 0.9, 0.75, 0.5)]
    ['best', 'good', 'fair', 'poor']
    """
    steps = ((0.95, "best"), (0.85, "good"), (0.7, "fair"))
    return next((grade for least, grade in steps if area >= least), "poor")


def _kept_grade(kept: float, alpha: float) -> str:
    """How good a share of clean tiles is, where 1 - alpha is asked for.

    >>> [_kept_grade(kept, 0.05) for kept in (0.93, 0.86, 0.7, 0.1)]
    ['best', 'good', 'fair', 'poor']
    """
    steps = ((2, "best"), (3, "good"), (6, "fair"))
    lost = 1 - kept
    return next((grade for times, grade in steps if lost <= times * alpha + 1e-9), "poor")
