"""What a message repeats of a call is of bounded length, whatever option or name it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from rl2qc.cli.app import app
from rl2qc.errors import Rl2qcError, UsageError, shortened

LONG = "a" * 6000
# What each command asks for besides; none of it is there.
CALLS = {
    "train": "no -o m.safetensors",
    "filter": "no -o out",
    "decide": "no",
    "review": "no",
    "score": "no -r no",
    "compare": "no no2 -r no",
    "reject": "no --train no",
    "watch": "no -r no",
    "dice": "no no2",
    "agree": "no",
    "benchmark": "-c no -o out",
}


def options() -> Iterator[tuple[str, str]]:
    commands = typer.main.get_command(app).commands
    assert set(commands) == {*CALLS, "demo", "cache"}
    for name in CALLS:
        for parameter in commands[name].params:
            if parameter.param_type_name == "option" and not parameter.is_flag:
                yield name, max(parameter.opts, key=len)


OPTIONS = list(options())


def check(done: object) -> None:
    assert done.code in (1, 2)
    assert "Traceback" not in done.err
    assert 0 < len(done.err) < 3000
    assert "a" * 200 not in done.err


def test_options_are_found() -> None:
    assert len(OPTIONS) > 150
    assert ("score", "--group-pattern") in OPTIONS


@pytest.mark.parametrize("command", CALLS)
def test_no_option_is_repeated_whole(
    rl2qc: Callable, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for option in [option for name, option in OPTIONS if name == command]:
        check(rl2qc(command, *CALLS[command].split(), option, LONG))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", [(LONG,), (f"--{LONG}",), *((c, LONG) for c in CALLS)])
def test_neither_are_names(rl2qc: Callable, call: tuple[str, ...], tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(rl2qc(*call))
    check(rl2qc(*call[:-1], f"--{LONG}"))


@pytest.mark.parametrize("cell", [LONG, "word " * 1200])
def test_neither_is_what_a_table_holds(rl2qc: Callable, tmp_path: Path, cell: str) -> None:
    scores = tmp_path / "scores.csv"
    for text in (f"name,dice,fid\na,{cell},3\nb,.2,2\nc,.3,1\n", f"{cell},dice,{cell}\na,.1,3\n"):
        scores.write_text(text)
        done = rl2qc("agree", scores)
        check(done)
        assert "scores.csv" in done.error


@pytest.mark.parametrize("kind", [Rl2qcError, *Rl2qcError.__subclasses__()])
def test_errors_of_calls_are_short_too(kind: type[Rl2qcError]) -> None:
    said = str(kind(f"no group in {LONG}: " + "word " * 900 + "give --groups"))
    assert len(said) <= 2000
    assert said.startswith("no group in aaa")
    assert said.endswith("give --groups")


def test_what_is_short_stays() -> None:
    path = "/data/" + "slide" * 60
    assert str(UsageError(f"no such file: {path}")) == f"no such file: {path}"
    assert shortened(shortened(LONG + " b")) == shortened(LONG + " b")
