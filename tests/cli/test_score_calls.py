"""rl2qc score, compare and dice against the calls of Python, on the same input."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

import rl2qc as package

SETTINGS = {"n_resamples": 10, "k": 4, "seed": 2, "group_pattern": r"^(s\d+)_"}
OPTIONS = ["--n-resamples", 10, "-k", 4, "--seed", 2, "--group-pattern", r"^(s\d+)_"]


def warned(done):
    """What the command warned of."""
    start = "rl2qc: warning: "
    return [line.removeprefix(start) for line in done.err.splitlines() if line.startswith(start)]


def without_time(data):
    made = {k: v for k, v in data["provenance"].items() if k != "seconds"}
    return {**data, "provenance": made}


def as_json(result):
    """As it is in a file."""
    return json.loads(json.dumps(result.to_dict()))


@pytest.fixture
def probabilities(tmp_path):
    files = {}
    for seed, title in enumerate(("generated", "real")):
        files[title] = tmp_path / f"{title}.npy"
        np.save(files[title], np.random.default_rng(seed).dirichlet(np.ones(4), 40))
    return files


def test_score(rl2qc, folders, tiny_model_file, tmp_path, probabilities):
    files = {kind: tmp_path / f"card.{kind}" for kind in ("json", "csv", "html")}
    done = rl2qc(
        "score", folders / "b", "-r", folders / "a", "-m", tiny_model_file, *OPTIONS,
        "--unseen", folders / "noisy", "--probabilities", probabilities["generated"],
        "--real-probabilities", probabilities["real"], "--curve",
        *(x for kind, file in files.items() for x in (f"--{kind}", file)),
    )  # fmt: skip
    assert done.code == 0, done.err
    card = package.score(
        folders / "b",
        folders / "a",
        tiny_model_file,
        unseen=folders / "noisy",
        probabilities=probabilities,
        **SETTINGS,
    )
    assert without_time(json.loads(files["json"].read_text())) == without_time(as_json(card))
    assert warned(done) == list(card.warnings)
    assert card.warnings
    assert card.table(short=True) in done.out and card.answer() in done.out
    assert card.curve_table() in done.out
    assert done.out.startswith(card.describe().rpartition(", ")[0])
    mine = {kind: tmp_path / f"mine.{kind}" for kind in files}
    card.to_csv(mine["csv"])
    assert mine["csv"].read_text() == files["csv"].read_text()
    with files["csv"].open(newline="") as file:
        assert [row["metric"] for row in csv.DictReader(file)] == list(card.metrics)
    card.to_html(mine["html"])
    pages = [page.read_text().replace(str(card.provenance["seconds"]), "") for page in
             (mine["html"], files["html"])]  # fmt: skip
    assert abs(len(pages[0]) - len(pages[1])) < 20  # the time alone


def test_compare(rl2qc, folders, tiny_model_file, tmp_path):
    table, file = tmp_path / "readers.csv", tmp_path / "found.json"
    table.write_text("generator,realism,errors:lower\nb,4,1\nnoisy,1,7\n")
    masks = []
    for shift, name in enumerate(("source", "of_b", "of_noisy")):
        masks.append(tmp_path / name)
        masks[-1].mkdir()
        for i in range(4):
            mask = np.zeros((8, 8), np.uint8)
            mask[:, shift : shift + 4 + i % 2] = 255
            Image.fromarray(mask).save(masks[-1] / f"s{i}_{i}.png")
    done = rl2qc(
        "compare", folders / "b", folders / "noisy", "-r", folders / "a", "-m", tiny_model_file,
        *OPTIONS, "--paired", "--agreement", "--metrics", "rl2,fid,swd", "--also", table,
        "--source-masks", masks[0], "--masks", masks[1], "--masks", masks[2],
        "--json", file, "--csv", tmp_path / "found.csv",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = package.compare(
        [folders / "b", folders / "noisy"],
        folders / "a",
        tiny_model_file,
        others=table,
        masks=(masks[0], masks[1:]),
        metrics=["rl2", "fid", "swd"],
        paired=True,
        agreement=True,
        **SETTINGS,
    )
    assert json.loads(file.read_text()) == as_json(found)
    assert warned(done) == list(found.warnings)
    assert any(w.startswith("dice of b") for w in found.warnings)
    assert found.table() in done.out and done.out.startswith(found.describe())
    found.to_csv(tmp_path / "mine.csv")
    assert (tmp_path / "mine.csv").read_text() == (tmp_path / "found.csv").read_text()
    by_title = package.compare(
        {"b": folders / "b", "noisy": folders / "noisy"},
        folders / "a",
        tiny_model_file,
        package.CompareSettings(metrics=["rl2"], paired=True, **SETTINGS),
    )
    assert by_title.differences["rl2"] == found.differences["rl2"]


def test_dice(rl2qc, tmp_path):
    rng = np.random.default_rng(0)
    for folder in "ab":
        (tmp_path / folder).mkdir()
        for i in range(8):
            mask = rng.integers(0, 3, (8, 8), dtype=np.uint8)
            Image.fromarray(mask).save(tmp_path / folder / f"s{i // 2}_{i}.png")
    file = tmp_path / "dice.json"
    done = rl2qc("dice", tmp_path / "a", tmp_path / "b", "--labels", "1,2,7", "--seed", 3,
                 "--group-pattern", r"^(s\d)_", "--json", file)  # fmt: skip
    assert done.code == 0, done.err
    found = package.dice(tmp_path / "a", tmp_path / "b", labels=[1, 2, 7], seed=3,
                         group_pattern=r"^(s\d)_")  # fmt: skip
    assert json.loads(file.read_text()) == as_json(found)
    assert warned(done) == list(found.warnings)
    assert len(found.warnings) == 2
    assert found.table() in done.out
    found.to_csv(tmp_path / "dice.csv")
    with (tmp_path / "dice.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [float(row["dice"]) for row in rows] == list(found.per_image)
    assert {row["group"] for row in rows} == {"s0", "s1", "s2", "s3"}


def test_old_words_are_understood(rl2qc, folders, tiny_model_file, tiny_model, tmp_path):
    few = {"n_resamples": 0, "metrics": ["nearer_train", "inception_score"]}
    sets = (folders / "b", folders / "a", tiny_model_file)
    p = np.random.default_rng(0).dirichlet(np.ones(4), 40)
    new = package.score(*sets, package.ScoreSettings(**few), unseen=folders / "noisy",
                        probabilities={"generated": p, "real": p})  # fmt: skip
    with pytest.warns(DeprecationWarning, match="held_out is called unseen"):
        old = package.score(*sets, held_out=folders / "noisy", probabilities=p,
                            real_probabilities=p, **few)  # fmt: skip
    assert old.to_dict()["metrics"] == new.to_dict()["metrics"]
    with pytest.warns(DeprecationWarning, match="run is called provenance"):
        assert old.run["n_unseen"] == 40
    with pytest.warns(DeprecationWarning, match="floor is called baseline"):
        assert np.isnan(old.metrics["nearer_train"].floor)
    file = tmp_path / "old.json"
    done = rl2qc("score", *sets[:1], "-r", sets[1], "-m", sets[2], "--held-out", folders / "noisy",
                 "--features", "rl2", "--metrics", "nearer_train", "--n-resamples", 0,
                 "--json", file)  # fmt: skip
    assert done.code == 0, done.err
    data = json.loads(file.read_text())
    assert data["metrics"]["nearer_train"]["value"] == new["nearer_train"]
    assert data["provenance"]["features"] == "model"
    shown = rl2qc("score", "--help").out
    assert "--unseen" in shown
    assert "--held-out" not in shown


def test_settings_and_single_options_are_the_same(folders, tiny_model, tiny_model_file):
    settings = package.ScoreSettings(metrics="rl2, fid", n_resamples=0, seed=1)
    sets = (folders / "b", folders / "a")
    card = package.score(*sets, tiny_model, settings)
    assert list(card.metrics) == ["rl2", "fid"]
    same = package.score(*sets, tiny_model_file, metrics=["rl2", "fid"], n_resamples=0, seed=1)
    assert same.to_dict()["metrics"] == card.to_dict()["metrics"]
    other = package.score(*sets, tiny_model, settings, metrics=["rl2"])
    assert list(other.metrics) == ["rl2"]
    with pytest.raises(package.UsageError, match="no option 'metric', perhaps 'metrics'"):
        package.score(*sets, tiny_model, metric="rl2")


def test_progress_is_told(folders, tiny_model):
    seen = []
    package.score(
        folders / "b",
        folders / "a",
        tiny_model,
        metrics=["rl2"],
        n_resamples=2,
        progress=lambda done, total, what: seen.append((done, total, what)),
    )
    assert (40, 40, "statistics") in seen
    assert (1, 1, "resampling") in seen
    assert seen[-1] == (8, 8, "JPEG and blur")


def test_images_a_forward_pass_are_the_calls(folders, tiny_model, monkeypatch):
    seen = []
    statistics = type(tiny_model).statistics
    monkeypatch.setattr(
        type(tiny_model),
        "statistics",
        lambda self, *a, **k: seen.append(self.batch_size) or statistics(self, *a, **k),
    )
    before = tiny_model.batch_size
    package.score(folders / "b", folders / "a", tiny_model, metrics=["rl2"], n_resamples=0,
                  batch_size=7, cache=False)  # fmt: skip
    assert set(seen) == {7}
    assert tiny_model.batch_size == before
