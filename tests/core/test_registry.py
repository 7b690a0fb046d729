"""Things that are found by name."""

from __future__ import annotations

import importlib.metadata
import sys
from types import ModuleType, SimpleNamespace

import pytest

from rl2qc.core.registry import Registry
from rl2qc.errors import UsageError


def spec(name: str, **about: object) -> SimpleNamespace:
    return SimpleNamespace(name=name, **about)


def test_two_of_one_name_are_refused_and_one_may_be_told_twice():
    registry = Registry("metric")
    fid = registry.register(spec("fid"))
    assert registry.register(fid) is fid
    with pytest.raises(UsageError, match="already"):
        registry.register(spec("fid"))
    registry.register(other := spec("fid"), replace=True)
    assert registry.get("fid") is other


def test_order_counts_before_the_time_of_registration():
    registry = Registry("metric")
    for name, order in (("c", 1), ("a", 0), ("b", 0)):
        registry.register(spec(name, order=order))
    assert registry.names() == ("a", "b", "c")


def test_old_names_are_understood_and_not_listed():
    registry = Registry("score", aliases={"detector": "combined"})
    registry.register(spec("combined"))
    assert registry.get("detector").name == "combined"
    assert "detector" in registry and registry.names() == ("combined",)


def test_a_room_is_imported_on_first_use_and_once(tmp_path, monkeypatch):
    room = tmp_path / "toy_room"
    room.mkdir()
    (room / "__init__.py").write_text(
        "from rl2qc.core.registry import Registry\n"
        "TOYS = Registry('toy', room='toy_room')\nIMPORTED = []\n"
    )
    (room / "ball.py").write_text(
        "from types import SimpleNamespace\nfrom toy_room import IMPORTED, TOYS\n"
        "IMPORTED.append('ball')\nTOYS.register(SimpleNamespace(name='ball'))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import toy_room

    assert toy_room.IMPORTED == []
    assert toy_room.TOYS.names() == ("ball",)
    toy_room.TOYS.get("ball")
    assert toy_room.IMPORTED == ["ball"]
    for name in [n for n in sys.modules if n.startswith("toy_room")]:
        del sys.modules[name]


@pytest.fixture
def entry_points(monkeypatch):
    def give(**targets: object) -> None:
        module = ModuleType("toy_package")
        vars(module).update(targets)
        monkeypatch.setitem(sys.modules, "toy_package", module)
        points = [
            importlib.metadata.EntryPoint(name, f"toy_package:{name}", "toys") for name in targets
        ]
        monkeypatch.setattr(
            importlib.metadata, "entry_points", lambda group: points if group == "toys" else []
        )

    return give


def test_other_packages_bring_specs_or_functions(entry_points):
    registry = Registry("toy", group="toys")
    entry_points(ball=spec("ball"), more=lambda: registry.register(spec("kite")))
    assert registry.names() == ("ball", "kite")


def test_other_packages_bring_modules_that_register_when_they_are_imported(tmp_path, monkeypatch):
    (tmp_path / "kites.py").write_text(
        "from kite_registry import KITES, spec\nname = 'no spec'\nKITES.register(spec('kite'))\n"
    )
    shared = ModuleType("kite_registry")
    shared.KITES, shared.spec = Registry("kite", group="kites"), spec
    monkeypatch.setitem(sys.modules, "kite_registry", shared)
    monkeypatch.syspath_prepend(tmp_path)
    point = importlib.metadata.EntryPoint("kite", "kites", "kites")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    assert shared.KITES.names() == ("kite",)
    del sys.modules["kites"]


def test_a_package_that_fails_is_named_and_does_not_stop_the_others(entry_points):
    registry = Registry("toy", group="toys")

    def broken() -> None:
        raise RuntimeError("no string")

    entry_points(broken=broken, ball=spec("ball"))
    with pytest.warns(UserWarning, match="toy broken .* no string"):
        assert registry.names() == ("ball",)


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_spec_needs_a_name(name):
    with pytest.raises(UsageError, match="needs a name"):
        Registry("metric").register(spec(name))
