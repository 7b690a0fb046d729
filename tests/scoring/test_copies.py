"""Copies among the generated images: found one by one, and told from new real images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rl2qc.images.sources.base import as_source
from rl2qc.metrics.authenticity import authenticity
from rl2qc.scoring.baselines import Baselines
from rl2qc.scoring.copies import copies
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.rows import Stacks
from rl2qc.scoring.score import score
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import METRICS, Value
from rl2qc.scoring.specs import authenticity as module

SETTINGS = ScoreSettings(n_resamples=400)


def image_set(features, groups=None) -> ImageSet:
    """A set of which the pictures do not matter."""
    pictures = np.zeros((len(features), 64, 64, 3), np.uint8)
    features = np.asarray(features, np.float32)
    return ImageSet(as_source(pictures), {"features": features}, groups)


def beside_new_images(real, generated, unseen, observed):
    """The baseline of authenticity."""
    real = real if unseen is None else real.beside(unseen)
    stacks = Stacks([real, generated], SETTINGS)
    found = Baselines(stacks).find(stacks.of(METRICS.get("authenticity")), Value(observed))
    return found.baseline, found.values


def left_out_by_hand(x, groups):
    """Authenticity of every image when the images of its group are taken from the set."""
    found = []
    for row, label in zip(x, groups, strict=True):
        rest = x[groups != label]
        to_rest = np.linalg.norm(rest - row, axis=1)
        nearest = to_rest.argmin()
        others = np.linalg.norm(np.delete(rest, nearest, 0) - rest[nearest], axis=1)
        found.append(to_rest[nearest] > others.min())
    return np.array(found)


def test_copies_are_found_and_named(rng):
    real, new = rng.normal(size=(2, 20, 4))
    mixed = image_set([*new[:5], *real[[7, 3]] * (1 + 1e-7)])
    found = copies(mixed, image_set(real))
    assert (found.images.tolist(), found.of.tolist()) == ([5, 6], [7, 3])
    (text,) = found.warnings
    names = mixed.source.names[5], image_set(real).source.names[7]
    assert f"2 of 7 generated images equal a real image ({names[0]} equals {names[1]})" in text
    none = copies(mixed, image_set(new + 9))
    assert (len(none), none.warnings) == (0, ())
    assert len(copies(replace(mixed, arrays={}), image_set(real))) == 0


def test_unseen_images_that_are_not(rng):
    real, new = rng.normal(size=(2, 6, 3))
    judged = image_set(rng.normal(size=(4, 3)))
    assert copies(judged, image_set(real)).warnings == ()
    assert copies(judged, image_set(real).beside(image_set(new))).warnings == ()
    (text,) = copies(judged, image_set(real).beside(image_set([*new, *real[:2]]))).warnings
    assert "2 of 8 unseen images are in the real set" in text


@pytest.mark.parametrize("reach", [1, 4, 64])
@pytest.mark.parametrize("n_slides", [2, 7, 40, 60])
def test_every_image_is_left_out_with_its_slide(rng, monkeypatch, reach, n_slides):
    """One search for all slides, and slide by slide where it does not reach: as by hand."""
    monkeypatch.setattr(module, "_REACH", reach)
    labels = rng.permutation(np.arange(60) % n_slides)
    # Images of a slide look alike; two are copies across slides.
    x = (rng.normal(size=(n_slides, 3))[labels] + 0.3 * rng.normal(size=(60, 3))).astype(np.float32)
    x[5] = x[6]
    found = module.each_left_out(x, labels.astype(str), "euclidean")
    by_hand = left_out_by_hand(x.astype(float), labels)
    assert found.tolist() == by_hand.tolist()
    assert 0 < found.sum() < 60


@pytest.mark.parametrize("slides", [None, 6])
@pytest.mark.parametrize("duplicates", [0, 5])
def test_the_baseline_is_that_of_each_image_left_out(rng, slides, duplicates):
    x = rng.normal(size=(60, 3)).astype(np.float32)
    x[:duplicates] = x[30 : 30 + duplicates]
    labels = np.arange(60) if slides is None else rng.permutation(np.repeat(np.arange(6), 10))
    groups = None if slides is None else labels.astype(str)
    found, values = beside_new_images(
        image_set(x, groups), image_set(rng.normal(size=(600, 3))), None, 0.5
    )
    by_hand = left_out_by_hand(x.astype(float), labels)
    assert values.mean() == pytest.approx(by_hand.mean(), abs=0.02)
    assert found.value == np.median(values)
    assert (found.n_real, found.n_generated, found.by_group) == (60, 600, slides is not None)


def test_the_baseline_of_unseen_images_is_what_they_score(rng):
    real, new = rng.normal(size=(2, 80, 4))
    x, y = image_set(real), image_set(rng.normal(size=(500, 4)))
    found, values = beside_new_images(x, y, image_set(new), 0.5)
    known = authenticity(real, y.features, new).unseen_value
    assert values.mean() == pytest.approx(known, abs=0.01)
    assert found.low < known < found.high


@pytest.mark.parametrize(("n_real", "n_generated"), [(40, 40), (150, 300), (200, 60)])
def test_new_images_are_seldom_taken_for_copies(n_real, n_generated):
    """Over many draws of like sets at most about one in twenty lies outside its baseline."""
    rng, outside, draws = np.random.default_rng(5), 0, 120
    for _ in range(draws):
        real, new = image_set(rng.normal(size=(n_real, 6))), rng.normal(size=(n_generated, 6))
        observed = authenticity(real.features, new).value
        found, _ = beside_new_images(real, image_set(new), None, observed)
        outside += not 2.5 <= found.percentile <= 97.5
    assert outside <= 0.08 * draws


@pytest.mark.parametrize("slides", [False, True])
def test_too_few_to_leave_one_out(rng, slides):
    x = rng.normal(size=(2 if not slides else 4, 3))
    groups = np.array(["a", "a", "a", "b"]) if slides else None
    with pytest.raises(ValueError, match="real images"):
        beside_new_images(image_set(x, groups), image_set(x), None, 0.5)


@pytest.mark.parametrize(("n", "copied"), [(30, 30), (100, 30), (300, 30)])
def test_copies_are_not_like_real(stained, tiny_model, n, copied):
    images = stained(2 * n, seed=31)
    generated = np.concatenate([images[:copied], images[n : 2 * n - copied]])
    settings = ScoreSettings(n_resamples=60, cache=False, metrics=["fid", "authenticity"])
    card = score(generated, images[:n], tiny_model, settings)
    row = card.metrics["authenticity"]
    assert row.verdict == f"copies: {copied} of {n} generated images equal a real one"
    assert row.observed == row.value
    assert row.percentile < (2.5 if copied > 0.2 * n else 50)
    assert any(f"{copied} of {n} generated images equal a real image" in w for w in card.warnings)
    assert card.metrics["fid"].verdict != "like real"


def test_new_images_are_like_real(stained, tiny_model):
    images = stained(240, seed=32)
    settings = ScoreSettings(n_resamples=60, cache=False, metrics=["authenticity"])
    card = score(images[:120], images[120:], tiny_model, settings)
    assert card.metrics["authenticity"].verdict == "like real"
    assert not any("equal a real image" in w for w in card.warnings)
