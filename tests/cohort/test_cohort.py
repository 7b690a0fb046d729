from __future__ import annotations

import csv
import importlib.metadata
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cohort_helpers import prepare_output, replace_writer, run_cohort
from PIL import Image
from slide_helpers import BrightnessModel, tissue_like, write_slide

import rl2qc
from rl2qc.cohort.filter import _versions
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.inputs.input import Input
from rl2qc.core.registry import Extra
from rl2qc.errors import UsageError, WorkError
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.table import TileTable


@pytest.fixture
def tissue(rng: np.random.Generator) -> np.ndarray:
    return tissue_like(rng, 128, 192)


def save_patches(folder: Path, tissue: np.ndarray, count: int = 2) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(tissue[:64, :64]).save(folder / f"{i}.png")
    return folder


def make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def kinds(jobs: list[Input]) -> list[tuple[str, str]]:
    return [(job.name, job.kind) for job in jobs]


# ---------------------------------------------------------------- inputs


def test_inputs_are_told_apart(tmp_path: Path, tissue: np.ndarray) -> None:
    (tmp_path / "cohort" / "deep").mkdir(parents=True)
    write_slide(tmp_path / "cohort" / "b.tif", tissue)
    make(tmp_path / "cohort" / "deep" / "a.svs")
    make(tmp_path / "cohort" / ".hidden.svs")
    make(tmp_path / "cohort" / ".trash" / "old.svs")
    make(tmp_path / "cohort" / "notes.txt")
    save_patches(tmp_path / "set" / "inner", tissue)
    Image.fromarray(tissue[:64, :64]).save(tmp_path / "set" / "small.tif")
    jobs, warnings = find_inputs([tmp_path / "cohort", tmp_path / "set"])
    assert kinds(jobs) == [("b", "slide"), ("a", "slide"), ("set", "patches")]
    hidden, file = warnings
    assert ".trash" in hidden
    assert ".hidden.svs" in file


def test_loose_images_are_one_set_a_folder(tmp_path: Path, tissue: np.ndarray) -> None:
    one, two = (save_patches(tmp_path / name, tissue) for name in ("one", "two"))
    jobs, _ = find_inputs([one / "0.png", two / "0.png", one / "1.png", one / "0.png"])
    assert kinds(jobs) == [("one", "patches"), ("two", "patches")]
    assert [p.name for p in jobs[0].images] == ["0.png", "1.png"]


def test_globs(tmp_path: Path) -> None:
    for name in ("b.svs", "a.svs", "c.ndpi"):
        make(tmp_path / name)
    jobs, _ = find_inputs([str(tmp_path / "*.svs")])
    assert [job.name for job in jobs] == ["a", "b"]


def test_images_beside_slides_are_not_left_out_silently(tmp_path: Path, tissue: np.ndarray) -> None:
    save_patches(tmp_path / "cohort", tissue)
    make(tmp_path / "cohort" / "a.svs")
    jobs, (warning,) = find_inputs([tmp_path / "cohort"])
    assert kinds(jobs) == [("a", "slide")]
    assert "2 images beside the slides" in warning


def test_a_slide_is_taken_once(tmp_path: Path) -> None:
    slide = make(tmp_path / "cohort" / "a.svs")
    (tmp_path / "link.svs").symlink_to(slide)
    (tmp_path / "cohort" / "loop").symlink_to(tmp_path / "cohort")
    jobs, _ = find_inputs([slide, tmp_path / "cohort", tmp_path / "link.svs", str(slide)])
    assert [job.path for job in jobs] == [slide]


def test_a_link_to_itself_is_an_input_that_fails(tmp_path: Path) -> None:
    loop = tmp_path / "loop.svs"
    loop.symlink_to(loop)
    for inputs in ([tmp_path], [loop]):
        jobs, _ = find_inputs(inputs)
        (row,) = run_cohort(jobs, BrightnessModel(), tmp_path / "out")
        assert row.status == "failed"
        assert "loop.svs" in row.error


