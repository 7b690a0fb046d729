"""Only what a run wrote is replaced or removed, whatever else lies in its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cohort_helpers import prepare_output, replace_writer, run_cohort
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.cohort.decide import decide
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.inputs.input import Input
from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.record import JOURNAL
from rl2qc.cohort.store.summary import SummaryRow
from rl2qc.core.files import read_json
from rl2qc.errors import UsageError, WorkError
from rl2qc.filtering.exports.registry import FORMATS
from rl2qc.filtering.settings import FilterSettings

# Where the formats of other tools lie, for a slide called "case".
PLACES = {
    "trident": "20x_64px_0px_overlap/patches/case_patches.h5",
    "clam": "patches/case.h5",
    "wsinfer": "model-outputs-csv/case.csv",
    "histoqc": "case.tif/case.tif_mask_use.png",
    "csv": "case/tiles.csv",
    "tiles": "case/tiles/x0_y0.png",
}
SHARED = ["summary.csv", "run.json", "report.html", "failed/case.json"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def jobs(tmp_path: Path, rng: np.random.Generator) -> list[Input]:
    slide = write_slide(tmp_path / "case.tif", tissue_like(rng, 128, 192))
    return find_inputs([slide])[0]


def put(path: Path, content: str = "of a lab") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def coordinates(path: Path, **attributes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("coords", data=[[0, 0], [64, 0]]).attrs.update(attributes)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(jobs: list[Input], out: Path, formats: str = "csv", **options: Any) -> list[SummaryRow]:
    """As the command does."""
    overwrite = options.get("overwrite", False)
    prepare_output(out, jobs, overwrite=overwrite)
    return run_cohort(jobs, BrightnessModel(), out, formats=formats.split(","), **options)


# ---------------------------------------------------------------- files of others


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", PLACES)
def test_a_file_of_others_is_not_replaced(
    jobs: list[Input], out: Path, name: str, overwrite: bool
) -> None:
    run([], out)  # a run may have been here
    put(out / PLACES[name])
    before = contents(out)
    with pytest.raises(UsageError, match=r"case\S* would be replaced.*choose another --out"):
        run(jobs, out, name, overwrite=overwrite)
    assert contents(out) == before
    assert not (out / ".locks").exists()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", [*SHARED, "results.tsv"])
def test_a_file_of_others_for_the_whole_folder(
    jobs: list[Input], out: Path, name: str, overwrite: bool
) -> None:
    put(out / name)
    said = "did not write and keeps: choose another --out"
    with pytest.raises(UsageError, match=said):
        run(jobs, out, "histoqc", overwrite=overwrite)
    with pytest.raises(UsageError, match=said):
        run_cohort(jobs, BrightnessModel(), out, formats=["histoqc"], overwrite=overwrite)
    assert contents(out) == {name: b"of a lab"}


def test_another_run_json(jobs: list[Input], out: Path) -> None:
    put(out / "run.json", '{"model": "resnet", "settings": {"lr": 0.1}, "versions": null}')
    before = contents(out)
    with pytest.raises(UsageError, match=r"holds run\.json, which rl2qc did not write"):
        run(jobs, out, overwrite=True)
    assert contents(out) == before


def test_files_beside_the_run_are_none_of_its_business(jobs: list[Input], out: Path) -> None:
    """Whatever becomes of a slide: a result, another one, none at all."""
    theirs = {
        **{PLACES[name]: b"of a lab" for name in ("trident", "clam", "wsinfer", "histoqc")},
        "results.tsv": b"of a lab",
        "case/tiles/x0_y0.png": b"of a lab",
        "case/tiles.parquet": b"of a lab",
        "patches/.tmp-note": b"of a lab",
    }
    for name in theirs:
        put(out / name)
    (row,) = run(jobs, out, overwrite=True)
    assert row.status == "done"
    assert contents(out).items() >= theirs.items()
    assert run(jobs, out, overwrite=True)[0].status == "done"
    assert contents(out).items() >= theirs.items()
    decide(out, 0.99)
    assert contents(out).items() >= theirs.items()
    jobs[0].path.write_bytes(b"no slide")
    assert run(jobs, out, overwrite=True)[0].status == "failed"
    assert contents(out).items() >= theirs.items()
    assert not (out / "case" / "tiles.csv").exists()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("ours", [False, True])
def test_coordinates_are_not_replaced_by_what_is_made_of_them(
    jobs: list[Input], out: Path, overwrite: bool, ours: bool
) -> None:
    place = out / PLACES["trident"]
    if ours:
        run(jobs, out, "trident")
    else:
        out.mkdir()
        coordinates(place, patch_size=64, patch_size_level0=64, target_magnification=20, overlap=0)
    before = contents(out)
    settings = FilterSettings(coords=str(place.parent))
    said = "while it is read" if ours else "none of the results that rl2qc wrote"
    with pytest.raises(UsageError, match=rf"case_patches\.h5 would be replaced.*{said}"):
        run(jobs, out, "trident", settings=settings, overwrite=overwrite)
    assert contents(out) == before
    if not ours:
        (row,) = run(jobs, out, "csv", settings=settings)
        assert (row.status, row.tiles) == ("done", 2)
        assert contents(out).items() >= before.items()


def test_a_place_that_is_known_late(jobs: list[Input], out: Path, tmp_path: Path) -> None:
    """CLAM's coordinates are of tiles whose size the slide alone tells."""
    given = coordinates(tmp_path / "case.h5", patch_size=128, patch_level=0)
    theirs = put(out / "20x_128px_0px_overlap" / "patches" / "case_patches.h5")
    settings = FilterSettings(coords=str(given))
    (row,) = run(jobs, out, "trident", settings=settings)
    assert row.status == "failed"
    assert "case_patches.h5 is a file that rl2qc did not write and keeps" in row.error
    assert theirs.read_text() == "of a lab"
    assert not (out / "case").exists()


