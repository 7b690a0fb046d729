"""Scores of images that come batch by batch."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from PIL import Image

import rl2qc
from rl2qc.scoring.callbacks import scalars

FEW = {"n_resamples": 0, "metrics": ["rl2", "fid", "kid", "swd", "coverage", "kept_fraction_real"]}


@pytest.fixture(scope="module")
def sets(stained):
    return stained(40, seed=1), stained(30, seed=2)


@pytest.fixture
def scorer(sets, tiny_model):
    return rl2qc.ImageSetScorer(sets[0], tiny_model, values="[-1, 1]", **FEW)


def floats(images):
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1


def test_the_numbers_are_those_of_score(sets, tiny_model, tmp_path):
    real, generated = sets
    for i, image in enumerate(generated):
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    settings = {"n_resamples": 20}
    scorer = rl2qc.ImageSetScorer(real, tiny_model, values="[-1, 1]", **settings)
    for batch in floats(generated).split(7):
        scorer.update(batch)
    found, wanted = scorer.compute(), rl2qc.score(tmp_path, real, tiny_model, **settings)
    assert list(found.metrics) == list(wanted.metrics)
    for name, row in wanted.metrics.items():
        for key in ("value", "low", "high", "baseline", "observed"):
            pair = getattr(found.metrics[name], key), getattr(row, key)
            assert pair[0] == pytest.approx(pair[1], rel=1e-4, abs=1e-6, nan_ok=True), (name, key)
    found.to_html(tmp_path / "card.html")
    assert "data:image" in (tmp_path / "card.html").read_text()


def test_more_updates_and_a_reset(scorer, sets, tiny_model):
    real, generated = sets
    scorer.update(floats(generated[:10]))
    first = scorer.compute()["rl2"]
    scorer.update(generated[10:])
    assert len(scorer) == 30
    assert scorer.compute()["rl2"] == pytest.approx(
        rl2qc.score(generated, real, tiny_model, **FEW)["rl2"], rel=1e-5
    )
    scorer.reset()
    with pytest.raises(rl2qc.UsageError, match="no generated images yet"):
        scorer.compute()
    scorer.update(generated[:10])
    assert scorer.compute()["rl2"] == pytest.approx(first, rel=1e-5)


def test_the_real_set_is_measured_once(scorer, sets, tiny_model, monkeypatch):
    scorer.update(sets[1])
    scorer.compute()
    seen = []
    statistics = type(tiny_model).statistics
    monkeypatch.setattr(
        type(tiny_model),
        "statistics",
        lambda self, p, **k: seen.append(len(p)) or statistics(self, p, **k),
    )
    scorer.reset()
    scorer.update(sets[1][:5])
    scorer.compute()
    assert seen == [5]


def test_nothing_is_lost_by_a_bad_batch(scorer, sets):
    scorer.update(floats(sets[1]))
    bad = floats(sets[1])
    bad[3, 1, 5, 5] = torch.nan
    with pytest.raises(rl2qc.UsageError, match="NaN"):
        scorer.update(bad)
    with pytest.raises(rl2qc.UsageError, match="80 x 80 px after batches of 64 x 64 px"):
        scorer.update(torch.zeros(2, 3, 80, 80))
    with pytest.raises(rl2qc.ImageError, match="the 30 images before it are kept"):
        scorer.update([np.zeros((32, 32, 3), np.uint8)])
    assert len(scorer) == 30
    scorer.compute()


def test_larger_images_are_cropped_as_score_does(sets, tiny_model, stained):
    large = stained(12, size=96, seed=4)
    scorer = rl2qc.ImageSetScorer(sets[0], tiny_model, **FEW)
    scorer.update_all(iter(large))
    wanted = rl2qc.score(large, sets[0], tiny_model, **FEW)
    assert scorer.compute()["fid"] == pytest.approx(wanted["fid"], rel=1e-4)


def test_one_image_and_none(scorer, sets):
    scorer.update([])
    assert len(scorer) == 0
    scorer.update(sets[1][0])
    with pytest.raises(rl2qc.UsageError, match="the generated set holds one image"):
        scorer.compute()


def test_words_are_checked_at_once(sets, tiny_model):
    with pytest.raises(rl2qc.UsageError, match="values must be"):
        rl2qc.ImageSetScorer(sets[0], tiny_model, values="0..1")
    with pytest.raises(rl2qc.UsageError, match="no option"):
        rl2qc.ImageSetScorer(sets[0], tiny_model, metrix=["rl2"])


def test_an_extractor_of_ones_own(sets, tiny_model):
    class Colours:
        name, dim, identity = "colours", 3, "colours, version 1"

        def extract(self, source, *, progress=False):
            means = [source[i].mean((0, 1)) for i in range(len(source))]
            return np.array(means, np.float32)

    settings = {"features": Colours(), "metrics": ["fid"], "n_resamples": 0, "cache": False}
    scorer = rl2qc.ImageSetScorer(sets[0], tiny_model, **settings)
    scorer.update(sets[1])
    wanted = rl2qc.score(sets[1], sets[0], tiny_model, **settings)["fid"]
    assert scorer.compute()["fid"] == pytest.approx(wanted, rel=1e-6)


def test_a_plain_loop(scorer, sets, tmp_path):
    logged, pages = [], []
    scores = rl2qc.ScoreEvery(
        scorer,
        lambda n: floats(sets[1][:n]),
        n=12,
        every=2,
        log=lambda *entry: logged.append(entry),
        on_card=lambda card, step: pages.append((step, card.evidence is not None)),
    )
    cards = [scores(step) for step in range(1, 5)]
    assert [card is not None for card in cards] == [False, True, False, True]
    assert list(scores.history) == [2, 4] and pages == [(2, True), (4, True)]
    assert ("rl2qc/rl2", cards[1]["rl2"], 2) in logged
    scores.to_csv(tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["step"] for r in rows if r["metric"] == "fid"] == ["2", "4"]
    with pytest.raises(rl2qc.UsageError, match="every must be at least 1"):
        rl2qc.ScoreEvery(scorer, [], every=0)


def test_a_trainer_of_lightning(scorer, sets):
    pl = pytest.importorskip("lightning.pytorch")

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.shift = torch.nn.Parameter(torch.zeros(1))

        def training_step(self, batch, index):
            return (self.shift - 1).square().sum()

        def validation_step(self, batch, index):
            pass

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    loader = torch.utils.data.DataLoader(torch.zeros(2, 1))
    callback = rl2qc.LightningScores(scorer, lambda module, n: floats(sets[1][:n]), n=12, every=2)
    trainer = pl.Trainer(
        max_epochs=2, callbacks=[callback], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
    )  # fmt: skip
    trainer.fit(Module(), loader, loader)
    scorer.update(sets[1][:12])
    wanted = scalars(scorer.compute())
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert {n: logged[n] for n in wanted} == pytest.approx(dict(wanted), rel=1e-4)
