"""Repeated images, copies that were encoded anew, paired scenes, and what they do to the answer."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rl2qc.errors import UsageError
from rl2qc.images.duplicates import near_duplicates
from rl2qc.images.recipes import Recipe
from rl2qc.scoring.score import score
from rl2qc.scoring.settings import ScoreSettings

SETTINGS = ScoreSettings(
    n_resamples=20, cache=False, metrics=["rl2", "wad_div_ratio", "coverage", "authenticity"]
)


def answers(card) -> dict[str, str]:
    return {line.question: line.answer for line in card.headline}


def save(images, folder):
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"scene_{i}.png")
    return str(folder)


@pytest.mark.parametrize("distinct", [3, 12])
def test_repeated_images_are_counted_and_decide_on_diversity(stained, tiny_model, distinct):
    generated = np.repeat(stained(distinct, seed=61), 60 // distinct, axis=0)
    card = score(generated, stained(60, seed=62), tiny_model, SETTINGS)
    assert answers(card)["Diversity"] == f"repeats itself: 60 images hold {distinct} distinct ones"
    assert card.provenance["n_distinct"] == distinct
    (said,) = [w for w in card.warnings if "distinct ones" in w]
    assert f"the commonest is there {60 // distinct} times" in said
    alone = score(stained(60, seed=61), stained(60, seed=62), tiny_model, SETTINGS)
    assert alone.provenance["n_distinct"] == 60
    assert "repeats" not in answers(alone)["Diversity"]


def test_blank_images_are_no_duplicates_and_no_copies(stained, tiny_model):
    blank = np.full((20, 64, 64, 3), 240, np.uint8)
    real = np.concatenate([stained(60, seed=62), blank])
    generated = np.concatenate([stained(40, seed=63), blank])
    card = score(generated, real, tiny_model, SETTINGS)
    assert (card.provenance["n_distinct"], card.provenance["n_copies"]) == (60, 0)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe("JPEG", 80), Recipe(factor=0.75)])
def test_copies_are_found_however_they_are_encoded(stained, tiny_model, recipe):
    real = stained(120, seed=64)
    generated = np.concatenate([[recipe(i) for i in real[:70]], stained(50, seed=65)])
    card = score(generated, real, tiny_model, SETTINGS)
    said = answers(card)
    assert said["Memorisation"] == "70 of 120 generated images are real ones"
    assert "covers" not in said["Coverage"] or "copies" in said["Coverage"]
    assert card.metrics["coverage"].verdict != "like real"


def test_nothing_but_blank_images_holds_no_turned_ones(stained, tiny_model):
    blank = np.full((20, 64, 64, 3), 240, np.uint8)
    card = score(blank, stained(60, seed=62), tiny_model, SETTINGS)
    assert (card.provenance["n_distinct"], card.provenance["n_copies"]) == (20, 0)
    assert near_duplicates(np.zeros((3, 16, 16), np.float32), turned=True).tolist() == [0, 0, 0]
    assert near_duplicates(np.eye(3)[:, :, None] * 0.01, turned=True).tolist() == [0, 1, 2]


TURNS = {
    "mirrored": lambda images: images[:, :, ::-1],
    "turned": lambda images: np.rot90(images, 1, (1, 2)),
    "transposed": lambda images: images.swapaxes(1, 2),
}


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_turned_images_are_copies_and_repetitions(stained, tiny_model, turn):
    """As a generator gives them that was taught on turned images."""
    real, own = stained(120, seed=64), stained(50, seed=65)
    card = score(np.concatenate([turn(real[:70]), own]), real, tiny_model, SETTINGS)
    assert answers(card)["Memorisation"] == "70 of 120 generated images are real ones"
    card = score(np.concatenate([own, turn(own)]), real, tiny_model, SETTINGS)
    assert answers(card)["Diversity"] == "repeats itself: 100 images hold 50 distinct ones"
    card = score(real[:60], np.concatenate([own, turn(own)]), tiny_model, SETTINGS)
    assert card.provenance["groups"]["real"] == 50


def test_paired_scenes_are_found_by_names_and_pictures(stained, tiny_model, tmp_path):
    """The same layout in other texture: near its partner, and no copy of it."""
    layout, texture = stained(60, seed=66).astype(float), stained(60, seed=67).astype(float)
    scenes = (0.55 * layout + 0.45 * texture).astype(np.uint8)
    real = save(stained(60, seed=66), tmp_path / "real")
    paired = score(save(scenes, tmp_path / "paired"), real, tiny_model, SETTINGS)
    assert paired.provenance["paired"] and paired.provenance["n_copies"] == 0
    assert answers(paired)["Memorisation"].startswith("no copies; each image shows the scene")
    other = score(save(stained(60, seed=68), tmp_path / "other"), real, tiny_model, SETTINGS)
    assert not other.provenance["paired"]
    # Names alone are believed where the user says so.
    asked = score(str(tmp_path / "other"), real, tiny_model, SETTINGS, paired=True)
    assert asked.provenance["paired"]
    (tmp_path / "other" / "scene_0.png").rename(tmp_path / "other" / "elsewhere.png")
    with pytest.raises(UsageError, match=r"--paired: cannot tell .*elsewhere"):
        score(str(tmp_path / "other"), real, tiny_model, SETTINGS, paired=True)


@pytest.mark.parametrize("swapped", [False, True])
def test_no_verdict_rests_on_encoding(stained, tiny_model, tmp_path, swapped):
    images = stained(120, seed=69)
    folders = [save(images[i::2], tmp_path / str(i)) for i in (0, 1)]
    for file in sorted((tmp_path / "1").glob("*.png")):
        with Image.open(file) as image:
            image.save(file.with_suffix(".jpg"), quality=40)
        file.unlink()
    real, generated = folders[::-1] if swapped else folders
    card = score(generated, real, tiny_model, SETTINGS)
    assert any("the sets are encoded differently" in w for w in card.warnings)
    said = answers(card)
    assert {said[q] for q in ("Realism", "Diversity", "Coverage")} == {
        "not judged: the sets are encoded differently"
    }
    assert np.isfinite(card.metrics["rl2"].control) == (not swapped)
    assert card.to_dict()["provenance"]["encoding"]["differences"]["generated"]
    alike = score(generated, real, tiny_model, SETTINGS, harmonize=True)
    assert alike.provenance["encoding"]["harmonized"]
    assert alike["rl2"] < card["rl2"]
    assert "not judged" not in answers(alike)["Realism"]
