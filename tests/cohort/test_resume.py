"""What a run finds in its folder: finished work, changed settings, other processes, wreckage."""

from __future__ import annotations

import csv
import errno
import io
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cohort_helpers import prepare_output, replace_writer, run_cohort
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.cohort.decide import decide
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.job import Job
from rl2qc.cohort.run import Run, local
from rl2qc.cohort.store import locks
from rl2qc.cohort.store.record import JOURNAL
from rl2qc.cohort.store.summary import SummaryRow
from rl2qc.errors import UsageError, WorkError
from rl2qc.filtering.exports.registry import DEFAULT_FORMATS, FORMATS
from rl2qc.filtering.settings import FilterSettings


class CountingModel(BrightnessModel):
    """Writes a line for each batch; slow enough to be killed."""

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__()
        self._pause = pause

    def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
        time.sleep(self._pause)
        return super().measure(images)


def make_cohort(folder: Path, count: int) -> Path:
    rng = np.random.default_rng(3)
    folder.mkdir()
    for i in range(count):
        write_slide(folder / f"s{i}.tif", tissue_like(rng, 64, 128 + 64 * (i % 2)))
    (folder / "broken.svs").write_bytes(b"no slide")
    return folder


def run(
    folder: Path,
    out: Path,
    pause: float = 0.0,
    log: Path | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
) -> list[str]:
    """Filter a folder as the command does; the statuses of its inputs."""
    jobs, _ = find_inputs([folder])
    prepare_output(out, jobs)

    def note(job: Job, done: int, total: int) -> None:
        if log is not None and done == 0:
            with log.open("a") as file:
                file.write(job.name + "\n")

    rows = run_cohort(jobs, CountingModel(pause), out, formats=formats, progress=note)
    return [row.status for row in rows]


def contents(out: Path) -> dict[str, Any]:
    """Every final file, without what says when it was made."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.is_dir() or path.name.startswith((".tmp-", JOURNAL)) or name.startswith(".locks"):
            continue
        raw = path.read_bytes()
        if path.name in ("record.json", "run.json") or name.startswith("failed"):
            found[name] = raw
            if path.suffix == ".json":
                found[name] = timeless(json.loads(raw))
        elif path.name == "summary.csv":
            rows = list(csv.DictReader(io.StringIO(raw.decode())))
            found[name] = [{**row, "seconds": ""} for row in rows]
        elif path.name == "results.tsv":
            found[name] = raw.splitlines()[1:]
        else:
            found[name] = raw
    return found


def timeless(content: dict[str, Any]) -> dict[str, Any]:
    content = {k: v for k, v in content.items() if k not in ("seconds", "started", "runs")}
    if "row" in content:
        content["row"] = timeless(content["row"])
    return content


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("cohort") / "slides", 4)


OF_TOOLS = ("trident", "clam", "tiles", "histoqc", "parquet")


@pytest.fixture(scope="module")
def undisturbed(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    run(cohort, out)
    return contents(out)


@pytest.fixture(scope="module")
def server() -> multiprocessing.context.ForkServerContext:
    """Starts processes quickly, from one that has no threads and has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rl2qc.cohort.filter", "test_resume"])
    return context


# ---------------------------------------------------------------- finished work


