"""Each section of CONTRIBUTING.md, followed word for word in a copy of the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from words import ROOT, blocks, sections, write

SECTIONS = {
    title: text
    for title, text in sections("CONTRIBUTING.md", "Add a").items()
    if title != "Add a checkpoint"
}
IGNORED = shutil.ignore_patterns("__pycache__", "extensions", ".*")


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The package and its tests, with all that the sections add."""
    home = tmp_path_factory.mktemp("rl2qc")
    for folder in ("rl2qc", "tests"):
        shutil.copytree(ROOT / folder, home / folder, ignore=IGNORED)
    shutil.copy(ROOT / "pyproject.toml", home)
    (home / "checkpoints").symlink_to(ROOT / "checkpoints")
    for text in SECTIONS.values():
        write(text, home)
    return home


@pytest.fixture(scope="module")
def run(copy):
    """Run a module of Python in the copy."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        return subprocess.run(command, capture_output=True, text=True, cwd=copy, env=environment)

    return run


@pytest.mark.parametrize("title", SECTIONS)
def test_a_section_is_code_and_its_test(title):
    paths = [path for path, _, _ in blocks(SECTIONS[title])]
    assert paths[0].startswith("rl2qc/")
    assert paths[-1].startswith("tests/") and Path(paths[-1]).name.startswith("test_")


def test_what_the_sections_add_passes_its_tests_and_those_of_the_walls(run):
    added = [path for text in SECTIONS.values() for path, _, _ in blocks(text)]
    tests = [path for path in added if path.startswith("tests/")]
    walls = "tests/test_imports.py"
    done = run("pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *tests, walls)
    assert not done.returncode, done.stdout + done.stderr
    for command in (["check"], ["format", "--check"]):
        done = run("ruff", *command, "--no-cache", *added)
        assert not done.returncode, done.stdout
