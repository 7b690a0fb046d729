"""The cohort on a local Ray cluster of two workers."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slide_helpers
import test_resume
from slide_helpers import BrightnessModel
from test_resume import contents, make_cohort, run

from rl2qc.errors import UsageError, WorkError
from rl2qc.slides.cohort import prepare_output, run_cohort
from rl2qc.slides.engine_ray import RayEngine
from rl2qc.slides.jobs import find_jobs


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'rl2qc[ray]'")
    for module in (slide_helpers, test_resume, sys.modules[__name__]):
        ray.cloudpickle.register_pickle_by_value(module)
    ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
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
    jobs, _ = find_jobs([slides])
    prepare_output(out, jobs)
    seen: list[str] = []
    rows = run_cohort(
        jobs,
        BrightnessModel(),
        out,
        engine=RayEngine(crashing(tmp_path / "died")),
        progress=lambda number, job, done, total: seen.append(job.name),
    )
    assert (tmp_path / "died").exists()
    assert [row.status for row in rows] == ["failed", *["done"] * 4]
    assert sorted(seen) == sorted(job.name for job in jobs)
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

    jobs, _ = find_jobs([make_cohort(tmp_path / "slides", 2)])
    engine = RayEngine(Dies, retries=1)
    rows = run_cohort(jobs, BrightnessModel(), tmp_path / "out", engine=engine)
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

    jobs, _ = find_jobs([make_cohort(tmp_path / "slides", 1)])
    with pytest.raises(WorkError, match="what is finished is kept") as caught:
        run_cohort(jobs, BrightnessModel(), tmp_path / "out", engine=RayEngine(Full))
    assert "\n" not in str(caught.value)


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    jobs, _ = find_jobs([make_cohort(tmp_path / "slides", 1)])
    with pytest.raises(UsageError, match=r"pip install 'rl2qc\[ray\]'"):
        run_cohort(jobs, BrightnessModel(), tmp_path / "out", engine=RayEngine(BrightnessModel))
