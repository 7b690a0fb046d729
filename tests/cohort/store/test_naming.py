"""What results say of where things lie, and of whose they are."""

from __future__ import annotations

import csv
import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rl2qc
from rl2qc.cohort.store.naming import Naming
from rl2qc.errors import UsageError
from rl2qc.images.sources.places import seen_from

pytestmark = pytest.mark.usefixtures("red_model")


@pytest.fixture
def home(tmp_path: Path, slide: Path) -> Path:
    """A slide, a broken one and a set of three images, one of them broken, all of a patient."""
    home = tmp_path / "of_smith"
    (home / "set_smith").mkdir(parents=True)
    shutil.move(slide, home / "smith-19.tif")
    (home / "smith-20.svs").write_text("none")
    for i in range(2):
        Image.new("RGB", (64, 64), (90 + i, 50, 120)).save(home / "set_smith" / f"smith{i}.png")
    (home / "set_smith" / "smith_bad.png").write_text("none")
    return home


def run(home: Path, out: Path, **options: object) -> rl2qc.CohortResult:
    inputs = [*sorted(home.glob("smith*")), home / "set_smith"]
    return rl2qc.filter_cohort(inputs, out, **options)  # type: ignore[arg-type]


def said(out: Path, *words: str) -> list[str]:
    """Files that say a word, in their names or in themselves."""
    files = [path for path in out.rglob("*") if path.is_file()]
    return [
        str(path)
        for path in files
        for word in words
        if word.encode() in path.read_bytes() or word in str(path.relative_to(out))
    ]


