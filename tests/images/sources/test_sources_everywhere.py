"""A source from outside wherever a path to images is taken."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from page_helpers import Page

from rl2qc.cohort.dataset import KeptTiles
from rl2qc.filtering.patches import filter_patches
from rl2qc.model.quality import QualityModel
from rl2qc.scoring.score import score
from rl2qc.scoring.settings import ScoreSettings


@pytest.fixture
def kept(memory, patches, stained):
    """Sets under names of their own, by the name."""
    sets = {"many": patches.copy(), "generated": stained(30, seed=3)}
    for name, images in sets.items():
        memory.keep(name, images)
    return sets


def test_score_takes_it_as_files(kept, tiny_model):
    settings = ScoreSettings(n_resamples=0, metrics=("rl2", "fid"))
    ours = score("memory:generated", "memory:many", tiny_model, settings)
    theirs = score(kept["generated"], kept["many"], tiny_model, settings)
    assert {n: m.value for n, m in ours.metrics.items()} == {
        n: m.value for n, m in theirs.metrics.items()
    }


def test_commands_take_it(kept, tiny_model_file, patch_folder, rl2qc, tmp_path):
    out = tmp_path / "score.json"
    done = rl2qc("score", "memory:generated", "--real", "memory:many", "-m", tiny_model_file,
                 "--metrics", "rl2", "--n-resamples", 0, "--json", out)  # fmt: skip
    assert done.code == 0, done.err
    run = json.loads(out.read_text())
    assert "30" in done.out
    assert run["metrics"]["rl2"]["value"] > 0
    done = rl2qc("score", "memory:nowhere", "--real", patch_folder, "-m", tiny_model_file)
    assert (done.code, "nothing is kept as memory:nowhere" in done.error) == (2, True)


def test_a_model_learns_from_it(kept):
    ours, theirs = (
        QualityModel.fit(p, backbone="random", epochs=2, device="cpu")
        for p in ("memory:many", kept["many"])
    )
    images = kept["generated"]
    np.testing.assert_array_equal(ours.score_samples(images), theirs.score_samples(images))


def test_filter_takes_it_and_shows_it_again(kept, rl2qc, red_model, tmp_path):
    """The command, the record, the report, and the tiles that were kept."""
    expected = [float(image[..., 0].mean() / 255) for image in kept["many"]]
    alpha = float(np.median(expected))
    table = filter_patches("memory:many", alpha=alpha, mpp=0.5)
    np.testing.assert_allclose(table.measurements["p_value"], expected, rtol=1e-6)
    assert 0 < table.keep.sum() < len(table)
    for out in ("out", "again"):
        done = rl2qc("filter", "memory:many", "--out", tmp_path / out, "--alpha", alpha,
                     "--any-mpp", "--mpp", 0.5)  # fmt: skip
        assert done.code == 0, done.err
    with (tmp_path / "out" / "summary.csv").open() as file:
        [row] = csv.DictReader(file)
    assert (row["kind"], int(row["tiles"]), int(row["kept"])) == ("patches", 120, table.keep.sum())
    page = Page(tmp_path / "out" / "report.html")
    assert len(page.sources) > 12
    assert "their slides are no longer there" not in page.text
    tiles = KeptTiles(tmp_path / "out")
    first = int(np.flatnonzero(table.keep)[0])
    np.testing.assert_array_equal(tiles.pixels(0), kept["many"][first])

    def again() -> str:
        return rl2qc("filter", "memory:many", "--out", tmp_path / "out", "--alpha", alpha,
                     "--any-mpp", "--mpp", 0.5).err  # fmt: skip

    assert "1 of 1 inputs were finished before" in again()
    kept["many"][5] //= 2
    assert "were finished before" not in again()


@pytest.mark.parametrize("kind", ["zip", "tar", "npy"])
def test_files_of_many_images_are_as_good_as_folders(
    kind, patches, patch_folder, tiny_model_file, rl2qc, tmp_path
):
    place = tmp_path / f"set.{kind}"
    if kind == "npy":
        np.save(place, patches)
    else:
        shutil.make_archive(str(tmp_path / "set"), kind, patch_folder)
    scores = []
    for given in (place, patch_folder):
        out = tmp_path / f"{len(scores)}.json"
        done = rl2qc("score", given, "--real", patch_folder, "-m", tiny_model_file,
                     "--metrics", "fid", "--n-resamples", 0, "--json", out)  # fmt: skip
        assert done.code == 0, done.err
        scores.append(json.loads(out.read_text()))
    assert {s["provenance"]["n_generated"] for s in scores} == {120}
    assert scores[0]["metrics"]["fid"]["value"] == pytest.approx(
        scores[1]["metrics"]["fid"]["value"], abs=1e-6
    )
    done = rl2qc("filter", place, "--out", tmp_path / "out", "-m", tiny_model_file)
    assert done.code == 0, done.err
    assert len(KeptTiles(tmp_path / "out")) > 60
    again = rl2qc("filter", place, "--out", tmp_path / "out", "-m", tiny_model_file)
    assert "1 of 1 inputs were finished before" in again.err
