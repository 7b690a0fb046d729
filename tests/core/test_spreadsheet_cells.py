"""Cells that spreadsheets do not compute."""

from __future__ import annotations

import csv
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rl2qc.core.files import plain_cell, safe_cell, write_csv


@given(st.text("=+-@\t\r'a1. e", max_size=6))
def test_text_comes_back_and_is_no_formula(text: str) -> None:
    safe = safe_cell(text)
    assert plain_cell(safe) == text
    try:
        float(safe)
    except ValueError:
        assert safe[:1] not in tuple("=+-@\t\r") or len(safe) == 1


def test_a_file(tmp_path: Path) -> None:
    cells = ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(A1)", Path("=a.png"), -2.5, "plain"]
    write_csv(tmp_path / "a.csv", ["=x", *"bcdefg"], [cells])
    with (tmp_path / "a.csv").open(newline="") as file:
        header, row = csv.reader(file)
    assert header[0] == "'=x"
    assert row[:5] == [f"'{cell}" for cell in cells[:5]]
    assert row[5:] == ["-2.5", "plain"]
