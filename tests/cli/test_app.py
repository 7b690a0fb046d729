"""The command line's frame."""

from __future__ import annotations

import pytest
import typer

import rl2qc as package
from rl2qc.cli import app as module
from rl2qc.errors import ExitCode, UsageError, WorkError

COMMANDS = ("train", "filter", "score", "compare", "decide", "dice", "demo")


def test_help_names_every_command(rl2qc):
    done = rl2qc("--help")
    assert done.code == 0
    for command in COMMANDS:
        assert command in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples(rl2qc, command):
    done = rl2qc(command, "--help")
    assert done.code == 0
    assert "Examples" in done.out
    assert f"rl2qc {command}" in done.out


def test_version(rl2qc):
    assert rl2qc("--version").out == f"rl2qc {package.__version__}\n"


@pytest.mark.parametrize("code", ExitCode)
def test_a_command_ends_with_the_code_that_it_raises(rl2qc, monkeypatch, code):
    toy = typer.Typer()

    @toy.command()
    def command() -> None:
        raise typer.Exit(code)

    monkeypatch.setattr(module, "app", lambda: toy([]))
    assert rl2qc("anything").code == code


@pytest.mark.parametrize("arguments", [["dance"], ["train"], ["filter", "x"], ["--nonsense"]])
def test_wrong_usage_is_2(rl2qc, arguments):
    done = rl2qc(*arguments)
    assert done.code == 2
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("no\nsuch thing"), 2, "rl2qc: error: no such thing"),
        (WorkError("it broke"), 1, "rl2qc: error: it broke"),
        (OSError(28, "No space left on device", "x.csv"), 1,
         "rl2qc: error: cannot read or write x.csv: No space left on device"),
        (KeyboardInterrupt(), 130,
         "rl2qc: interrupted: nothing is finished: the same command begins anew"),
    ],
)  # fmt: skip
def test_errors_are_one_line(rl2qc, monkeypatch, error, code, line):
    def fail():
        raise error

    monkeypatch.setattr(module, "app", fail)
    done = rl2qc("anything")
    assert (done.code, done.err.strip()) == (code, line)
