"""The page of a scorecard: what it shows, and that nothing is fetched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from page_helpers import Page
from PIL import Image

from rl2qc.errors import UsageError
from rl2qc.scoring.page import write_page
from rl2qc.scoring.score import score
from rl2qc.scoring.scorecard import Scorecard
from rl2qc.scoring.settings import ScoreSettings


@pytest.fixture(scope="module")
def card(stained, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("<generated>")
    images = stained(50, seed=3)
    for i, image in enumerate(images[30:]):
        Image.fromarray(image).save(folder / f"<b>{i}.png")
    settings = ScoreSettings(n_resamples=8, cache=False)
    return score(str(folder), images[:30], tiny_model, settings)


def test_everything_is_on_the_page(card, tmp_path):
    write_page(card, tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert len(page.sources) > 20
    titles = ("Scores", "Distributions", "Real against real", "Against the number of images",
              "Nearest real images", "Worst and best generated images")  # fmt: skip
    assert all(title in page.text for title in titles)
    assert "<b>0.png" in page.text
    assert all(name in page.text for name in card.shown())
    assert "more metrics" in page.text
    assert all(line.answer in page.text for line in card.headline)
    assert card.headline[0].question == "Realism"


def test_what_is_resampled_is_said_on_the_page(card, tmp_path):
    write_page(card, tmp_path / "page.html")
    text = " ".join(Page(tmp_path / "page.html").text.split())
    assert "Baselines: 15 real images against 15; authenticity 30 against 20." in text
    assert "end at" not in text
    large = replace(card, provenance={**card.provenance, "resampled_images_at_most": 12})
    write_page(large, tmp_path / "page.html")
    text = " ".join(Page(tmp_path / "page.html").text.split())
    assert "draw from at most 12 images of a set" in text
    assert "The curves end at 12 images" in text


def test_best_and_worst_are_the_extremes(card):
    from rl2qc.scoring.page import _extremes, _neighbours

    scores = card.evidence.log_likelihood["generated"]
    assert _extremes(card.evidence, best=True)[0]["text"] == f"log p {scores.max():.1f}"
    assert _extremes(card.evidence, best=False)[0]["text"] == f"log p {scores.min():.1f}"
    closest = card.evidence.nearest_distance.min()
    assert _neighbours(card.evidence)[0]["real"][0]["text"] == f"{closest:.3g}"


def test_nearest_images_are_nearest(card, tiny_model):
    evidence = card.evidence
    x, y = (tiny_model.features(evidence.sources[n]) for n in ("real", "generated"))
    distances = np.linalg.norm(y[:, None].astype(float) - x[None], axis=2)
    np.testing.assert_array_equal(evidence.nearest[:, 0], distances.argmin(axis=1))
    np.testing.assert_allclose(evidence.nearest_distance[:, 0], distances.min(axis=1), rtol=1e-4)


@pytest.mark.parametrize("metrics", [["rl2"], ["precision"], ["kept_fraction_real"], ["swd"]])
def test_a_page_of_a_few_metrics(stained, tiny_model, tmp_path, metrics):
    images = stained(24, seed=3)
    settings = ScoreSettings(n_resamples=0, cache=False, metrics=metrics)
    write_page(score(images[:12], images[12:], tiny_model, settings), tmp_path / "page.html")
    Page(tmp_path / "page.html")


def test_no_page_without_evidence(card, tmp_path):
    with pytest.raises(UsageError, match="score"):
        write_page(Scorecard(card.metrics, card.provenance, card.warnings), tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
