"""Image sets from Python: extractors of one's own, sets drawn to a size."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.errors import UsageError
from rl2qc.images.sources.base import as_source
from rl2qc.metrics.frechet import fid
from rl2qc.metrics.prdc import prdc
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.score import score
from rl2qc.scoring.settings import ScoreSettings


class MeanColour:
    """What a user writes: the four members of the protocol and nothing else."""

    name, dim, identity = "mean colour", 3, "mean colour v1"

    def __init__(self):
        self.seen = 0

    def extract(self, source, *, progress=False):
        self.seen += len(source)
        return np.stack([source[i].mean((0, 1)) for i in range(len(source))]).astype(np.float32)


@pytest.fixture(scope="module")
def sets(stained):
    images = stained(70, seed=15)
    return images[:40], images[40:]


@pytest.mark.parametrize("cache", [True, False])
def test_an_extractor_of_ones_own_is_scored_with(sets, tiny_model, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("RL2QC_CACHE", str(tmp_path))
    mine = MeanColour()
    settings = ScoreSettings(
        features=mine, n_resamples=5, metrics=["fid", "recall", "rl2"], cache=cache
    )
    real, generated = sets
    for _ in range(2):
        card = score(generated, real, tiny_model, settings)
        x, y = (MeanColour().extract(as_source(images)) for images in (real, generated))
        assert card["fid"] == pytest.approx(fid(x, y).value, rel=1e-5)
        assert card["recall"] == prdc(x, y).recall
        assert (card.provenance["features"], card.provenance["features_identity"]) == (
            mine.name,
            mine.identity,
        )
    assert mine.seen == (70 if cache else 140)


def test_what_is_no_extractor_is_refused(sets, tiny_model):
    with pytest.raises(UsageError, match="an extractor, and int has no name, dim, identity"):
        score(*sets, tiny_model, ScoreSettings(features=3, metrics=["fid"]))


def test_a_known_name_is_no_folder(sets, tiny_model, tmp_path, monkeypatch):
    (tmp_path / "latents").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = ScoreSettings(features="latents", n_resamples=0, cache=False, metrics=["fid"])
    card = score(*sets, tiny_model, settings)
    assert card.provenance["features"] == "latents"


def test_rows_of_a_set():
    source = as_source(np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(64, 1).repeat(64, 2)
                       .repeat(3, 3))  # fmt: skip
    whole = ImageSet(source, {"features": np.eye(5)}, np.array(list("abcde")))
    part = whole.take(np.array([3, 1]))
    assert len(part) == 2
    assert [int(part.source[i].max()) for i in range(2)] == [3, 1]
    np.testing.assert_array_equal(part.features, np.eye(5)[[3, 1]])
    assert part.groups.tolist() == ["d", "b"]
    assert not part.has("latents")
    with pytest.raises(ValueError, match="needs latents of the images"):
        part.latents  # noqa: B018
    assert not whole.take(np.arange(2), needs=("likelihood",)).has("features")
