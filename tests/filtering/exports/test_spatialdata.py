"""Stores of SpatialData, read by the library itself and by wsidata where it is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from slide_helpers import MappedModel, write_slide

from rl2qc.cohort.decide import decide
from rl2qc.cohort.filter import filter_cohort
from rl2qc.cohort.inputs.discovery import look_into
from rl2qc.cohort.store.results import read_results
from rl2qc.filtering.exports.spatialdata import carry_over, remove_store
from rl2qc.filtering.slide_mask import slide_mask
from rl2qc.filtering.table import TileTable


def _store(folder: Path, **elements: dict[str, object]) -> Path:
    """As much of a store as says whose its elements are."""
    for kind, names in elements.items():
        for name in names:
            (folder / kind / name).mkdir(parents=True)
    folder.mkdir(exist_ok=True)
    root = {"zarr_format": 3, "node_type": "group", "attributes": {"spatialdata_attrs": {}}}
    (folder / "zarr.json").write_text(json.dumps(root))
    return folder


def test_a_store_beside_its_slide_is_no_slide(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "case.tif", np.full((64, 64, 3), 90, np.uint8))
    store = _store(tmp_path / "case.zarr")
    found = look_into(tmp_path, as_slides=True)
    assert found.slides == [slide]
    assert found.warnings == [f"left out, since SpatialData is no slide: 1 store {store}"]


def test_what_others_have_put_into_a_store_stays(tmp_path: Path) -> None:
    pytest.importorskip("zarr", reason="SpatialData needs zarr")
    store = _store(tmp_path / "a.zarr", shapes={"tiles": {}, "qc_tiles": {}}, tables={"uni": {}})
    new = _store(tmp_path / "b.zarr", shapes={"tiles": {}})
    (store / "tables" / "uni" / "zarr.json").write_text(
        json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}})
    )
    carry_over(store, new)
    assert (new / "tables" / "uni").is_dir() and not (new / "shapes" / "qc_tiles").exists()
    remove_store(store)
    assert (store / "tables" / "uni").is_dir() and not any((store / "shapes").iterdir())
    remove_store(_store(tmp_path / "c.zarr", shapes={"tiles": {}}))
    assert not (tmp_path / "c.zarr").exists()


class Spotted(MappedModel):
    """A corner of each tile is damaged."""

    def measure(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        found = super().measure(images)
        found["cells"][:, :2, :3] = (1, 120)
        return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, TileTable]:
    pytest.importorskip("spatialdata", reason="rl2qc[spatialdata] is not installed")
    place = tmp_path_factory.mktemp("spatialdata")
    y, x = np.mgrid[:192, :256]
    pixels = np.repeat(80 + 40 * ((x // 8 + y // 8) % 2)[..., None], 3, axis=2).astype(np.uint8)
    # Twelve tiles of p-values from .4 to .73.
    pixels[..., 0] = 102 + 7.7 * (y // 64 * 4 + x // 64)
    slide = write_slide(place / "case.tif", pixels)
    result = filter_cohort(
        slide, place / "out", Spotted(), alpha=0.5, formats=["spatialdata"], report=False
    )
    assert result.errors == ()
    return slide, place / "out", read_results(place / "out").tables["case"]


def test_the_library_reads_tiles_outlines_and_mask(run: tuple[Path, Path, TileTable]) -> None:
    from spatialdata import read_zarr

    _, out, table = run
    data = read_zarr(out / "spatialdata" / "case.zarr")
    kept, every = data.shapes["tiles"], data.shapes["qc_tiles"]
    assert 0 < len(kept) == table.keep.sum() < len(every) == len(table)
    assert every["keep"].tolist() == table.keep.tolist()
    assert every["reason"].tolist() == table.reasons.tolist()
    corners = np.stack([table.x, table.y, table.x + table.width, table.y + table.height], axis=1)
    np.testing.assert_array_equal(every.bounds.to_numpy(), corners)
    np.testing.assert_array_equal(kept.bounds.to_numpy(), corners[table.keep])
    np.testing.assert_array_equal(data.labels["qc_mask"].to_numpy(), slide_mask(table).codes())
    damaged = slide_mask(table).areas()
    area = sum(area for name, area in damaged.items() if name != "tissue")
    assert area > 0
    assert data.shapes["qc_artifacts"]["area_um2"].sum() == pytest.approx(area)


def test_deciding_again_keeps_features_of_others(run: tuple[Path, Path, TileTable]) -> None:
    import anndata
    from spatialdata import read_zarr
    from spatialdata.models import TableModel

    _, out, table = run
    store = out / "spatialdata" / "case.zarr"
    data = read_zarr(store)
    data["uni_tiles"] = TableModel.parse(anndata.AnnData(np.ones((4, 2), np.float32)))
    data.write_element("uni_tiles")
    data.attrs["of a lab"] = 1
    data.write_attrs()
    try:
        assert decide(out, 0.55).failures == ()
        again = read_zarr(store)
        assert len(again.shapes["tiles"]) < table.keep.sum()
        assert again["uni_tiles"].shape == (4, 2)
        assert again.attrs["of a lab"] == 1 and again.attrs["rl2qc"]["alpha"] == 0.55
    finally:
        decide(out, 0.5)


def test_wsidata_reads_the_kept_tiles(run: tuple[Path, Path, TileTable]) -> None:
    pytest.importorskip("wsidata", reason="wsidata is not installed")
    slide, out, table = run
    # In a process of its own: it changes settings of what it imports.
    code = (
        "import sys, wsidata; w = wsidata.open_wsi(sys.argv[1], store=sys.argv[2])\n"
        "t = list(w.iter.tile_images('tiles'))\n"
        "print([[i.x, i.y, *i.image.shape[:2]] for i in t])\n"
        "assert (t[0].image == w.reader.get_region(t[0].x, t[0].y, 64, 64)).all()"
    )
    command = [sys.executable, "-c", code, str(slide), str(out / "spatialdata")]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr
    kept = np.stack([table.x, table.y], axis=1)[table.keep].tolist()
    assert json.loads(made.stdout) == [[x, y, 64, 64] for x, y in kept]
