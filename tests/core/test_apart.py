"""Calls in a process of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rl2qc.core import apart as module
from rl2qc.core.apart import ISOLATION_VARIABLE, Died, Helper, apart, is_apart
from rl2qc.errors import SlideError

MODULE = "rl2qc.core.apart"


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ISOLATION_VARIABLE, raising=False)


@pytest.fixture
def mine() -> Iterator[Helper]:
    helper = Helper()
    yield helper
    helper.close()


def pixels(n: int, value: int) -> list[NDArray[np.uint8]]:
    return [np.full((100, 200, 3), value + i, np.uint8) for i in range(n)]


def refuse() -> None:
    raise SlideError("it is damaged")


def stop(number: int) -> None:
    os.kill(os.getpid(), number)


def test_a_call_runs_elsewhere_and_gives_the_same() -> None:
    assert apart(os.getpid) != os.getpid()
    assert apart(os.getppid) == os.getpid()
    for n in (1, 40):  # in the first block, and in more than it holds
        for _ in range(2):
            found = apart(pixels, n, 3)
            assert [part.tolist() for part in found] == [part.tolist() for part in pixels(n, 3)]
            assert found[0].flags.writeable


def test_errors_come_back_as_they_are() -> None:
    with pytest.raises(SlideError, match=r"^it is damaged$"):
        apart(refuse)
    assert apart(abs, -1) == 1


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGKILL, signal.SIGBUS])
def test_a_death_is_named_and_the_next_call_served(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Died) as caught:
        apart(stop, int(number))
    assert caught.value.signal == number.name
    assert apart(abs, -1) == 1
    assert capfd.readouterr() == ("", "")


def test_an_exit_is_a_death_too() -> None:
    with pytest.raises(Died) as caught:
        apart(os._exit, 3)
    assert caught.value.signal == "exit code 3"


def test_what_stands_behind_a_deadly_call_dies_with_it(mine: Helper) -> None:
    calls = [mine.submit(abs, -1), mine.submit(stop, 9), mine.submit(abs, -2)]
    assert calls[0].result() == 1
    for call in calls[1:]:
        with pytest.raises(Died) as caught:
            call.result()
        assert caught.value.process == calls[0].process
    again = mine.submit(abs, -3)
    assert again.result() == 3 and again.process != calls[0].process


def test_threads_have_helpers_of_their_own() -> None:
    before = len(module._idle)
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda i: apart(abs, -i), range(30))) == list(range(30))
    assert len(module._idle) <= max(3, before)


def test_relative_names_are_looked_up_where_the_caller_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.txt").write_text("yes")
    apart(abs, 1)
    monkeypatch.chdir(tmp_path)
    assert apart(Path.read_text, Path("here.txt")) == "yes"


def test_a_folder_that_is_gone_costs_no_call(
    mine: Helper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper that was at work in one, and a caller that is in one."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        monkeypatch.chdir(folder)
        assert mine.submit(os.path.abspath, "a").result() == str(folder / "a")
    first.rmdir()
    second.rmdir()
    assert mine.submit(abs, -1).result() == 1
    monkeypatch.chdir(tmp_path)
    assert mine.submit(os.path.abspath, "a").result() == str(tmp_path / "a")


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not apart(is_apart)  # within
    for value in ("off", "0"):
        monkeypatch.setenv(ISOLATION_VARIABLE, value)
        assert not is_apart() and apart(os.getpid) == os.getpid()
    monkeypatch.setenv(ISOLATION_VARIABLE, "on")
    assert is_apart()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_that_had_a_helper_ends_at_once(method: str) -> None:
    start = time.monotonic()
    process = multiprocessing.get_context(method).Process(target=apart, args=(abs, -1))
    process.start()
    process.join(60)
    assert process.exitcode == 0 and time.monotonic() - start < 30


def test_nothing_stays_when_the_caller_is_killed(tmp_path: Path) -> None:
    # Of a script without a guard, too.
    code = f"import os, sys\nfrom {MODULE} import apart\nprint(apart(os.getpid), flush=True)\n"
    script = tmp_path / "script.py"
    script.write_text(code + "sys.stdin.read()\n")
    before = set(Path("/dev/shm").glob("rl2qc-*"))
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        helper = int(process.stdout.readline())
        os.kill(helper, 0)
        process.kill()
    for _ in range(100):
        if not Path(f"/proc/{helper}").exists():
            break
        time.sleep(0.1)
    else:
        pytest.fail("the helper outlives what it helped")
    assert set(Path("/dev/shm").glob("rl2qc-*")) <= before


# As Ctrl-C does to every process of a terminal, also to one that only begins.
INTERRUPTED = """
import os, signal, sys
if any("popen_loky" in word or "spawn_main" in word for word in sys.orig_argv):
    os.kill(os.getpid(), signal.SIGINT)
"""
HELPED = """
from rl2qc.cohort.decide import _mapping
from rl2qc.core.apart import apart
if __name__ == "__main__":
    print(apart(divmod, 7, 2))
    with _mapping(2) as mapped:
        print(list(mapped(abs, [-1, -2])))
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no masks of signals here")
def test_an_interrupt_that_meets_a_process_at_its_start_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    (tmp_path / "helped.py").write_text(HELPED)
    path = os.pathsep.join((str(tmp_path), str(Path(__file__).resolve().parents[2])))
    done = subprocess.run(
        [sys.executable, "helped.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines() == ["(3, 1)", "[1, 2]"], done.stderr
    assert "KeyboardInterrupt" not in done.stderr
