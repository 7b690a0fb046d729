"""Everything that a benchmark leaves in its folder: JSON, CSV, figures and one page of it all."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from rl2qc.benchmarking.figures import ladder_figure, save_figure, stability_figure
from rl2qc.benchmarking.result import Benchmark
from rl2qc.errors import UsageError
from rl2qc.html.environment import encode, write_page

__all__ = ["PAGE", "check_folder", "write_report"]

PAGE = "benchmark.html"
# Side of a picture on the page, px.
_SIDE = 144


def check_folder(out: str | Path, *, overwrite: bool = False) -> None:
    """UsageError for a file, or a folder that holds a benchmark, unless it may be replaced."""
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: name a folder")
    if (out / PAGE).exists() and not overwrite:
        raise UsageError(f"{out} holds a benchmark: choose another folder or pass --overwrite")


def write_report(result: Benchmark, out: str | Path) -> Path:
    """Write ``benchmark.json``, ``.csv`` and ``.html`` and a PNG for each figure to ``out``.

    The page comes last, with every picture inside it.

    Returns
    -------
    The page.

    Raises
    ------
    UsageError
        For a benchmark without its examples.
    """
    out = Path(out)
    if "clean" not in result.examples:
        raise UsageError("the report needs the benchmark as benchmark() returned it")
    result.to_json(out / "benchmark.json")
    result.to_csv(out / "benchmark.csv")
    figures = {}
    for name in result.ladders:
        save_figure(ladder_figure(result, name), out / f"{name}.png")
        figures[name] = encode(Image.open(out / f"{name}.png"), kind="drawing")
    stability = None
    if result.stability is not None:
        save_figure(stability_figure(result.stability), out / "stability.png")
        stability = encode(Image.open(out / "stability.png"), kind="drawing")

    write_page(
        out / PAGE,
        "benchmark.html.j2",
        grade=_grade,
        result=result,
        run=result.run,
        columns=max(len(ladder.rows) for ladder in result.ladders.values()),
        figures=figures,
        stability=stability,
        strips={
            place: [
                {"picture": encode(example.image, _SIDE), "keep": example.keep}
                for example in examples
            ]
            for place, examples in result.examples.items()
            if not place.startswith("ladders/")
        },
    )
    return out / PAGE


def _grade(area: float) -> str:
    """How good an AUC is, for its colour.

    >>> [_grade(area) for area in (0.97, 0.9, 0.75, 0.5)]
    ['best', 'good', 'fair', 'poor']
    """
    steps = ((0.95, "best"), (0.85, "good"), (0.7, "fair"))
    return next((grade for least, grade in steps if area >= least), "poor")
