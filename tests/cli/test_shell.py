"""Files, standard output and signals of commands, as a shell has them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl2qc.errors import ExitCode

ROOT = Path(__file__).resolve().parents[2]


def started(place: Path, *arguments: object, **options: object) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("environment", {})}
    program = options.get("program", ("-m", "rl2qc"))
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=options.get("stdout", subprocess.PIPE),
        stderr=options.get("stderr", subprocess.PIPE),
    )


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Two folders of masks, one of them with a name that no Western code page has."""
    for folder in ("a", "生成"):
        (tmp_path / folder).mkdir()
        for i in range(3):
            mask = np.zeros((8, 8), np.uint8)
            mask[: 4 + i] = 255
            Image.fromarray(mask).save(tmp_path / folder / f"图{i}.png")
    return tmp_path


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_what_is_there_is_replaced_only_when_asked(
    rl2qc: Callable, masks: Path, option: str
) -> None:
    notes = masks / "notes.txt"
    notes.write_text("mine")
    arguments = ("dice", masks / "a", masks / "生成", option, notes)
    refused = rl2qc(*arguments)
    assert refused.code == 2
    assert "notes.txt exists" in refused.error
    assert notes.read_text() == "mine"
    assert rl2qc(*arguments, "--overwrite").code == 0
    assert notes.read_text() != "mine"


@pytest.mark.parametrize("name", ["a/图0.png", "link", "b/../a/图1.png"])
@pytest.mark.parametrize("sets", [("a", "生成"), ("a/*.png", "生成/*.png")])
def test_what_is_read_is_never_replaced(
    rl2qc: Callable, masks: Path, name: str, sets: tuple[str, str], monkeypatch
) -> None:
    monkeypatch.chdir(masks)
    (masks / "b").mkdir()
    (masks / "link").symlink_to("a/图2.png")
    before = {path: path.read_bytes() for path in masks.glob("*/*")}
    refused = rl2qc("dice", *sets, "--csv", name, "--overwrite")
    assert (refused.code, f"{name} is read as part of {sets[0]}" in refused.error) == (2, True)
    assert {path: path.read_bytes() for path in masks.glob("*/*")} == before
    # A report among the pictures is nobody's picture.
    (masks / "a" / "d.csv").write_text("old")
    assert rl2qc("dice", *sets, "--csv", "a/d.csv", "--overwrite").code == 0


@pytest.mark.parametrize("command", ["score", "compare", "reject", "agree"])
def test_each_command_knows_what_it_reads(
    rl2qc: Callable, masks: Path, command: str, monkeypatch
) -> None:
    monkeypatch.chdir(masks)
    (masks / "t.csv").write_text("generator,dice,fid\na,1,2\nb,2,3\n")
    arguments, target = {
        "score": ("a -r 生成", "生成/图0.png"),
        "compare": ("a 生成 -r a --also t.csv", "t.csv"),
        "reject": ("a --train 生成", "生成/图0.png"),
        "agree": ("t.csv", "t.csv"),
    }[command]
    refused = rl2qc(command, *arguments.split(), "--json", target, "--overwrite")
    assert (refused.code, "is read as part of" in refused.error) == (2, True)


@pytest.mark.parametrize(
    "command",
    [
        *("score", "compare", "dice", "train", "benchmark", "demo", "filter"),
        *("review", "reject", "watch", "agree"),
    ],
)
def test_one_word_for_all_commands(rl2qc: Callable, command: str) -> None:
    assert "--overwrite" in rl2qc(command, "--help").out


def test_a_folder_is_no_standard_output(rl2qc: Callable, masks: Path, monkeypatch) -> None:
    monkeypatch.chdir(masks)
    for command in ("filter a", "watch a -r a", "benchmark -c a", "demo"):
        done = rl2qc(*command.split(), "-o", "-")
        assert (done.code, "this writes several files" in done.error) == (2, True), command
    assert sorted(p.name for p in masks.iterdir()) == ["a", "生成"]


