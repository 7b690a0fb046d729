"""The files of other tools, read back by the logic of their own readers."""

from __future__ import annotations

import ast
import csv
import errno
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import openslide
import pyarrow.parquet
import pytest
from cohort_helpers import run_cohort
from PIL import Image
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.cohort.decide import decide
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.store.folder import RunFolder
from rl2qc.core.files import read_json, write_json
from rl2qc.errors import SlideError
from rl2qc.filtering.exports.files import export, finish_exports, remove_exports
from rl2qc.filtering.exports.geometry import magnification
from rl2qc.filtering.exports.histoqc import use_mask
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.slide import filter_slide
from rl2qc.filtering.table import TileTable
from rl2qc.images.quantity_names import QUANTITIES
from rl2qc.slides.readers.base import Region


@pytest.fixture
def pixels(rng: np.random.Generator) -> np.ndarray:
    return tissue_like(rng, 256, 384)


@pytest.fixture
def path(tmp_path: Path, pixels: np.ndarray) -> Path:
    return write_slide(tmp_path / "case.tif", pixels, levels=2)


def measured(path: Path, mpp: float = 0.5, patch_size: int = 64, **options: Any) -> TileTable:
    """A slide of which about half of the tiles are kept."""
    table = filter_slide(path, BrightnessModel(patch_size, mpp), **options)
    return table.decide(float(np.median(table.measurements["p_value"])))


def kept(table: TileTable) -> list[list[int]]:
    return np.stack([table.x, table.y], axis=1)[table.keep].tolist()


# ---------------------------------------------------------------- TRIDENT


