"""Records, manifests and tables that others changed: named, and no other result pays for them."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rl2qc
from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.locks import try_lock
from rl2qc.cohort.store.record import ResultFolder
from rl2qc.errors import UsageError, WorkError

pytestmark = pytest.mark.usefixtures("red_model")


@pytest.fixture
def out(tmp_path: Path, slide: Path) -> Path:
    """Results of two slides, "bad" to be tampered with and "good"."""
    for name in ("bad", "good"):
        shutil.copy(slide, tmp_path / f"{name}.tif")
    inputs = [tmp_path / "bad.tif", tmp_path / "good.tif"]
    rl2qc.filter_cohort(inputs, tmp_path / "out", alpha=0.1)
    return tmp_path / "out"


def change(file: Path, edit: Callable[[Any], Any]) -> None:
    content = json.loads(file.read_text())
    file.write_text(json.dumps(edit(content) or content))


def put(*path: str, value: Any) -> Callable[[Any], None]:
    def edit(content: Any) -> None:
        for step in path[:-1]:
            content = content[step]
        content[path[-1]] = value

    return edit


RECORDS = {
    "kept above all": put("row", "kept", value=99),
    "negative count": put("row", "tiles", value=-1),
    "text for a number": put("row", "kept_share", value="all"),
    "share above 1": put("row", "kept_share", value=1.5),
    "unknown kind": put("row", "kind", value="movie"),
    "no slide": put("slide", value=None),
    "width 0": put("slide", "dimensions", value=[0, 10]),
    "dimensions of three": put("slide", "dimensions", value=[1, 2, 3]),
    "alpha 2": put("slide", "alpha", value=2),
    "alpha text": put("key", "settings", "alpha", value="x"),
    "method": put("slide", "method", value="dice"),
    "negative mpp": put("slide", "mpp", value=-0.5),
    "huge mpp": put("slide", "mpp", value=1e300),
    "files no list": put("files", value={"a": 1}),
    "file outside": put("files", value=["../../x"]),
    "absolute file": put("files", value=["/etc/passwd"]),
    "endless name of a file": put("files", value=["x" * 10_000]),
    "warnings no list": put("row", "warnings", value=7),
    "no model": put("key", "model", value=[]),
    "a list": lambda content: [content],
    "level -3": put("slide", "level", value=-3),
    "bool for a number": put("row", "seconds", value=True),
    "rule of a verdict": put("key", "settings", "drop_area", value=["../../x"]),
    "rule of a table": put("slide", "drop_area", value=["../../x"]),
    "rule above 1": put("slide", "use_from", value=7),
    "apart no bool": put("slide", "apart", value="yes"),
    "adapt no text": put("key", "settings", "adapt", value=[1]),
    "stretch below 1": put("slide", "stretch", value=[0.5, 1.0]),
    "stretch of one": put("slide", "stretch", value=[2.0]),
}


@pytest.mark.parametrize("name", ["alpha", "max_rejected", "use_from", "drop_below", "drop_area"])
@pytest.mark.parametrize("value", [["../../x"], "x", 7, {}, True])
def test_a_manifest_with_a_setting_that_cannot_be_is_named(
    out: Path, name: str, value: object
) -> None:
    change(out / "run.json", put("settings", name, value=value))
    with pytest.raises(WorkError, match=r"run\.json is damaged"):
        rl2qc.decide(out, 0.35)


@pytest.mark.parametrize("edit", RECORDS.values(), ids=RECORDS)
def test_a_record_that_cannot_be_costs_only_its_slide(
    out: Path, edit: Callable[[Any], None]
) -> None:
    change(out / "bad" / "record.json", edit)
    decided = rl2qc.decide(out, 0.35)
    assert [name for name, _ in decided.failures] == ["bad"]
    assert "record.json is damaged" in decided.errors[0]
    rows = {row.name: row for row in rl2qc.read_results(out).rows}
    assert (rows["bad"].status, rows["good"].status) == ("failed", "done")
    assert rows["good"].kept == 4
    assert (out / "report.html").exists()
    with pytest.warns(UserWarning, match=r"1 of 2 results in .* cannot be read: bad \("):
        assert len(rl2qc.KeptTiles(out)) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '{"a": NaN}',
        "null",
        "\0",
        '{"settings": {"alpha": 0.1, "alpha": 0.2}}',
        '{"key": 1' + "0" * 5000 + "}",
    ],
)
@pytest.mark.parametrize("name", ["bad/record.json", "run.json"])
def test_no_json_at_all(out: Path, name: str, text: str) -> None:
    (out / name).write_text(text)
    if name == "run.json":
        with pytest.raises(WorkError, match=r"run\.json is damaged"):
            rl2qc.decide(out, 0.3)
        assert (out / name).read_text() == text
    else:
        assert [n for n, _ in rl2qc.decide(out, 0.3).failures] == ["bad"]
    assert {row.name: row.status for row in rl2qc.read_results(out).rows}["good"] == "done"


def cells(row: int, column: int, value: str) -> Callable[[str], str]:
    def edit(text: str) -> str:
        lines = [line.split(",") for line in text.splitlines()]
        lines[row][column] = value
        return "\n".join(",".join(line) for line in lines) + "\n"

    return edit


TABLES = {
    "a row cut": lambda text: "\n".join(text.splitlines()[:-1]) + "\n",
    "a row twice": lambda text: text + text.splitlines()[-1] + "\n",
    "width 0": cells(1, 2, "0"),
    "x beyond": cells(1, 0, "99999999999999999999"),
    "tissue -1": cells(1, 4, "-1"),
    "p of 2": lambda text: text.replace(",0.2", ",2", 2),
    "p of nan": lambda text: text.replace(",0.2", ",nan", 2),
    "keep perhaps": lambda text: text.replace("true", "perhaps", 1),
    "no p": lambda text: text.replace("p_value", "q_value", 1),
    "a column twice": lambda text: text.replace("y,", "x,", 1),
    "a cell more": lambda text: text.rstrip("\n") + ",1\n",
    "empty": lambda text: "",
    "a field of a megabyte": lambda text: text.replace(",0.2", "," + "2" * 2**20, 1),
    "a digit": lambda text: text.replace(",0.2", ",0.3", 1),
}


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("edit", TABLES.values(), ids=TABLES)
def test_a_table_that_was_changed(
    out: Path, edit: Callable[[str], str], hashed: bool, request: pytest.FixtureRequest
) -> None:
    """Results of before have no hash, and counts and values are checked alone."""
    table = out / "bad" / "tiles.csv"
    before = table.read_text()
    table.write_text(edit(before))
    assert table.read_text() != before
    if not hashed:
        change(out / "bad" / "record.json", lambda content: content.pop("tables") and None)
        if "a digit" in request.node.name:
            assert not rl2qc.decide(out, 0.3).failures
            return
    decided = rl2qc.decide(out, 0.35)
    assert [name for name, _ in decided.failures] == ["bad"]
    assert "holds a damaged result" in decided.errors[0]
    assert (out / "report.html").exists()
    # The share of tissue is not looked at there.
    if hashed or "tissue" not in request.node.name:
        with pytest.raises(WorkError, match="damaged"):
            rl2qc.KeptTiles(out)


def test_a_result_goes_by_the_name_of_its_folder(out: Path) -> None:
    for part in ("row", "slide"):
        change(out / "bad" / "record.json", put(part, "name", value="../../x"))
    decided = rl2qc.decide(out, 0.3, formats=("wsinfer", "histoqc"))
    assert not decided.failures
    assert sorted(row.name for row in decided.rows) == ["bad", "good"]
    assert (out / "model-outputs-csv" / "bad.csv").exists()
    assert {p.name for p in out.parent.iterdir()} == {
        *("out", "bad.tif", "good.tif", "case.tif"),
    }


@pytest.mark.parametrize("name", ["bad/tiles.csv", "bad", "run.json", "summary.csv", ".locks"])
def test_links_that_lead_outside_are_refused(out: Path, tmp_path: Path, name: str) -> None:
    """Of somebody's results, no file of ours is written through a link."""
    away = tmp_path / "away"
    place = out / name
    if place.exists():
        place.rename(away)
    else:
        away.mkdir()
    place.symlink_to(away)
    before = {p: p.read_bytes() for p in [away, *away.rglob("*")] if p.is_file()}
    try:
        assert [n for n, _ in rl2qc.decide(out, 0.3).failures] == ["bad"]
    except UsageError as error:
        assert "leads out of" in str(error)
    assert before == {p: p.read_bytes() for p in [away, *away.rglob("*")] if p.is_file()}


