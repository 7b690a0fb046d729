"""Options of the command line are made of the fields of settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from rl2qc.cli.settings import with_settings
from rl2qc.core.settings import Interval, Settings, option


@dataclass(frozen=True)
class Toy(Settings):
    alpha: float = option(0.05, help="Of clean ones.", within=Interval(0, 1))
    width: float | None = option(None, help="Width.", show_default="any", old=("breadth",))
    quick: bool = option(False, help="Quick.")
    k: int = option(3, help="Neighbours.", flags=("-k",))
    names: tuple[str, ...] | None = option(
        None, help="Names.", parse=lambda text: tuple(text.split(","))
    )
    mode: str = option("slow", help="Mode.", choices=lambda: ("slow", "fast"))
    lists: tuple[str, ...] = option((), help="Lists.", metavar="FILE", repeated=True)
    hook: object = option(None, help="Python only.", on_command_line=False)


@pytest.fixture
def invoke():
    app = typer.Typer()
    seen = []

    @app.command()
    @with_settings
    def go(
        what: Annotated[str, typer.Argument()],
        settings: Toy,
        out: Annotated[str, typer.Option("--out", "-o")] = "here",
    ) -> None:
        """Go."""
        seen.append((what, settings, out))

    def run(*arguments: str):
        result = CliRunner().invoke(app, list(arguments))
        return result, seen[-1] if seen else None

    return run


def test_defaults(invoke):
    assert invoke("a")[1] == ("a", Toy(), "here")


def test_every_option_reaches_its_field(invoke):
    words = ["a", "--alpha", ".1", "--width", "2", "--quick", "-k", "5"]
    words += ["--names", "x,y", "--mode", "fast", "--lists", "p", "--lists", "q", "-o", "there"]
    made = Toy(
        alpha=0.1, width=2.0, quick=True, k=5, names=("x", "y"), mode="fast", lists=("p", "q")
    )
    assert invoke(*words)[1] == ("a", made, "there")


def test_old_options_are_hidden_and_understood(invoke):
    assert invoke("a", "--breadth", "2.5")[1][1] == Toy(width=2.5)
    assert "breadth" not in invoke("--help")[0].output


def test_help_says_choices_and_what_python_alone_can_give_is_not_there(invoke):
    shown = invoke("--help")[0].output
    assert "slow|fast" in shown and "any" in shown
    assert "hook" not in shown