def test_paths_are_seen_from_the_folder(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(home, out, alpha=0.1)
    assert not said(out, str(tmp_path))
    rows = {row["name"]: row["path"] for row in csv.DictReader((out / "summary.csv").open())}
    assert rows == {
        "smith-19": "../of_smith/smith-19.tif",
        "smith-20": "../of_smith/smith-20.svs",
        "set_smith": "../of_smith/set_smith",
    }
    # Moved together, results find their slides and images.
    (tmp_path / "elsewhere").mkdir()
    for folder in (home, out):
        shutil.move(folder, tmp_path / "elsewhere" / folder.name)
    tiles = rl2qc.KeptTiles(tmp_path / "elsewhere" / "out")
    assert len([tiles[i] for i in range(len(tiles))]) == 8
    again = rl2qc.read_results(tmp_path / "elsewhere" / "out")
    assert {Path(row.path).exists() for row in again.rows} == {True}
    there = tmp_path / "elsewhere"
    assert len(run(there / "of_smith", there / "out", alpha=0.1).before) == 2


def test_results_of_before_have_their_paths_as_they_were(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(home, out, alpha=0.1)
    for name in ("smith-19", "set_smith"):
        file = out / name / "record.json"
        record = json.loads(file.read_text())
        del record["paths"], record["tables"]
        record["slide"]["path"] = record["row"]["path"] = str(home / "smith-19.tif")
        file.write_text(json.dumps(record))
    tiles = out / "set_smith" / "tiles.csv"
    tiles.write_text(tiles.read_text().replace("../of_smith", str(home)))
    assert len(list(rl2qc.KeptTiles(out))) == 8


def test_relative_paths_of_before_stay_where_they_lead_nowhere(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(home, out, alpha=0.1)
    file = out / "smith-19" / "record.json"
    old = json.loads(file.read_text())
    del old["paths"], old["tables"]
    old["slide"]["path"] = old["row"]["path"] = "smith-19.tif"
    for place, expected in ((tmp_path, "smith-19.tif"), (home, "../of_smith/smith-19.tif")):
        file.write_text(json.dumps(old))
        monkeypatch.chdir(place)
        rl2qc.decide(out, 0.2)
        new = json.loads(file.read_text())
        assert (new["row"]["path"], new["slide"]["path"]) == (expected, expected)
        monkeypatch.chdir(home)
        table = rl2qc.read_results(out).tables["smith-19"]
        assert table.path.exists()


def test_the_command_line_is_told_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = home / "deep" / "out"
    monkeypatch.setattr("sys.argv", ["rl2qc", "filter", str(home / "smith-19.tif"), f"--out={out}"])
    run(home, out, alpha=0.1)
    (told,) = json.loads((out / "run.json").read_text())["runs"]
    assert told["command"] == ["rl2qc", "filter", "../../smith-19.tif", "--out=."]


def test_private_results_name_nobody(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    formats = ("csv", "geojson", "overlay", "histoqc")
    result = run(home, out, private=True, alpha=0.1, formats=formats)
    assert not said(out, "smith", str(tmp_path))
    table, key = tmp_path / "out.names.csv", tmp_path / "out.names.key"
    assert stat.S_IMODE(table.stat().st_mode) == stat.S_IMODE(key.stat().st_mode) == 0o600
    named = {row["code"]: row for row in csv.DictReader(table.open())}
    assert {named[row.name]["name"] for row in result.rows} == {"smith-19", "smith-20", "set_smith"}
    # Whoever has the names reads from the slides; the same call finds the same codes.
    tiles = rl2qc.KeptTiles(out)
    assert {tiles.tile(i).path.parent.name for i in range(8)} == {"of_smith", "set_smith"}
    assert tiles[0].shape == (3, 64, 64)
    assert set(run(home, out, private=True, alpha=0.1).before) == {
        row.name for row in result.rows if row.status != "failed"
    }
    with pytest.raises(UsageError, match="go by codes"):
        run(home, out, alpha=0.1)
    # Whoever has not, decides and reads numbers.
    table.rename(tmp_path / "safe.csv")
    key.rename(tmp_path / "safe.key")
    assert rl2qc.decide(out, 0.9).rows
    assert not said(out, "smith", str(tmp_path))
    with pytest.raises(UsageError, match=r"out\.names\.key.* is not there"):
        run(home, out, private=True, alpha=0.1)


def test_two_folders_have_codes_of_their_own(tmp_path: Path) -> None:
    slide = tmp_path / "a.svs"
    one, other = Naming(tmp_path / "one"), Naming(tmp_path / "other")
    for naming in (one, other):
        naming.begin([("a", slide)])
    assert one.code(slide) != other.code(slide)
    assert one.reached(one.shown(slide)) == slide
    assert one.text("a.svs of 3 a is gone", [], [slide]) == f"{one.shown(slide)} of 3 a is gone"


def test_named_results_do_not_become_private(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(home, out, alpha=0.1)
    with pytest.raises(UsageError, match="go by names"):
        run(home, out, alpha=0.1, private=True)
    assert not (tmp_path / "out.names.csv").exists()


def test_a_manifest_tells_all_runs(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rl2qc.filter_cohort(home / "smith-19.tif", out, alpha=0.1)
    run(home, out, alpha=0.1)
    rl2qc.decide(out, 0.3)
    manifest = json.loads((out / "run.json").read_text())
    runs = manifest["runs"]
    assert [r["what"] for r in runs] == ["filter", "filter", "decide"]
    assert [r["settings"]["alpha"] for r in runs] == [0.1, 0.1, 0.3]
    assert all(r["finished"] for r in runs)
    assert len({r["id"] for r in runs}) == 3
    assert manifest["settings"]["alpha"] == 0.3
    assert np.isfinite([r["seconds"] for r in runs]).all()


def test_masks_and_coordinates_of_a_private_slide_have_its_code(home: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    slide, out = home / "smith-19.tif", tmp_path / "out"
    Image.fromarray(np.full((128, 192), 255, np.uint8)).save(home / "smith-19.png")
    with h5py.File(home / "smith-19_patches.h5", "w") as file:
        data = file.create_dataset("coords", data=[[0, 0], [64, 0]])
        data.attrs.update(patch_size=64, patch_size_level0=64, name="smith-19")
    files = {"tissue_mask": home / "smith-19.png", "coords": home / "smith-19_patches.h5"}
    (name,) = rl2qc.filter_cohort([slide], out, private=True, **files).tables
    assert not said(out, "smith")
    known = json.loads((out / name / "record.json").read_text())["key"]["settings"]
    assert known["coords"].startswith(f"{name}.h5 (")
    assert known["tissue_mask"].startswith(f"{name}.png (")
    assert rl2qc.filter_cohort([slide], out, private=True, **files).before == (name,)


def test_what_lies_in_a_file_is_seen_from_the_folder_as_the_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    images = [Image.new("RGB", (64, 64), (90 + i, 50, 120)) for i in range(4)]
    for i in range(2):
        images[i].save(tmp_path / "in" / f"{i}.png")
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "in")
    images[2].save(tmp_path / "stack.tif", save_all=True, append_images=images[3:])
    monkeypatch.chdir(tmp_path)
    rl2qc.filter_cohort(["set.zip", "stack.tif"], "out", alpha=0.1, mpp=0.5)
    (tmp_path / "elsewhere").mkdir()
    for name in ("set.zip", "stack.tif", "out"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    tiles = rl2qc.KeptTiles("elsewhere/out")
    assert sorted(int(tiles.pixels(i)[0, 0, 0]) for i in range(len(tiles))) == [90, 91, 92, 93]


@pytest.mark.parametrize("name", ["a.ome.tiff@scene2", "a.ome.tiff", "a.ome.tiff/3"])
def test_a_part_of_a_file_is_where_the_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "a.ome.tiff").touch()
    monkeypatch.chdir(tmp_path)
    assert seen_from(tmp_path / "out", name) == f"../{name}"
    assert seen_from(tmp_path / "out", f"b{name}") == f"b{name}"
