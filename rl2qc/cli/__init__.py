"""The ``rl2qc`` command: one file a subcommand, each of which parses, calls and prints."""

from __future__ import annotations

from rl2qc.cli.signals import end_at_once, give_back, take_over

__all__ = ["main"]


def main() -> None:
    """Run the command line, which ends with an :class:`~rl2qc.errors.ExitCode`."""
    before = take_over(end_at_once)
    try:
        from rl2qc.cli.app import main as run
    finally:
        give_back(before)
    run()
