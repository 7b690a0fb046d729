"""Cards for papers and pipelines: tables, sentence, BibTeX, requirements."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from rl2qc.errors import UsageError
from rl2qc.scoring.compare import compare
from rl2qc.scoring.quote import bibtex, comparison_table, score_table
from rl2qc.scoring.requirements import failed, read_requirements
from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.score import score
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import METRICS


@pytest.fixture(scope="module")
def card(stained, tiny_model):
    images = stained(60, seed=41)
    settings = ScoreSettings(n_resamples=6, cache=False, metrics=["rl2", "fid", "coverage"])
    return score(images[:30], images[30:], tiny_model, settings)


def test_best_and_runner_up_are_marked():
    values = {"fid": (3.0, 1.0, 2.0), "coverage": (0.2, math.nan, 0.4), "free": (1.0, 2.0, 3.0)}
    table = comparison_table(
        ["a_b", "c", "d"], values, {"fid": False, "coverage": True, "free": None}
    )
    assert table.best == {(1, 1), (2, 2)}
    assert table.second == {(2, 1)}
    latex = table.latex()
    assert latex.startswith(r"\begin{tabular}{lrrr}") and latex.endswith(r"\end{tabular}")
    assert r"c & \textbf{1} & - & 2 \\" in latex and r"a\_b & 3" in latex
    assert r"\underline{2}" in latex and r"fid $\downarrow$" in latex
    assert "| c | **1** | - | 2 |" in table.markdown()
    assert {line.count("|") for line in table.markdown().splitlines()} == {5}


def test_a_card_in_latex_and_markdown(card, tmp_path):
    card.to_latex(tmp_path / "a.tex")
    card.to_markdown(tmp_path / "a.md")
    for text in ((tmp_path / "a.tex").read_text(), (tmp_path / "a.md").read_text()):
        assert "jeevan2025rl2" in text and "heusel2017fid" in text and "naeem2020prdc" in text
        assert "waddiv" not in text
        for words in ("rl2qc 0", "SHA-256", "seed 0", "30 real images", "64 px"):
            assert words in " ".join(text.replace("%", "").split()), words
    tex = (tmp_path / "a.tex").read_text()
    assert all(
        line.startswith(("%", "\\")) or " & " in line or not line for line in tex.splitlines()
    )
    cells = score_table(card.shown()).rows
    assert [row[0].split()[0] for row in cells] == ["rl2", "fid", "coverage"]


def test_the_sentence_of_a_comparison_is_of_what_was_done(stained, tiny_model):
    images = stained(36, seed=5)
    sets = {"a_b": images[:12], "c": images[12:24]}
    options = {"cache": False, "metrics": ["rl2"]}
    found = compare(sets, images[24:], tiny_model, n_resamples=6, **options)
    assert "95% intervals are of 6 resamples." in found.methods()
    assert "real-against-real" not in found.methods() and "(a_b: 12, c: 12)" in found.methods()
    assert found.provenance["groups"] == {"real": None, "a_b": None, "c": None}
    grouped = replace(found, provenance={**found.provenance, "groups": {"real": 4}})
    assert "12 real images of 4 groups" in grouped.methods()
    assert "95% intervals are of 6 resamples of whole groups." in grouped.methods()
    alone = compare(sets, images[24:], tiny_model, n_resamples=0, **options)
    assert "resamples" not in alone.methods() and "interval" not in alone.methods()


def test_every_metric_of_the_package_has_its_paper():
    named = [s for s in METRICS if s.question or s.name in ("swd", "inception_score")]
    named = [s for s in named if "likelihood" not in s.needs]
    for spec in named:
        entry = bibtex([spec.name])
        assert re.fullmatch(r"@\w+\{[^{}]+,.*\}", entry, re.DOTALL), spec.name
        assert entry.count("{") == entry.count("}")
    both = bibtex(["irs_inf", "irs_alpha"])
    assert both.count("@") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names nothing"),
        ("rl2", "'rl2' must be a metric"),
        ("rl2 = 3", "'rl2 = 3' must be"),
        ("rl2 < x", "must be a metric"),
        ("rl2 < 1e", "must be a metric"),
        ("psnr > 3", "no metric 'psnr'"),
    ],
)
def test_what_is_no_requirement(text, message):
    with pytest.raises(UsageError, match=message):
        read_requirements(text)


def test_what_is_not_measured_is_told():
    assert read_requirements("rl2 < 1, fid < 2", ["rl2", "fid"]) == read_requirements(
        "rl2 < 1, fid < 2"
    )
    with pytest.raises(UsageError, match="asks for fid, kid, which --metrics rl2 leaves out"):
        read_requirements("rl2 < 1, kid < 2, fid < 2", ["rl2"])


@pytest.mark.parametrize("value", ['"rl2 < 20, coverage > .6"', '["rl2 < 20", "coverage > .6"]'])
def test_requirements_of_a_settings_file(tmp_path, value):
    file = tmp_path / "pipeline.toml"
    file.write_text(f"seed = 1\nrequire = {value}\n[other]\nx = 1\n")
    assert read_requirements(str(file)) == read_requirements("rl2 < 20, coverage > .6")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read"),
        ("seed = 1", "has no require"),
        ("require = 3", "has no require"),
        ("require = [1]", "has no require"),
        ("require = ", "is no TOML"),
        ("require = 'rl2 = 3'", "'rl2 = 3' must be a metric"),
    ],
)
def test_settings_files_without_requirements(tmp_path, text, message):
    file = tmp_path / "pipeline.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_requirements(str(file))


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ("rl2<5", False),
        ("rl2 <= 5", True),
        ("rl2>= 5.0", True),
        ("rl2 > 5", False),
        ("fid<9", False),
    ],
)
def test_requirements(rule, met):
    rows = {"rl2": MetricResult(5.0, False, ""), "fid": MetricResult(math.nan, False, "")}
    assert (failed(read_requirements(rule), rows) == ()) == met


def test_a_pipeline_is_told_by_the_exit_code(rl2qc, tiny_model_file, patch_folder):
    call = ("score", patch_folder / "s1_*.png", "-r", patch_folder / "s2_*.png", "-m",
            tiny_model_file, "--metrics", "rl2", "--n-resamples", "0")  # fmt: skip
    assert rl2qc(*call, "--require", "rl2 >= 0").code == 0
    done = rl2qc(*call, "--require", "rl2 < 0, rl2 > 1e9")
    assert done.code == 4
    assert "rl2qc: rl2 < 0 is not met: " in done.err
    assert "rl2qc: rl2 > 1e+09 is not met: " in done.err
    # What is not measured cannot be met: said before the work.
    done = rl2qc(*call, "--require", "rl2 >= 0, coverage > .6")
    assert done.code == 2 and "coverage, which --metrics rl2 leaves out" in done.err
    assert "features" not in done.err
    assert rl2qc(*call, "--require", "rl3 < 0").code == 2
