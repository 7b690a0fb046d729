"""The demonstration: the whole job on procedural tissue, without a file or a network.

A slide with artifacts in known places is drawn, filtered and compared with the truth, and a set
of patches that gets ever blurrier is scored against clean ones. The page says so: procedural
tissue shows that the machinery works, not how well it works on a laboratory's slides.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.arguments import check_path
from rl2qc.core.files import write_csv
from rl2qc.core.outputs import check_folder
from rl2qc.core.progress import Progress, progress_bar
from rl2qc.core.read_ahead import read_ahead
from rl2qc.demonstration.page import Scene, write_demo_page
from rl2qc.demonstration.result import ALPHA, SET_SIZE, TOUCHED, ArtifactRow, Demo, SetRow
from rl2qc.errors import UsageError
from rl2qc.filtering.exports.files import export
from rl2qc.filtering.exports.registry import FORMATS
from rl2qc.filtering.slide import filter_slide
from rl2qc.filtering.table import TileTable
from rl2qc.images.patch_tissue import tissue_mask
from rl2qc.metrics.rl2 import rl2
from rl2qc.metrics.wad_div import wad_div
from rl2qc.model.network.backbone import POOLED
from rl2qc.model.quality import DEFAULT_MODEL, QualityModel
from rl2qc.slides.tiling import tile_grid, tissue_fractions
from rl2qc.synthetic.corruptions import corrupt
from rl2qc.synthetic.slide import SyntheticSlide, synthetic_slide, write_pyramid

__all__ = ["demo", "truth_rows"]

PAGE = "index.html"
_SLIDE, _TRUTH, _MODEL = "slide.tiff", "truth.csv", "model.safetensors"
_FORMATS = ("csv", "geojson", "overlay")
_FILES = (PAGE, _SLIDE, _TRUTH, _MODEL, *(FORMATS.get(name).filename for name in _FORMATS))
MPP = 0.5
# Seed and size of the slide, of clean slides to learn from, and of a clean one to score with.
SLIDE = (33, 2048, 3072)
REFERENCES = tuple((seed, 1568, 2016) for seed in (101, 102, 103, 104))
SCORED = (201, 1792, 2464)
# Step from tile to tile when learning, as a share of their side.
REFERENCE_STEP = 0.85
BLUR = (1.0, 1.5, 2.0)


def demo(
    out: str | Path = "rl2qc-demo",
    *,
    model: str | Path = DEFAULT_MODEL,
    own_reference: bool = True,
    overwrite: bool = False,
    progress: bool | Progress = False,
) -> Demo:
    """Draw, learn, filter, score and write the page: the whole job, without a file or a network.

    Parameters
    ----------
    out
        Folder for the page, the slide, the truth and the results of the filter.
    model
        The shipped model by name, or a model file in its place.
    own_reference
        Fit a model to clean tiles of the same procedural laboratory on the shipped backbone, as a
        user does for their own stain; False filters with the shipped model itself, which has seen
        real tissue only.
    overwrite
        Replace a demo that ``out`` holds.
    progress
        True names each step and shows bars on stderr; a function is called with (steps done, all,
        what).

    Returns
    -------
    Demo
        With what ``rl2qc demo`` prints, and the page.

    Raises
    ------
    UsageError
        ``out`` is a file, or holds files that would be replaced and ``overwrite`` is not set.

    Examples
    --------
    >>> found = demo("rl2qc-demo")  # doctest: +SKIP
    >>> print(found.table())  # doctest: +SKIP
    """
    started = time.monotonic()
    out = _folder(out, overwrite)
    bars, begin = progress is True, _announcer(progress, 5 if own_reference else 4)
    begin("drawing a slide with artifacts, and clean ones beside it")
    shipped = QualityModel.load(model)
    slide, scored, references = _draw(own_reference, bars)
    write_pyramid(out / _SLIDE, slide.rgb, slide.mpp)
    judge = shipped
    if own_reference:
        tiles = _reference_tiles(references, shipped.patch_size)
        begin(f"learning what clean looks like from {len(tiles)} tiles")
        judge = QualityModel.fit(
            tiles, backbone=model, patch_size=shipped.patch_size, mpp=MPP, progress=bars
        )
        judge.save(out / _MODEL)
    begin("filtering the slide")
    table = _filter(out, judge, bars)
    shares = slide.shares(table.x, table.y, int(table.width[0]))
    _write_truth(out / _TRUTH, table, shares)
    begin("scoring blurred copies of clean patches against clean ones")
    patches = _tissue_tiles(scored, shipped.patch_size, shipped.patch_size)[: 2 * SET_SIZE]
    sets = _score(judge, patches, bars)
    shipped_p = shipped.p_values(patches[::2])
    found = Demo(
        page=out / PAGE,
        artifacts=truth_rows(shares, table.keep),
        sets=sets,
        shipped_kept=float((shipped_p > ALPHA).mean()),
        seconds=time.monotonic() - started,
    )
    begin("writing the page")
    write_demo_page(found, Scene(slide, table, shares, judge, shipped, own_reference))
    return found


def _folder(out: str | Path, overwrite: bool) -> Path:
    out = check_path("out", out)
    if (out / PAGE).exists() and not overwrite:
        raise UsageError(f"{out} holds a demo: choose another folder or pass --overwrite")
    check_folder(out, _FILES, overwrite=overwrite)
    return out


def _announcer(progress: bool | Progress, total: int) -> Callable[[str], None]:
    """What says which step begins."""
    done = 0

    def begin(what: str) -> None:
        nonlocal done
        if callable(progress):
            progress(done, total, what)
        elif progress:
            print(f"{what} ...", file=sys.stderr, flush=True)
        done += 1

    return begin


def truth_rows(
    shares: Mapping[str, NDArray[np.float64]], keep: NDArray[np.bool_]
) -> tuple[ArtifactRow, ...]:
    """Count tiles and kept tiles: those without any artifact, those of each, those of any.

    Tiles with artifacts on less than a tenth of their area count as neither.

    Examples
    --------
    >>> truth_rows({"ink": np.array([0.0, 0.05, 0.5])}, np.array([True, False, False]))
    (ArtifactRow(name='clean', tiles=1, kept=1), ArtifactRow(name='ink', tiles=1, kept=0),
     ArtifactRow(name='any artifact', tiles=1, kept=0))
    """
    groups = {"clean": sum(shares.values()) == 0}
    groups |= {name: share >= TOUCHED for name, share in shares.items()}
    groups["any artifact"] = np.max(list(shares.values()), axis=0) >= TOUCHED
    return tuple(
        ArtifactRow(name, int(np.sum(group)), int(np.sum(keep & group)))
        for name, group in groups.items()
    )


def _draw(
    references: bool, bars: bool
) -> tuple[SyntheticSlide, SyntheticSlide, list[SyntheticSlide]]:
    """The slide with artifacts, a clean one to score with, clean ones to learn from."""

    plans = [SLIDE, SCORED, *(REFERENCES if references else ())]

    def draw(plan: tuple[int, int, int]) -> SyntheticSlide:
        seed, height, width = plan
        rng = np.random.default_rng(seed)
        return synthetic_slide(rng, height=height, width=width, mpp=MPP, damaged=plan is SLIDE)

    # OpenCV and NumPy let other threads run while they draw. Who is stopped waits for two slides.
    done = read_ahead(draw, plans, workers=2, window=2)
    slide, scored, *cleans = progress_bar(bars, "drawing", done, total=len(plans), unit="slide")
    return slide, scored, cleans


def _reference_tiles(references: Sequence[SyntheticSlide], side: int) -> NDArray[np.uint8]:
    step = round(REFERENCE_STEP * side)
    return np.concatenate([_tissue_tiles(clean, side, step) for clean in references])


def _filter(out: Path, model: QualityModel, bars: bool) -> TileTable:
    """The tiles of the slide, exported as a user would."""
    table = filter_slide(out / _SLIDE, model, alpha=ALPHA, mpp=MPP, progress=bars)
    export(table, out, _FORMATS)
    return table


def _tissue_tiles(slide: SyntheticSlide, side: int, stride: int) -> NDArray[np.uint8]:
    """Tiles (n, side, side, 3) of a slide in memory that the filter would look at."""
    h, w = slide.rgb.shape[:2]
    mask = tissue_mask(np.ascontiguousarray(slide.rgb[::8, ::8])).mask
    corners = tile_grid((0, 0, w, h), side, stride)
    tissue = tissue_fractions(mask, corners, side, downsample=(8.0, 8.0))
    return np.stack([slide.rgb[y : y + side, x : x + side] for x, y in corners[tissue >= 0.1]])


def _score(model: QualityModel, patches: NDArray[np.uint8], bars: bool) -> tuple[SetRow, ...]:
    """Scores of clean, of ever blurrier and of repeated patches against other clean patches."""
    # Every second one: both halves come from all over the slide.
    real, other = patches[::2], patches[1::2]
    rng = np.random.default_rng(0)
    sets = {"clean, another half": other}
    for sigma in BLUR:
        blurred = np.stack([corrupt(patch, "blur", sigma, rng) for patch in other])
        sets[f"blurred, sigma {sigma:g} px"] = blurred
    # Four turns of a few patches: each is as good as before, but together they show little.
    few = other[: -(-len(other) // 4)]
    turned = np.concatenate([np.rot90(few, turn, axes=(1, 2)) for turn in range(4)])
    sets[f"{len(few)} patches, each in 4 turns"] = turned
    features = model.features(real)
    latents = model.latents_of_features(features)
    rows = []
    for title, images in progress_bar(bars, "scoring", sets.items(), unit="set"):
        statistics = model.statistics(images)
        found = statistics[:, POOLED]
        distance = rl2(model.latents_of_features(found), latents).value
        kept = float((model.measure_statistics(statistics)["p_value"] > ALPHA).mean())
        rows.append(SetRow(title, distance, wad_div(found, features).value, kept))
    return tuple(rows)


def _write_truth(path: Path, table: TileTable, shares: Mapping[str, NDArray[np.float64]]) -> None:
    """One row a tile: where it is, the share of each artifact, and the decision."""
    header = ["x", "y", "width", "height", *shares, "p_value", "keep"]
    places = (table.x, table.y, table.width, table.height)
    decision = (table.measurements["p_value"], table.keep)
    columns = (*places, *shares.values(), *decision)
    write_csv(path, header, zip(*(column.tolist() for column in columns), strict=True))
