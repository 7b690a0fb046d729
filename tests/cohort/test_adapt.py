"""Adaptation is a decision: taken when all inputs are in, whoever does them, and taken again from
what is recorded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rl2qc
from rl2qc.cohort.store.tables import read_table
from rl2qc.errors import WorkError
from rl2qc.filtering.evidence import EVIDENCE, Evidence
from rl2qc.stats.adaptation import adapt, cohort_of, judge, judge_own, unadapted

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def sets(tmp_path_factory, patches) -> list[Path]:
    """Three sets of patches, the second darker than the others."""
    place = tmp_path_factory.mktemp("sets")
    for number, name in enumerate(NAMES):
        (place / name).mkdir()
        for i, patch in enumerate(patches[12 * number : 12 * number + 12]):
            shown = patch // 2 if name == "b" else patch
            Image.fromarray(shown).save(place / name / f"{i:02}.png")
    return [place / name for name in NAMES]


def run(inputs, out, model, **changes):
    return rl2qc.filter_cohort(inputs, out, model, mpp=0.5, report=False, **changes)


def contents(folder: Path) -> dict[str, bytes]:
    """Everything that a decision decides, without times."""
    found = {}
    for name in NAMES:
        record = json.loads((folder / name / "record.json").read_text())
        record["row"].pop("seconds")
        found[f"{name}/record"] = json.dumps(record, sort_keys=True).encode()
        for file in ("tiles.csv", EVIDENCE):
            found[f"{name}/{file}"] = (folder / name / file).read_bytes()
    return found


@pytest.fixture(scope="module")
def whole(sets, general_file, tmp_path_factory) -> Path:
    """All three in one run."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run(sets, out, general_file)
    return out


def test_each_is_judged_beside_the_cohort(whole):
    evidence = {name: Evidence.load(whole / name / EVIDENCE) for name in NAMES}
    prior = evidence["a"].prior
    own = [adapt(evidence[name].values, prior) for name in NAMES]
    cohort = cohort_of(own, prior)
    for name in NAMES:
        table = read_table(whole / name)
        adaptation, judged = judge_own(evidence[name].values, prior, cohort)
        np.testing.assert_array_equal(table.measurements["p_value"], judged.p_value)
        np.testing.assert_array_equal(table.measurements["score"], -judged.score)
        assert table.adaptation is not None and table.cohort is not None
        assert table.adaptation.to_dict() == adaptation.to_dict()
        assert table.cohort.to_dict() == cohort.to_dict()
        assert table.adapt == "auto"


@pytest.mark.parametrize(
    "parts", [[["a"], ["b"], ["c"]], [["c"], ["a", "b"]], [["a", "b"], ["b", "c"]]]
)
def test_order_and_parts_make_no_difference(parts, sets, whole, general_file, tmp_path):
    by_name = {path.name: path for path in sets}
    for part in parts:
        run([by_name[name] for name in part], tmp_path / "out", general_file)
    assert contents(tmp_path / "out") == contents(whole)


def test_shards_make_no_difference(sets, whole, general_file, tmp_path):
    for shard in ("2/3", "1/3", "3/3"):
        run(sets, tmp_path / "out", general_file, shard=shard)
    assert contents(tmp_path / "out") == contents(whole)


def test_a_run_that_was_killed_before_it_adapted(
    sets, whole, general_file, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patched:
        patched.setattr("rl2qc.cohort.filter.settle", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(sets, tmp_path / "out", general_file)
    assert contents(tmp_path / "out") != contents(whole)
    result = run(sets, tmp_path / "out", general_file)
    assert contents(tmp_path / "out") == contents(whole)
    # The rows that are returned are those of the last decision.
    assert [row.kept for row in result.rows] == [
        int(read_table(whole / name).keep.sum()) for name in NAMES
    ]


def test_the_ways_to_adapt(sets, whole, general_file, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    evidence = {name: Evidence.load(out / name / EVIDENCE) for name in NAMES}
    prior = evidence["a"].prior
    cohort = cohort_of([adapt(evidence[name].values, prior) for name in NAMES], prior)
    expected = {
        "none": lambda values: judge(values, unadapted(prior), prior),
        "slide": lambda values: judge_own(values, prior)[1],
        "cohort": lambda values: judge(values, cohort, prior),
        "auto": lambda values: judge_own(values, prior, cohort)[1],
    }
    for way, judged in expected.items():
        rl2qc.decide(out, 0.05, adapt=way)
        run(sets, tmp_path / way, general_file, adapt=way)
        for name in NAMES:
            found = read_table(out / name)
            assert found.adapt == way
            np.testing.assert_array_equal(
                found.measurements["p_value"], judged(evidence[name].values).p_value
            )
        # Decided later or in the run: the same, down to what is said of it.
        assert contents(out) == contents(tmp_path / way)
    assert contents(out) == contents(whole)


def test_deciding_beside_the_cohort_is_told_as_it_goes(sets, general_file, tmp_path):
    told = []
    run(sets, tmp_path / "out", general_file, progress=lambda *now: told.append(now))
    assert told[-4:] == [(done, 3, "comparing slides") for done in range(4)]


def test_one_by_itself_is_judged_by_itself(sets, general_file):
    table = rl2qc.filter_patches(sets[0], general_file, mpp=0.5)
    assert table.evidence is not None and table.cohort is None
    adaptation, judged = judge_own(table.evidence.values, table.evidence.prior)
    np.testing.assert_array_equal(table.measurements["p_value"], judged.p_value)
    assert table.artifact_mask.shape == (12, 8, 8)
    assert adaptation.tiles == 12
    assert any("few tiles say what is usual here: 12" in said for said in table.warnings)
    assert set(table.decide(0.5).warnings) >= set(table.warnings)


def test_a_model_with_a_reference_adapts_to_nothing(sets, tiny_model_file, tmp_path):
    run(sets, tmp_path / "out", tiny_model_file)
    assert not (tmp_path / "out" / "a" / EVIDENCE).exists()
    table = read_table(tmp_path / "out" / "a")
    assert table.adaptation is None and table.cohort is None and not table.maps
    with pytest.raises(ValueError, match="gives no map"):
        _ = table.artifact_mask


def test_damaged_evidence_is_named_and_costs_its_slide_alone(whole, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "b" / EVIDENCE).write_bytes(b"no archive")
    with pytest.raises(WorkError, match=r"b holds a damaged .*evidence\.npz was changed after"):
        read_table(out / "b")
    result = rl2qc.decide(out, 0.2)
    assert [name for name, _ in result.failures] == ["b"]
    assert read_table(out / "a").alpha == 0.2


def test_evidence_of_another_number_of_tiles_is_refused(whole, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    Evidence.load(out / "c" / EVIDENCE).take(np.arange(5)).save(out / "c" / EVIDENCE)
    record = out / "c" / "record.json"
    # As who lies on purpose would: with a record that says nothing of it.
    record.write_text(json.dumps({**json.loads(record.read_text()), "tables": {}}))
    with pytest.raises(WorkError, match=r"evidence\.npz is of 5 tiles, tiles\.csv of 12"):
        read_table(out / "c")
