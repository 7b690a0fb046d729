"""The least likely patches of a reference: which they are, as a table and as a sheet."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image
from toy_general import toy_prior

from rl2qc.images.sources.base import as_source
from rl2qc.model import review as module
from rl2qc.model.detectors.base import Reference
from rl2qc.model.detectors.stages import StageDetector
from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.model.review import _out_of_sample, review_reference
from rl2qc.model.train import train


@pytest.fixture(scope="module")
def reference(patches, stained):
    """120 patches of which 3, at rows 7, 50 and 90, are noise."""
    rng = np.random.default_rng(1)
    mixed = stained(120, seed=3)
    for row in (7, 50, 90):
        mixed[row] = rng.integers(0, 256, (64, 64, 3))
    return as_source(mixed)


@pytest.fixture(scope="module")
def review(tiny_model, reference):
    return review_reference(
        reference, tiny_model.statistics(reference), tiny_model.measure_statistics
    )


def test_what_is_no_tissue_comes_first_though_the_model_was_trained_on_it(
    tiny_model, reference, review
):
    assert set(review.source.names[:3]) == {"7", "50", "90"}
    assert (np.diff(review.score) >= 0).all()
    rows = [int(name) for name in review.source.names]
    assert np.allclose(review.log_likelihood, tiny_model.score_samples(reference)[rows])
    # As suspicious as so many of the reference, by the score that the list is sorted by.
    assert np.allclose(review.p_value, np.arange(1, len(review) + 1) / len(reference))
    assert np.array_equal(review.source[1], reference[rows[1]])


def test_a_patch_does_not_vouch_for_itself_nor_for_its_slide(rng):
    """Ten patches that share a direction of their own, each of which a density would learn."""
    statistics = rng.normal(size=(200, STATISTICS_DIM)).astype(np.float32)
    statistics[:10] += 6 * rng.normal(size=STATISTICS_DIM)
    slides = ["odd"] * 10 + [f"s{i // 10}" for i in range(190)]
    by_slide = _out_of_sample(statistics, slides)
    assert set(np.argsort(by_slide)[:10]) == set(range(10))
    seen = StageDetector().fit(Reference(statistics, np.arange(200) % 5))
    # Trained on all, the detector has a component for them.
    assert set(np.argsort(seen.scores(statistics))[:10]) != set(range(10))


@pytest.mark.parametrize(("n", "listed"), [(4, 4), (10, 10), (120, 10), (501, 11), (1000, 20)])
def test_two_percent_and_at_least_ten(reference, monkeypatch, n, listed):
    source = reference.take(np.arange(n) % 120)
    scores = np.random.default_rng(0).permutation(n).astype(float)
    monkeypatch.setattr(module, "_out_of_sample", lambda *_: scores)
    found = review_reference(source, scores, lambda s: {"log_likelihood": s + 1, "p_value": s + 2})
    assert found.n_reference == n
    assert found.score.tolist() == list(range(listed))
    assert found.log_likelihood.tolist() == [score + 1 for score in found.score]
    assert found.p_value.tolist() == [(i + 1) / n for i in range(listed)]


def test_the_table_keeps_every_digit(review, tmp_path):
    review.to_csv(tmp_path / "x.review.csv")
    with (tmp_path / "x.review.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "score", "log_likelihood", "p_value", "rank"]
    assert [row["file"] for row in rows] == list(review.source.names)
    assert [int(row["rank"]) for row in rows] == list(range(1, 11))
    for name in ("score", "log_likelihood", "p_value"):
        assert [float(row[name]) for row in rows] == getattr(review, name).tolist()


def test_a_notebook_shows_the_table(review):
    lines = review.table().splitlines()
    assert lines[0].split() == ["rank", "score", "p-value", "file"]
    assert [line.split()[0] for line in lines[1:]] == [str(i) for i in range(1, 11)]
    assert review.source.names[0] in lines[1]
    assert review.to_dict()["n_reference"] == 120
    assert lines[1] in review._repr_html_()


def test_the_sheet_shows_the_patches_in_order(review, tmp_path):
    review.to_png(tmp_path / "x.review.png")
    with Image.open(tmp_path / "x.review.png") as sheet:
        pixels = np.asarray(sheet, np.float64)
    # Ten columns of 128 px with 8 px between them, below a title of 34.
    for i in range(10):
        shown = pixels[34 : 34 + 128, 8 + i * 136 : 136 + i * 136]
        patch = np.asarray(
            Image.fromarray(review.source[i]).resize((128, 128), Image.Resampling.LANCZOS)
        )
        assert np.array_equal(shown, patch)
        caption = pixels[34 + 128 : 34 + 158, 8 + i * 136 : 136 + i * 136]
        assert caption.min() < 100


def test_long_sheets_end_and_names_need_not_be_text(tiny_model, reference, tmp_path):
    from dataclasses import replace

    from rl2qc.model.review import Review

    n = 230
    source = reference.take(np.arange(n) % 120)
    odd = ("caf\udce9.png", "Gewebe \N{GREEK SMALL LETTER MU}.png", "x" * 300 + ".png")
    source = replace(source, names=odd + source.names[3:])
    values = np.zeros(n)
    found = Review(source, values, values, values, 11500)
    found.to_csv(tmp_path / "x.csv")
    found.to_png(tmp_path / "x.png")
    assert b"caf\xe9.png" in (tmp_path / "x.csv").read_bytes()
    with Image.open(tmp_path / "x.png") as sheet:
        assert sheet.size == (10 * 136 + 8, 34 + 20 * 166 + 8)


def test_evidence_of_damage_counts_beside_density(rng, monkeypatch):
    """What looks like the rest, and shows what the network was taught to be damage."""
    prior = toy_prior()
    statistics = rng.normal(size=(200, STATISTICS_DIM)).astype(np.float32)
    evidence = rng.uniform(0, 0.1, (200, len(prior.names))).astype(np.float32)
    evidence[[3, 30, 77], 0] = 0.95
    rows = np.hstack([statistics, evidence])
    source = as_source(np.zeros((200, 64, 64, 3), np.uint8))
    found = review_reference(source, rows, lambda s: {"log_likelihood": s[:, 0]}, prior=prior)
    assert set(found.source.names[:3]) == {"3", "30", "77"}
    assert (np.diff(found.p_value) >= 0).all()
    without = review_reference(source, rows, lambda s: {"log_likelihood": s[:, 0]})
    assert not {"3", "30", "77"} <= set(without.source.names[:3])  # by chance they look like it


def test_a_model_on_a_general_network(tmp_path, general_file, stained):
    patches = stained(120, seed=4)
    found = train(
        patches, tmp_path / "m.safetensors", backbone=general_file, review=True, epochs=1, mpp=0.5
    )
    assert found.review_ is not None
    assert len(found.review_) == 10
    assert (np.diff(found.review_.p_value) >= 0).all()