def _decide(out: Path, alpha: float, results: Any) -> None:
    try:
        rl2qc.decide(out, alpha)
        results.put(alpha)
    except UsageError as error:
        results.put(str(error))


def test_two_decisions_at_once_do_not_mix(out: Path) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    both = [context.Process(target=_decide, args=(out, a, results)) for a in (0.35, 0.55)]
    for process in both:
        process.start()
    said = [results.get(timeout=120) for _ in both]
    for process in both:
        process.join()
    alphas = {
        r.key["settings"]["alpha"] for f in RunFolder(out).results() if (r := f.read_record())
    }
    assert len(alphas) == 1
    assert alphas <= set(said)
    assert not (out / ".locks").exists()


def test_a_decision_and_a_run_exclude_each_other(out: Path) -> None:
    with try_lock(out / ".locks" / ".run-decide.lock"):
        for work in (
            lambda: rl2qc.decide(out, 0.3),
            lambda: rl2qc.filter_cohort(out.parent / "good.tif", out, alpha=0.1),
        ):
            with pytest.raises(UsageError, match="decide is at work"):
                work()
    assert not rl2qc.decide(out, 0.3).failures


def test_a_decision_that_was_killed_is_finished(out: Path) -> None:
    """Between two records, the hash of the old table is no longer true."""
    result = ResultFolder(out / "bad")
    record = result.check_record()
    settings = {**record.key["settings"], "alpha": None}
    result.write_record(type(record)({**record.key, "settings": settings}, record.row,
                                     record.slide, record.files))  # fmt: skip
    table = out / "bad" / "tiles.csv"
    table.write_text(table.read_text().replace("true", "false"))
    assert not rl2qc.decide(out, 0.35).failures
    assert rl2qc.read_results(out).tables["bad"].keep.sum() == 4
