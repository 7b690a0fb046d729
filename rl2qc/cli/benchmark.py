"""rl2qc benchmark: how well a model tells clean from damaged images."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rl2qc.cli.options import (
    AlphaOption,
    ModelOption,
    MppOption,
    SeedOption,
    print_text,
    print_warnings,
    split_names,
)

__all__ = ["benchmark_command"]


class Cutouts(StrEnum):
    all = "all"
    even = "even"
    odd = "odd"


def benchmark_command(
    clean: Annotated[
        str,
        typer.Option(
            "--clean",
            "-c",
            metavar="DIR",
            help="Folder or glob of clean patches that the model was not trained on.",
        ),
    ],
    artifacts: Annotated[
        Path | None,
        typer.Option(
            "--artifacts",
            "-a",
            metavar="DIR",
            help="Folder of real artifacts, a sub-folder a kind; cut-outs with transparency in "
            "its sub-folder cutouts are pasted onto the clean patches.",
        ),
    ] = None,
    model: ModelOption = "histology",
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for page and figures.")
    ] = Path("rl2qc-benchmark"),
    n: Annotated[int, typer.Option("-n", "--n", help="Clean patches, drawn at random.")] = 300,
    ladders: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated names, such as blur,noise,ink. Default: all.",
            show_default=False,
        ),
    ] = None,
    cutouts: Annotated[
        Cutouts,
        typer.Option(
            help="Cut-outs by their position in each sorted folder: even ones for choosing a "
            "detector, odd ones for reporting on it."
        ),
    ] = Cutouts.all,
    mpp: MppOption = None,
    alpha: AlphaOption = 0.05,
    n_resamples: Annotated[int, typer.Option(help="Resamples of the intervals.")] = 500,
    seed: SeedOption = 0,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="At most 100 patches and every second severity."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a benchmark that DIR holds.")
    ] = False,
) -> None:
    """Measure a model against degraded, drawn, pasted and real artifacts.

    Clean patches go down ladders of severities: AUC of every score, share kept, RL2, WAD-Div. Then
    pasted cut-outs and real artifacts, and RL2, FID and KID against the number of images.

    Writes benchmark.html, benchmark.json, benchmark.csv and a figure for each ladder.

    **Examples**

    rl2qc benchmark --clean clean/test --model mine.safetensors

    rl2qc benchmark -c clean/test -a artifacts/ --cutouts odd --out benchmark/

    rl2qc benchmark -c clean/test --ladders blur,noise,fold --quick
    """
    from rl2qc.benchmarking.benchmark import benchmark
    from rl2qc.benchmarking.page import check_folder, write_report

    check_folder(out, overwrite=overwrite)
    result = benchmark(
        clean,
        model,
        artifacts=artifacts,
        cutouts=cutouts.value,
        ladders=split_names(ladders),
        n=n,
        mpp=mpp,
        alpha=alpha,
        n_resamples=n_resamples,
        seed=seed,
        quick=quick,
        progress=True,
    )
    page = write_report(result, out)
    run = result.run
    print_text(
        f"{run['n']} clean patches of {run['patch_size']} px, model {run['checkpoint']} "
        f"({run['checkpoint_sha256'][:12]}), AUC of clean against damaged, {run['seconds']} s"
        f"\n\n{result.table()}"
    )
    if result.stability is not None:
        print_text(f"\n{result.stability.summary()}")
    print_warnings(result.warnings)
    print(f"\npage  {page.resolve()}")
