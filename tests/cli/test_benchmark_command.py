"""The command: files, table, and one line for every mistake."""

from __future__ import annotations

import json
import re

import jsonschema
import numpy as np
import pytest
from PIL import Image

from rl2qc.benchmarking.benchmark import benchmark
from rl2qc.benchmarking.result import schema
from rl2qc.benchmarking.settings import BenchmarkSettings
from rl2qc.errors import UsageError

FEW = ["--n", 50, "--n-resamples", 20]


@pytest.fixture
def artifacts(patches, tmp_path):
    folder = tmp_path / "artifacts"
    for kind in ("pen", "cutouts/spot"):
        (folder / kind).mkdir(parents=True)
    for i in range(3):
        Image.fromarray(patches[i] // 2).save(folder / "pen" / f"{i}.png")
        Image.fromarray(np.full((9, 9, 4), 200, np.uint8)).save(folder / f"cutouts/spot/{i}.png")
    return folder


def test_end_to_end(rl2qc, patch_folder, artifacts, tiny_model_file, tmp_path):
    out = tmp_path / "out"
    done = rl2qc("benchmark", "--clean", patch_folder, "-a", artifacts, "-m", tiny_model_file,
                 "--out", out, "--corruptions", "blur, fold", "--cutouts", "odd", "--mpp", "0.5",
                 *FEW)  # fmt: skip
    assert done.code == 0, done.err
    data = json.loads((out / "benchmark.json").read_text())
    jsonschema.validate(data, schema())
    assert list(data["corruptions"]) == ["blur", "fold"]
    assert data["cutouts"]["spot"]["n_cutouts"] == 1
    made = data["provenance"]
    assert (made["n"], made["n_available"], made["settings"]["mpp"]) == (50, 120, 0.5)
    assert data["stability"]["n"] == [25, 50]
    assert sorted(p.name for p in out.glob("*.png")) == ["blur.png", "fold.png", "stability.png"]
    assert "50 clean patches of 64 px, model tiny" in done.out
    first = data["corruptions"]["blur"]["rows"][0]["auc"][data["provenance"]["filter_detector"]][
        "value"
    ]
    assert re.search(rf"^Gaussian blur +1 +{first:.3f} ", done.out, re.M)
    assert data["stability"]["summary"] in done.out
    assert done.out.splitlines()[-1] == f"page  {(out / 'benchmark.html').resolve()}"
    for warning in data["warnings"]:
        assert f"rl2qc: warning: {warning}" in done.err

    again = rl2qc("benchmark", "--clean", patch_folder, "-m", tiny_model_file, "-o", out)
    assert again.code == 2
    assert "holds a benchmark: choose another folder or pass --overwrite" in again.error


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--clean", "nowhere"], 2, "no such file or folder: nowhere"),
        (["--clean", "empty"], 2, "no images in folder empty"),
        (["--clean", "few"], 2, "3 clean images are too few"),
        (["--clean", "clean", "--artifacts", "nowhere"], 2, "no such folder: nowhere"),
        (["--clean", "clean", "--artifacts", "empty"], 2, "no images in folder empty"),
        (["--clean", "clean", "-m", "histology"], 1, "is smaller (64 px) than the patch (224 px)"),
        (["--clean", "clean", "-m", "nowhere"], 2, "no model 'nowhere'"),
        (
            ["--clean", "clean", "--corruptions", "blurr"],
            2,
            "no corruption 'blurr', perhaps 'blur'?",
        ),
        (["--clean", "clean", "--n", "20"], 2, "n must be at least 50"),
        (["--clean", "clean", "--alpha", "2"], 2, "alpha must lie in (0, 1), got 2"),
        (["--clean", "clean", "--out", "few/0.png"], 2, "--out few/0.png is a file: name a folder"),
        (["--clean", "broken"], 1, "is not an image"),
        (["--clean", "clean", "--artifacts", "opaque"], 1, "it has no transparency"),
    ],
)
def test_bad_input(
    rl2qc, patch_folder, tiny_model_file, tmp_path, monkeypatch, arguments, code, message
):
    for name in ("empty", "few", "broken", "opaque/cutouts"):
        (tmp_path / name).mkdir(parents=True)
    for i, path in enumerate(sorted(patch_folder.iterdir())[:3]):
        (tmp_path / "few" / f"{i}.png").write_bytes(path.read_bytes())
    (tmp_path / "broken" / "a.png").write_text("no image")
    (tmp_path / "opaque" / "cutouts" / "a.png").write_bytes(path.read_bytes())
    (tmp_path / "clean").symlink_to(patch_folder)
    monkeypatch.chdir(tmp_path)
    model = [] if "-m" in arguments else ["-m", tiny_model_file]
    done = rl2qc("benchmark", *arguments, *model)
    assert done.code == code, done.err
    assert message in done.error
    assert not (tmp_path / "rl2qc-benchmark").exists()


def test_the_command_is_the_call(rl2qc, patch_folder, artifacts, tiny_model_file, tmp_path):
    """All that the command prints, warns of and writes is in what the call returns."""
    done = rl2qc("benchmark", "--clean", patch_folder, "-a", artifacts, "-m", tiny_model_file,
                 "--out", tmp_path / "command", "--corruptions", "blur,ink", "--quick", *FEW,
                 )  # fmt: skip
    result = benchmark(str(patch_folder), tiny_model_file, artifacts=str(artifacts),
                       corruptions=("blur", "ink"), quick=True, n=50, n_resamples=20)  # fmt: skip
    page = result.save(tmp_path / "call")
    written = json.loads((tmp_path / "command" / "benchmark.json").read_text())
    plain = result.to_dict()
    for made in (written, plain):
        made["provenance"].pop("seconds")
    assert written == plain
    names = {p.name for p in page.parent.iterdir()}
    assert {p.name for p in (tmp_path / "command").iterdir()} == names
    for name in names - {"benchmark.json", "benchmark.html"}:
        assert (tmp_path / "command" / name).read_bytes() == (page.parent / name).read_bytes()
    assert result.table() in done.out
    assert [f"rl2qc: warning: {w}" for w in result.warnings] == [
        line for line in done.err.splitlines() if "warning" in line
    ]
    with pytest.raises(UsageError, match="holds a benchmark"):
        result.save(tmp_path / "call")


def test_old_words_are_understood(rl2qc, patch_folder, tiny_model_file, tmp_path):
    done = rl2qc("benchmark", "--clean", patch_folder, "-m", tiny_model_file, "--out", tmp_path,
                 "--ladders", "blur", "--quick", *FEW)  # fmt: skip
    assert done.code == 0, done.err
    assert list(json.loads((tmp_path / "benchmark.json").read_text())["corruptions"]) == ["blur"]
    assert "--ladders" not in rl2qc("benchmark", "--help").out
    with pytest.warns(DeprecationWarning, match="ladders is called corruptions now"):
        assert BenchmarkSettings().changes(ladders=("ink",)).corruptions == ("ink",)


def test_help_has_examples(rl2qc):
    done = rl2qc("benchmark", "--help")
    assert done.code == 0
    assert "Examples" in done.out
    assert "--cutouts odd" in done.out


def test_clean_is_required(rl2qc):
    done = rl2qc("benchmark")
    assert done.code == 2
    assert "--clean" in done.error or "--clean" in done.err
