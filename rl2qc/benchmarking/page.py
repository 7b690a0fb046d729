"""Everything that a benchmark leaves in its folder: JSON, CSV, figures and one page of it all."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import jinja2
from PIL import Image

from rl2qc.benchmarking.figures import ladder_figure, save_figure, stability_figure
from rl2qc.benchmarking.result import Benchmark, Example
from rl2qc.core.files import atomic_path
from rl2qc.core.text import number
from rl2qc.errors import UsageError

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
        figures[name] = _embedded(Image.open(out / f"{name}.png"))
    stability = None
    if result.stability is not None:
        save_figure(stability_figure(result.stability), out / "stability.png")
        stability = _embedded(Image.open(out / "stability.png"))

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rl2qc.html"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "number": number,
        "area": lambda value: f"{value:.3f}",
        "percent": lambda share: f"{100 * share:.3g} %",
        "words": lambda name: name.replace("_", " "),
        "grade": _grade,
    }
    page = environment.get_template("benchmark.html.j2").render(
        result=result,
        run=result.run,
        columns=max(len(ladder.rows) for ladder in result.ladders.values()),
        figures=figures,
        stability=stability,
        strips={
            place: [{"image": _picture(example), "keep": example.keep} for example in examples]
            for place, examples in result.examples.items()
            if not place.startswith("ladders/")
        },
    )
    with atomic_path(out / PAGE) as temporary:
        # Names of files need not be valid text.
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return out / PAGE


def _grade(area: float) -> str:
    """How good an AUC is, for its colour.

    >>> [_grade(area) for area in (0.97, 0.9, 0.75, 0.5)]
    ['best', 'good', 'fair', 'poor']
    """
    steps = ((0.95, "best"), (0.85, "good"), (0.7, "fair"))
    return next((grade for least, grade in steps if area >= least), "poor")


def _picture(example: Example) -> str:
    picture = Image.fromarray(example.image)
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return _embedded(picture)


def _embedded(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    # Full colour resolution: lines and letters stay sharp.
    picture.convert("RGB").save(buffer, "JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
