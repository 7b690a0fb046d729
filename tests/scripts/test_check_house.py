"""The check of sizes finds what it should, and nothing else."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
check_house = importlib.import_module("check_house")


def function(lines: int, parameters: int = 1, name: str = "f") -> str:
    names = ", ".join(f"a{i}" for i in range(parameters))
    body = "\n".join("    a0" for _ in range(lines))
    return f'def {name}({names}):\n    """Says\n    something."""\n{body}\n'


@pytest.fixture
def found(tmp_path):
    def check(place: str, text: str) -> list[str]:
        file = tmp_path / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return check_house.check(tmp_path)

    return check


@pytest.mark.parametrize(("lines", "parameters"), [(60, 8), (1, 1), (60, 1)])
def test_small_things_pass(found, lines, parameters):
    assert found("rl2qc/a.py", function(lines, parameters)) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (function(61), "rl2qc/a.py:1: f has 61 lines, at most 60"),
        (function(1, 9), "rl2qc/a.py:1: f has 9 parameters, at most 8"),
        ("#\n" * 351, "rl2qc/a.py: 351 lines, at most 350"),
        ('"""Adds.\n\nExample\n-------\n"""', "rl2qc/a.py:1: no heading 'Example' in docstrings"),
        ('"""Adds `a`."""', "rl2qc/a.py:1: write ``a`` or a role for `a`"),
    ],
)
def test_large_things_are_named(found, text, line):
    assert found("rl2qc/a.py", text) == [line]


def test_files_of_tests_have_names_of_their_own(found):
    for place in ("rl2qc/a/b.py", "rl2qc/c/b.py", "tests/a/conftest.py", "tests/c/conftest.py"):
        assert found(place, "") == []
    assert found("tests/a/test_b.py", "") == []
    shared = "tests/c/test_b.py: tests/a/test_b.py has this name, give it one of its own"
    assert found("tests/c/test_b.py", "") == [shared]


def test_code_and_roles_stand_in_backticks(found):
    assert found("rl2qc/a.py", '"""Adds ``a`` by :func:`~b.c` and :math:`d`."""') == []


def test_the_parameter_self_is_nobodys_to_give(found):
    method = "class C:\n    def f(self, {}): pass\n"
    assert found("rl2qc/a.py", method.format("a, b, c, d, e, *f, g, **h")) == []
    assert len(found("rl2qc/a.py", method.format("a, b, c, d, e, x, *f, g, **h"))) == 1


def test_files_of_tests_may_be_longer(found):
    assert found("tests/test_a.py", "#\n" * 500) == []
    assert found("tests/test_a.py", "#\n" * 501) == ["tests/test_a.py: 501 lines, at most 500"]


def test_options_of_a_command_may_be_many(found):
    assert found("rl2qc/cli/a.py", function(1, 9, "train_command")) == []
    assert len(found("rl2qc/cli/a.py", function(1, 9, "train"))) == 1
    assert len(found("rl2qc/cli/a.py", function(61, 9, "train_command"))) == 1
