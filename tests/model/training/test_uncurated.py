"""A reference that nobody sorted: drawn from slides, cleaned out of fold, and told."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom
from slide_helpers import tissue_like, write_slide
from toy_general import toy_prior

import rl2qc
from rl2qc.cohort.train import slides_in
from rl2qc.errors import UsageError
from rl2qc.filtering.slide_tiles import draw_tiles
from rl2qc.images.sources.base import as_source
from rl2qc.model.calibration import conformal_p_values
from rl2qc.model.detectors.base import Reference
from rl2qc.model.detectors.folds import fold_rows
from rl2qc.model.detectors.stages import StageDetector
from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.model.training.reference import read_reference
from rl2qc.model.training.suspects import Doubted, damaged_patches, suspects


@pytest.fixture
def slides(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Three slides of tissue, one of them small, one of glass, and one that is none."""
    folder = tmp_path / "slides"
    folder.mkdir()
    for name, shape in (("a", (512, 640)), ("b", (512, 640)), ("small", (128, 192))):
        write_slide(folder / f"{name}.tif", tissue_like(rng, *shape))
    write_slide(folder / "glass.tif", np.full((256, 256, 3), 240, np.uint8))
    (folder / "broken.svs").write_bytes(b"II*\0none")
    return folder


def test_tiles_are_drawn_from_each_slide_alike(slides: Path) -> None:
    found, _ = slides_in(slides)
    drawn = draw_tiles(found, 64, 0.5, most=100)
    of = Counter(group.split()[0] for group in drawn.groups)
    assert of == {"a": 20, "b": 20, "small": 6}
    assert drawn.patches.shape == (46, 64, 64, 3)
    said = "\n".join(drawn.warnings)
    assert "broken.svs is left out" in said
    assert "small has 6 tiles of tissue alone" in said
    assert "glass has 0 tiles" in said
    # Of equal seeds the same tiles, and each of them as it is on the slide.
    again = draw_tiles(slides_in([str(p) for p in sorted(slides.iterdir())])[0], 64, 0.5, most=100)
    np.testing.assert_array_equal(again.patches, drawn.patches)
    other = draw_tiles(found, 64, 0.5, most=100, seed=1)
    assert (other.patches != drawn.patches).any()


@pytest.mark.parametrize("names", ["a", "ab"])
def test_of_few_slides_parts_are_groups(slides: Path, names: str) -> None:
    found = slides_in([slides / f"{name}.tif" for name in names])[0]
    drawn = draw_tiles(found, 64, 0.5, most=1000)
    assert len(drawn.patches) == 80 * len(names)
    counts = Counter(drawn.groups)
    assert (len(counts), max(counts.values())) == (6 * len(names), 16)


def test_of_many_slides_each_is_a_group(slides: Path) -> None:
    for name in "cde":
        shutil.copy(slides / "a.tif", slides / f"{name}.tif")
    assert set(draw_tiles(slides_in(slides)[0], 64, 0.5).groups) == {*"abcde", "small"}


@pytest.mark.parametrize("seed", range(4))
def test_a_small_slide_beside_a_large_one_is_no_obstacle(
    tmp_path: Path, general_file: Path, rng: np.random.Generator, seed: int
) -> None:
    """Which of them is drawn to be held out is chance; either way most must be learnt from."""
    write_slide(tmp_path / "large.tif", tissue_like(rng, 768, 1024))
    write_slide(tmp_path / "small.tif", tissue_like(rng, 256, 256))
    made = rl2qc.train(
        sorted(tmp_path.glob("*.tif")), tmp_path / "m.safetensors", uncurated=True,
        backbone=general_file, epochs=1, patch_size=64, mpp=0.5, seed=seed,
    ).provenance  # fmt: skip
    assert made["n_train"] > 2 * made["n_held_out"] >= 40


