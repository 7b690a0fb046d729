"""The cohort on a local Ray cluster of two workers."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import slide_helpers
import test_resume
import torch
import toy_killer
from cohort_helpers import prepare_output, run_cohort
from slide_helpers import BrightnessModel, tissue_like, write_slide
from test_resume import contents, make_cohort, run

from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.ray import RayExecutor
from rl2qc.cohort.ray import _import_ray as import_ray
from rl2qc.errors import UsageError, WorkError
from rl2qc.filtering.settings import FilterSettings
from rl2qc.slides.readers.base import READERS, register_reader


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'rl2qc[ray]'")
    for module in (slide_helpers, test_resume, toy_killer, sys.modules[__name__]):
        ray.cloudpickle.register_pickle_by_value(module)
    ray.init(
        num_cpus=2,
        num_gpus=1,  # as far as Ray is told: tasks get it, and no more is done with it
        include_dashboard=False,
        logging_level="error",
        log_to_driver=False,
    )
    yield ray
    ray.shutdown()


def crashing(marker: Path) -> Callable[[], BrightnessModel]:
    """Loads a model that kills its worker the first time it is used."""

    class Crashes(BrightnessModel):
        def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
            try:
                marker.touch(exist_ok=False)
            except FileExistsError:
                return super().measure(images)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

    return Crashes


def test_a_worker_that_dies_costs_nothing(cluster: Any, tmp_path: Path) -> None:
    slides, out = make_cohort(tmp_path / "slides", 4), tmp_path / "out"
    run(slides, tmp_path / "alone")
    jobs, _ = find_inputs([slides])
    prepare_output(out, jobs)
    rows = run_cohort(
        jobs,
        BrightnessModel(),
        out,
        executor=RayExecutor(crashing(tmp_path / "died")),
    )
    assert (tmp_path / "died").exists()
    assert [row.status for row in rows] == ["failed", *["done"] * 4]
    ours, theirs = contents(out), contents(tmp_path / "alone")
    # A traceback tells which way led to the error.
    for found in (ours, theirs):
        assert "SlideError" in found.pop("failed/broken.txt").decode()
    assert ours == theirs
    # Resumed on this machine: everything is there.
    model = BrightnessModel()
    run_cohort(jobs, model, out)
    assert model.batches == []


def test_a_worker_that_always_dies_costs_its_slide(cluster: Any, tmp_path: Path) -> None:
    class Dies(BrightnessModel):
        def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
            if len(images) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().measure(images)

    jobs, _ = find_inputs([make_cohort(tmp_path / "slides", 2)])
    engine = RayExecutor(Dies, retries=1)
    rows = run_cohort(jobs, BrightnessModel(), tmp_path / "out", executor=engine)
    assert [(row.name, row.status) for row in rows] == [
        ("broken", "failed"),
        ("s0", "failed"),
        ("s1", "done"),
    ]
    assert (tmp_path / "out" / "failed" / "s0.txt").exists()


def test_a_full_disk_ends_the_run(cluster: Any, tmp_path: Path) -> None:
    class Full(BrightnessModel):
        def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
            raise OSError(errno.ENOSPC, "No space left on device")

    jobs, _ = find_inputs([make_cohort(tmp_path / "slides", 1)])
    with pytest.raises(WorkError, match="what is finished is kept") as caught:
        run_cohort(jobs, BrightnessModel(), tmp_path / "out", executor=RayExecutor(Full))
    assert "\n" not in str(caught.value)


def test_workers_need_not_start_where_we_are(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cohort(tmp_path / "slides", 1)
    (tmp_path / "coords").mkdir()
    with h5py.File(tmp_path / "coords" / "s0.h5", "w") as file:
        coords = file.create_dataset("coords", data=[(64, 0)])
        coords.attrs.update(patch_size=64, patch_level=0)
    monkeypatch.chdir(tmp_path)
    (broken, whole), _ = find_inputs([Path("slides")])
    one_file = replace(whole, name="one", coords="coords/s0.h5")
    rows = run_cohort(
        [broken, whole, one_file],
        BrightnessModel(),
        Path("out"),
        FilterSettings(coords="coords"),
        executor=RayExecutor(BrightnessModel),
    )
    assert [(row.status, row.tiles) for row in rows[1:]] == [("done", 1)] * 2
    assert (tmp_path / "out" / "one" / "tiles.csv").exists()


class Noting(BrightnessModel):
    """Says in a folder which workers load it, what they are given, and when."""

    def __init__(self, folder: Path, slow: int = 0, device: str = "cpu") -> None:
        super().__init__()
        self.device, self._slow = torch.device(device), slow
        folder.mkdir(exist_ok=True)
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        (folder / f"{os.getpid()}-{time.monotonic_ns()}").write_text(gpus)

    def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
        if len(images) == self._slow:
            time.sleep(1)
        return super().measure(images)


def loads(folder: Path) -> list[tuple[str, str]]:
    """Process and GPUs of each load."""
    return [(path.name.split("-")[0], path.read_text()) for path in folder.iterdir()]


@pytest.mark.parametrize(("device", "given"), [("cuda", "0"), ("cpu", "")])
def test_a_model_on_a_gpu_is_given_one(
    cluster: Any, tmp_path: Path, device: str, given: str
) -> None:
    """Ray hides GPUs from tasks that ask for none."""
    jobs, _ = find_inputs([make_cohort(tmp_path / "slides", 1)])
    model = Noting(tmp_path / "here", device=device)
    engine = RayExecutor(partial(Noting, tmp_path / "loads"))
    rows = run_cohort(jobs, model, tmp_path / "out", executor=engine)
    assert [row.status for row in rows] == ["failed", "done"]
    assert {gpus for _, gpus in loads(tmp_path / "loads")} == {given}


def test_a_cluster_without_a_gpu_does_the_work_all_the_same(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that asks for what no machine has would wait forever."""
    monkeypatch.setattr(cluster, "cluster_resources", lambda: {"CPU": 2.0})
    jobs, _ = find_inputs([make_cohort(tmp_path / "slides", 1)])
    model = Noting(tmp_path / "here", device="cuda")
    engine = RayExecutor(partial(Noting, tmp_path / "loads"))
    with pytest.warns(RuntimeWarning, match="the Ray cluster has no GPU"):
        rows = run_cohort(jobs, model, tmp_path / "out", executor=engine)
    assert rows[1].status == "done"
    assert {gpus for _, gpus in loads(tmp_path / "loads")} == {""}


