"""The ``rl2qc`` command: one file a subcommand, each of which parses, calls and prints."""

from __future__ import annotations

from rl2qc.cli.app import main

__all__ = ["main"]
