"""Comparisons from Python: sets of different size, agreement that may be chance, the schema."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from scipy.stats import binomtest

from rl2qc.errors import UsageError
from rl2qc.scoring import rows as stacks
from rl2qc.scoring.compare import compare
from rl2qc.scoring.comparison import schema
from rl2qc.scoring.other_scores import OtherScore
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import METRICS
from rl2qc.stats.resampling import bootstrap
from rl2qc.synthetic.corruptions import corrupt


class MeanOfQuarters:
    """Twelve numbers a patch: quick, and enough for any metric of features."""

    name, dim, identity = "quarters", 12, "quarters v1"

    def extract(self, source, *, progress=False):
        half = source.size // 2
        tiles = np.stack([source[i] for i in range(len(source))]).astype(np.float32)
        tiles = tiles.reshape(len(source), 2, half, 2, half, 3)
        return tiles.mean((2, 4)).reshape(len(source), 12)


def settings(**options):
    return ScoreSettings(features=MeanOfQuarters(), cache=False, **{"n_resamples": 40} | options)


@pytest.fixture(scope="module")
def images(stained):
    return stained(220, seed=21)


N_DEPENDENT = ["wad_div_zero", "wad_div_exponential", "wad_div_empirical", "irs_alpha", "fid",
               "recall", "coverage"]  # fmt: skip


@pytest.fixture(scope="module")
def part(images, tiny_model):
    """A set and a third of it: whatever sets them apart is their number."""
    metrics = [*N_DEPENDENT, "precision", "kid", "rl2"]
    sets = {"all": images[100:220], "third": images[100:140]}
    return compare(sets, images[:100], tiny_model, settings(metrics=metrics))


class TestSizes:
    def test_a_part_of_a_set_is_no_better(self, part):
        better = [
            name
            for name, by_other in part.differences.items()
            if by_other["third"].significant
        ]  # fmt: skip
        assert better == []

    def test_values_are_of_as_many_images(self, part):
        for name, counts in part.n_generated.items():
            expected = (120, 40) if name in ("precision", "kid") else (40, 40)
            assert counts == expected, name
        data = part.to_dict()["metrics"]
        assert data["fid"]["n_generated"] == [40, 40]
        values = part.table().split("\n\n")[0]
        lines = {line.split()[0]: line for line in values.splitlines()}
        assert lines["precision"].split()[-1] == "all"
        assert lines["fid"].split()[-1] == "40"
        assert any("of 40 images of each" in w for w in part.warnings)

    def test_differences_of_shares_lie_within_1(self, images, tiny_model):
        sets = {"near": images[100:130], "flat": 0 * images[130:160] + 200}
        found = compare(sets, images[:100], tiny_model, settings(metrics=["precision", "coverage"]))
        for name in ("precision", "coverage"):
            d = found.differences[name]["flat"]
            assert 0 < d.low <= d.value <= d.high <= 1

    def test_sets_of_one_size_are_left_alone(self, images, tiny_model):
        sets = {"a": images[100:160], "b": images[160:220]}
        found = compare(sets, images[:100], tiny_model, settings(metrics=["fid", "precision"]))
        assert set(found.n_generated.values()) == {(60, 60)}
        assert "images" not in found.table().split("\n")[0]
        assert not any("differ in size" in w for w in found.warnings)

    def test_the_number_of_images_does_not_shift_the_others(self, images, tiny_model, rng):
        """What is compared at any size must not depend on it: the mean over parts is the whole."""
        from rl2qc.metrics.prdc import prdc

        x, y = rng.normal(size=(100, 4)), rng.normal(0.3, 1, size=(120, 4))
        for name in ("precision", "density"):
            whole = getattr(prdc(x, y), name)
            parts = [getattr(prdc(x, y[i : i + 20]), name) for i in range(0, 120, 20)]
            assert np.mean(parts) == pytest.approx(whole)
            assert not METRICS.get(name).depends_on_n
        assert all(METRICS.get(name).depends_on_n for name in N_DEPENDENT)


def test_noise_is_no_better_for_being_spread(images, tiny_model):
    rng = np.random.default_rng(0)
    noisy = np.stack([corrupt(p, "noise", 0.5, rng) for p in images[160:]])
    found = compare(
        {"noisy": noisy, "clean": images[100:160]},
        images[:100],
        tiny_model,
        ScoreSettings(metrics=["wad_div_zero", "kid"], n_resamples=40, cache=False),
    )
    difference = found.differences["wad_div_zero"]["clean"]
    assert difference.significant
    more = "noisy" if difference.value > 0 else "clean"
    assert f"{more} more spread" in found.table()
    assert "clean better" in found.table()  # by KID


@pytest.fixture(scope="module")
def alike(images, tiny_model):
    """Three sets of one distribution: any order of them is chance."""
    sets = {name: images[80 + 40 * i : 120 + 40 * i] for i, name in enumerate("abc")}
    return compare(sets, images[:80], tiny_model, settings(metrics=["rl2", "fid"]))


class TestAgreement:
    def test_chance_is_marked(self, alike):
        assert alike.unclear["rl2"] == (("a", "b"), ("a", "c"), ("b", "c"))
        table = alike.table()
        assert "ranks: no metric tells any two of these 3 sets apart" in table
        assert "a and b, no clear difference: rl2, fid" in table
        assert "unrelated metrics" not in table and len(table.splitlines()) < 13

    def test_a_clear_order_is_not(self, images, tiny_model):
        rng = np.random.default_rng(0)
        sets = {
            f"n{level}": np.stack([corrupt(p, "noise", level, rng) for p in images[80:120]])
            for level in (0.1, 0.4, 0.8)
        }
        metrics = ScoreSettings(metrics=["rl2", "fid"], n_resamples=40, cache=False)
        found = compare(sets, images[:80], tiny_model, metrics)
        assert found.unclear == {"rl2": (), "fid": ()}
        assert found.agreement.between("rl2", "fid") == (1, 1)
        line = next(x for x in found.table().splitlines() if x.startswith("2 fid"))
        assert line.split()[2] == "+1.00"
        assert (
            "3 generators: unrelated metrics come to +1 or -1 by chance in 1 of 3" in found.table()
        )

    def test_differences_stay_those_from_the_first(self, alike):
        assert set(alike.differences["rl2"]) == {"b", "c"}

    def test_without_intervals_nothing_is_said(self, images, tiny_model):
        sets = {name: images[80 + 40 * i : 120 + 40 * i] for i, name in enumerate("abc")}
        found = compare(sets, images[:80], tiny_model, settings(metrics=["rl2"], n_resamples=0))
        assert found.unclear == {"rl2": None}
        assert next(x for x in found.table().splitlines() if x.startswith("rl2 ")).strip()
        assert found.table().count("?") == 1


class TestOtherScores:
    @pytest.fixture
    def two(self, images):
        return {"a": images[80:110], "b": images[110:140]}

    def run(self, images, tiny_model, two, **other):
        options = settings(metrics=["rl2"])
        return compare(two, images[:80], tiny_model, options, others={"dice": OtherScore(**other)})

    def test_differences_of_single_images(self, images, tiny_model, two, rng):
        """Paired by image: as the bootstrap of their differences, far sharper than unpaired."""
        a = rng.random(30)
        b = np.clip(a - rng.normal(0.05, 0.02, 30), 0, 1)
        values = {"a": a.mean(), "b": b.mean()}
        found = self.run(images, tiny_model, two, values=values, higher_is_better=True,
                         per_image={"a": a, "b": b})  # fmt: skip
        d = found.differences["dice"]["b"]
        expected = bootstrap(np.mean, a - b, n_resamples=40)
        assert (d.value, d.low, d.high) == (expected.value, expected.low, expected.high)
        assert (d.value_a, d.value_b) == (a.mean(), b.mean())
        assert d.significant and "a better" in found.table()
        lone = self.run(images, tiny_model, two, values=values, higher_is_better=True)
        assert "dice" not in lone.differences

    def test_by_slide(self, images, tiny_model, two, rng):
        a, b = np.repeat(rng.random((2, 6)), 5, axis=1)
        found = self.run(images, tiny_model, two, values={"a": a.mean(), "b": b.mean()},
                         higher_is_better=True, per_image={"a": a, "b": b},
                         groups=[str(i // 5) for i in range(30)])  # fmt: skip
        d = found.differences["dice"]["b"]
        alone = bootstrap(np.mean, a - b, n_resamples=40)
        assert d.by_group
        assert d.high - d.low > 1.5 * (alone.high - alone.low)

    def test_a_single_image_is_a_note(self, images, tiny_model, two):
        found = self.run(images, tiny_model, two, values={"a": 1, "b": 0}, higher_is_better=True,
                         per_image={"a": [1], "b": [0]})  # fmt: skip
        assert "dice" not in found.differences
        assert any(w.startswith("dice: no differences") for w in found.warnings)

    @pytest.mark.parametrize(
        ("name", "values", "message"),
        [
            ("fid", {"a": 1, "b": 2}, "fid is the name of a metric"),
            ("dice", {"a": 1, "b": float("nan")}, "dice of b is nan"),
            ("dice", {"a": 1}, "dice has no value for b"),
        ],
    )
    def test_bad_scores(self, images, tiny_model, two, name, values, message):
        with pytest.raises(UsageError, match=message):
            compare(two, images[:80], tiny_model, others={name: OtherScore(values, True)})


@pytest.mark.parametrize("n_resamples", [0, 10])
def test_json_follows_the_schema_and_the_schema_the_code(images, tiny_model, tmp_path, n_resamples):
    found = compare(
        {name: images[80 + 40 * i : 110 + 40 * i] for i, name in enumerate("abc")},
        images[:80],
        tiny_model,
        settings(n_resamples=n_resamples, metrics=["rl2", "recall", "inception_score"]),
        others={"dice": OtherScore({"a": 1, "b": 1, "c": 1}, True)},
    )
    found.to_json(tmp_path / "c.json")
    data = json.loads((tmp_path / "c.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(data, schema())
    assert data["schema_version"] == 2
    assert set(schema()["required"]) == set(data)
    assert set(schema()["properties"]["provenance"]["required"]) == set(data["provenance"])
    options = schema()["properties"]["provenance"]["properties"]["settings"]["required"]
    assert set(options) == set(data["provenance"]["settings"])
    assert set(schema()["$defs"]["agreement"]["required"]) == set(data["agreement"])
    del data["metrics"]["rl2"]["values"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema())


class TestWarnings:
    def test_copies_are_counted_by_set(self, images, tiny_model):
        sets = {"copied": np.concatenate([images[:10], images[130:160]]), "new": images[160:200]}
        found = compare(sets, images[:100], tiny_model, settings(metrics=["fid"], n_resamples=0))
        about = [w for w in found.warnings if "equal a real image" in w]
        assert len(about) == 1
        assert about[0].startswith("10 of 40 images of copied equal a real image")

    def test_a_model_that_rejects_the_real_images_is_named(self, images, tiny_model):
        sets = {"a": images[100:140], "b": images[140:180]}
        flat = np.full_like(images[:40], 128)
        warned = {
            (title, name): any("of the real images: they are unlike" in w for w in found.warnings)
            for title, real in (("flat", flat), ("real", images[:100]))
            for name in ("mean_log_likelihood_generated", "kid")
            for found in [compare(sets, real, tiny_model, settings(metrics=[name], n_resamples=0))]
        }
        assert [key for key, said in warned.items() if said] == [
            ("flat", "mean_log_likelihood_generated")
        ]

    def test_baselines_are_said_to_be_elsewhere(self, part):
        assert any("baseline (rl2qc score)" in w for w in part.warnings)


def test_the_table_says_how_often_chance_decides(part):
    text = " ".join(part.table().split())
    assert "interval: 95%, each by itself: 1 in 20 leaves 0 out by chance" in text
    assert f"{len(part.differences)} verdicts" in text


def test_clipped_values_are_not_called_alike(images, tiny_model):
    """Both sets are more dispersed than the real one: 1 and 1 says no more than that."""
    few = np.concatenate([images[:3] // 2 + i for i in range(20)])
    sets = {"a": images[100:140], "b": images[140:180]}
    found = compare(sets, few, tiny_model, settings(metrics=["wad_div_normalized"]))
    assert found.values["wad_div_normalized"] == (1, 1)
    assert "both as dispersed as real: see wad_div_ratio" in found.table()


def test_differences_of_large_sets_are_those_of_all_images(images, tiny_model, monkeypatch):
    """The textbook error of a difference of means of 100 images each, of which 30 are drawn."""
    monkeypatch.setattr(stacks, "RESAMPLED_AT_MOST", 30)
    sets = {"a": images[:100], "b": images[100:200]}
    name = "mean_log_likelihood_generated"
    chosen = settings(metrics=[name], n_resamples=400)
    d = compare(sets, images[:50], tiny_model, chosen).differences[name]["b"]
    spread = [tiny_model.score_samples(x).var() / len(x) for x in sets.values()]
    assert d.high - d.low == pytest.approx(2 * 1.96 * np.sqrt(np.sum(spread)), rel=0.35)
    assert d.low < d.value < d.high


def test_shares_of_0_differ_by_more_than_nothing(images, tiny_model):
    sets = {"a": 0 * images[:30], "b": 0 * images[:30] + 255}
    name = "kept_fraction_generated"
    found = compare(sets, images[:100], tiny_model, settings(metrics=[name]))
    assert found.values[name] == (0, 0)
    d = found.differences[name]["b"]
    exact = binomtest(0, 30).proportion_ci().high
    assert (d.low, d.high) == pytest.approx((-exact, exact))


def test_one_folder_spelt_in_two_ways_is_named_twice(images, tiny_model, tmp_path):
    folder = tmp_path / "fake"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    for other in (f"{folder}/", f"{tmp_path}/./fake", f"{tmp_path}/link"):
        with pytest.raises(UsageError, match=r"named twice: .*fake and "):
            compare([str(folder), other], images[:40], tiny_model, n_resamples=0)
