"""Imports point down: which room may know which, and which library stands where.

Every import counts, those inside functions and those for types alone too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import rl2qc

PACKAGE = Path(rl2qc.__file__).parent

# From the ground up. A room knows those of the bands below it, and none beside it.
BANDS = (
    {"errors"},
    {"core", "stats"},
    {"metrics"},
    {"images", "synthetic", "html"},
    {"model", "slides"},
    {"features", "filtering"},
    {"scoring", "cohort", "benchmarking"},
    {"demonstration"},
    {"cli"},
)
HEIGHT = {room: height for height, band in enumerate(BANDS) for room in band}
# The two wings meet on the ground alone.
FILTER_WING, SCORE_WING = {"slides", "filtering", "cohort"}, {"features", "scoring"}

# Libraries that stand in one place, by the prefixes of the files that may import them.
HOMES = {
    "albumentations": ("synthetic/",),
    "faiss": ("metrics/neighbors.py",),
    "h5py": ("filtering/exports/", "images/sources/arrays.py", "slides/"),
    "nflows": ("model/",),
    "openslide": ("slides/", "cohort/"),
    "pyarrow": ("filtering/exports/", "images/sources/parquet.py"),
    "ray": ("cohort/ray.py",),
    "safetensors": ("features/", "model/"),
    "sklearn": ("model/",),
    "torch": (
        "core/torch_pair.py",
        "model/",
        "features/",
        # A torch Dataset is what they are.
        "cohort/dataset.py",
        "scoring/event_files.py",
    ),
    "torchvision": ("core/torch_pair.py",),
    "typer": ("cli/",),
}
# Rooms that know few libraries.
LIBRARIES = {
    "stats": {"numpy", "scipy"},
    "metrics": {"numpy", "scipy", "cv2", "faiss"},
    "html": {"numpy", "matplotlib", "mpl_toolkits", "jinja2", "markupsafe", "PIL"},
    "errors": set(),
}


class Import(NamedTuple):
    file: Path
    module: str
    """As it is written, with the name that is taken from it where that is a module itself."""

    @property
    def place(self) -> str:
        return self.file.relative_to(PACKAGE).as_posix()

    @property
    def room(self) -> str:
        return self.place.split("/")[0].removesuffix(".py")

    @property
    def target(self) -> str:
        """The room that is imported; empty where it is none of the package's."""
        pieces = self.module.split(".")
        return pieces[1] if pieces[0] == "rl2qc" and len(pieces) > 1 else ""


def imports_of(file: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(file, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield Import(file, inner if inner in MODULES else str(node.module))


def module_of(file: Path) -> str:
    pieces = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(pieces[:-1] if pieces[-1] == "__init__" else pieces)


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_of(file) for file in FILES}
IMPORTS = [found for file in FILES for found in imports_of(file)]
# The face of the package knows every room: it names their modules and imports none.
FACE = {"__init__", "__main__"}


def wrong(imports: Iterator[Import]) -> list[str]:
    return sorted({f"{found.place} imports {found.module}" for found in imports})


def test_every_room_has_its_place():
    rooms = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in FILES}
    assert rooms - FACE == set(HEIGHT)


def test_imports_point_down():
    assert not wrong(
        found
        for found in IMPORTS
        if found.target and found.room not in FACE and found.room != found.target
        if HEIGHT[found.target] >= HEIGHT[found.room]
    )


def test_the_wings_do_not_know_each_other():
    assert not wrong(
        found
        for found in IMPORTS
        if {found.room, found.target} & FILTER_WING and {found.room, found.target} & SCORE_WING
    )


def test_scoring_knows_no_slide():
    """Not in words either: it is as good for images of cats."""
    for file in (PACKAGE / "scoring").rglob("*.py"):
        assert "rl2qc.slides" not in file.read_text(encoding="utf-8"), file


def test_no_module_imports_itself_in_a_circle():
    """Nothing is imported inside a function only since it could not be imported at the top."""
    known: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in IMPORTS:
        if found.module in MODULES and found.room not in FACE:
            known[module_of(found.file)].add(found.module)
    try:
        TopologicalSorter(known).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(reversed(circle.args[1])))


@pytest.mark.parametrize("room", LIBRARIES)
def test_rooms_near_the_ground_know_few_libraries(room):
    assert not wrong(
        found
        for found in IMPORTS
        if found.room == room and not found.target
        if found.module.split(".")[0] not in LIBRARIES[room] | set(sys.stdlib_module_names)
    )


@pytest.mark.parametrize("library", HOMES)
def test_a_library_stays_at_home(library):
    assert not wrong(
        found
        for found in IMPORTS
        if found.module.split(".")[0] == library and not found.place.startswith(HOMES[library])
    )


def test_pages_are_made_of_what_they_are_given():
    assert not wrong(
        found
        for found in IMPORTS
        if found.room == "html" and found.target not in {"", "core", "errors", "html"}
    )


def test_models_are_loaded_by_name_at_two_places_of_the_filter():
    """Else slides and cohorts know a model as what it can do, a ``TileModel``."""
    known = [f for f in IMPORTS if f.room in {"filtering", "cohort"} and f.target == "model"]
    # What trains on slides has to know what trains.
    known = [f for f in known if f.place != "cohort/train.py"]
    # The name of the default model is no model.
    assert {found.module for found in known} <= {"rl2qc.model.quality", "rl2qc.model.zoo"}
    assert len({f.place for f in known if f.module == "rl2qc.model.quality"}) <= 2, known


def test_help_waits_for_no_large_library():
    """Of no command: options are made of settings, whose modules import little."""
    code = """
import sys
from contextlib import suppress
from typer.main import get_command
from rl2qc.cli.app import app
for name in [[], *([name] for name in get_command(app).commands)]:
    with suppress(SystemExit):
        app([*name, "--help"])
print(sorted({"torch", "cv2", "scipy", "sklearn", "matplotlib", "PIL"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