def test_a_lock_left_behind_by_finished_work_goes(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(cohort, out)
    # As if killed between the record and the end of the lock.
    ended = subprocess.Popen(["true"])
    ended.wait()
    lock = out / ".locks" / f"{next(out.glob('*/record.json')).parent.name}.lock"
    lock.parent.mkdir()
    lock.write_text(json.dumps({**locks._self(), "pid": ended.pid, "token": "gone"}))
    run(cohort, out)
    assert not lock.parent.exists()


def test_finished_slides_are_not_measured_again(cohort: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    first = run(cohort, out)
    before = contents(out)
    assert run(cohort, out, log=log) == first
    assert contents(out) == before
    # Slides that failed are tried again, and fail before they have tiles.
    assert not log.exists()


def test_what_is_missing_or_new_is_measured(cohort: Path, tmp_path: Path, rng: Any) -> None:
    slides, out, log = tmp_path / "slides", tmp_path / "out", tmp_path / "log"
    make_cohort(slides, 3)
    run(slides, out)
    (out / "s0" / "overlay.png").unlink()
    shutil.rmtree(out / "s1")
    write_slide(slides / "s9.tif", tissue_like(rng, 64, 64))
    run(slides, out, log=log)
    assert log.read_text().split() == ["s0", "s1", "s9"]


def test_a_slide_that_changed_is_measured_again(cohort: Path, tmp_path: Path, rng: Any) -> None:
    slides, out, log = make_cohort(tmp_path / "slides", 2), tmp_path / "out", tmp_path / "log"
    run(slides, out)
    write_slide(slides / "s1.tif", tissue_like(rng, 64, 64))
    run(slides, out, log=log)
    assert log.read_text().split() == ["s1"]
    said = json.loads((out / "run.json").read_text())["warnings"]
    assert "s1 has changed since it was measured: measured again" in said
    assert (out / "s1" / "tiles.csv").read_text().count("\n") == 2


def test_a_cohort_may_move(cohort: Path, tmp_path: Path) -> None:
    slides, out, log = make_cohort(tmp_path / "slides", 2), tmp_path / "out", tmp_path / "log"
    run(slides, out)
    run(slides.rename(tmp_path / "elsewhere"), out, log=log)
    assert not log.exists()


def test_another_slide_of_the_same_name_is_refused(tmp_path: Path, rng: Any) -> None:
    for name in "xy":
        (tmp_path / name).mkdir()
        write_slide(tmp_path / name / "a.tif", tissue_like(rng, 64, 96))
    run(tmp_path / "x", tmp_path / "out")
    with pytest.raises(UsageError, match="results of another slide"):
        run(tmp_path / "y", tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"min_tissue": 0.2}, r"min_tissue 0\.1 -> 0\.2.*--overwrite"),
        ({"mpp_override": 0.5}, r"mpp_override default -> 0\.5"),
        ({"icc": True}, "icc False -> True"),
        ({"alpha": 0.01}, r"alpha 0\.05 -> 0\.01.*rl2qc decide"),
    ],
)
def test_changed_settings_are_noticed(
    cohort: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    out = tmp_path / "out"
    run(cohort, out)
    before = contents(out)
    jobs, _ = find_inputs([cohort])
    with pytest.raises(UsageError, match=said):
        run_cohort(jobs, BrightnessModel(), out, FilterSettings(**change))
    assert contents(out) == before
    rows = run_cohort(jobs, BrightnessModel(), out, FilterSettings(**change), overwrite=True)
    assert [row.status for row in rows] == ["failed", *["done"] * 4]
    # From here on, these are the settings of the folder.
    run_cohort(jobs, BrightnessModel(), out, FilterSettings(**change))


def test_changed_coordinates_are_noticed(tmp_path: Path, rng: Any) -> None:
    slide = write_slide(tmp_path / "a.tif", tissue_like(rng, 64, 192))
    out, jobs = tmp_path / "out", find_inputs([slide])[0]

    def run_on(place: Path, **options: Any) -> list[int]:
        model = BrightnessModel()
        run_cohort(jobs, model, out, FilterSettings(coords=str(place)), **options)
        return model.batches

    def write(file: Path, corners: list[tuple[int, int]]) -> None:
        with h5py.File(file, "w") as opened:
            coords = opened.create_dataset("coords", data=corners)
            coords.attrs.update(patch_size=64, patch_level=0)

    (tmp_path / "patches").mkdir()
    given = tmp_path / "patches" / "a.h5"
    write(given, [(0, 0)])
    assert run_on(given) == [1]
    # The same file, as its folder names it and where it moved to.
    assert run_on(tmp_path) == run_on(given.parent) == []
    moved = given.rename(tmp_path / "a.h5")
    assert run_on(moved) == []
    write(moved, [(0, 0), (64, 0)])
    with pytest.raises(UsageError, match=r"coords a\.h5 \(\w{12}\) -> a\.h5 \(\w{12}\).*overwrite"):
        run_on(moved)
    assert run_on(moved, overwrite=True) == [2]
    moved.unlink()
    with pytest.raises(UsageError, match=r"coords a\.h5 .* -> default"):
        run_on(moved)
    with pytest.raises(UsageError, match=r"coords a\.h5 .* -> default"):
        run_cohort(jobs, BrightnessModel(), out)


def test_settings_that_change_nothing_do_not_matter(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(cohort, out)
    jobs, _ = find_inputs([cohort])
    model = BrightnessModel()
    run_cohort(jobs, model, out, FilterSettings(batch_size=3, num_workers=1), formats=["csv"])
    assert model.batches == []


def test_options_and_formats_that_came_later_lock_nothing(cohort: Path, tmp_path: Path) -> None:
    run(cohort, tmp_path / "out")
    record = next((tmp_path / "out").glob("*/record.json"))
    content = json.loads(record.read_text())
    # As the first version wrote it.
    first = ("alpha", "coords", "icc", "min_tissue", "mpp", "mpp_override", "stride")
    settings = content["key"]["settings"]
    content["key"]["settings"] = {name: settings[name] for name in first}
    content["key"]["settings"]["formats"] = ["csv", "geojson", "overlay", "thumbnail"]
    record.write_text(json.dumps(content))
    before = record.stat().st_mtime_ns
    run(cohort, tmp_path / "out")
    assert record.stat().st_mtime_ns == before
    decide(tmp_path / "out", alpha=0.05, adapt="auto")
    run(cohort, tmp_path / "out")


def test_another_model_is_noticed(cohort: Path, tmp_path: Path) -> None:
    run(cohort, tmp_path / "out")
    jobs, _ = find_inputs([cohort])
    with pytest.raises(UsageError, match=r"model brightness \(b{12}\) -> brightness \(c{12}\)"):
        run_cohort(jobs, Other(), tmp_path / "out")


def results_of(path: Path, out: Path, **options: Any) -> list[str]:
    """Filter one slide; the warnings that the run records."""
    jobs, _ = find_inputs([path])
    model = options.pop("model", BrightnessModel())
    formats = options.pop("formats", ["csv"])
    overwrite = options.pop("overwrite", False)
    settings = FilterSettings(**options)
    run_cohort(jobs, model, out, settings, formats=formats, overwrite=overwrite)
    return json.loads((out / "run.json").read_text())["warnings"]


class Other(BrightnessModel):
    sha256 = "c" * 64


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": Other()}, r"model brightness \(b{12}\) -> brightness \(c{12}\)"),
        ({"min_tissue": 0.2}, r"min_tissue 0\.1 -> 0\.2"),
        ({"alpha": 0.01}, r"alpha 0\.05 -> 0\.01.*rl2qc decide \S+ --alpha 0\.01 does that"),
        ({"formats": ["clam"]}, r"rl2qc decide \S+ --format clam does that"),
        ({"formats": ["tiles"]}, r"thumbnail,tiles\): choose another --out"),
    ],
)
def test_another_slide_does_not_mix_settings(
    cohort: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """Whichever inputs a call names: shards, say, or one slide after the other."""
    first, second, out = cohort / "s0.tif", cohort / "s1.tif", tmp_path / "out"
    results_of(first, out)
    before = contents(out)
    with pytest.raises(UsageError, match=said):
        results_of(second, out, **change)
    assert contents(out) == before
    said_of_all = results_of(second, out, overwrite=True, **change)
    (warning,) = [w for w in said_of_all if "no empty glass is seen" not in w]
    assert warning.startswith("results of other settings stay in the folder (")
    assert warning.endswith(": s0")


def test_what_belongs_to_a_slide_may_differ(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    results_of(cohort / "s0.tif", out, formats=["csv", "clam"])
    results_of(cohort / "s1.tif", out, mpp_override=0.45, batch_size=3)
    names = {path.parent.name for path in out.glob("*/record.json")}
    assert names == {"s0", "s1"}


def test_processes_at_work_have_one_setting(cohort: Path, tmp_path: Path) -> None:
    """Whatever they have in hand, and before there is a result."""
    out = tmp_path / "out"

    def executor(run: Run, jobs: Sequence[Job]) -> Iterator[SummaryRow]:
        assert not list(out.glob("*/record.json"))
        said = r"at work.*\(min_tissue 0\.2 -> 0\.1\).*wait until it has ended"
        with pytest.raises(UsageError, match=said):
            results_of(cohort / "s1.tif", out)
        # The other one may not have written anything yet.
        for name in ("run.json", "summary.csv"):
            (out / name).unlink()
        with pytest.raises(UsageError, match=r"with other settings: choose another --out"):
            results_of(cohort / "s1.tif", out)
        results_of(cohort / "s1.tif", out, min_tissue=0.2)
        with pytest.raises(UsageError, match="rl2qc filter is at work in"):
            decide(out, 0.5)
        yield from local(run, jobs)

    jobs, _ = find_inputs([cohort / "s0.tif"])
    settings = FilterSettings(min_tissue=0.2)
    run_cohort(jobs, BrightnessModel(), out, settings, formats=["csv"], executor=executor)
    assert not (out / ".locks").exists()
    assert decide(out, 0.5).failures == ()


def test_a_run_that_ended_without_a_result_binds_nobody(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    results_of(cohort / "broken.svs", out, min_tissue=0.2)
    results_of(cohort / "s1.tif", out)


def test_one_that_stood_still_does_not_undo_what_another_did(cohort: Path, tmp_path: Path) -> None:
    """Its lock taken over, it wakes up when the other has finished, and fails."""
    out = tmp_path / "out"

    class Slow(BrightnessModel):
        def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
            (out / ".locks" / "s0.lock").unlink()
            results_of(cohort / "s0.tif", out)
            raise RuntimeError("woken")

    jobs, _ = find_inputs([cohort / "s0.tif"])
    (row,) = run_cohort(jobs, Slow(), out, formats=["csv"])
    assert (row.status, row.tiles) == ("done", 2)
    results_of(cohort / "s0.tif", tmp_path / "alone")
    assert contents(out) == contents(tmp_path / "alone")


def test_a_model_without_a_hash_vouches_for_nothing(cohort: Path, tmp_path: Path) -> None:
    class Unsaved(BrightnessModel):
        sha256 = ""

    jobs, _ = find_inputs([cohort])
    for _ in range(2):
        model = Unsaved()
        run_cohort(jobs, model, tmp_path / "out")
        assert sum(model.batches) == 10


# ---------------------------------------------------------------- disks


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_ends_the_run_and_loses_nothing(
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: dict[str, Any],
    code: int,
) -> None:
    written = 0

    def fail(table: Any, path: Path) -> None:
        nonlocal written
        written += 1
        if written > 2:
            raise OSError(code, os.strerror(code))
        write(table, path)

    write = FORMATS.get("overlay").write
    with monkeypatch.context() as patch:
        replace_writer(patch, "overlay", fail)
        with pytest.raises(WorkError, match=f"{os.strerror(code)}; what is finished is kept"):
            run(cohort, tmp_path / "out")
    assert written == 3  # the slides to come were not tried
    log = tmp_path / "log"
    run(cohort, tmp_path / "out", log=log)
    assert log.read_text().split() == ["s2", "s3"]
    assert contents(tmp_path / "out") == undisturbed


# ---------------------------------------------------------------- processes


@pytest.mark.parametrize(
    ("formats", "series"), [(DEFAULT_FORMATS, 5), (OF_TOOLS, 3)], ids=["default", "tools"]
)
def test_killed_at_any_moment_it_goes_on(
    cohort: Path,
    tmp_path: Path,
    server: multiprocessing.context.ForkServerContext,
    formats: tuple[str, ...],
    series: int,
) -> None:
    rng, killed = np.random.default_rng(11), 0
    run(cohort, tmp_path / "undisturbed", formats=formats)
    undisturbed = contents(tmp_path / "undisturbed")
    for number in range(series):
        out = tmp_path / str(number)
        for _ in range(4):
            process = server.Process(target=run, args=(cohort, out, 0.02, None, formats))
            process.start()
            # From the first file on, somewhere within a run.
            deadline = time.monotonic() + 60
            while not out.exists() and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.25))
            process.kill()
            process.join()
            killed += process.exitcode == -signal.SIGKILL
            # Whatever stands there under its final name is whole.
            for name, content in contents(out).items():
                if name not in ("run.json", "summary.csv", "results.tsv"):
                    assert content == undisturbed[name], name
        assert run(cohort, out, formats=formats) == ["failed", *["done"] * 4]
        assert contents(out) == undisturbed
        wreckage = (".tmp", ".lock", JOURNAL)
        assert not [path for path in out.rglob(".*") if path.name.startswith(wreckage)]
    assert killed >= 2 * series, "runs end before they are killed: the test shows nothing"


def test_processes_share_a_folder(
    tmp_path: Path, server: multiprocessing.context.ForkServerContext
) -> None:
    slides = make_cohort(tmp_path / "slides", 12)
    (slides / "broken.svs").unlink()
    run(slides, tmp_path / "alone")
    logs = [tmp_path / f"log{i}" for i in range(3)]
    both = [server.Process(target=run, args=(slides, tmp_path / "out", 0.05, log)) for log in logs]
    for process in both:
        process.start()
    for process in both:
        process.join()
        assert process.exitcode == 0
    measured = [log.read_text().split() if log.exists() else [] for log in logs]
    assert sorted(name for names in measured for name in names) == sorted(
        f"s{i}" for i in range(12)
    )
    assert sum(bool(names) for names in measured) >= 2
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
    assert not (tmp_path / "out" / ".locks").exists()
