"""Each command does no more than its call: the same files, the same words."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rl2qc as package
from rl2qc.cohort.store.results import CohortResult

OPTIONS = {"alpha": 0.35, "min_tissue": 0.2, "stride": 32, "max_rejected": 0.3}
FORMATS = ("csv", "geojson", "overlay", "trident", "clam", "wsinfer", "histoqc", "tiles")


@pytest.fixture
def inputs(slide: Path, tmp_path: Path, red_model: None) -> list[Path]:
    """A slide, patches of which one is no image, and a slide that is none."""
    patches = tmp_path / "set"
    patches.mkdir()
    for i in range(3):
        Image.new("RGB", (80, 64), (60 + 40 * i, 90, 120)).save(patches / f"{i}.png")
    (patches / "bad.png").write_text("no image")
    (tmp_path / "broken.svs").write_text("no slide")
    return [slide, patches, tmp_path / "broken.svs"]


def contents(out: Path) -> dict[str, Any]:
    """Every file, without when and how it was made."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.suffix == ".json":
            content = json.loads(path.read_text())
            for times in (content, content.get("row", {})):
                for key in ("seconds", "started", "command", "runs"):
                    times.pop(key, None)
            found[name] = content
        elif name == "summary.csv":
            rows = csv.DictReader(io.StringIO(path.read_text()))
            found[name] = [{**row, "seconds": ""} for row in rows]
        elif name == "results.tsv":
            found[name] = path.read_text().splitlines()[1:]
        elif path.suffix == ".txt":
            # A traceback tells which way led to the error.
            found[name] = path.read_text().splitlines()[-1]
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def words(path: Path, text: str) -> list[str]:
    """The lines of a text, wherever it was written to."""
    return text.replace(str(path), "OUT").splitlines()


def said(path: Path, outcome: Any) -> list[str]:
    """What a command warns of, and what failed."""
    lines = words(path, outcome.err)
    return [line for line in lines if "warning: " in line or "error: " in line]


def in_words(result: CohortResult) -> list[str]:
    lines = [f"rl2qc: warning: {warning}" for warning in result.warnings]
    lines += [f"rl2qc: error: {error}" for error in result.errors]
    return words(result.folder, "\n".join(lines))


def without_seconds(text: str) -> list[list[str]]:
    lines = text.splitlines()
    end = lines[0].index(" s ") + 2
    return [[*line[:end].split()[:-1], *line[end:].split()] for line in lines]


def as_options(**options: Any) -> list[str]:
    return [
        word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)
    ]


def test_filter(rl2qc: Callable, inputs: list[Path], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    command = [*inputs, "-o", one, "--format", ",".join(FORMATS), *as_options(**OPTIONS)]
    outcome = rl2qc("filter", *command)
    result = package.filter_cohort(inputs, two, formats=FORMATS, **OPTIONS)
    assert contents(one) == contents(two)
    assert result.report == two / "report.html"
    assert result.report.is_file()
    assert (outcome.code, said(one, outcome)) == (1, in_words(result))
    lines = outcome.out.splitlines()
    assert without_seconds("\n".join(lines[:4])) == without_seconds(result.table())
    assert result.reasons in lines
    # Of the scale of patches, too.
    assert any("the resolution of the patches is unknown" in said for said in result.warnings)


def test_filter_again(rl2qc: Callable, inputs: list[Path], tmp_path: Path) -> None:
    outcome = rl2qc("filter", *inputs, "-o", tmp_path / "one", "--format", "csv")
    first = package.filter_cohort(inputs, tmp_path / "two", formats=["csv"])
    assert (outcome.code, first.before) == (1, ())
    outcome = rl2qc("filter", *inputs, "-o", tmp_path / "one", "--format", "csv")
    again = package.filter_cohort(inputs, tmp_path / "two", formats=["csv"])
    assert again.before == ("case", "set")
    assert "2 of 3 inputs were finished before" in outcome.err
    assert said(tmp_path / "one", outcome) == in_words(again) == in_words(first)


def test_decide(rl2qc: Callable, inputs: list[Path], tmp_path: Path) -> None:
    package.filter_cohort(inputs, tmp_path / "one", formats=["csv", "tiles", "histoqc"])
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for options in (
        {"alpha": 0.45},
        {"alpha": 0.6, "method": "bh", "max_rejected": 0.1},
        {"alpha": 0.0},
        {"formats": "clam,geojson"},
    ):
        given = {name.replace("formats", "format"): value for name, value in options.items()}
        outcome = rl2qc("decide", tmp_path / "one", *as_options(**given))
        result = package.decide(tmp_path / "two", **options)
        assert contents(tmp_path / "one") == contents(tmp_path / "two")
        assert "report.html" in contents(tmp_path / "two")
        assert (outcome.code, said(tmp_path / "one", outcome)) == (0, in_words(result))
        assert outcome.out.splitlines()[0] == result.summary()
    # What filter_cohort returns is as good as its folder.
    result = package.decide(package.read_results(tmp_path / "two"), 0.45)
    assert result.alpha == 0.45


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alhpa": 0.1}, "no option 'alhpa', perhaps 'alpha'"),
        ({"overwite": True}, "no option 'overwite', perhaps 'overwrite'"),
        ({"alpha": 1.0}, "alpha must lie in"),
        ({"formats": ["xml"]}, "no format 'xml'"),
        ({"formats": "csv,xml"}, "no format 'xml'"),
        ({"executor": "spark"}, "executor must be local or ray"),
        ({"address": "auto"}, "address is for executor ray"),
        ({"shard": "3/2"}, "shard must be"),
        ({"settings": {"alpha": 0.1}}, "settings must be FilterSettings"),
        ({"run": {"formats": ["csv"]}}, "settings must be RunSettings"),
    ],
)
def test_wrong_use_of_the_call(
    inputs: list[Path], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(package.UsageError, match=message):
        package.filter_cohort(inputs, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_old_words_of_the_call(inputs: list[Path], tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="engine is called executor now"):
        result = package.filter_cohort(inputs[0], tmp_path / "out", engine="local", report=False)
    assert result.errors == ()


def test_a_model_of_ones_own_cannot_go_to_ray(inputs: list[Path], tmp_path: Path) -> None:
    class Even:
        patch_size, mpp, name = 64, 0.5, "even"

        def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
            return {"p_value": np.ones(len(images))}

    with pytest.raises(package.UsageError, match="needs a model by name or file"):
        package.filter_cohort(inputs, tmp_path / "out", Even(), executor="ray")


def test_progress(inputs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[tuple[int, int, str]] = []

    def progress(done: int, total: int, what: str) -> None:
        calls.append((done, total, what))

    package.filter_cohort(inputs[0], tmp_path / "out", report=False, progress=progress)
    assert calls == [(0, 6, "case"), (6, 6, "case")]
    package.filter_cohort(inputs[0], tmp_path / "bar", report=False, progress=True)
    assert "filtering" in capsys.readouterr().err
    calls.clear()
    package.decide(tmp_path / "out", 0.5, progress=progress)
    assert calls == [(0, 1, "deciding"), (1, 1, "deciding")]
