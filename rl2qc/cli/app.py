"""The command line's frame: subcommands, the version, and one line for every error."""

from __future__ import annotations

import sys
import warnings
from errno import ENAMETOOLONG
from typing import Annotated, TextIO

import typer

from rl2qc import __version__
from rl2qc.cli.agree import agree_command
from rl2qc.cli.benchmark import benchmark_command
from rl2qc.cli.cache import cache_app
from rl2qc.cli.compare import compare_command
from rl2qc.cli.console import say
from rl2qc.cli.decide import decide_command
from rl2qc.cli.demo import demo_command
from rl2qc.cli.dice import dice_command
from rl2qc.cli.filter import filter_command
from rl2qc.cli.help import CommandWithNames, Subcommands
from rl2qc.cli.reject import reject_command
from rl2qc.cli.review import review_command
from rl2qc.cli.score import score_command
from rl2qc.cli.stopping import NOTHING_DONE, Stopped, catch_signals
from rl2qc.cli.streams import prepare_streams
from rl2qc.cli.train import train_command
from rl2qc.cli.watch import watch_command
from rl2qc.errors import ExitCode, Rl2qcError

__all__ = ["app", "main"]

app = typer.Typer(
    name="rl2qc",
    cls=Subcommands,
    help="Judge histopathology images: filter slide tiles and score generated sets with one model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train_command)
app.command("filter", cls=CommandWithNames)(filter_command)
app.command("decide", cls=CommandWithNames)(decide_command)
app.command("review")(review_command)
app.command("score")(score_command)
app.command("compare")(compare_command)
app.command("reject")(reject_command)
app.command("watch")(watch_command)
app.command("dice")(dice_command)
app.command("agree")(agree_command)
app.command("benchmark")(benchmark_command)
app.command("demo")(demo_command)
app.add_typer(cache_app, name="cache")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"rl2qc {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line, which ends with an :class:`~rl2qc.errors.ExitCode`."""
    prepare_streams()
    try:
        with warnings.catch_warnings(), catch_signals():
            warnings.showwarning = _warn
            try:
                app()
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()
    except Rl2qcError as error:
        _fail(str(error), error.exit_code)
    except Stopped as stopped:
        stopped.say()
        raise
    except KeyboardInterrupt:
        say(f"interrupted: {NOTHING_DONE}")
        sys.exit(ExitCode.INTERRUPTED)
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        code = ExitCode.WRONG_USAGE if error.errno == ENAMETOOLONG else ExitCode.FAILED
        _fail(f"cannot read or write{place}: {error.strerror or error}", code)


def _fail(message: str, code: ExitCode) -> None:
    say(f"error: {_one_line(message)}")
    sys.exit(code)


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning of Python, such as the feature cache's, without the place in the code."""
    say(f"warning: {_one_line(str(message))}")


def _one_line(message: str) -> str:
    return " ".join(message.split())
