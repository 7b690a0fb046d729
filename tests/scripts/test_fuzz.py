"""Altered slides and images: a sample of what the scripts try, each in a process of its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.mark.parametrize(
    ("script", "count"), [("fuzz_slides.py", 20), ("fuzz_readers.py", 24), ("fuzz_images.py", 68)]
)
def test_altered_files_are_survived(script: str, count: int) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPTS / script, "--count", str(count), "--seed", "7"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "WRONG" not in done.stdout, done.stdout
    counts = ast.literal_eval(done.stdout.splitlines()[-1])
    assert sum(counts.values()) == count and counts["refused"] > 0
    # Without a word of the libraries' own.
    assert done.stderr == ""