def read_trident(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    """As TRIDENT's ``read_coords`` does."""
    with h5py.File(path, "r") as file:
        return dict(file["coords"].attrs), file["coords"][:]


@pytest.mark.parametrize(("mpp", "stride"), [(0.5, None), (1.0, 48), (0.75, None)])
def test_trident_reads_the_kept_tiles(
    path: Path, tmp_path: Path, mpp: float, stride: int | None
) -> None:
    table = measured(path, mpp, stride=stride)
    (written,) = export(table, tmp_path / "out" / table.name, ["trident"])
    overlap = 64 - (stride or 64)
    target = {0.5: "20", 1.0: "10", 0.75: "13.33"}[mpp]
    assert written.relative_to(tmp_path / "out").as_posix() == (
        f"{target}x_64px_{overlap}px_overlap/patches/case_patches.h5"
    )
    attributes, coords = read_trident(written)
    assert set(attributes) == {
        "patch_size",
        "patch_size_level0",
        "level0_magnification",
        "target_magnification",
        "overlap",
        "name",
        "savetodir",
        "level0_width",
        "level0_height",
    }
    assert coords.dtype == np.int64
    assert coords.tolist() == kept(table)
    assert 0 < len(coords) < len(table)
    # TRIDENT computes the side of a tile from the magnifications.
    source, wanted = (
        10 / attributes["level0_magnification"],
        10 / attributes["target_magnification"],
    )
    assert round(attributes["patch_size"] * wanted / source) == table.width[0]
    assert attributes["patch_size_level0"] == table.width[0]
    assert (attributes["patch_size"], attributes["overlap"]) == (64, overlap)
    assert (attributes["level0_width"], attributes["level0_height"]) == (384, 256)
    assert attributes["name"] == "case"


def test_magnifications_are_nominal_where_they_are_usual() -> None:
    found = [magnification(mpp) for mpp in (0.2273, 0.2527, 0.46, 0.5, 0.52, 0.7, 1.0, 8.0)]
    assert found == [40, 40, 20, 20, 20, 14.29, 10, 1.25]
    assert isinstance(magnification(0.5), int)


@pytest.mark.parametrize("name", ["trident", "clam"])
def test_an_h5_without_kept_tiles_is_empty_and_can_grow(
    path: Path, tmp_path: Path, name: str
) -> None:
    table = measured(path).decide(0.999)
    for slide in (table, filter_slide(path, BrightnessModel(), min_tissue=1.0).decide(0.0)):
        (written,) = export(slide, tmp_path / "out" / slide.name, [name])
        with h5py.File(written, "a") as file:
            coords = file["coords"]
            assert coords.maxshape == (None, 2)
            assert coords.dtype == np.int64
            assert coords.shape == (int(slide.keep.sum()), 2)
            coords.resize(len(coords) + 1, axis=0)
    assert table.keep.sum() == 0
    assert attributes_of(written)["patch_size"] == 64


def attributes_of(path: Path) -> dict[str, Any]:
    return read_trident(path)[0]


@pytest.mark.parametrize("name", ["trident", "clam"])
def test_scores_are_aligned_with_coordinates(path: Path, tmp_path: Path, name: str) -> None:
    table = measured(path)
    (written,) = export(table, tmp_path / "out" / table.name, [name])
    with h5py.File(written) as file:
        columns = list(file["scores"].attrs["columns"])
        assert columns == ["tissue_fraction", "log_likelihood", "p_value", *QUANTITIES]
        p_values = table.measurements["p_value"]
        np.testing.assert_array_equal(file["scores"][:, 2], p_values[table.keep])
        assert len(file["scores"]) == len(file["coords"])
        np.testing.assert_array_equal(file["all/scores"][:, 2], p_values)
        np.testing.assert_array_equal(file["all/keep"][:], table.keep)
        everything = file["all/coords"][:]
        assert everything[file["all/keep"][:]].tolist() == file["coords"][:].tolist()
        assert len(everything) == len(table)


def test_names_that_are_no_text(path: Path, tmp_path: Path) -> None:
    name = "caf\udce9"  # how Python shows a byte that is not UTF-8
    readable = "caf\N{REPLACEMENT CHARACTER}"
    table = replace(measured(path), name=name)
    formats = ["trident", "clam", "wsinfer", "parquet", "histoqc"]
    written = dict(zip(formats, export(table, tmp_path / "out" / name, formats), strict=True))
    # On the disk, names keep their bytes; inside a file, what is no text is replaced.
    assert [written[kind].name for kind in formats] == [
        f"{name}_patches.h5",
        f"{name}.h5",
        f"{name}.csv",
        "tiles.parquet",
        f"{name}.tif_mask_use.png",
    ]
    for kind in ("trident", "clam"):
        attributes, coords = read_trident(written[kind])
        assert attributes["name"] == readable
        assert coords.tolist() == kept(table)
    assert len(written["wsinfer"].read_text().splitlines()) == 1 + len(table)
    parquet = pyarrow.parquet.ParquetFile(written["parquet"].open("rb")).read()
    assert parquet["x"].to_pylist() == table.x.tolist()
    assert json.loads(parquet.schema.metadata[b"rl2qc"])["slide"] == readable


ON_A_FULL_DISK = """
import pickle, resource, sys
from pathlib import Path
from types import SimpleNamespace
from rl2qc.filtering.exports.files import export

format, folder = sys.argv[1], Path(sys.argv[2])
table = pickle.loads((folder / "table.pickle").read_bytes())
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for limit in (100, 3_000, 9_000, 20_000, 40_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        export(table, folder / "out" / table.name, [format])
    except OSError as error:
        print(limit, error.errno, [p.name for p in folder.rglob("*") if p.is_file()])
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
export(table, folder / "out" / table.name, [format])
"""


@pytest.mark.parametrize("name", ["trident", "clam"])
def test_a_disk_that_fills_up_is_an_error_like_any_other(
    path: Path, tmp_path: Path, name: str
) -> None:
    """A limit to the size of files fails in the middle of a write, as a full disk does, and
    HDF5's own writes then ended the process."""
    pytest.importorskip("resource")
    table = measured(path, stride=16)
    (tmp_path / "table.pickle").write_bytes(pickle.dumps(table))
    command = [sys.executable, "-c", ON_A_FULL_DISK, name, str(tmp_path)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    left = ["table.pickle", path.name]
    expected = [f"{limit} {errno.EFBIG} " for limit in (100, 3_000, 9_000, 20_000, 40_000)]
    for line, start in zip(child.stdout.splitlines(), expected, strict=True):
        assert line.startswith(start)
        assert sorted(ast.literal_eval(line.removeprefix(start))) == sorted(left)
    (written,) = (tmp_path / "out").rglob("*.h5")
    assert read_trident(written)[1].tolist() == kept(table)


# ---------------------------------------------------------------- CLAM


@pytest.mark.parametrize("mpp", [0.5, 1.0, 0.75])
def test_clam_reads_the_pixels_that_were_measured(
    path: Path, tmp_path: Path, pixels: np.ndarray, mpp: float
) -> None:
    table = measured(path, mpp)
    (written,) = export(table, tmp_path / "out" / table.name, ["clam"])
    assert written == tmp_path / "out" / "patches" / "case.h5"
    # As CLAM's Whole_Slide_Bag_FP does.
    with h5py.File(written) as file, openslide.OpenSlide(path) as slide:
        attributes = file["coords"].attrs
        level, size = attributes["patch_level"], attributes["patch_size"]
        coords = file["coords"][:]
        assert coords.tolist() == kept(table)
        assert len(attributes["downsample"]) == 2
        np.testing.assert_allclose(attributes["downsample"], slide.level_downsamples[level])
        assert tuple(attributes["level_dim"]) == slide.level_dimensions[level]
        assert tuple(attributes["downsampled_level_dim"]) == slide.level_dimensions[level]
        assert (attributes["name"], attributes["save_path"]) == ("case", "patches")
        assert size * attributes["downsample"][0] == table.width[0]
        for coord, score in zip(
            coords, table.measurements["log_likelihood"][table.keep], strict=True
        ):
            tile = slide.read_region(coord, level, (size, size)).convert("RGB")
            # Resampling, where there is any, keeps the mean.
            assert np.asarray(tile)[..., 0].mean() == pytest.approx(score, abs=0.5)
    assert level == (1 if mpp == 1.0 else 0)


# ---------------------------------------------------------------- tables


def test_wsinfer(path: Path, tmp_path: Path) -> None:
    table = measured(path)
    (written,) = export(table, tmp_path / "out" / table.name, ["wsinfer"])
    assert written == tmp_path / "out" / "model-outputs-csv" / "case.csv"
    with written.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["minx", "miny", "width", "height", "prob_clean", "prob_rejected"]
    assert [int(row["minx"]) for row in rows] == table.x.tolist()
    assert [int(row["miny"]) for row in rows] == table.y.tolist()
    assert {(row["width"], row["height"]) for row in rows} == {("64", "64")}
    # The larger probability names the class.
    larger = [float(row["prob_clean"]) > float(row["prob_rejected"]) for row in rows]
    assert larger == table.keep.tolist()


def test_parquet_keeps_types_and_digits(path: Path, tmp_path: Path) -> None:
    table = measured(path)
    (written,) = export(table, tmp_path / "case", ["parquet"])
    read = pyarrow.parquet.read_table(written)
    assert read.column_names == list(table.columns())
    for name, column in table.columns().items():
        values = read[name].to_numpy()
        assert values.dtype == column.dtype
        np.testing.assert_array_equal(values, column)
    about = json.loads(read.schema.metadata[b"rl2qc"])
    assert (about["alpha"], about["mpp"], about["slide"]) == (table.alpha, 0.5, "case")


# ---------------------------------------------------------------- HistoQC


def test_histoqc_mask_is_the_kept_area(path: Path, tmp_path: Path) -> None:
    table = replace(measured(path), slide_mpp=8.0)  # a mask of the slide's own size
    (written,) = export(table, tmp_path / "out" / "case", ["histoqc"])
    # As HistoQC's worker does: os.path.basename(file_name), suffix included.
    assert written == tmp_path / "out" / "case.tif" / "case.tif_mask_use.png"
    expected = np.zeros((256, 384), np.uint8)
    for x, y in kept(table):
        expected[y : y + 64, x : x + 64] = 255
    with Image.open(written) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_histoqc_mask_of_a_large_slide_is_small(path: Path) -> None:
    table = measured(path)
    assert use_mask(table).shape == (16, 24)
    huge = replace(table, dimensions=(2_000_000, 1_000_000), slide_mpp=8.0)
    assert use_mask(huge).shape == (5000, 10000)
    with pytest.raises(ValueError, match="no dimensions"):
        use_mask(replace(table, dimensions=None))


@pytest.mark.parametrize(
    ("name", "file", "expected"),
    [
        ("case", "slides/case.svs", "case.svs"),
        ("a.b", "slides/a.b.ndpi", "a.b.ndpi"),
        ("case.svs", "slides/case.svs.svs", "case.svs.svs"),
        # Slides of one name have more of their path in it, to stay apart.
        ("left__case", "left/case.svs", "left__case.svs"),
        ("left__case.svs", "left/case.svs", "left__case.svs"),
        # A folder of DICOM files.
        ("1.2.840", "slides/1.2.840", "1.2.840"),
        ("50% {name} *", "slides/50% {name} *.svs", "50% {name} *.svs"),
    ],
)
def test_histoqc_calls_slides_by_their_files(
    path: Path, tmp_path: Path, name: str, file: str, expected: str
) -> None:
    table = replace(measured(path), name=name, path=Path(file))
    folder = tmp_path / name
    (written,) = export(table, folder, ["histoqc"])
    assert written == tmp_path / expected / f"{expected}_mask_use.png"
    other = replace(table, name=f"{name}2", path=Path(file).with_name(f"{Path(file).name}2"))
    (stays,) = export(other, tmp_path / other.name, ["histoqc"])
    remove_exports(folder, {os.path.relpath(written, folder)})
    assert not written.exists()
    assert stays.exists()


def histoqc_files(tsv: Path, basepath: Path) -> list[Path]:
    """The slides that HistoQC's main program finds when it is given the results of another run."""
    lines = tsv.read_text().splitlines(keepends=True)
    return [
        Path(os.path.join(basepath, line.strip().split("\t")[0]))  # noqa: PTH118
        for line in lines
        if line[0] != "#"
    ]


def filtered(slides: Sequence[Path], out: Path, *formats: str, **changes: Any) -> Path:
    jobs, _ = find_inputs(slides)
    settings = FilterSettings(**changes)
    run_cohort(jobs, BrightnessModel(), out, settings, formats=["csv", *formats])
    return out


def test_histoqc_results(tmp_path: Path, pixels: np.ndarray) -> None:
    slides = [write_slide(tmp_path / f"{name}.tif", pixels) for name in ("a", "b  2")]
    failing = tmp_path / "failed.svs"
    failing.write_bytes(b"no slide")
    out = filtered([*slides, failing], tmp_path / "out")
    assert not (out / "results.tsv").exists()
    out = filtered([*slides, failing], tmp_path / "other", "histoqc")
    lines = (out / "results.tsv").read_text().splitlines()
    # HistoQC's tools skip what begins with '#', but for the last of it, which names the columns.
    head = [line for line in lines if line.startswith("#")]
    started = json.loads((out / "run.json").read_text())["started"]
    assert head[0] == f"#start_time:\t{started}"
    assert head[-1].startswith("#dataset:filename\tcomments\t")
    columns = head[-1].removeprefix("#dataset:").split("\t")
    rows = [dict(zip(columns, line.split("\t"), strict=True)) for line in lines[len(head) :]]
    assert [row["filename"] for row in rows] == ["a.tif", "b  2.tif"]
    for row in rows:
        mask = out / row["filename"] / f"{row['filename']}_mask_use.png"
        with Image.open(mask) as image:
            assert int(row["pixels_to_use"]) == (np.asarray(image) == 255).sum() > 0
        assert (row["height"], row["width"], row["mpp_x"]) == ("256", "384", "0.5")
    assert histoqc_files(out / "results.tsv", tmp_path) == slides


def test_histoqc_results_list_no_masks_that_are_gone(path: Path, tmp_path: Path) -> None:
    jobs, _ = find_inputs([path])
    out = filtered([path], tmp_path / "out", "histoqc")
    run_cohort(jobs, BrightnessModel(), out, formats=["csv"], overwrite=True)
    assert not list(out.rglob("*_mask_use.png"))
    assert histoqc_files(out / "results.tsv", tmp_path) == []


def test_histoqc_results_are_one_row_a_line(path: Path, tmp_path: Path) -> None:
    out = filtered([path], tmp_path / "out", "histoqc")
    record = read_json(out / "case" / "record.json")
    record["row"]["warnings"] = ["one\ttwo", "\nthree"]
    write_json(out / "case" / "record.json", record)
    finish_exports(RunFolder(out), ["histoqc"])
    assert (out / "results.tsv").read_text().endswith("\tone two; three\n")


# ---------------------------------------------------------------- tiles


def test_kept_tiles_are_the_pixels_that_were_measured(
    path: Path, tmp_path: Path, pixels: np.ndarray
) -> None:
    table = measured(path)
    (folder,) = export(table, tmp_path / "case", ["tiles"])
    assert folder == tmp_path / "case" / "tiles"
    assert {p.name for p in folder.iterdir()} == {f"x{x}_y{y}.png" for x, y in kept(table)}
    for x, y in kept(table):
        with Image.open(folder / f"x{x}_y{y}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), pixels[y : y + 64, x : x + 64])


def test_tiles_at_the_models_resolution_as_jpeg(path: Path, tmp_path: Path) -> None:
    table = measured(path, 0.75)
    (folder,) = export(table, tmp_path / "case", ["tiles-jpeg"])
    for x, y in kept(table):
        with Image.open(folder / f"x{x}_y{y}.jpg") as image:
            assert (image.format, image.size) == ("JPEG", (64, 64))


def test_tiles_are_read_row_by_row(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[tuple[int, int]] = []

    class Watched:
        info = SimpleNamespace(level_downsamples=(1.0, 2.0))

        def __init__(self, *_: Any, **__: Any) -> None: ...
        def close(self) -> None: ...
        def read_region(self, x: int, y: int, *_: Any, **__: Any) -> Any:
            places.append((y, x))
            return Region(np.zeros((64, 64, 3), np.uint8), 1.0)

    monkeypatch.setattr("rl2qc.filtering.pixels.open_slide", Watched)
    monkeypatch.setattr("rl2qc.filtering.exports.tiles._THREADS", 1)
    table = measured(path)
    order = np.arange(len(table))[::-1]
    turned = replace(
        table,
        **{name: getattr(table, name)[order] for name in ("x", "y", "width", "height", "keep")},
    )
    export(turned, tmp_path / "case", ["tiles"])
    assert places == sorted((y, x) for x, y in kept(table))


def test_tiles_of_an_earlier_run_go_and_foreign_files_stay(path: Path, tmp_path: Path) -> None:
    table = measured(path)
    (folder,) = export(table, tmp_path / "case", ["tiles"])
    foreign = {"notes.txt", "x0_y0_marked.png"}
    for name in foreign:
        (folder / name).write_text("mine")
    opposite = replace(table, keep=~table.keep)
    export(opposite, tmp_path / "case", ["tiles"])
    assert {p.name for p in folder.iterdir()} == {
        *foreign,
        *(f"x{x}_y{y}.png" for x, y in kept(opposite)),
    }
    remove_exports(tmp_path / "case", {"tiles"})
    assert {p.name for p in folder.iterdir()} == foreign
    for name in foreign:
        (folder / name).unlink()
    remove_exports(tmp_path / "case", {"tiles"})
    assert not folder.exists()


def test_tiles_of_a_slide_that_is_gone(path: Path, tmp_path: Path) -> None:
    table = measured(path)
    path.unlink()
    with pytest.raises(SlideError, match="no such file"):
        export(table, tmp_path / "case", ["tiles"])


# ---------------------------------------------------------------- the summary


@pytest.mark.parametrize(
    ("absorbed", "threshold"),
    # Between two classes of one colour each, Otsu's threshold is the middle; it is held in bounds.
    [(0.16, 0.08), (0.18, 0.09), (0.6, 0.10), (0.09, 0.06)],
)
def test_the_summary_says_what_counted_as_tissue(
    tmp_path: Path, absorbed: float, threshold: float
) -> None:
    picture = np.full((1024, 1024, 3), 240, np.uint8)
    picture[:, :512, 1] = round(240 * (1 - absorbed))
    path = write_slide(tmp_path / "case.tif", picture)
    out = filtered([path], tmp_path / "out", tissue_mask="otsu")
    for decided in (False, True):
        if decided:
            decide(out, 0.2)
        with (out / "summary.csv").open(newline="") as file:
            (row,) = csv.DictReader(file)
        assert float(row["tissue_threshold"]) == pytest.approx(threshold, abs=0.004)
        assert float(row["tissue_share"]) == pytest.approx(0.5, abs=0.02)
