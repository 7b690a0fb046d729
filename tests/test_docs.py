"""The documents say what the code does: links, exit codes, public names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rl2qc.errors import ExitCode

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "checkpoints").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
PLACE = re.compile(r"`((?:rl2qc|tests|scripts|docs|checkpoints)/[\w./]*)`")
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_headings_stand_once(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    headings = [line for line in lines if line.startswith("## ")]
    assert len(headings) == len(set(headings))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_are_named_are_there(page):
    for name in PLACE.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


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


def old_names() -> Iterator[tuple[str, str]]:
    """Old and new names of options, specs, keywords and attributes, as the code has them."""
    for file in (ROOT / "rl2qc").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call):
                # name: int = option(..., old=("before",))
                given = {k.arg: k.value for k in node.value.keywords}
                if isinstance(given.get("old"), ast.Tuple) and isinstance(node.target, ast.Name):
                    yield from ((old, node.target.id) for old in ast.literal_eval(given["old"]))
            elif isinstance(node, ast.Call):
                # @renamed(before="name"), Registry(..., aliases={"before": "name"})
                given = {k.arg: k.value for k in node.keywords}
                if isinstance(given.get("aliases"), ast.Dict):
                    yield from ast.literal_eval(given["aliases"]).items()
                if isinstance(node.func, ast.Name) and node.func.id == "renamed":
                    yield from ((old, ast.literal_eval(new)) for old, new in given.items() if old)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
                # old_names = {"before": "name"}
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                named = [getattr(target, "id", "") for target in targets]
                yield from ast.literal_eval(node.value).items() if named == ["old_names"] else ()


def test_all_old_names_are_told():
    told = {
        tuple(re.findall(r"`-*([^`]+)`", cell)[0].replace("-", "_") for cell in cells)
        for _, *cells in table("docs/reference.md", "Old names")
    }
    assert set(old_names()) - told - {("hight", "height")} == set()
