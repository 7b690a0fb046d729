"""rl2qc benchmark: how well a model tells clean from damaged images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl2qc.benchmarking.settings import BenchmarkSettings
from rl2qc.cli.options import ModelOption, OverwriteOption, print_warnings
from rl2qc.cli.settings import with_settings
from rl2qc.core.defaults import DEFAULT_MODEL

__all__ = ["benchmark_command"]


@with_settings
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
    settings: BenchmarkSettings,
    model: ModelOption = DEFAULT_MODEL,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for page and figures.")
    ] = Path("rl2qc-benchmark"),
    overwrite: OverwriteOption = False,
) -> None:
    """Measure a model against corrupted, pasted and real artifacts.

    Clean patches are corrupted, mildly to strongly: AUC of every detector, share kept, RL2,
    WAD-Div. Then pasted cut-outs and real artifacts, RL2, FID and KID against the number of
    images, and with --labs what is kept and found in other laboratories.

    Writes benchmark.html, benchmark.json, benchmark.csv and a figure for each corruption.

    **Examples**

    rl2qc benchmark --clean clean/test --model mine.safetensors

    rl2qc benchmark -c clean/test -a artifacts/ --cutouts odd --out benchmark/

    rl2qc benchmark -c clean/test --labs other-labs/ --model general

    rl2qc benchmark -c clean/test --corruptions blur,noise,fold --quick
    """
    from rl2qc.benchmarking.benchmark import benchmark
    from rl2qc.benchmarking.page import check_folder

    check_folder(out, settings.corruptions, overwrite=overwrite)
    result = benchmark(clean, model, settings, progress=True)
    page = result.save(out, overwrite=overwrite)
    print(result.summary())
    print_warnings(result.warnings)
    print(f"\npage  {page.resolve()}")
