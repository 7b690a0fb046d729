"""Laboratories that a model may not know: tiles, shares kept and areas against other code."""

from __future__ import annotations

import csv

import jsonschema
import numpy as np
import pytest
from page_helpers import Page
from PIL import Image
from sklearn.metrics import roc_auc_score

import rl2qc
from rl2qc.benchmarking.benchmark import benchmark
from rl2qc.benchmarking.findings import OWN
from rl2qc.benchmarking.judge import Judge
from rl2qc.benchmarking.laboratories import find_laboratories
from rl2qc.benchmarking.result import schema
from rl2qc.benchmarking.settings import BenchmarkSettings
from rl2qc.errors import UsageError
from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.stats.adaptation import adapt, judge_own
from rl2qc.synthetic.corruptions import corrupt

FEW = {"n": 50, "n_resamples": 9, "corruptions": ["blur"], "quick": True}


@pytest.fixture(scope="module")
def labs(stained, tmp_path_factory):
    """Tiles of two laboratories, one with large images; what is no tile; a folder without any."""
    folder = tmp_path_factory.mktemp("labs")
    for name in ("<i>small", "large", "none", ".hidden"):
        (folder / name).mkdir()
    for i, image in enumerate(stained(24, seed=31)):
        Image.fromarray(image).save(folder / "<i>small" / f"{i:02}.png")
    for i, image in enumerate(stained(6, size=200, seed=32)):
        Image.fromarray(image).save(folder / "large" / f"{i}.png")
    Image.fromarray(stained(1, size=40, seed=33)[0]).save(folder / "large" / "tiny.png")
    (folder / "large" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    (folder / "none" / "notes.txt").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def clean(stained):
    return stained(60, seed=5)


@pytest.fixture(scope="module")
def result(clean, labs, tiny_model):
    return benchmark(clean, tiny_model, labs=labs, **FEW)


def test_large_images_give_four_tiles_and_what_gives_none_is_named(labs):
    found, warnings = find_laboratories(labs, 64, BenchmarkSettings())
    assert list(found) == ["<i>small", "large"]
    names = found["large"].tiles.names
    assert len(names) == 24 and len(set(names)) == 24
    per_image = [sum(f"{i}.png@" in name for name in names) for i in range(6)]
    assert per_image == [4] * 6
    assert [name.rsplit("/", 1)[1] for name, _ in found["large"].left_out] == [
        "tiny.png",
        "torn.png",
    ]
    assert "40 x 40 px is smaller than 64 px" in found["large"].left_out[0][1]
    assert len(warnings) == 1 and "none" in warnings[0]
    # Every image has its turn before any has its second.
    few, _ = find_laboratories(labs, 64, BenchmarkSettings(n=50, quick=True))
    assert len({name.split("@")[0] for name in few["large"].tiles.names}) == 6


def test_numbers_are_those_of_other_code(result, labs, tiny_model):
    found, _ = find_laboratories(labs, 64, BenchmarkSettings(n=50, quick=True))
    assert list(result.labs) == [OWN, "<i>small", "large"]
    for name, lab in found.items():
        tiles = np.stack([lab.tiles[i] for i in range(len(lab.tiles))])
        got = result.labs[name]
        assert got.n == len(tiles) and got.n_images == (24 if name == "<i>small" else 6)
        kept = (tiny_model.p_values(tiles) > 0.05).mean()
        assert got.kept == pytest.approx(kept) == got.kept_mixed
        assert got.kept_low <= got.kept <= got.kept_high
        assert list(got.auc) == list(got.rejected) == ["blur 1", "blur 2"]
        rng = np.random.default_rng(0)
        for severity in (1, 2):
            # Blur takes nothing from its generator.
            soft = np.stack([corrupt(tile, "blur", severity, rng) for tile in tiles])
            scores = [tiny_model.score_samples(x, "combined") for x in (tiles, soft)]
            area = roc_auc_score(np.repeat([1, 0], len(tiles)), np.concatenate(scores))
            assert got.auc[f"blur {severity}"].value == pytest.approx(area, abs=2e-3)
            rejected = (tiny_model.p_values(soft) <= 0.05).mean()
            assert got.rejected[f"blur {severity}"] == pytest.approx(rejected, abs=0.05)


def test_what_is_left_out_is_said(result):
    said = " ".join(result.warnings)
    assert "large: 2 images left out (tiny.png: 40 x 40 px is smaller than 64 px; torn.png" in said
    assert "none" in said


def test_a_model_that_adapts_judges_beside_the_laboratory(stained, general_file):
    model = rl2qc.QualityModel.load(general_file, device="cpu")
    clean, others = stained(30, seed=41), stained(60, seed=42) // 2
    rows, damaged = model.statistics(clean), model.statistics(others)
    own, prior = rows[:, STATISTICS_DIM:], model.prior
    judged = Judge(model, rows)
    adaptation, expected = judge_own(own, prior)
    np.testing.assert_array_equal(judged.p_values, expected.p_value)
    usual = adapt(own, prior).usual
    np.testing.assert_array_equal(
        judged(damaged)[0], -prior.scores(damaged[:, STATISTICS_DIM:], usual)
    )
    # 30 clean of 43, whichever 13 are drawn.
    drawn = np.random.default_rng(3).choice(60, 13, replace=False)
    both = np.concatenate([own, damaged[drawn][:, STATISTICS_DIM:]])
    kept = (judge_own(both, prior)[1].p_value[:30] > 0.2).mean()
    assert judged.kept_among(damaged, 0.2, seed=3) == kept
    assert adaptation.tiles == 30


def test_images_that_taught_the_model_are_known_by_their_pixels(stained, tmp_path):
    taught, others = stained(110, seed=51), stained(100, seed=52)
    model = rl2qc.QualityModel.fit(taught, backbone="random", epochs=1, device="cpu")
    model.save(tmp_path / "model.safetensors")
    loaded = rl2qc.QualityModel.load(tmp_path / "model.safetensors", device="cpu")
    lab = tmp_path / "labs" / "known"
    lab.mkdir(parents=True)
    for i, image in enumerate([*others[:20], *taught[:4]]):
        # Larger than a patch, whose centre was the patch that taught.
        wide = np.pad(image, ((6, 6), (6, 6), (0, 0)), mode="reflect") if i == 23 else image
        Image.fromarray(wide).save(lab / f"renamed{i:02}.tif")
    found = benchmark(others, loaded, labs=tmp_path / "labs", **FEW)
    assert found.labs["known"].taught == 4 and found.labs[OWN].taught == 0
    assert any("taught the model" in said and "known (4 of 24)" in said for said in found.warnings)
    # A model that is trained on it was taught by its images as well.
    child = rl2qc.QualityModel.fit(
        others, backbone=str(tmp_path / "model.safetensors"), epochs=1, device="cpu"
    )
    assert len(child.taught_) == 210


def test_a_model_of_before_says_that_it_does_not_know(clean, labs, tiny_model, monkeypatch):
    monkeypatch.setattr(tiny_model, "taught_", None)
    found = benchmark(clean, tiny_model, labs=labs, **FEW)
    assert all(lab.taught is None for lab in found.labs.values())
    assert any("does not say which images taught it" in said for said in found.warnings)


def test_table_json_csv_and_page_show_them(result, tmp_path):
    jsonschema.validate(result.to_dict(), schema())
    page = Page(result.save(tmp_path))
    assert "Other laboratories" in page.text and "<i>small" in page.text
    assert "large" in result.lab_table() and "blur 2" in result.summary()
    with (tmp_path / "benchmark.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "laboratory"]
    assert [row["name"] for row in rows][3:6] == ["<i>small", "<i>small: blur", "<i>small: blur"]
    lab = result.labs["<i>small"]
    assert float(rows[4]["auc"]) == lab.auc["blur 1"].value and rows[3]["auc"] == ""
    assert float(rows[4]["kept"]) == 1 - lab.rejected["blur 1"]


@pytest.mark.parametrize("made", ["nothing", "a file", "no image", "small ones"])
def test_a_folder_without_laboratories_is_refused(made, clean, tiny_model, tmp_path):
    place = tmp_path / "labs"
    if made == "a file":
        place.write_text("")
    elif made != "nothing":
        (place / "a").mkdir(parents=True)
    if made == "small ones":
        Image.new("RGB", (30, 30)).save(place / "a" / "a.png")
    with pytest.raises(UsageError, match=r"no such folder|--labs wants a folder for each"):
        benchmark(clean, tiny_model, labs=place, **FEW)
