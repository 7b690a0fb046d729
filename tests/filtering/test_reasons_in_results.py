"""The likely reason of a rejection on its way: table, files, summary, report, another decision."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as parquet
import pytest
from cohort_helpers import run_cohort
from slide_helpers import write_slide

from rl2qc.cohort.decide import decide
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.page import write_cohort_page
from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.summary import describe_reasons
from rl2qc.cohort.store.tables import read_table
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.slide import filter_slide
from rl2qc.images.quantities import image_quantities, measure_quantities
from rl2qc.images.quantity_names import QUANTITIES
from rl2qc.images.reasons import ReferenceQuantities, likely_reasons
from rl2qc.synthetic.corruptions import corrupt
from rl2qc.synthetic.tissue import synthetic_tissue

SIDE = 64


class SharpnessModel:
    """The p-value grows with the detail of a tile; black is told, too."""

    name, sha256, patch_size, mpp = "sharpness", "e" * 64, SIDE, 0.5

    def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
        detail = np.abs(np.diff(images.astype(np.float64), axis=2)).mean(axis=(1, 2, 3))
        dark = (images < 5).mean(axis=(1, 2, 3))
        return {"p_value": np.clip(detail / 20, 0, 1) * (dark < 0.05)}


class WithReference(SharpnessModel):
    """Knows what its reference is like: such that nothing here is as dark."""

    def __init__(self, tiles: np.ndarray) -> None:
        quantities = measure_quantities(tiles)
        quantities[:, QUANTITIES.index("white")] -= 50
        self.quantities_ = ReferenceQuantities.fit(quantities)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """64 tiles: the first row out of focus, a black square in the second row's first."""
    rng = np.random.default_rng(4)
    tissue = synthetic_tissue(8 * SIDE, 8 * SIDE, rng)
    tissue[:SIDE] = corrupt(tissue, "blur", 3, rng)[:SIDE]
    tissue[SIDE + 8 : SIDE + 40, 8:40] = 0
    return tissue


