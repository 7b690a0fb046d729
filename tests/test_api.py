"""The public names and the direction of imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rl2qc

PACKAGE = Path(rl2qc.__file__).parent
# Each part may import itself and what stands below it.
ALLOWED = {
    "images": {"images"},
    "metrics": {"metrics"},
    "model": {"model", "images"},
    "slides": {"slides", "model", "images", "metrics"},
    "reports": {"reports", "slides", "model", "images", "metrics"},
    "cli": {"cli", "reports", "slides", "model", "images", "metrics"},
}


@pytest.mark.parametrize("name", rl2qc.__all__)
def test_public_names_exist(name):
    assert callable(getattr(rl2qc, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rl2qc.nothing  # noqa: B018


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_point_one_way(part):
    for file in (PACKAGE / part).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            modules += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                pieces = module.split(".")
                if pieces[0] == "rl2qc" and len(pieces) > 1 and pieces[1] in ALLOWED:
                    assert pieces[1] in ALLOWED[part], f"{file.name} imports {module}"


def test_help_does_not_wait_for_torch():
    code = "import sys, rl2qc.cli; print(any(m in sys.modules for m in ('torch', 'cv2', 'scipy')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
