"""Deciding again: as a run with that alpha from the start, and without a look at a slide."""

from __future__ import annotations

import csv
import json
import multiprocessing
import re
import shlex
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cohort_helpers import replace_writer, run_cohort
from PIL import Image
from scipy.stats import false_discovery_control
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.cohort.decide import decide
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.store.locks import try_lock
from rl2qc.cohort.store.results import CohortResult
from rl2qc.cohort.store.tables import read_table
from rl2qc.core.files import read_json, write_json
from rl2qc.errors import UsageError
from rl2qc.filtering.exports.registry import FORMATS
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.table import TileTable

EVERY = [
    spec.name
    for spec in FORMATS
    if spec.sort is None and (spec.extra is None or spec.extra.installed)
]


class Model(BrightnessModel):
    sha256 = "ab" * 32


@pytest.fixture
def inputs(tmp_path: Path, rng: np.random.Generator) -> list[Path]:
    """Two slides, one with a damaged tile's worth of glass, and a folder of patches."""
    folder = tmp_path / "in"
    (folder / "set").mkdir(parents=True)
    pixels = tissue_like(rng, 192, 256)
    # Tiles of one brightness each, so that alpha can part them.
    for i, (y, x) in enumerate((y, x) for y in range(0, 192, 64) for x in range(0, 256, 64)):
        pixels[y : y + 64, x : x + 64] = np.clip(
            pixels[y : y + 64, x : x + 64] + 3 * i - 18.0, 0, 255
        )
    for i in range(4):
        patch = pixels[64:128, 64 * i : 64 * (i + 1)]
        Image.fromarray(patch).save(folder / "set" / f"{i}.png")
    (folder / "set" / "bad.png").write_text("no image")
    return [
        write_slide(folder / "a.tif", pixels, levels=2),
        write_slide(folder / "b.tif", pixels[::-1].copy()),
        folder / "set",
    ]


def run(inputs: list[Path], out: Path, alpha: float, formats: list[str] | None = None) -> None:
    jobs, _ = find_inputs(inputs)
    run_cohort(jobs, Model(), out, FilterSettings(alpha=alpha), formats=formats or EVERY)


def missing_pictures(decided: CohortResult) -> list[str]:
    """The warnings that are no flags."""
    return [said for said in decided.warnings if "over-rejected" not in said]


