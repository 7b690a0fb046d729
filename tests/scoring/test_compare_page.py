"""The page of a comparison, and the intervals that it draws."""

from __future__ import annotations

import re

import numpy as np
import pytest
from page_helpers import Page

import rl2qc
from rl2qc.scoring.ranks import ranks_of
from rl2qc.stats.agreement import rank_agreement
from rl2qc.synthetic.corruptions import corrupt

METRICS = ["rl2", "fid", "precision", "swd"]


@pytest.fixture(scope="module")
def sets(stained):
    rng = np.random.default_rng(0)
    images = stained(200)
    noisy = {
        f"step_{at}": np.stack([corrupt(p, "noise", level, rng) for p in images[80:120]])
        for at, level in ((10, 0.8), (20, 0.4), (30, 0.1))
    }
    return noisy, images[:80]


@pytest.fixture(scope="module")
def found(sets, tiny_model):
    return rl2qc.compare(*sets, tiny_model, n_resamples=40)


@pytest.fixture(scope="module")
def page(found, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    found.to_html(path)
    return Page(path)


@pytest.mark.parametrize("title", ["step_10", "step_30"])
def test_intervals_are_those_of_a_card_of_its_own(found, sets, tiny_model, title):
    noisy, real = sets
    card = rl2qc.score(noisy[title], real, tiny_model, metrics=METRICS, n_resamples=40)
    at = found.generators.index(title)
    for name in METRICS:
        wanted = card.metrics[name]
        low, high = found.interval_of(name)[at]
        # Each stack draws the pixels of its own sets.
        near = 0.2 if name == "swd" else 1e-6
        assert (low, high) == pytest.approx((wanted.low, wanted.high), rel=near, abs=1e-9), name


def test_best_and_second_of_a_row_are_marked(page):
    row = re.search(r"<tr><td>rl2<small>.*?</tr>", page.html, re.S).group()
    assert re.findall(r'<span class="(\w*)">', row) == ["", "second", "best"]
    assert row.count(" *") == 2


def test_rising_numbers_in_names_are_training_steps(page, found):
    assert "Against the training step" in page.text
    assert "step 10" in page.text


def test_other_numbers_in_names_are_generators(sets, tiny_model, tmp_path):
    noisy, real = sets
    named = dict(zip(("g0", "g2", "g3"), noisy.values(), strict=True))
    found = rl2qc.compare(named, real, tiny_model, metrics=["swd"], n_resamples=0)
    found.to_html(tmp_path / "page.html")
    text = Page(tmp_path / "page.html").text
    assert "Beside each other" in text and "training step" not in text


def test_the_heat_map_is_of_the_recommended(page, found):
    heat = re.search(r'class="heat">.*?</table>', page.html, re.S).group()
    assert "rl2" in heat and "wad_div_zero" not in heat
    assert set(re.findall(r'class="(t\d)"', heat)) <= {f"t{i}" for i in range(5)}
    assert "t4" in heat  # rl2 and fid agree wholly


def test_every_set_is_shown(page, found):
    assert len(page.sources) == 8 * 4
    assert "14 more" in page.text or "more metrics" in page.text


def test_metrics_without_a_clear_pair_are_left_out():
    agreement = rank_agreement(
        {"a": [1, 2, 3], "b": [1, 3, 2], "c": [3, 2, 1]}, {"a": True, "b": True, "c": False}
    )
    pairs = (("x", "y"), ("x", "z"), ("y", "z"))
    unclear = {"a": (), "b": pairs, "c": None}
    ranks = ranks_of(agreement, ("x", "y", "z"), unclear, ("a", "b", "c"))
    assert (ranks.metrics, ranks.silent, ranks.doubtful) == (("a", "c"), ("b",), (0, None))
    assert ranks.kendall[0, 1] == agreement.between("a", "c")[0]
    few = ranks_of(agreement, ("x", "y", "z"), unclear, ("b",))
    assert not few.metrics and few.silence().startswith("ranks: no metric")


def test_the_command_writes_it_and_prints_the_recommended(rl2qc, sets, tiny_model_file, tmp_path):
    from PIL import Image

    noisy, real = sets
    for name, images in {**noisy, "real": real}.items():
        (tmp_path / name).mkdir()
        for i, image in enumerate(images[:24]):
            Image.fromarray(image).save(tmp_path / name / f"{i}.png")
    common = ("compare", *(tmp_path / n for n in noisy), "-r", tmp_path / "real",
              "-m", tiny_model_file, "--n-resamples", 10)  # fmt: skip
    done = rl2qc(*common, "--html", tmp_path / "c.html")
    assert done.code == 0, done.error
    assert "more metrics: --all" in done.out and "wad_div_zero" not in done.out
    assert Page(tmp_path / "c.html").text
    assert "wad_div_zero" in rl2qc(*common, "--all").out
    again = rl2qc(*common, "--html", tmp_path / "c.html")
    assert again.code == 2 and "--overwrite" in again.error
