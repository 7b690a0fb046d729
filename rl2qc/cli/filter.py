"""rl2qc filter: keep the clean tiles of slides and patch folders."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl2qc.cli.console import say
from rl2qc.core.text import printable
from rl2qc.errors import Rl2qcError, UsageError
from rl2qc.images.resolution import mpp_of

if TYPE_CHECKING:
    from rl2qc.cohort.filter import Engine
    from rl2qc.cohort.job import Job
    from rl2qc.cohort.store.summary import SummaryRow

__all__ = ["filter_command"]


def filter_command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Slides, folders of slides or of patches, image files, globs, CSV files with a "
            "column wsi, slide or path (and perhaps mpp).",
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
    mag: Annotated[
        float | None,
        typer.Option(help="--mpp as a magnification: 20 is 0.5 um/px.", show_default=False),
    ] = None,
    mpp_override: Annotated[
        float | None,
        typer.Option(
            help="Microns per pixel at level 0, for slides that do not record it or record it "
            "wrongly.",
            show_default="what the slide records",
        ),
    ] = None,
    mpp_csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table wsi,mpp of microns per pixel at level 0, for single slides.",
            show_default=False,
        ),
    ] = None,
    any_mpp: Annotated[
        bool, typer.Option("--any-mpp", help="Allow --mpp far from what the model was trained at.")
    ] = False,
    icc: Annotated[
        bool,
        typer.Option("--icc", help="Take colours through the slide's ICC profile (shifts scores)."),
    ] = False,
    min_tissue: Annotated[
        float, typer.Option(help="Tiles with a smaller share of tissue are left out.")
    ] = 0.1,
    stride: Annotated[
        int | None,
        typer.Option(
            help="Distance between neighbouring tiles in their px.", show_default="side by side"
        ),
    ] = None,
    max_rejected: Annotated[
        float, typer.Option(help="Slides that lose a larger share of their tissue are flagged.")
    ] = 0.5,
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME,...",
            help="What to write of each slide: csv, parquet, geojson, overlay, trident, clam, "
            "wsinfer, histoqc, tiles, tiles-jpeg.",
        ),
    ] = "csv,geojson,overlay",
    coords: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Judge the tiles of this TRIDENT or CLAM file, or of each slide's in this folder.",
            show_default="a grid",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Tiles a forward pass.")] = 32,
    workers: Annotated[int, typer.Option(help="Threads that read.")] = 2,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Do the I-th of N parts of the inputs.",
            show_default="the task of a SLURM array, or all",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            metavar="local|ray",
            help="Where slides are done: in this process, or as tasks of a Ray cluster, whose "
            "machines share DIR.",
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(help="Address of the Ray cluster.", show_default="RAY_ADDRESS, or a new one"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Judge again what DIR holds results of.")
    ] = False,
) -> None:
    """Keep the clean tiles of slides and patch folders.

    For each slide DIR holds tiles.csv, tiles.geojson (for QuPath) and overlay.png, for each patch
    folder tiles.csv; and once, summary.csv, run.json and report.html. Rejected tiles have a likely
    reason beside their score: out of focus, ink or pen, ... Every input is attempted; what failed
    has its traceback in DIR/failed, and the exit code is 1.

    The same command again does what is left: a run that was killed goes on, and several processes
    may share DIR.

    **Examples**

    rl2qc filter slide.svs --out results/

    rl2qc filter cohort/ extra/*.ndpi -m mine.safetensors -o results/ --alpha 0.01

    rl2qc filter patches/ -o results/ --overwrite

    rl2qc filter old_scan.tif -o results/ --mpp-override 0.25

    rl2qc filter cohort.csv -o results/ --shard 2/8

    rl2qc filter slides/ -o results/ --coords trident/20x_256px_0px_overlap/ --format trident
    """
    from rl2qc.cli.progress import TileProgress
    from rl2qc.cohort.filter import local, run_cohort
    from rl2qc.cohort.inputs.find import find_jobs
    from rl2qc.cohort.inputs.shards import parse_shard, take_shard
    from rl2qc.cohort.job import match_coords
    from rl2qc.cohort.preflight import prepare_output
    from rl2qc.cohort.store.summary import say_reasons
    from rl2qc.filtering.exports import parse_formats
    from rl2qc.filtering.settings import FilterSettings

    mpp = mpp_of(mpp, mag)
    settings = FilterSettings(
        alpha=alpha,
        mpp=mpp,
        mpp_override=mpp_override,
        min_tissue=min_tissue,
        stride=stride,
        batch_size=batch_size,
        num_workers=workers,
        icc=icc,
        any_mpp=any_mpp,
        max_rejected=max_rejected,
        coords=str(coords) if coords is not None else None,
    )
    if engine not in ("local", "ray"):
        raise UsageError(f"--engine must be local or ray, got {engine!r}")
    if address is not None and engine != "ray":
        raise UsageError("--address is for --engine ray")
    chosen = parse_formats(formats)
    part, parts = parse_shard(shard)
    jobs, warnings = find_jobs(inputs, mpp_csv=mpp_csv)
    if coords is not None:
        jobs = match_coords(coords, jobs)
    # Names come before parts, so that all processes call a slide alike.
    jobs = take_shard(jobs, part, parts)
    prepare_output(out, jobs, overwrite=overwrite)
    # Last, since it takes longest: everything that can be wrong with the call is known by now.
    from rl2qc.model.quality import QualityModel

    loaded = QualityModel.load(model)
    warnings += _check_folders(jobs, loaded.mpp, mpp, mpp_override, any_mpp)
    try:
        with TileProgress(len(jobs)) as progress:
            rows = run_cohort(
                jobs,
                loaded,
                out,
                settings,
                formats=chosen,
                record={"command": sys.argv, "shard": [part + 1, parts]},
                warnings=warnings,
                overwrite=overwrite,
                engine=progress.watch(_ray_engine(model, address) if engine == "ray" else local),
                progress=progress,
            )
    except KeyboardInterrupt:
        say("interrupted: what is finished is kept, and the same command does what is left")
        raise typer.Exit(130) from None
    print(_table(rows))
    if reasons := say_reasons(rows):
        print(f"\n{reasons}")
    print(f"\nresults  {printable(str(out))}")
    before = [r for r in rows if r.status != "failed" and r.name not in progress.judged]
    warnings += _write_page(out, anew=len(before) < len(rows))
    if before:
        say(
            f"{len(before)} of {len(rows)} inputs were finished before and are not judged again: "
            "--overwrite judges them again"
        )
    _complain(rows, warnings, out)
    if any(row.status != "done" for row in rows):
        raise typer.Exit(1)


def _check_folders(
    jobs: Sequence[Job],
    model_mpp: float | None,
    mpp: float | None,
    mpp_override: float | None,
    any_mpp: bool,
) -> list[str]:
    """Warn of patches of unknown scale and refuse another scale than the model's: unlike slides,
    they are taken as they are."""
    from rl2qc.images.resolution import check_scale

    kinds = {job.kind for job in jobs}
    # That the model records no resolution is said of the slides.
    if "patches" not in kinds or (model_mpp is None and "slide" in kinds):
        return []
    # Where there are slides, --mpp-override is about them.
    given = mpp if "slide" in kinds else mpp_override or mpp
    advice = "use a model that was trained at theirs, or pass --any-mpp"
    warning = check_scale(model_mpp, given, "the patches", advice=advice, any_mpp=any_mpp)
    return [] if warning is None else [warning]


def _ray_engine(model: str, address: str | None) -> Engine:
    from functools import partial

    from rl2qc.cohort.ray import RayEngine
    from rl2qc.model.quality import QualityModel

    # Workers need not start where we are.
    place = str(Path(model).absolute()) if Path(model).is_file() else model
    return RayEngine(partial(QualityModel.load, place), address)


def _write_page(out: Path, *, anew: bool) -> list[str]:
    """Write the report, or leave one that shows what is there; what went wrong with it, since the
    results do not depend on it."""
    from rl2qc.cohort.page import PAGE, is_current, write_cohort_page

    try:
        if anew or not is_current(out):
            write_cohort_page(out)
        print(f"report   {printable(str(out / PAGE))}")
    except (Rl2qcError, OSError) as error:
        return [f"no report: {error}"]
    return []


def _table(rows: Sequence[SummaryRow]) -> str:
    header = ("name", "status", "tiles", "kept", "share", "median ll", "um/px", "tissue", "s")
    lines = [
        header,
        *(
            (
                printable(row.name)[:40],
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
        for flag in row.flags:
            shared.setdefault(f"flagged: {flag}", []).append(row.name)
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
            lines.append(f"error: {row.name}: {row.error}")
    for line in lines:
        say(line)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else format(value, form)