def test_results_without_a_record_are_nobodys(jobs: list[Input], out: Path) -> None:
    run(jobs, out)
    (out / "case" / "record.json").unlink()
    with pytest.raises(UsageError, match=r"tiles\.csv \(and 1 more\) would be replaced"):
        run(jobs, out)


# ---------------------------------------------------------------- our own files


def test_what_was_written_before_is_replaced(jobs: list[Input], out: Path) -> None:
    every = ",".join(PLACES)
    run(jobs, out, every)
    before = contents(out)
    (out / "case" / "tiles" / "notes.txt").write_text("mine")
    settings = FilterSettings(alpha=0.9)
    (row,) = run(jobs, out, every, settings=settings, overwrite=True)
    assert (row.status, row.kept < row.tiles) == ("done", True)
    after = contents(out)
    assert after.pop("case/tiles/notes.txt") == b"mine"
    assert after["patches/case.h5"] != before["patches/case.h5"]
    (out / "case" / "tiles" / "notes.txt").unlink()
    # Without a format, its files go.
    run(jobs, out, "csv", settings=settings, overwrite=True)
    assert set(contents(out)) == {
        "case/record.json",
        "case/thumbnail.png",
        "case/tiles.csv",
        "results.tsv",
        "run.json",
        "summary.csv",
    }


@pytest.mark.parametrize("last", ["clam", "tiles", "record"])
def test_an_interrupted_result_is_ours(
    jobs: list[Input], out: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    formats = "trident,clam,tiles"
    with monkeypatch.context() as patched:
        if last == "record":
            patched.setattr("rl2qc.cohort.store.record.ResultFolder.write_record", interrupt)
        else:
            replace_writer(patched, last, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(jobs, out, formats)
    assert (out / PLACES["trident"]).exists()
    assert set(read_json(out / "case" / JOURNAL)["files"]) > {"tiles.csv", "../patches/case.h5"}
    # With other formats, what was written for these goes.
    (row,) = run(jobs, out, "csv")
    assert row.status == "done"
    assert set(contents(out)) == {
        "case/record.json",
        "case/thumbnail.png",
        "case/tiles.csv",
        "run.json",
        "summary.csv",
    }


def test_a_record_names_no_file_of_others(jobs: list[Input], out: Path, tmp_path: Path) -> None:
    """Results may come from elsewhere: only what has the place of a format is removed."""
    run(jobs, out)
    mine = put(tmp_path / "precious.txt")
    record = out / "case" / "record.json"
    record.write_text(
        record.read_text().replace('"tiles.csv"', '"tiles.csv", "../../precious.txt"', 1)
    )
    (row,) = run(jobs, out, overwrite=True)
    assert row.status == "done"
    assert mine.read_text() == "of a lab"


# ---------------------------------------------------------------- wreckage


@pytest.mark.parametrize("busy", [False, True])
def test_wreckage_goes_when_nobody_is_at_work(out: Path, busy: bool) -> None:
    random = "0123456789ab"
    wreckage = [
        *(f"{place}.tmp-{random}.h5" for place in ("", "a/", "patches/", "20x/patches/")),
        ".locks/.draft-1",
        ".locks/.stale-1",
    ]
    for name in [*wreckage, "a/.tmp-mine", "a/notes.txt"]:
        put(out / name)
    if busy:
        put(out / ".locks" / "b.lock")
    before = set(contents(out))
    RunFolder(out).clean_up()
    assert set(contents(out)) == (before if busy else {"a/.tmp-mine", "a/notes.txt"})
    assert (out / ".locks").exists() == busy


def test_a_journal_goes_once_the_record_says_as_much(
    jobs: list[Input], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(jobs, out)
    journal, keep = out / "case" / JOURNAL, '{"files": ["tiles.csv", "../patches/case.h5"]}'
    for content, stays in (('{"files": ["tiles.csv", "record.json"]}', False), (keep, True)):
        journal.write_text(content)
        RunFolder(out).clean_up()
        assert journal.exists() == stays


def test_nothing_is_written_before_it_is_announced(
    jobs: list[Input], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def watched(write: Callable[..., None]) -> Callable[..., None]:
        def announced(table: Any, path: Path) -> None:
            seen.append(path.suffix)
            assert set(read_json(out / "case" / JOURNAL)["files"]) >= {
                "tiles.csv",
                "../patches/case.h5",
                "record.json",
            }
            write(table, path)

        return announced

    for name in ("csv", "clam"):
        replace_writer(monkeypatch, name, watched(FORMATS.get(name).write))
    (row,) = run(jobs, out, "csv,clam")
    assert (row.status, seen) == ("done", [".csv", ".h5"])
    assert not (out / "case" / JOURNAL).exists()


def test_a_decision_leaves_files_of_others(jobs: list[Input], out: Path) -> None:
    run(jobs, out)
    theirs = put(out / PLACES["clam"])
    before = contents(out / "case")
    ((name, reason),) = decide(out, 0.99, formats=["clam"]).failures
    assert (name, theirs.read_text()) == ("case", "of a lab")
    assert "case.h5 is a file that rl2qc did not write and keeps" in reason
    assert contents(out / "case") == before
    put(out / "results.tsv")
    with pytest.raises(UsageError, match=r"results\.tsv, which rl2qc did not write"):
        decide(out, 0.99, formats=["histoqc"])


def test_a_disk_that_fails_while_files_are_announced(
    jobs: list[Input], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rl2qc.cohort.store.record.ResultFolder.announce", full)
    with pytest.raises(WorkError, match="No space left on device; what is finished is kept"):
        run(jobs, out)
