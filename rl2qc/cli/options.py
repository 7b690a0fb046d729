"""Options and helpers that the commands on image sets share."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from rl2qc.errors import UsageError

if TYPE_CHECKING:
    from rl2qc.model.quality import QualityModel

__all__ = [
    "AlphaOption",
    "AnyMppOption",
    "BatchSizeOption",
    "DistanceOption",
    "FeaturesOption",
    "GroupPatternOption",
    "KOption",
    "MetricsOption",
    "ModelOption",
    "MppOption",
    "NoCacheOption",
    "PrdcConventionOption",
    "PrdcKOption",
    "RealOption",
    "SeedOption",
    "check_targets",
    "load_model",
    "print_text",
    "print_warnings",
    "split_names",
]

RealOption: TypeAlias = Annotated[
    list[str],
    typer.Option("--real", "-r", help="Folder, file or glob of real images; may be repeated."),
]
ModelOption: TypeAlias = Annotated[
    str, typer.Option("--model", "-m", help="Model file or a shipped model's name.")
]
MetricsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated names. Default: all but ms_ssim and nearer_train.",
        show_default=False,
    ),
]
FeaturesOption: TypeAlias = Annotated[
    str,
    typer.Option(
        help="What the metrics of features are computed on: model, latents, imagenet-resnet18, "
        "inception, a weights file, or a folder of features computed elsewhere (real.npy and "
        "generated.npy, in compare NAME.npy of every set; one row an image)."
    ),
]
DistanceOption: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="euclidean|cosine", help="Between neighbours in WAD-Div, IRS and authenticity."
    ),
]
GroupPatternOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Regular expression whose first group is the slide or patient, in the file name or "
        "in the path below the set's folder: intervals then resample whole groups."
    ),
]
MppOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="Microns per pixel of the images, to be held against the model's.",
        show_default="taken to be the model's",
    ),
]
AnyMppOption: TypeAlias = Annotated[
    bool, typer.Option("--any-mpp", help="Allow --mpp far from what the model was trained at.")
]
KOption: TypeAlias = Annotated[int, typer.Option("-k", help="Neighbours of WAD-Div.")]
PrdcKOption: TypeAlias = Annotated[
    int, typer.Option(help="Neighbours of precision, recall, density and coverage.")
]
PrdcConventionOption: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="prdc|kynkaanniemi",
        help="Whether an image on the edge of a ball counts as outside (prdc) or inside; it "
        "matters for copies alone.",
    ),
]
AlphaOption: TypeAlias = Annotated[
    float, typer.Option(help="The filter keeps images with a p-value above this.")
]
BatchSizeOption: TypeAlias = Annotated[int, typer.Option(min=1, help="Images a forward pass.")]
NoCacheOption: TypeAlias = Annotated[
    bool, typer.Option("--no-cache", help="Neither read nor keep features between runs.")
]
SeedOption: TypeAlias = Annotated[int, typer.Option(help="Of every random draw.")]


def check_targets(files: dict[str, Path | None]) -> None:
    """UsageError for a file to write that is a folder."""
    for option, file in files.items():
        if file is not None and file.is_dir():
            raise UsageError(f"{option} {file} is a folder: name a file in it")


def split_names(names: str | None) -> tuple[str, ...] | None:
    """Comma-separated names without blanks; None stays None."""
    if names is None:
        return None
    return tuple(name.strip() for name in names.split(",") if name.strip())


def load_model(name: str, batch_size: int) -> QualityModel:
    """A model that takes ``batch_size`` images a forward pass."""
    from rl2qc.model.quality import QualityModel

    model = QualityModel.load(name)
    model.batch_size = batch_size
    return model


def print_text(text: str) -> None:
    """Print text with arrows, replaced where the terminal's encoding has none."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    print(text)


def print_warnings(warnings: Iterable[str]) -> None:
    """One line each, on stderr."""
    for warning in warnings:
        print(f"rl2qc: warning: {warning}", file=sys.stderr)