def test_slides_are_found_as_the_filter_finds_them(
    slides: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Deep in folders, by globs and lists; of equal names each is another slide."""
    deep = tmp_path / "cohort"
    for site in ("one", "two"):
        (deep / site).mkdir(parents=True)
        write_slide(deep / site / "case.tif", tissue_like(rng, 256, 576))
    found = slides_in(deep)[0]
    assert len({slide.name for slide in found}) == 2
    assert len({group.split()[0] for group in draw_tiles(found, 64, 0.5).groups}) == 2
    assert [s.path for s in slides_in(str(slides / "[ab].tif"))[0]] == [
        slides / "a.tif", slides / "b.tif",
    ]  # fmt: skip
    write_slide(tmp_path / "bare.tif", tissue_like(rng, 256, 576), mpp=None)
    bare = slides_in(tmp_path / "bare.tif")[0]
    with pytest.raises(UsageError, match="CSV list of slides"):
        draw_tiles(bare, 64, 0.5)
    (tmp_path / "list.csv").write_text("wsi,mpp\nbare.tif,0.5\n")
    assert len(draw_tiles(slides_in(tmp_path / "list.csv")[0], 64, 0.5).patches) == 36


def test_what_is_no_slide_is_left_to_others(slides: Path, patch_folder: Path) -> None:
    assert slides_in(patch_folder)[0] == []
    assert slides_in(np.zeros((2, 64, 64, 3), np.uint8))[0] == []
    with pytest.raises(UsageError, match="slides beside patches"):
        slides_in([slides / "a.tif", patch_folder])
    with pytest.raises(UsageError, match=r"too few.*of slides, --uncurated draws tiles"):
        rl2qc.train(slides / "a.tif", slides / "m.safetensors")
    with pytest.raises(UsageError, match="no tile of tissue"):
        draw_tiles(slides_in(slides / "glass.tif")[0], 64, 0.5)


def test_what_is_damaged_or_far_is_set_aside(rng: np.random.Generator) -> None:
    prior = toy_prior()
    statistics = rng.normal(size=(300, STATISTICS_DIM)).astype(np.float32)
    evidence = rng.uniform(0, 0.1, (300, len(prior.names))).astype(np.float32)
    evidence[:30, 0] = 0.95
    statistics[30:60] *= 3
    groups = [f"s{i // 20}" for i in rng.permutation(300)]
    out, stands = suspects(np.hstack([statistics, evidence]), groups, prior)
    assert out[:30].all()
    assert not stands[:60].any()
    assert stands[60:].mean() > 0.95
    assert out[30:60].all()
    assert out[60:].mean() < 0.1
    assert damaged_patches(np.hstack([statistics, evidence]), prior)[:30].all()
    # Without a general network, density alone tells.
    alone = suspects(statistics, groups, None).out
    assert alone[30:60].all()
    assert alone[60:].mean() < 0.1


def test_evidence_counts_where_densities_tell_nothing(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of two slides, one spread wider: ink on one of them was learnt from, and calibrated."""
    prior, clean = toy_prior(), "rl2qc.model.training.suspects.clean_probabilities"
    monkeypatch.setattr(clean, lambda shortfalls: np.ones(len(shortfalls)))
    statistics = rng.normal(size=(300, STATISTICS_DIM)).astype(np.float32)
    evidence = rng.uniform(0, 0.1, (300, len(prior.names))).astype(np.float32)
    bad = np.arange(300) % 20 == 0
    evidence[bad, 0] = 0.95
    out, stands = suspects(np.hstack([statistics, evidence]), None, prior)
    assert out.tolist() == bad.tolist()
    assert stands.tolist() == (~bad).tolist()
    # Of clean ones alone, none is sure to be damaged.
    assert not suspects(np.hstack([statistics, evidence])[~bad], None, prior).out.any()


def test_a_hue_that_no_stain_has_is_not_learnt_from(rng: np.random.Generator) -> None:
    statistics = rng.normal(size=(300, 2048)).astype(np.float32)
    odd = np.zeros(300)
    odd[:12] = 0.02
    out = suspects(statistics, None, None, odd_hue=odd).out
    assert out[:12].all() and out[12:].mean() < 0.05
    # Where the stain has such hues itself, they say nothing.
    usual = rng.uniform(0, 0.1, 300)
    alone = suspects(statistics, None, None).out
    assert np.array_equal(suspects(statistics, None, None, odd_hue=usual).out, alone)
    assert not alone[:12].all()


def varied(n: int, rng: np.random.Generator) -> np.ndarray:
    """Statistics of clean patches, a few of which lie far from the others: as of t."""
    spread = np.exp(0.02 * np.abs(rng.standard_t(4, (n, 1))))
    return (rng.normal(size=(n, STATISTICS_DIM)) * spread).astype(np.float32)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_what_is_rare_among_clean_patches_is_kept(share: float, rng: np.random.Generator) -> None:
    n = 400
    statistics = varied(n, rng)
    bad = round(share * n)
    # Damaged ones lie from among the clean to far away.
    statistics[:bad] *= np.exp(rng.uniform(0, 2.5, (bad, 1)))
    out, stands = suspects(statistics, None, None)
    clean = statistics[~out]
    detector = StageDetector().fit(Reference(clean, fold_rows(len(clean), None, 0)))
    scores = np.empty(n)
    scores[~out], scores[out] = detector.out_of_fold_, detector.scores(statistics)[out]
    new = detector.scores(varied(1000, rng))
    kept = np.mean(conformal_p_values(new, scores[stands]) > 0.05)
    low, high = binom.ppf([0.001, 0.999], n, 0.95) / n
    assert low < kept < high
    # Most that are damaged teach nothing.
    assert (out[:bad].sum(), out[bad:].mean()) >= (0.7 * bad, 0)
    assert out[bad:].mean() < 0.05


def test_rare_patches_calibrate_what_was_not_fitted_to_them(
    mixed, tmp_path, general_file, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"backbone": general_file, "epochs": 1, "mpp": 0.5, "uncurated": True}
    out = np.arange(140) < 20
    found = {}
    for name, stands in (("narrow", ~out), ("with the rare", np.arange(140) >= 10)):
        monkeypatch.setattr(
            "rl2qc.model.training.fit.suspects",
            lambda *_, stands=stands, **__: Doubted(out, stands),
        )
        found[name] = rl2qc.train(mixed, tmp_path / f"{name}.safetensors", **options)
    few, all_ = (found[name].calibration_["combined"] for name in ("narrow", "with the rare"))
    assert (len(few), len(all_)) == (120, 130)
    # The others are fitted and calibrate as before; the rare stand behind them.
    np.testing.assert_array_equal(all_[:120], few)
    model = found["with the rare"]
    np.testing.assert_allclose(all_[120:], model.score_samples(mixed[10:20], "combined"), rtol=1e-4)
    held = [len(found[name].calibration_["log_likelihood"]) for name in found]
    assert held == [24, 26]
    # A file holds them all.
    again = rl2qc.QualityModel.load(tmp_path / "with the rare.safetensors")
    np.testing.assert_array_equal(again.calibration_["combined"], all_)


def test_some_of_a_pass_are_what_a_pass_over_some_finds(tiny_model, stained) -> None:
    patches, rows = stained(30, seed=1), np.array([2, 3, 11, 29])
    whole = read_reference(as_source(patches), tiny_model.extractor, seed=0).take(rows)
    part = read_reference(as_source(patches[rows]), tiny_model.extractor, seed=0)
    np.testing.assert_allclose(whole.statistics, part.statistics, atol=1e-5)
    np.testing.assert_array_equal(whole.quantities, part.quantities)
    np.testing.assert_array_equal(whole.digests, part.digests)
    np.testing.assert_array_equal(whole.sources, part.sources)
    assert len(whole.damaged) == len(part.damaged)


@pytest.fixture
def mixed(stained) -> np.ndarray:
    patches = stained(140, seed=5)
    patches[:20] = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3))
    return patches


