"""rl2qc filter: keep the clean tiles of slides and patch folders."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rl2qc.slides.cohort import Job, SummaryRow

__all__ = ["filter_command"]


def filter_command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Slides, folders of slides or of patches, image files, globs.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Folder for the results.", show_default=False
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model file or a shipped model's name.")
    ] = "histology",
    alpha: Annotated[
        float,
        typer.Option(
            help="Tiles with a p-value above are kept; of clean tiles, this share is rejected."
        ),
    ] = 0.05,
    mpp: Annotated[
        float | None,
        typer.Option(help="Microns per pixel to read tiles at.", show_default="the model's"),
    ] = None,
    mpp_override: Annotated[
        float | None,
        typer.Option(
            help="Microns per pixel at level 0, for slides that do not record it or record it "
            "wrongly.",
            show_default="what the slide records",
        ),
    ] = None,
    min_tissue: Annotated[
        float, typer.Option(help="Tiles with a smaller share of tissue are left out.")
    ] = 0.1,
    batch_size: Annotated[int, typer.Option(help="Tiles a forward pass.")] = 32,
    workers: Annotated[int, typer.Option(help="Threads that read.")] = 2,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results that DIR holds.")
    ] = False,
) -> None:
    """Keep the clean tiles of slides and patch folders.

    For each slide DIR holds tiles.csv, tiles.geojson (for QuPath) and overlay.png, for each patch
    folder tiles.csv; and once, summary.csv and run.json. Every input is attempted; the exit code
    is 1 if any failed.

    **Examples**

    rl2qc filter slide.svs --out results/

    rl2qc filter cohort/ extra/*.ndpi -m mine.safetensors -o results/ --alpha 0.01

    rl2qc filter patches/ -o results/ --overwrite

    rl2qc filter old_scan.tif -o results/ --mpp-override 0.25
    """
    from rl2qc.slides.cohort import find_jobs, prepare_output, run_cohort
    from rl2qc.slides.filtering import FilterSettings

    settings = FilterSettings(
        alpha=alpha,
        mpp=mpp,
        mpp_override=mpp_override,
        min_tissue=min_tissue,
        batch_size=batch_size,
        num_workers=workers,
    )
    jobs, warnings = find_jobs(inputs)
    prepare_output(out, jobs, overwrite=overwrite)
    # Last, since it takes longest: everything that can be wrong with the call is known by now.
    from rl2qc.model.quality import QualityModel

    loaded = QualityModel.load(model)
    with _Bar(len(jobs)) as bar:
        rows = run_cohort(
            jobs,
            loaded,
            out,
            settings,
            record={"command": sys.argv},
            warnings=warnings,
            progress=bar,
        )
    print(_table(rows))
    print(f"\nresults  {_printable(str(out))}")
    _complain(rows, warnings, out)
    if any(row.status != "done" for row in rows):
        raise typer.Exit(1)


class _Bar:
    """Tiles per second and the time left over all inputs.

    How many tiles the inputs to come have is not known before they are opened: they are taken to
    be as large as those seen so far.
    """

    def __init__(self, jobs: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(unit=" tiles", smoothing=0.1, dynamic_ncols=True)
        self._jobs, self._number = jobs, -1
        self._before, self._current = 0, 0

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __call__(self, number: int, job: Job, done: int, total: int) -> None:
        if number != self._number:
            self._number, self._before = number, self._before + self._current
            self._current = total
            self._bar.set_description(f"{number + 1}/{self._jobs} {_printable(job.name)[:32]}")
        seen = self._before + self._current
        self._bar.total = seen + round(seen / (number + 1) * (self._jobs - number - 1))
        self._bar.update(self._before + done - self._bar.n)


def _table(rows: Sequence[SummaryRow]) -> str:
    header = ("name", "status", "tiles", "kept", "share", "median ll", "um/px", "tissue", "s")
    lines = [
        header,
        *(
            (
                _printable(row.name)[:40],
                row.status,
                str(row.tiles),
                str(row.kept),
                _number(row.kept_share, ".1%"),
                _number(row.median_log_likelihood, ".1f"),
                _number(row.mpp, ".3g"),
                _number(row.tissue_share, ".0%"),
                f"{row.seconds:.1f}",
            )
            for row in rows
        ),
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _complain(rows: Sequence[SummaryRow], warnings: Sequence[str], out: Path) -> None:
    """Everything that needs a person's eye, on stderr; a warning shared by many, once."""
    shared: dict[str, list[str]] = {}
    for row in rows:
        for warning in row.warnings:
            shared.setdefault(warning, []).append(row.name)
    lines = [f"warning: {warning}" for warning in warnings]
    for warning, names in shared.items():
        where = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
        lines.append(f"warning: {where}: {warning}")
    for row in rows:
        if row.status == "partial":
            lines.append(
                f"error: {row.name}: {row.unreadable} images cannot be judged, listed in "
                f"{out / row.name / 'failures.csv'}"
            )
        elif row.status == "failed":
            lines.append(f"error: {row.error}")
    for line in lines:
        print(f"rl2qc: {_printable(line)}", file=sys.stderr)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)


def _printable(text: str) -> str:
    """File names need not be valid text; terminals insist on it."""
    return os.fsencode(text).decode("utf-8", "replace")