def contents(out: Path) -> dict[str, Any]:
    """Every file, without how long it took and when."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        name = path.relative_to(out).as_posix()
        if path.name == "summary.csv":
            with path.open(newline="") as file:
                found[name] = [{**row, "seconds": ""} for row in csv.DictReader(file)]
        elif path.name == "record.json":
            record = json.loads(path.read_text())
            record["row"]["seconds"] = 0
            found[name] = record
        elif path.name == "run.json":
            account = json.loads(path.read_text())
            found[name] = {
                k: v for k, v in account.items() if k not in {"started", "seconds", "runs"}
            }
        elif path.name == "results.tsv":
            found[name] = path.read_text().splitlines()[1:]
        elif path.name != "report.html":
            found[name] = path.read_bytes()
    return found


# ---------------------------------------------------------------- whole runs


@pytest.mark.parametrize(("alpha", "workers"), [(0.0, 1), (0.6, 1), (0.667, 2), (0.7, 1)])
def test_it_is_a_run_with_that_alpha(
    inputs: list[Path], tmp_path: Path, alpha: float, workers: int
) -> None:
    run(inputs, tmp_path / "again", 0.65)
    run(inputs, tmp_path / "fresh", alpha)
    before = contents(tmp_path / "again")
    decided = decide(tmp_path / "again", alpha, workers=workers)
    assert (missing_pictures(decided), decided.failures) == ([], ())
    again, fresh = contents(tmp_path / "again"), contents(tmp_path / "fresh")
    assert set(again) == set(fresh)
    for name in fresh:
        assert again[name] == fresh[name], name
    changed = {name for name in before if before[name] != again[name]}
    assert {"summary.csv", "run.json", "a/record.json", "a/tiles.csv"} <= changed


def test_slides_and_patches_are_not_touched(
    inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(inputs, out, 0.65)

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a slide was opened")

    monkeypatch.setattr("rl2qc.slides.readers.openslide._open", fail)
    for path in inputs[:2]:
        path.unlink()
    rows = {row.name: row for row in decide(out, 0.0).rows}
    assert [(rows[n].tiles, rows[n].kept) for n in ("a", "b", "set")] == [
        (12, 12),
        (12, 12),
        (4, 4),
    ]
    assert rows["set"].status == "partial"


def test_there_and_back_again(inputs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(inputs, out, 0.65)
    before = contents(out)
    decide(out, 0.7, method="bh", max_rejected=0.1)
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert (settings["alpha"], settings["method"], settings["max_rejected"]) == (0.7, "bh", 0.1)
    decide(out, 0.65, max_rejected=0.5)
    assert contents(out) == before


def test_benjamini_hochberg_is_a_slide_at_a_time(inputs: list[Path], tmp_path: Path) -> None:
    class Spread(Model):
        def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
            return {"p_value": (super().measure(images)["log_likelihood"] - 151) / 40}

    out = tmp_path / "out"
    jobs, _ = find_inputs(inputs[:2])
    run_cohort(jobs, Spread(), out)
    decide(out, 0.5, method="bh")
    for name in ("a", "b"):
        table = read_table(out / name)
        assert (table.alpha, table.method) == (0.5, "bh")
        q_values = false_discovery_control(table.measurements["p_value"])
        np.testing.assert_array_equal(table.keep, q_values > 0.5)
        # Unlike both a threshold and no rejection.
        assert 12 > table.keep.sum() > (table.measurements["p_value"] > 0.5).sum()


def test_a_slide_that_loses_too_much_is_flagged(inputs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(inputs, out, 0.0)

    def summary() -> dict[str, dict[str, str]]:
        with (out / "summary.csv").open(newline="") as file:
            return {row["name"]: row for row in csv.DictReader(file)}

    decided = decide(out, 0.99)
    assert all("over-rejected" in row.flags for row in decided.rows)
    for row in summary().values():
        assert row["kept"] == "0"
        assert "over-rejected" in row["flags"]
        assert "100% of the tissue is rejected" in row["warnings"]
    assert "a: 100% of the tissue" in " ".join(
        json.loads((out / "run.json").read_text())["warnings"]
    )
    decide(out, 0.99, max_rejected=1.0)
    assert not any("over-rejected" in row["flags"] for row in summary().values())
    # The limit is remembered.
    assert read_table(out / "a").max_rejected == 1.0
    decide(out, 0.0)
    assert not any("tissue is rejected" in row["warnings"] for row in summary().values())


def test_pictures_of_tiles_are_sorted(inputs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(inputs[:1], out, 0.65, ["tiles", "clam"])

    def pictures(folder: str) -> set[str]:
        return {p.name for p in (out / "a" / folder).glob("*")}

    table = read_table(out / "a")
    first = pictures("tiles")
    assert 0 < len(first) == table.keep.sum() < len(table)
    assert missing_pictures(decide(out, 0.7)) == []
    fewer = pictures("tiles")
    assert len(fewer) == read_table(out / "a").keep.sum() < len(first)
    assert pictures("tiles_rejected") == first - fewer
    (warning,) = missing_pictures(decide(out, 0.0))
    assert pictures("tiles") == first
    assert warning.startswith(f"a: {len(table) - len(first)} tiles are kept that were rejected")
    decide(out, 0.999)
    assert pictures("tiles") == set()
    assert missing_pictures(decide(out, 0.65)) == []
    assert pictures("tiles") == first


# ---------------------------------------------------------------- more formats


@pytest.mark.parametrize(
    ("alpha", "added"),
    [
        (None, ["histoqc"]),
        (None, ["parquet", "trident", "clam", "wsinfer"]),
        (0.7, ["overlay", "histoqc", "clam"]),
    ],
)
def test_formats_are_added_as_if_they_had_always_been_there(
    inputs: list[Path], tmp_path: Path, alpha: float | None, added: list[str]
) -> None:
    first = ["geojson", "tiles"]
    run(inputs, tmp_path / "again", 0.65, first)
    run(inputs, tmp_path / "fresh", 0.65 if alpha is None else alpha, [*first, *added])
    decided = decide(tmp_path / "again", alpha, formats=added)
    assert (decided.failures, decided.alpha) == ((), 0.65 if alpha is None else alpha)
    again, fresh = contents(tmp_path / "again"), contents(tmp_path / "fresh")
    again = {name: what for name, what in again.items() if "tiles_rejected" not in name}
    assert set(again) == set(fresh)
    for name in fresh:
        assert again[name] == fresh[name], name
    # From here on, a run may ask for them.
    run(inputs, tmp_path / "again", 0.65 if alpha is None else alpha, [*first, *added])


def test_a_method_stays_where_only_formats_are_added(inputs: list[Path], tmp_path: Path) -> None:
    for name, formats in (("one", ["csv"]), ("two", ["csv", "clam"])):
        run(inputs[:1], tmp_path / name, 0.65, formats)
        decide(tmp_path / name, 0.7, method="bh", max_rejected=0.1)
    decide(tmp_path / "one", formats=["clam"])
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_formats_that_take_pixels(inputs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(inputs, out, 0.65, ["csv"])
    before = contents(out)
    for name, said in (("tiles-jpeg", "takes the pixels.*rl2qc filter"), ("xml", "no format")):
        with pytest.raises(UsageError, match=said):
            decide(out, 0.65, formats=["clam", name])
    with pytest.raises(UsageError, match="needs an alpha"):
        decide(out)
    with pytest.raises(UsageError, match="needs an alpha"):
        decide(out, method="bh", formats=["clam"])
    assert contents(out) == before


def test_a_decision_that_was_interrupted_must_be_named(inputs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(inputs, out, 0.65, ["csv"])
    (out / "b").rename(tmp_path / "b")
    decide(out, 0.7)
    (tmp_path / "b").rename(out / "b")
    with pytest.raises(UsageError, match=r"of no single decision.*give it an --alpha"):
        decide(out, formats=["clam"])
    assert decide(out, 0.7, formats=["clam"]).failures == ()
    assert decide(out, formats=["wsinfer"]).alpha == 0.7


def test_a_run_names_the_way_back(inputs: list[Path], tmp_path: Path) -> None:
    """Where the same command is refused, since what it asks for was decided again."""
    out = tmp_path / "out"
    run(inputs, out, 0.65, ["csv"])
    decide(out, 0.7, method="bh", max_rejected=0.3)
    with pytest.raises(UsageError, match=r"method bh -> threshold") as refused:
        run(inputs, out, 0.65, ["csv", "clam"])
    command = re.search(r"rl2qc decide (.+?) does that", str(refused.value))
    assert command
    back = f"rl2qc decide {out} --alpha 0.7 --method bh --max-rejected 0.3 brings the old decision"
    assert back in str(refused.value)
    assert shlex.split(command[1]) == [
        *(str(out), "--alpha", "0.65", "--max-rejected", "0.5", "--format", "clam")
    ]
    decide(out, 0.65, max_rejected=0.5, formats=["clam"])
    run(inputs, tmp_path / "fresh", 0.65, ["csv", "clam"])
    run(inputs, out, 0.65, ["csv", "clam"])
    assert contents(out) == contents(tmp_path / "fresh")


def test_files_of_another_version_go(inputs: list[Path], tmp_path: Path) -> None:
    """HistoQC's masks once had other names; with an old decision they must not stay."""
    out = tmp_path / "out"
    run(inputs[:1], out, 0.65, ["histoqc"])
    before = contents(out)
    name = inputs[0].stem
    folder = out / name
    record = read_json(folder / "record.json")
    (new,) = [file for file in record["files"] if file.endswith("_mask_use.png")]
    old = f"{name}_mask_use.png"
    (folder / new).rename(folder / old)
    files = [old if file == new else file for file in record["files"]]
    write_json(folder / "record.json", {**record, "files": files})
    decide(out, 0.65)
    assert contents(out) == before


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("added", [(), ("clam", "histoqc")])
def test_killed_at_any_moment(inputs: list[Path], tmp_path: Path, added: tuple[str, ...]) -> None:
    """A signal that cannot be caught, then the same call again."""
    formats = ["trident", "tiles", "parquet", "geojson", "overlay"]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rl2qc.cohort.decide", "test_decide"])
    run(inputs, tmp_path / "before", 0.667, formats)
    shutil.copytree(tmp_path / "before", tmp_path / "calm")
    # Once done, to know how long it takes.
    clock = time.monotonic()
    decide(tmp_path / "calm", 0.68, formats=added)
    took = time.monotonic() - clock
    expected, rng, killed = contents(tmp_path / "calm"), np.random.default_rng(5), 0
    for number in range(4):
        out = tmp_path / str(number)
        shutil.copytree(tmp_path / "before", out)
        begun = tmp_path / f"begun {number}"
        process = context.Process(target=decide_and_say, args=(begun, out, 0.68, added))
        process.start()
        deadline = time.monotonic() + 60
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, took))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        if number % 2 and added:
            # What was half added goes where it is not asked for again.
            decide(out, 0.5)
            for name in ("a", "b"):
                listed = json.loads((out / name / "record.json").read_text())["files"]
                there = (out / "patches" / f"{name}.h5").exists()
                assert there == (f"../patches/{name}.h5" in listed)
        decide(out, 0.68, formats=added)
        assert contents(out) == expected
        assert not (out / ".locks").exists()
    assert killed >= 2, "it ends before it is killed: the test shows nothing"