def test_training_leaves_them_out_and_says_so(mixed, tmp_path, general_file) -> None:
    options = {"backbone": general_file, "epochs": 1, "mpp": 0.5}
    model = rl2qc.train(mixed, tmp_path / "m.safetensors", uncurated=True, **options)
    (said,) = [w for w in model.warnings_ if "not learnt from" in w]
    left = model.provenance["n_train"] + model.provenance["n_held_out"]
    assert said.startswith(f"{140 - left} of 140 patches")
    assert 20 <= 140 - left <= 50
    # The model knows what it learnt from.
    assert (model.p_values(mixed[:20]) < 0.05).mean() > 0.8


def test_slides_are_learnt_from(slides, tmp_path, general_file) -> None:
    options = {"backbone": general_file, "epochs": 1, "patch_size": 64, "mpp": 0.5}
    model = rl2qc.train(slides, tmp_path / "m.safetensors", uncurated=True, **options)
    assert (model.patch_size, model.mpp) == (64, 0.5)
    assert any("broken.svs is left out" in w for w in model.warnings_)
    with pytest.raises(UsageError, match=r"too few|no images|cannot"):
        rl2qc.train(slides / "small.tif", tmp_path / "n.safetensors", uncurated=True, **options)
    assert not (tmp_path / "n.safetensors").exists()


def test_a_reference_that_is_mostly_damaged_is_refused(
    mixed, tmp_path, tiny_model_file, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "rl2qc.model.training.fit.suspects",
        lambda s, *_, **__: Doubted(np.arange(len(s)) < 80, np.arange(len(s)) >= 80),
    )
    with pytest.raises(UsageError, match="cannot be told from so few"):
        rl2qc.train(
            mixed,
            tmp_path / "m.safetensors",
            backbone=tiny_model_file,
            uncurated=True,
            epochs=1,
            mpp=0.5,
        )