def test_dash_and_a_code_page(masks: Path) -> None:
    done = started(
        masks, "dice", "a", "生成", "--json", "-", environment={"PYTHONIOENCODING": "cp1252"}
    )
    out, err = done.communicate(timeout=120)
    assert done.returncode == 0, err
    assert json.loads(out)["schema_version"] == 2
    assert b"Traceback" not in err
    assert sorted(p.name for p in masks.iterdir()) == ["a", "生成"]


@pytest.mark.parametrize("both", [False, True])
def test_a_reader_that_goes_away_costs_no_file(masks: Path, both: bool) -> None:
    """As in ``rl2qc ... | head -1``, and with ``2>&1``."""
    reading, writing = os.pipe()
    os.close(reading)
    error = writing if both else subprocess.PIPE
    done = started(masks, "dice", "a", "生成", "--json", "d.json", stdout=writing, stderr=error)
    os.close(writing)
    _, err = done.communicate(timeout=120)
    assert done.returncode == 0
    assert b"Traceback" not in (err or b"")
    assert json.loads((masks / "d.json").read_text())


def test_a_full_disk_behind_standard_output_costs_no_file(masks: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = started(masks, "dice", "a", "生成", "--json", "d.json", stdout=full)
        _, err = done.communicate(timeout=120)
    assert done.returncode == ExitCode.FAILED
    assert "rl2qc: error: cannot read or write: No space left" in err.decode()
    assert json.loads((masks / "d.json").read_text())


# The command line with a model that needs no loading, and is slow.
STOPPED = """
import signal, time
from rl2qc.cli import main
from rl2qc.model.quality import QualityModel

class Slow:
    patch_size, mpp, name, sha256 = 64, 0.5, "slow", "ab" * 32

    def measure(self, images):
        time.sleep(0.05 if len(images) < 5 else 30)
        return {"p_value": images.mean(axis=(1, 2, 3)) / 255}

QualityModel.load = lambda name: Slow()
# Ignored where the tests run in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted")]
)
def test_a_run_that_is_stopped_leaves_no_lock(tmp_path: Path, number: int, word: str) -> None:
    for name, count in (("1", 2), ("2", 9)):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new("RGB", (64, 64), (9 * i,) * 3).save(tmp_path / name / f"{i}.png")
    arguments = ("filter", "1", "2", "-o", "out")
    run = started(tmp_path, *arguments, program=("-c", STOPPED))
    deadline = time.monotonic() + 120
    while not (tmp_path / "out" / ".locks" / "2.lock").exists():
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.02)
    run.send_signal(number)
    out, err = run.communicate(timeout=60)
    lines = [line for line in err.decode().splitlines() if word in line]
    assert run.returncode == 128 + number
    assert lines == [
        f"rl2qc: {word}: 1 of 2 inputs are done and kept: the same command does what is left"
    ]
    assert b"Traceback" not in err
    assert not out
    assert not (tmp_path / "out" / ".locks").exists()
    assert not list((tmp_path / "out").rglob(".tmp-*"))


# A signal sent by the first import of what the commands need; it is heeded where it meets one.
EARLY = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from rl2qc.cli import main

class Import:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), int(sys.argv.pop(2)))

sys.meta_path.insert(0, Import())
main()
"""


@pytest.mark.parametrize("module", ["rl2qc.cli.app", "numpy", "rl2qc.scoring.settings", "typer"])
@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted")]
)
def test_a_stop_while_modules_are_imported_is_a_line(
    tmp_path: Path, module: str, number: int, word: str
) -> None:
    run = started(tmp_path, module, int(number), "decide", program=("-c", EARLY))
    out, err = run.communicate(timeout=120)
    assert (run.returncode, out) == (128 + number, b"")
    assert err.decode() == f"rl2qc: {word}: nothing is finished: the same command begins anew\n"


def test_what_stands_before_the_handlers_is_next_to_nothing() -> None:
    code = "import sys; import rl2qc.cli; print(sorted(m for m in sys.modules if 'rl2qc' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, check=True)
    assert done.stdout.decode().strip() == "['rl2qc', 'rl2qc.cli', 'rl2qc.cli.signals']"
