"""Names that become files stay where they belong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl2qc.core.names import folder_name, inside, leads_outside, stays_inside
from rl2qc.errors import WorkError


@given(st.text("./a\0-~", max_size=6))
def test_any_name_becomes_that_of_one_folder(name: str) -> None:
    made = folder_name(name)
    place = Path("/top/out") / made
    assert place.parent == Path("/top/out")
    assert place.name == made
    assert made not in ("", ".", "..")
    assert folder_name(made) == made


def test_ordinary_names_stay() -> None:
    for name in ("case", "case.1", ".hidden", "...a", "a b", "-o", "生成"):
        assert folder_name(name) == name


@given(st.lists(st.sampled_from(["..", ".", "a", "b"]), max_size=6).map("/".join))
def test_what_leads_outside_is_told_as_the_file_system_does(name: str) -> None:
    top = Path("/top/out")
    real = Path(*_walk(name))
    assert stays_inside(name) == (real != top and real.is_relative_to(top))
    if not stays_inside(name):
        with pytest.raises(WorkError, match="leads out of"):
            inside(top, name)


def _walk(name: str) -> list[str]:
    place = ["/", "top", "out"]
    for part in name.split("/"):
        if part == "..":
            place = place[:-1] or ["/"]
        elif part not in ("", "."):
            place.append(part)
    return place


def test_links_that_lead_outside(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / "in").symlink_to(out / "a")
    (out / "away").symlink_to(tmp_path)
    assert leads_outside(out, [out / "a" / "x", out / "in" / "x"]) is None
    assert leads_outside(out, [out / "a", out / "away" / "x"]) == out / "away" / "x"
    # The folder itself may be a link.
    (tmp_path / "link").symlink_to(out)
    assert leads_outside(tmp_path / "link", [tmp_path / "link" / "a" / "x"]) is None
