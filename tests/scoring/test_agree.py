"""Agreement of scores from a table alone."""

from __future__ import annotations

import json

import jsonschema
import pytest

import rl2qc
from rl2qc.scoring.agreement import schema

TABLE = """task,generator,dice,fgt,fid:lower,kid:lower,swd:lower,is
breast,None,0.927,0.651,144,0.069,705,2.58
breast,CycleGAN,0.934,0.529,107,0.049,556,2.73
breast,MaskGAN,0.865,0.277,118,0.089,1037,3.00
breast,UNSB,0.934,0.646,156,0.079,756,2.46
breast,SPADE,0.950,0.707,119,0.067,500,2.91
lumbar,None,0.007,,323,0.300,1553,2.93
lumbar,CycleGAN,0.229,,210,0.161,960,2.29
lumbar,MaskGAN,0.158,,248,0.217,1114,2.22
lumbar,UNSB,0.138,,208,0.172,932,2.14
lumbar,SPADE,0.942,,251,0.242,1359,2.29
"""


@pytest.fixture
def table(tmp_path):
    def write(text: str, name: str = "table.csv"):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_published_translations(table):
    found = rl2qc.agree(table(TABLE))
    taus = [
        {n: m.tau for n, m in t.metrics.items() if n in ("fid", "kid", "swd", "is")}
        for t in found.tasks
    ]
    assert [t.task for t in found.tasks] == ["breast", "lumbar"]
    assert taus[0] == pytest.approx(
        {"fid": -0.105, "kid": 0.527, "swd": 0.738, "is": -0.105}, abs=5e-4
    )
    assert taus[1] == pytest.approx({"fid": 0, "kid": 0.2, "swd": 0, "is": 0.105}, abs=5e-4)
    # Five generators cannot tell .74 from chance, and one column has gaps: both are said.
    assert {m.verdict("dice") for t in found.tasks for m in t.metrics.values()} == {
        "not told apart from chance"
    }
    assert found.warnings == ("lumbar: fgt is left out: 5 of 5 generators have no value",)
    assert found["swd"] == pytest.approx((0.7379 + 0) / 2, abs=1e-4)
    jsonschema.validate(json.loads(json.dumps(found.to_dict())), schema())


def test_an_agreement_that_is_sure_is_called_so():
    columns = {
        "generator": list("abcdef"),
        "dice": [1, 2, 3, 4, 5, 6],
        "swd": [6, 5, 4, 3, 2, 1],
        "kid": [1, 2, 3, 4, 5, 6],
        "flat": [1] * 6,
    }
    found = rl2qc.agree(columns)
    said = {name: m.verdict("dice") for name, m in found.tasks[0].metrics.items()}
    # Metrics of rl2qc know that lower is better.
    assert said == {
        "swd": "ranks like dice",
        "kid": "ranks against dice",
        "flat": "orders nothing",
    }
    assert "flat has one value" in found.warnings[0]
    jsonschema.validate(found.to_dict(), schema())


def test_what_is_likely_by_chance_is_said_of_few_generators():
    found = rl2qc.agree({"generator": "abc", "dice": [1, 2, 3], "mine": [1, 2, 3]})
    assert found["mine"] == 1
    assert "of 3 generators even the same order is likely by chance" in found.table()


def test_tables_of_other_countries_and_other_names(table):
    text = "\ufeffnetz;leser;mine:higher;fid\na;0,9;1,5;3\nb;0,8;2,5;2\nc;0,7;3,5;1\n"
    found = rl2qc.agree(table(text), generator="netz", against="leser", lower="mine")
    assert (found["mine"], found["fid"]) == (1, -1)
    assert not found.higher_is_better["mine"]


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("name,dice,fid\na,1,2\nb,2,3\n", {}, "no column 'generator'"),
        ("generator,overlap,fid\na,1,2\nb,2,3\n", {}, "no score 'dice'"),
        ("generator,dice,fid\na,1,2\na,2,3\n", {}, "more than one row of the generator 'a'"),
        ("generator,dice,fid\na,1,2\n", {}, "at least two generators"),
        ("generator,dice,fid\n", {}, "no row"),
        ("generator,dice\na,1\nb,2\n", {}, "at least two columns of scores"),
        ("generator,dice,fid\na,1,x\nb,2,3\n", {}, "fid in row 1 is 'x'"),
        ("generator,dice,fid\na,1,inf\nb,2,3\n", {}, "fid in row 1 is 'inf'"),
        ("generator,dice,fid\na,,1\nb,2,3\n", {}, "dice of a is missing"),
        ("generator,dice,fid,fid:lower\na,1,1,1\nb,2,3,1\n", {}, "more than one column 'fid'"),
        ("generator,dice,fid:low\na,1,1\nb,2,3\n", {}, "must end in :higher or :lower"),
        ("generator,dice,fid\na,1,1\nb,2,3\n", {"by": "organ"}, "no column 'organ'"),
        ("generator,dice,fid\na,1,1\nb,2,3\n", {"lower": "fit"}, "no score 'fit'"),
        ("generator,dice,dice\na,1,1\nb,2,3\n", {}, "more than one column 'dice'"),
    ],
)
def test_bad_tables(table, text, changes, message):
    with pytest.raises(rl2qc.UsageError, match=message):
        rl2qc.agree(table(text), **changes)


def test_what_is_no_table():
    with pytest.raises(rl2qc.UsageError, match="no such file"):
        rl2qc.agree("nowhere.csv")
    with pytest.raises(rl2qc.UsageError, match="CSV file, or columns by name"):
        rl2qc.agree([1, 2])
    with pytest.raises(rl2qc.UsageError, match="differ in length"):
        rl2qc.agree({"generator": "ab", "dice": [1, 2], "fid": [1]})