def decide_and_say(begun: Path, out: Path, alpha: float, formats: tuple[str, ...]) -> None:
    begun.touch()
    decide(out, alpha, formats=formats)


def test_attributes_of_coordinates_that_are_no_numbers(inputs: list[Path], tmp_path: Path) -> None:
    given = tmp_path / "a.h5"
    with h5py.File(given, "w") as file:
        coords = file.create_dataset("coords", data=[[0, 0], [64, 0]])
        coords.attrs.update(patch_size=64, patch_level=0, downsample=(1.0, 1.0), odd=np.nan)
        coords.attrs.update(far=[1.0, -np.inf], whole=3)
    jobs, _ = find_inputs(inputs[:1])
    for name, alpha in (("again", 0.65), ("fresh", 0.7)):
        settings = FilterSettings(alpha=alpha, coords=str(given))
        run_cohort(jobs, Model(), tmp_path / name, settings, formats=["clam"])
    assert decide(tmp_path / "again", 0.7).failures == ()
    assert contents(tmp_path / "again") == contents(tmp_path / "fresh")


def test_an_unforeseen_error_costs_one_result(
    inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(table: TileTable, path: Path) -> None:
        if table.name == "a":
            raise TypeError("of a\nwriter")
        write(table, path)

    out, write = tmp_path / "out", FORMATS.get("geojson").write
    run(inputs, out, 0.65)
    with monkeypatch.context() as patched:
        replace_writer(patched, "geojson", fail)
        decided = decide(out, 0.0)
    ((name, reason),) = decided.failures
    assert (name, reason.startswith("TypeError: of a writer")) == ("a", True)
    assert read_table(out / "b").keep.all()
    assert decide(out, 0.0).failures == ()


def test_killed_half_way(
    inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(inputs, out, 0.65)

    def die(table: TileTable, path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        replace_writer(patched, "overlay", die)
        with pytest.raises(KeyboardInterrupt):
            decide(out, 0.7)
    # A mixture passes for nobody's result.
    for alpha in (0.65, 0.7):
        with pytest.raises(UsageError, match="rl2qc decide"):
            run(inputs, out, alpha)
    decide(out, 0.7)
    run(inputs, tmp_path / "fresh", 0.7)
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_run_goes_on_from_the_new_decision(inputs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(inputs[:1], out, 0.65)
    decide(out, 0.7)
    with pytest.raises(UsageError, match=r"alpha 0\.7 -> 0\.65"):
        run(inputs, out, 0.65)
    run(inputs, out, 0.7)
    run(inputs, tmp_path / "fresh", 0.7)
    assert contents(out) == contents(tmp_path / "fresh")


def test_one_bad_result_costs_only_itself(inputs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(inputs, out, 0.65)
    (out / "a" / "tiles.csv").write_text("x,y\n1\n")
    (out / "set" / "tiles.csv").unlink()
    decided = decide(out, 0.0)
    (first, damaged), (second, missing) = decided.failures
    assert (first, second) == ("a", "set")
    assert "damaged result" in damaged
    assert "not complete" in missing
    assert "\n" not in damaged + missing
    assert read_table(out / "b").keep.all()


def test_what_another_process_has_is_left_alone(inputs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(inputs, out, 0.65)
    before = contents(out / "a")
    with try_lock(out / ".locks" / "a.lock") as mine:
        assert mine
        decided = decide(out, 0.0)
    assert decided.failures == (("a", "another process is at work on it"),)
    assert contents(out / "a") == before
    assert read_table(out / "b").keep.all()


def test_wrong_use(inputs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    for folder in (out, inputs[2]):
        with pytest.raises(UsageError, match="holds no results"):
            decide(folder, 0.1)
    run(inputs, out, 0.65)
    before = contents(out)
    wrong: list[dict[str, Any]] = [
        {"alpha": 1.0},
        {"alpha": float("nan")},
        {"alpha": 0.1, "method": "holm"},
        {"alpha": 0.1, "max_rejected": 1.5},
    ]
    for options in wrong:
        with pytest.raises(UsageError):
            decide(out, **options)
    assert contents(out) == before