def test_progress_tells_of_each_slide_and_workers_load_once(cluster: Any, tmp_path: Path) -> None:
    slides, out = make_cohort(tmp_path / "slides", 4), tmp_path / "out"
    jobs, _ = find_inputs([slides])
    # Finished before, and no work of this run.
    run_cohort([job for job in jobs if job.name == "s3"], BrightnessModel(), out)
    calls: list[tuple[str, int, int]] = []
    run_cohort(
        jobs,
        BrightnessModel(),
        out,
        # A partial, as of the command: each task gets a new one from the wire. And
        # slides of two tiles take long: s0, of the first to begin, is of the last to end.
        executor=RayExecutor(partial(Noting, tmp_path / "loads", slow=2)),
        progress=lambda job, done, total: calls.append((job.name, done, total)),
    )
    names, done, totals = zip(*calls, strict=True)
    # What fails before it has tiles, and what was done before, has no part in the count of tiles.
    assert sorted(names) == ["s0", "s1", "s2"]
    assert names[0] == "s1"
    assert done == totals
    assert sum(totals) == 2 + 3 + 2
    workers = [worker for worker, _ in loads(tmp_path / "loads")]
    assert 1 <= len(workers) <= 2
    assert len(set(workers)) == len(workers)


def test_a_slide_that_kills_its_reader_fails_alone(cluster: Any, tmp_path: Path) -> None:
    def load() -> BrightnessModel:
        register_reader(killer, replace=True)
        return BrightnessModel()

    killer, slides = toy_killer.spec(), tmp_path / "slides"
    slides.mkdir()
    pixels = tissue_like(np.random.default_rng(0), 256, 256)
    for name in ("a.tif", "bad-tile.toy", "z.tif"):
        write_slide(slides / name, pixels)
    register_reader(killer)
    try:
        jobs, _ = find_inputs([slides])
        out = tmp_path / "out"
        rows = run_cohort(jobs, BrightnessModel(), out, executor=RayExecutor(load))
    finally:
        READERS.unregister("killer")
    assert [row.status for row in rows] == ["done", "failed", "done"]
    assert "bad-tile.toy killed the process that reads it twice (SIGSEGV)" in rows[1].error


def test_a_model_that_a_worker_does_not_have_ends_the_run(cluster: Any, tmp_path: Path) -> None:
    def load() -> BrightnessModel:
        raise UsageError("no such model: mine.safetensors")

    jobs, _ = find_inputs([make_cohort(tmp_path / "slides", 1)])
    with pytest.raises(WorkError, match=r"^no such model: mine\.safetensors$"):
        run_cohort(jobs, BrightnessModel(), tmp_path / "out", executor=RayExecutor(load))
    assert not (tmp_path / "out" / "failed").exists()


def test_ray_reports_nothing_home_unless_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'rl2qc[ray]'")
    usage = pytest.importorskip("ray._common.usage.usage_lib")
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    import_ray()
    assert not usage.usage_stats_enabled()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    import_ray()
    assert usage.usage_stats_enabled()


def test_no_cluster_at_the_address(
    rl2qc: Callable[..., Any],
    red_model: None,
    slide: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray itself would try for minutes, with lines of its own."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'rl2qc[ray]'")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: pytest.fail("Ray was asked"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # nobody listens
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "127.0.0.1:99999"):
            run = ("filter", slide, "-o", tmp_path / "out", "--engine", "ray")
            outcome = rl2qc(*run, "--address", address)
            assert outcome.code == 2
            assert f"no Ray cluster at {address}: " in outcome.error
            monkeypatch.setenv("RAY_ADDRESS", address)
            assert f"no Ray cluster at {address}: " in rl2qc(*run).error
            monkeypatch.delenv("RAY_ADDRESS")


@pytest.mark.parametrize("error", [ConnectionError, ValueError, RuntimeError])
def test_what_ray_says_of_an_address_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'rl2qc[ray]'")

    def refuse(**options: Any) -> None:
        assert options["address"] == "nonsense"
        raise error("no such\nthing")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    engine = RayExecutor(BrightnessModel, "nonsense")
    with pytest.raises(UsageError, match=r"^no Ray cluster at nonsense: no such thing$"):
        run_cohort([], BrightnessModel(), tmp_path / "out", executor=engine)


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    jobs, _ = find_inputs([make_cohort(tmp_path / "slides", 1)])
    with pytest.raises(UsageError, match=r"pip install 'rl2qc\[ray\]'"):
        run_cohort(jobs, BrightnessModel(), tmp_path / "out", executor=RayExecutor(BrightnessModel))
