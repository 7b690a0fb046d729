"""Groups of a card: found by default, named with the evidence, or given."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rl2qc.errors import UsageError
from rl2qc.scoring.groups import effective_number
from rl2qc.scoring.score import score
from rl2qc.scoring.settings import ScoreSettings

FEW = ScoreSettings(n_resamples=10, cache=False, metrics=["rl2"])


@pytest.fixture(scope="module")
def tiles(stained, tmp_path_factory):
    """Six slides of ten tiles each, which overlap by half."""
    folder = tmp_path_factory.mktemp("slides")
    for s, slide in enumerate(stained(6, 384, seed=51)):
        for i in range(10):
            tile = slide[:64, 32 * i : 32 * i + 64]
            Image.fromarray(tile).save(folder / f"case{s}__{32 * i}_0.png")
    return folder


def test_groups_are_found_by_default_and_named(tiles, stained, tiny_model):
    card = score(stained(40), str(tiles), tiny_model, FEW)
    made = card.provenance
    assert made["groups"] == {"generated": None, "real": 6}
    assert made["group_evidence"]["real"] == "stems and coordinates in the names"
    assert 6 <= made["independent_images"]["real"] < 60
    assert made["independent_images"]["generated"] == 40
    assert card.metrics["rl2"].method == "bootstrap by slide"
    said = " ".join(card.table().split())
    assert "generated: no groups recognised, each image stands for itself" in said
    assert "real: 6 groups (stems and coordinates in the names), worth" in said
    same = score(stained(40), str(tiles), tiny_model, FEW, group_pattern="^(.+?)__")
    assert same.metrics == card.metrics
    alone = score(stained(40), str(tiles), tiny_model, FEW, group_pattern="none")
    assert alone.provenance["groups"]["real"] is None
    assert alone.metrics["rl2"].baseline < card.metrics["rl2"].baseline


def test_groups_of_a_table(tiles, stained, tiny_model, tmp_path):
    table = tmp_path / "groups.csv"
    names = sorted(p.name for p in tiles.iterdir())
    table.write_text("image;group\n" + "".join(f"{n};{n[:5]}\n" for n in names))
    card = score(stained(40), str(tiles), tiny_model, FEW, groups=table)
    assert card.provenance["groups"] == {"generated": None, "real": 6}
    written = score(stained(40), str(tiles), tiny_model, FEW, groups=str(table))
    assert written.metrics == card.metrics
    table.write_text("image,group\n" + "".join(f"{n},{n[:5]}\n" for n in names[1:]))
    with pytest.raises(UsageError, match="names no group of 1 of 60 images of the real set"):
        score(stained(40), str(tiles), tiny_model, FEW, groups=table)
    table.write_text("image,group\n" + "".join(f"{n},{n[:5]}\n" for n in [*names, *names]))
    assert score(stained(40), str(tiles), tiny_model, FEW, groups=table).provenance["groups"]
    table.write_text(f"Image,Group\n{names[0]},x\n{names[0]},y\n")
    with pytest.raises(UsageError, match=r"gives 'x' and 'y' for .* \(line 3\)"):
        score(stained(40), str(tiles), tiny_model, FEW, groups=table)
    table.write_text("image,group\n" + "".join(f"{n},a\n" for n in names))
    with pytest.raises(UsageError, match="finds a single slide"):
        score(stained(40), str(tiles), tiny_model, FEW, groups=table)
    table.write_text("file,slide\na,b\n")
    with pytest.raises(UsageError, match="image"):
        score(stained(40), str(tiles), tiny_model, FEW, groups=table)


def test_independent_images_by_simulation(rng):
    """The variance of a mean of images in groups is that of as many independent ones."""
    labels, rho = np.repeat(np.arange(20), 8).astype(str), 0.4
    means = []
    for _ in range(4000):
        slides = rng.normal(0, np.sqrt(rho), 20)
        means.append(np.mean(slides.repeat(8) + rng.normal(0, np.sqrt(1 - rho), 160)))
    worth = 1 / np.var(means)
    x = rng.normal(0, np.sqrt(rho), (20, 300)).repeat(8, axis=0)
    x += rng.normal(0, np.sqrt(1 - rho), x.shape)
    assert effective_number(labels, x) == pytest.approx(worth, rel=0.1)
    assert effective_number(labels, rng.normal(size=(160, 300))) > 120
    assert effective_number(None, x) == 160


def test_repeated_images_are_groups(stained, tiny_model):
    generated = np.repeat(stained(12, seed=4), 5, axis=0)
    card = score(generated, stained(60, seed=5), tiny_model, FEW)
    assert card.provenance["groups"]["generated"] == 12
    assert "60 near-duplicates in 12 groups" in card.provenance["group_evidence"]["generated"]
