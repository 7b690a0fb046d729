"""rl2qc agree."""

from __future__ import annotations

import csv
import json

TABLE = (
    "generator,dice,fid,mine:lower\na,0.9,10,3\nb,0.8,20,2\nc,0.7,30,1\nd,0.6,40,0\ne,0.5,50,-1\n"
)


def test_a_table_in_a_file_out(rl2qc, tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    done = rl2qc(
        "agree", tmp_path / "t.csv", "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv"
    )
    assert done.code == 0, done.err
    assert "5 generators" in done.out and "ranks like dice" in done.out
    found = json.loads((tmp_path / "a.json").read_text())["tasks"][0]["agreement"]
    assert (found["fid"]["tau"], found["mine"]["tau"]) == (1, -1)
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["score"], float(row["tau"])) for row in rows] == [("fid", 1), ("mine", -1)]


def test_bad_input_is_one_line(rl2qc, tmp_path):
    done = rl2qc("agree", tmp_path / "nowhere.csv")
    assert (done.code, "no such file" in done.error) == (2, True)
    (tmp_path / "t.csv").write_text(TABLE)
    done = rl2qc("agree", tmp_path / "t.csv", "--with", "dize", "--json", tmp_path / "a.json")
    assert (done.code, "did you mean" in done.error.lower() or "dice" in done.error) == (2, True)
    assert not (tmp_path / "a.json").exists()