@pytest.fixture(scope="module")
def slide(pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A pyramid: of this size, one level alone would be taken for a patch.
    return write_slide(tmp_path_factory.mktemp("slides") / "a.tif", pixels, levels=2)


@pytest.fixture
def out(slide: Path, tmp_path: Path) -> Path:
    formats = ["csv", "parquet", "geojson", "trident", "clam"]
    settings = FilterSettings(alpha=0.15, min_tissue=0)
    run_cohort(
        find_inputs([slide])[0], SharpnessModel(), tmp_path / "out", settings, formats=formats
    )
    return tmp_path / "out"


def tiles_of(pixels: np.ndarray) -> np.ndarray:
    grid = pixels.reshape(8, SIDE, 8, SIDE, 3).swapaxes(1, 2)
    return grid.reshape(64, SIDE, SIDE, 3)


def test_quantities_are_those_of_the_tiles(slide: Path, pixels: np.ndarray) -> None:
    table = filter_slide(slide, SharpnessModel(), min_tissue=0, alpha=0.15, num_workers=3)
    assert len(table) == 64
    expected = np.array([image_quantities(tile) for tile in tiles_of(pixels)])
    for i, name in enumerate(QUANTITIES):
        np.testing.assert_array_equal(table.measurements[name], expected[:, i])
    np.testing.assert_array_equal(table.reasons, likely_reasons(expected, table.keep))
    blurred = table.reasons[:8][~table.keep[:8]]
    assert len(blurred) >= 6
    assert (blurred == "out of focus").all()
    assert table.reasons[8] == "fold or dark"
    assert (table.reasons[table.keep] == "").all()
    assert (table.reasons[~table.keep] != "").all()


def test_the_models_reference_goes_first(slide: Path, pixels: np.ndarray) -> None:
    model = WithReference(tiles_of(pixels))
    table = filter_slide(slide, model, min_tissue=0, alpha=0.15)
    assert table.reference is model.quantities_
    assert set(table.reasons[~table.keep]) == {"pale or background"}


def test_every_file_names_them(out: Path) -> None:
    table = read_table(out / "a")
    reasons = table.reasons.tolist()
    assert {"out of focus", "fold or dark", ""} <= set(reasons)
    with (out / "a" / "tiles.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["reason"] for row in rows] == reasons
    header = list(rows[0])
    assert header[header.index("p_value") + 1 :] == [*QUANTITIES, "keep", "reason", "shifted"]
    assert parquet.read_table(out / "a" / "tiles.parquet")["reason"].to_pylist() == reasons
    features = json.loads((out / "a" / "tiles.geojson").read_text())["features"]
    tiles = [f["properties"] for f in features if f["properties"]["objectType"] == "tile"]
    assert [tile["classification"]["name"] for tile in tiles] == [
        f"QC: rejected: {reason}" if reason else "QC: kept" for reason in reasons
    ]
    assert set(QUANTITIES) <= set(tiles[0]["measurements"])
    others = [f["properties"]["classification"]["name"] for f in features[len(tiles) :]]
    assert set(others) == {tile["classification"]["name"] for tile in tiles}
    assert len(others) == len(set(others))
    for file in (out / "patches" / "a.h5", next(out.glob("20x*/patches/a_patches.h5"))):
        with h5py.File(file) as opened:
            assert opened["all/reason"].asstr()[:].tolist() == reasons


def test_the_summary_counts_them(out: Path) -> None:
    table, (row,) = read_table(out / "a"), RunFolder(out).rows()
    counts = Counter(table.reasons[~table.keep].tolist())
    assert row.reasons == dict(counts)
    with (out / "summary.csv").open(newline="") as file:
        (cells,) = csv.DictReader(file)
    assert cells["reasons"] == "; ".join(f"{k} {n}" for k, n in counts.most_common())
    assert describe_reasons([row, row]).startswith(
        f"{2 * counts.total()} tiles rejected: out of focus "
    )
    page = write_cohort_page(out).read_text(encoding="utf-8")
    share = counts["out of focus"] / counts.total()
    assert f"out of focus {share:.0%}" in page
    assert "<br>fold or dark<br>" in page


@pytest.mark.parametrize("knows", [False, True])
def test_another_decision_names_them_anew(
    slide: Path, pixels: np.ndarray, tmp_path: Path, knows: bool
) -> None:
    model = WithReference(tiles_of(pixels)) if knows else SharpnessModel()
    jobs, _ = find_inputs([slide])
    for name, alpha in (("again", 0.15), ("fresh", 0.5)):
        settings = FilterSettings(alpha=alpha, min_tissue=0)
        run_cohort(jobs, model, tmp_path / name, settings)
    before = (tmp_path / "again" / "a" / "tiles.csv").read_bytes()
    decide(tmp_path / "again", 0.5)
    again = (tmp_path / "again" / "a" / "tiles.csv").read_bytes()
    assert again == (tmp_path / "fresh" / "a" / "tiles.csv").read_bytes() != before
    records = [(tmp_path / name / "a" / "record.json").read_text() for name in ("again", "fresh")]
    row, other = (json.loads(record)["row"] for record in records)
    assert row["reasons"] == other["reasons"]
    assert (read_table(tmp_path / "again" / "a").reference is not None) == knows


def test_results_without_quantities_have_no_reasons(out: Path) -> None:
    table = read_table(out / "a")
    table.measurements.pop("focus")
    assert set(table.decide(0.5).reasons) == {""}


class RejectsAll(WithReference):
    """Nothing is like its reference, whose patches are less pale than anything here."""

    def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {"p_value": np.zeros(len(images))}


def test_a_slide_that_is_alien_is_its_own_measure(slide: Path, pixels: np.ndarray) -> None:
    model = RejectsAll(tiles_of(pixels)[9:])
    table = filter_slide(slide, model, min_tissue=0)
    assert not table.keep.any()
    # Against the reference, one reason would hold for every tile.
    quantities = measure_quantities(tiles_of(pixels))
    assert set(likely_reasons(quantities, table.keep, model.quantities_)) == {"pale or background"}
    assert (table.reasons[:8] == "out of focus").sum() >= 6
    assert table.reasons[8] == "fold or dark"
    assert (table.reasons[9:] == "out of distribution").mean() > 0.8
    (warning,) = (w for w in table.warnings if "of the tissue is rejected" in w)
    assert "(its typical tile: pale or background)" in warning
    (other,) = (w for w in table.decide(0).warnings if "of the tissue is rejected" in w)
    assert other == warning


def test_a_slide_that_is_like_the_reference_is_not(slide: Path, pixels: np.ndarray) -> None:
    table = filter_slide(slide, SharpnessModel(), min_tissue=0, alpha=0.15)
    assert not any("typical tile" in warning for warning in table.warnings)
