"""Files of several slides: each is found, named, and given what is said of its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from slide_helpers import BrightnessModel

from rl2qc.cohort.dataset import KeptTiles
from rl2qc.cohort.decide import decide
from rl2qc.cohort.filter import filter_cohort
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.errors import UsageError

pytest.importorskip("imagecodecs", reason="needs the extra ome")

BOTH = ["two.ome.tiff@scene1", "two.ome.tiff@scene2"]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two slides of one brightness each, and of different sizes."""
    path = tmp_path / "two.ome.tiff"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for grey, side in ((90, 576), (150, 640)):
            chequered = grey + 40 * ((np.indices((side, side)) // 8).sum(0) % 2)
            pixels = np.repeat(chequered[..., None].astype(np.uint8), 3, axis=2)
            sizes = {f"PhysicalSize{a}": 0.5 for a in "XY"}
            metadata = {"axes": "YXS", **sizes}
            tiff.write(pixels, photometric="rgb", tile=(64, 64), metadata=metadata)
    return path


def _names(found: object) -> list[str]:
    items, _ = found
    return [item.path.name for item in items]


def test_a_file_is_all_its_slides(two: Path) -> None:
    assert _names(find_inputs(two)) == _names(find_inputs(two.parent)) == BOTH


def test_a_slide_is_named_by_itself(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _names(find_inputs(f"{two}@scene2")) == BOTH[1:]
    assert _names(find_inputs([f"{two}@scene2", two])) == [BOTH[1], BOTH[0]]
    monkeypatch.chdir(two.parent)
    assert _names(find_inputs("two.ome.tiff@scene2")) == BOTH[1:]
    with pytest.raises(UsageError, match="no such file"):
        find_inputs("three.ome.tiff@scene2")


@pytest.mark.parametrize("name", ["two.ome.tiff", "two.ome", "{two}", "./two.ome.tiff"])
def test_a_resolution_for_the_file_is_for_each_slide(two: Path, name: str) -> None:
    named = name.format(two=two)
    table = two.with_name("given.csv")
    table.write_text(f"wsi,mpp\n{named},0.25\n")
    if not name.startswith("."):
        items, warnings = find_inputs(two, mpp_csv=table)
        assert [item.mpp for item in items] == [0.25, 0.25] and not warnings
    if named.endswith(".tiff"):
        items, _ = find_inputs(table)
        assert [(item.path.name, item.mpp) for item in items] == [(n, 0.25) for n in BOTH]


def test_a_list_names_one_slide(two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lists").mkdir()
    table = tmp_path / "lists" / "given.csv"
    # Relative to the current folder, where there is nothing beside the list.
    table.write_text("wsi,mpp\ntwo.ome.tiff@scene2,0.25\n")
    monkeypatch.chdir(tmp_path)
    items, _ = find_inputs(table)
    assert [(item.path.name, item.mpp) for item in items] == [(BOTH[1], 0.25)]


def test_results_follow_a_file_that_moved(two: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = {"alpha": 0.1, "formats": ["csv"], "report": False}
    result = filter_cohort(two, out, BrightnessModel(), **options)
    assert {name: len(table) for name, table in result.tables.items()} == {
        "two.ome@scene1": 81,
        "two.ome@scene2": 100,
    }
    written = {file: file.stat().st_mtime_ns for file in out.glob("*/tiles.csv")}
    filter_cohort(two, out, BrightnessModel(), **options)
    assert written == {file: file.stat().st_mtime_ns for file in written} and len(written) == 2
    (tmp_path / "moved").mkdir()
    two.rename(tmp_path / "moved" / two.name)
    assert decide(out, 0.2, formats=["geojson"]).failures == ()
    tiles = KeptTiles(out, slides=tmp_path / "moved")
    bright = [float(np.asarray(tiles[i][0]).mean()) for i in (0, len(tiles) - 1)]
    assert bright[0] < bright[1]


def test_private_names_tell_slides_apart(two: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = {"alpha": 0.1, "formats": ["csv"], "private": True}
    result = filter_cohort(two, out, BrightnessModel(), **options)
    assert result.errors == () and len(result.tables) == 2
    written = [file for file in out.rglob("*") if file.is_file()]
    assert not [file for file in written if b"two.ome" in file.read_bytes()]
    assert decide(out, 0.2).failures == ()


def test_masks_of_results_are_found_for_each_slide(two: Path, tmp_path: Path) -> None:
    options = {"alpha": 0.1, "report": False}
    first = filter_cohort(
        two, tmp_path / "first", BrightnessModel(), formats=["histoqc"], **options
    )
    masks = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*_mask_use.png"))
    assert [str(p) for p in masks] == [f"first/{n}/{n}_mask_use.png" for n in BOTH]
    second = filter_cohort(
        two, tmp_path / "second", BrightnessModel(), tissue_mask=tmp_path / "first", **options
    )
    assert second.errors == ()
    for (name, table), mask in zip(second.tables.items(), masks, strict=True):
        assert table.tissue_source == f"{mask.name} (HistoQC's mask)"
        assert len(table) == first.tables[name].keep.sum() > 0


def test_masks_of_slides_that_share_a_name_are_found(two: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / two.name).write_bytes(two.read_bytes())
    both = [two, tmp_path / "b" / two.name]
    options = {"alpha": 0.1, "report": False}
    first = filter_cohort(
        both, tmp_path / "first", BrightnessModel(), formats=["histoqc"], **options
    )
    second = filter_cohort(
        both, tmp_path / "second", BrightnessModel(), tissue_mask=tmp_path / "first", **options
    )
    assert (len(first.tables), second.errors) == (4, ())
    assert len({table.tissue_source for table in second.tables.values()}) == 4