def test_equal_names_get_different_folders(tmp_path: Path) -> None:
    paths = [
        "x/a.svs",
        "y/a.svs",
        "y/a.ndpi",
        "y/A.scn",
        "z/b.svs",
        "p/z/a.svs",
        "q/z/a.svs",
        "z/summary.csv.svs",
    ]
    jobs, _ = find_inputs([make(tmp_path / path) for path in paths])
    names = [job.name for job in jobs]
    assert len({name.casefold() for name in names}) == len(paths)
    assert names[0] == "x__a"
    assert names[4] == "b"
    assert "summary.csv" not in names
    # The names do not depend on the order.
    again, _ = find_inputs([tmp_path / path for path in reversed(paths)])
    assert [job.name for job in again] == names[::-1]


def test_very_long_names_are_cut(tmp_path: Path) -> None:
    jobs, _ = find_inputs([make(tmp_path / f"{'x' * 240}{end}.svs") for end in "ab"])
    assert len({job.name for job in jobs}) == 2
    assert all(len(job.name) < 100 for job in jobs)


@pytest.mark.parametrize("name", ["nothing", "nothing*.svs"])
def test_missing_inputs(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        find_inputs([tmp_path / name])


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no slides and no images"):
        find_inputs([tmp_path])


def test_dicom_files_are_one_slide(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "slides" / "CMU-1-dicom"
    for inputs in ([folder], sorted(folder.iterdir()), [folder, *folder.iterdir()]):
        jobs, _ = find_inputs(inputs)
        assert kinds(jobs) == [("CMU-1-dicom", "slide")]
    # Two series in one folder are two slides.
    for file in folder.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content)
        (tmp_path / f"other-{file.name}").write_bytes(
            content.replace(b"1626788322.499658", b"1626788322.499777")
        )
    jobs, _ = find_inputs([tmp_path])
    assert len(jobs) == 2
    assert len({job.name for job in jobs}) == 2


def test_broken_slides_are_slides(shared_data: Path) -> None:
    jobs, _ = find_inputs([shared_data / "slides" / "broken"])
    assert kinds(jobs) == [("truncated", "slide"), ("unopenable", "slide"), ("unreadable", "slide")]


# ---------------------------------------------------------------- runs


def summary(out: Path) -> list[dict[str, str]]:
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_input_is_attempted(tmp_path: Path, tissue: np.ndarray) -> None:
    inputs = [
        make(tmp_path / "broken.svs"),
        write_slide(tmp_path / "good.tif", tissue),
        save_patches(tmp_path / "set", tissue),
        write_slide(tmp_path / "blind.tif", tissue, mpp=None),
    ]
    (tmp_path / "set" / "bad.png").write_text("no image")
    jobs, _ = find_inputs(inputs)
    out = tmp_path / "out"
    prepare_output(out, jobs)
    rows = run_cohort(jobs, BrightnessModel(), out, about={"command": ["rl2qc", "filter"]})

    assert {row.name: row.status for row in rows} == {
        "broken": "failed",
        "good": "done",
        "blind": "failed",
        "set": "partial",
    }
    assert {p.name for p in out.iterdir()} == {"good", "set", "failed", "summary.csv", "run.json"}
    assert {p.name for p in (out / "good").iterdir()} == {
        "record.json",
        "thumbnail.png",
        "tiles.csv",
        "tiles.geojson",
        "overlay.png",
    }
    assert {p.name for p in (out / "set").iterdir()} == {
        "record.json",
        "tiles.csv",
        "failures.csv",
    }
    names = {f"{name}.{kind}" for name in ("broken", "blind") for kind in ("txt", "json")}
    assert {p.name for p in (out / "failed").iterdir()} == names
    assert "SlideError" in (out / "failed" / "blind.txt").read_text()

    table = {row["name"]: row for row in summary(out)}
    assert set(table) == {"broken", "good", "blind", "set"}
    assert table["good"]["tiles"] == "6"
    assert table["good"]["kept"] == "6"
    assert float(table["good"]["kept_share"]) == 1
    with (out / "good" / "tiles.csv").open(newline="") as file:
        scores = [float(tile["log_likelihood"]) for tile in csv.DictReader(file)]
    assert float(table["good"]["median_log_likelihood"]) == np.median(scores)
    assert (table["good"]["mpp"], table["good"]["level"]) == ("0.5", "0")
    assert table["set"]["mpp"] == table["broken"]["kept_share"] == ""
    assert table["set"]["unreadable"] == "1"
    assert "--mpp-override" in table["blind"]["error"]

    run = json.loads((out / "run.json").read_text())
    assert run["command"] == ["rl2qc", "filter"]
    assert run["model"] == {
        "name": "brightness",
        "sha256": BrightnessModel.sha256,
        "patch_size": 64,
        "mpp": 0.5,
    }
    assert run["settings"]["alpha"] == 0.05
    assert run["inputs"] == {"all": 4, "failed": 2, "done": 1, "partial": 1}
    [_, unreadable] = [w for w in run["warnings"] if not w.startswith("good: no empty glass")]
    assert unreadable.startswith("set: 1 of 3 images cannot be measured: ")


def test_settings_reach_the_tiles(tmp_path: Path, tissue: np.ndarray) -> None:
    jobs, _ = find_inputs([write_slide(tmp_path / "a.tif", tissue, mpp=None)])
    settings = FilterSettings(alpha=0.99, mpp=1.0, mpp_override=0.5, any_mpp=True)
    (row,) = run_cohort(jobs, BrightnessModel(), tmp_path / "out", settings)
    # One and another that is moved inwards.
    assert (row.status, row.tiles, row.kept, row.mpp) == ("done", 2, 0, 1.0)


def test_slides_of_one_name_do_not_overwrite_each_other(tmp_path: Path, tissue: np.ndarray) -> None:
    for folder, part in (("x", tissue), ("y", tissue[:64])):
        (tmp_path / folder).mkdir()
        write_slide(tmp_path / folder / "a.tif", part)
    jobs, _ = find_inputs([tmp_path / "x", tmp_path / "y"])
    run_cohort(jobs, BrightnessModel(), tmp_path / "out")
    lines = [(tmp_path / "out" / n / "tiles.csv").read_text().count("\n") for n in ("x__a", "y__a")]
    assert lines == [7, 4]


def test_a_folder_of_others_is_refused(tmp_path: Path, tissue: np.ndarray) -> None:
    jobs, _ = find_inputs([write_slide(tmp_path / "a.tif", tissue)])
    out = tmp_path / "out"
    prepare_output(out, jobs)
    prepare_output(out, jobs)  # empty: nothing to lose
    assert not list(out.iterdir())
    (out / "a").mkdir()
    with pytest.raises(UsageError, match="holds a, which is of no run"):
        prepare_output(out, jobs)
    prepare_output(out, jobs, overwrite=True)
    with pytest.raises(UsageError, match="is a file"):
        prepare_output(tmp_path / "a.tif", jobs)
    (tmp_path / "taken").write_text("")
    with pytest.raises(WorkError, match="cannot write to --out"):
        prepare_output(tmp_path / "taken" / "out", jobs)


def test_old_results_do_not_pass_for_new_ones(tmp_path: Path, tissue: np.ndarray) -> None:
    path = write_slide(tmp_path / "a.tif", tissue)
    jobs, _ = find_inputs([path])
    out = tmp_path / "out"
    run_cohort(jobs, BrightnessModel(), out)
    (out / "a" / "notes.txt").write_text("mine")
    path.write_bytes(path.read_bytes()[:500])
    (row,) = run_cohort(jobs, BrightnessModel(), out)
    assert row.status == "failed"
    assert [p.name for p in (out / "a").iterdir()] == ["notes.txt"]
    write_slide(path, tissue)
    run_cohort(jobs, BrightnessModel(), out)
    assert not (out / "failed").exists()


def test_an_unforeseen_error_costs_one_input(tmp_path: Path, tissue: np.ndarray) -> None:
    class Moody(BrightnessModel):
        def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
            if len(images) == 2:
                raise ZeroDivisionError("of a\nmodel")
            return super().measure(images)

    write_slide(tmp_path / "a.tif", tissue[:64, :96])
    write_slide(tmp_path / "b.tif", tissue)
    jobs, _ = find_inputs([tmp_path])
    rows = run_cohort(jobs, Moody(), tmp_path / "out")
    assert [row.status for row in rows] == ["failed", "done"]
    assert rows[0].error == "ZeroDivisionError: of a model"
    assert "Traceback" in (tmp_path / "out" / "failed" / "a.txt").read_text()


def test_output_that_cannot_be_written_costs_one_input(tmp_path: Path, tissue: np.ndarray) -> None:
    for name in "ab":
        write_slide(tmp_path / f"{name}.tif", tissue)
    jobs, _ = find_inputs([tmp_path])
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").write_text("in the way")
    rows = run_cohort(jobs, BrightnessModel(), out)
    assert [row.status for row in rows] == ["failed", "done"]


def test_a_failed_export_leaves_no_part_of_itself(
    tmp_path: Path, tissue: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(table: TileTable, path: Path) -> None:
        raise OSError("disk full")

    replace_writer(monkeypatch, "overlay", fail)
    jobs, _ = find_inputs([write_slide(tmp_path / "a.tif", tissue)])
    (row,) = run_cohort(jobs, BrightnessModel(), tmp_path / "out")
    assert (row.status, row.error) == ("failed", "OSError: disk full")
    assert not list((tmp_path / "out" / "a").iterdir())


def test_progress_names_the_job(tmp_path: Path, tissue: np.ndarray) -> None:
    for name in "ab":
        write_slide(tmp_path / f"{name}.tif", tissue)
    jobs, _ = find_inputs([tmp_path])
    calls: list[tuple[str, int, int]] = []
    run_cohort(
        jobs,
        BrightnessModel(),
        tmp_path / "out",
        progress=lambda job, done, total: calls.append((job.name, done, total)),
    )
    assert calls == [("a", 0, 6), ("a", 6, 6), ("b", 0, 6), ("b", 6, 6)]


def test_names_that_are_no_text(tmp_path: Path, tissue: np.ndarray) -> None:
    source = write_slide(tmp_path / "a.tif", tissue)
    odd = tmp_path / "in" / "caf\udce9.tif"
    odd.parent.mkdir()
    shutil.copy(source, odd)
    jobs, _ = find_inputs([odd.parent])
    (row,) = run_cohort(jobs, BrightnessModel(), tmp_path / "out")
    assert row.status == "done", row.error
    assert b"caf\xe9" in (tmp_path / "out" / "summary.csv").read_bytes()


def test_broken_slides_fail_in_one_line(shared_data: Path, tmp_path: Path) -> None:
    jobs, _ = find_inputs([shared_data / "slides" / "broken"])
    rows = run_cohort(jobs, BrightnessModel(), tmp_path / "out")
    assert [row.status for row in rows] == ["failed"] * 3
    assert all(row.error and "\n" not in row.error for row in rows)


def test_a_run_needs_no_extra(
    tmp_path: Path, tissue: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers of formats whose libraries are not installed have no versions to tell."""
    asked = importlib.metadata.version

    def version(name: str) -> str:
        if name in {"fastslide", "pylibCZIrw", "zarr", "imagecodecs"}:
            raise importlib.metadata.PackageNotFoundError(name)
        return asked(name)

    write_slide(tmp_path / "a.tif", tissue)
    with monkeypatch.context() as patched:
        patched.setattr(importlib.metadata, "version", version)
        patched.setattr(Extra, "installed", property(lambda extra: False))
        _versions.cache_clear()
        found = rl2qc.filter_cohort(tmp_path / "a.tif", tmp_path / "out", BrightnessModel())
    _versions.cache_clear()
    assert [row.status for row in found.rows] == ["done"]
    known = json.loads((tmp_path / "out" / "run.json").read_text())["versions"]
    assert not {"fastslide", "zarr"} & set(known)


def test_a_reader_that_is_not_installed_is_wrong_usage(
    tmp_path: Path, tissue: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Extra, "installed", property(lambda extra: False))
    write_slide(tmp_path / "a.tif", tissue)
    with pytest.raises(UsageError, match="reader fastslide needs fastslide"):
        rl2qc.filter_cohort(
            tmp_path / "a.tif", tmp_path / "out", BrightnessModel(), reader="fastslide"
        )
    assert not (tmp_path / "out" / "run.json").exists()
