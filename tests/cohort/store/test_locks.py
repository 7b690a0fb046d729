from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rl2qc.cohort.store import locks
from rl2qc.cohort.store.locks import STALE_AFTER, try_lock, wait_for_lock
from rl2qc.errors import WorkError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "a.lock"


def foreign(path: Path, *, age: float = 0.0, **owner: object) -> Path:
    """A lock that another process left, seen ``age`` seconds ago."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(owner) if owner else "")
    os.utime(path, (time.time() - age,) * 2)
    return path


def process(pid: int, **other: object) -> dict[str, object]:
    """A process that we would see, unless ``other`` says otherwise."""
    return {**locks._place(), "pid": pid, "token": "t", **other}


@pytest.fixture
def dead() -> int:
    """The number of a process that is no more."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def taken(path: Path) -> bool:
    with try_lock(path) as mine:
        return mine


def test_one_owner_at_a_time(path: Path) -> None:
    inside, most = 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with wait_for_lock(path):
                with guard:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.0005)
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert not list(path.parent.iterdir())


def test_a_lock_is_released_by_an_error(path: Path) -> None:
    with pytest.raises(RuntimeError), try_lock(path) as mine:
        assert mine
        raise RuntimeError
    assert taken(path)


def test_a_dead_process_of_this_machine_holds_nothing(path: Path, dead: int) -> None:
    assert taken(foreign(path, **process(dead)))


@pytest.mark.parametrize("other", ["host", "boot", "namespace"])
def test_a_process_that_we_would_not_see_may_live(path: Path, dead: int, other: str) -> None:
    """Containers and machines may share a name, and count their processes each for itself."""
    owner = process(dead, **{other: "another"})
    assert not taken(foreign(path, **owner))
    assert taken(foreign(path, age=STALE_AFTER + 1, **owner))


def test_a_living_process_of_this_machine_keeps_its_lock(path: Path) -> None:
    assert not taken(foreign(path, **process(os.getppid())))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system has no /proc")
def test_a_number_that_was_given_again_is_another_process(path: Path) -> None:
    assert taken(foreign(path, **process(os.getppid(), born="1")))
    assert not taken(foreign(path, **process(os.getppid(), born=locks._born(os.getppid()))))


@pytest.mark.parametrize("owner", [{"host": "elsewhere", "pid": 1, "token": "t"}, {}])
def test_signs_of_life_of_other_machines(path: Path, owner: dict[str, object]) -> None:
    assert not taken(foreign(path, **owner))
    assert taken(foreign(path, age=STALE_AFTER + 1, **owner))


def test_an_owner_gives_signs_of_life(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "HEARTBEAT", 0.01)
    with try_lock(path):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0


def test_a_lock_that_was_taken_over_is_left_alone(path: Path) -> None:
    with try_lock(path):
        foreign(path, host="elsewhere", pid=1, token="other")
    assert path.exists()


def test_a_new_lock_is_not_broken_for_an_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes find the same stale lock; the slower one must not break the faster's new."""
    foreign(path, age=STALE_AFTER + 1, host="elsewhere", pid=1, token="old")
    rename = Path.rename

    def slow(self: Path, target: Path) -> Path:
        foreign(path, host="elsewhere", pid=2, token="new")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", slow)
    assert not taken(path)
    assert json.loads(path.read_text())["token"] == "new"


def test_without_hard_links(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", no)
    with try_lock(path) as mine, try_lock(path) as again:
        assert mine
        assert not again
    assert taken(path)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("moment", ["write_text", "link"])
def test_a_sweep_in_between_is_survived(
    path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, whole: bool
) -> None:
    """A run that ends removes drafts, and the folder of the locks if it is empty."""
    owner = os if moment == "link" else Path
    act, swept = getattr(owner, moment), []

    def sweep(*arguments: Any, **options: Any) -> Any:
        if not swept:
            swept.append(True)
            for file in path.parent.iterdir():
                file.unlink()
            if whole or moment == "write_text":
                path.parent.rmdir()
        return act(*arguments, **options)

    monkeypatch.setattr(owner, moment, sweep)
    with try_lock(path) as mine, try_lock(path) as again:
        assert swept
        assert mine
        assert not again
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not list(path.parent.iterdir())


def test_waiting_ends(path: Path) -> None:
    foreign(path, host="elsewhere", pid=1, token="t")
    with pytest.raises(WorkError, match="stays locked"), wait_for_lock(path, seconds=0.1):
        pass
