"""The documents say what the code does: links, exit codes, public names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rl2qc.errors import ExitCode

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "checkpoints").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#([^)\s]+))?\)")


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its first two lines."""
    text = (ROOT / page).read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for target, _ in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_all_exit_codes_are_told():
    assert [int(code) for code, _ in table("docs/reference.md", "Exit codes")] == list(ExitCode)


def test_each_decision_is_short_and_listed():
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text()
    for number, record in enumerate(sorted(folder.glob("[0-9]*.md")), 1):
        lines = record.read_text().splitlines()
        assert len(lines) <= 25, record.name
        headings = [line for line in lines if line.startswith("#")]
        assert headings[1:] == ["## Context", "## Decision", "## Consequences"]
        title = headings[0].removeprefix(f"# {number}. ")
        assert f"{number}. [{title}]({record.name})" in listed
