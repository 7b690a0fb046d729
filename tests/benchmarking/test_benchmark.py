"""The benchmark's numbers against other libraries, its files against the numbers."""

from __future__ import annotations

import copy
import csv
import json

import jsonschema
import numpy as np
import pytest
from page_helpers import Page
from PIL import Image
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr, wasserstein_distance
from sklearn.metrics import roc_auc_score

from rl2qc.benchmarking.benchmark import benchmark
from rl2qc.benchmarking.figures import corruption_figure, stability_figure
from rl2qc.benchmarking.page import check_folder
from rl2qc.benchmarking.result import Benchmark, schema
from rl2qc.errors import ImageError, UsageError
from rl2qc.html.figures import rendered
from rl2qc.model.detectors.base import DETECTORS, FILTER_SCORE
from rl2qc.synthetic.corruptions import (
    CORRUPTIONS,
    CorruptionSpec,
    corrupt,
    register_corruption,
)

FEW = {"n": 50, "n_resamples": 20}

# Of a model without a map.
DETECTORS_OF_A_REFERENCE = [spec.name for spec in DETECTORS if spec.reads == "statistics"]


@pytest.fixture(scope="module")
def clean(stained):
    return stained(110, seed=5)


@pytest.fixture(scope="module")
def artifacts(stained, tmp_path_factory):
    """Real artifacts of two kinds, one with a name to be escaped, and cut-outs of two kinds."""
    folder = tmp_path_factory.mktemp("artifacts")
    images = stained(6, size=70, seed=9)
    for kind, count in (("<b>pen", 4), ("fold", 2)):
        (folder / kind).mkdir()
        for i in range(count):
            Image.fromarray(images[i] // 3).save(folder / kind / f"{i}.png")
    for kind, count in (("spot", 3), ("thread", 1)):
        (folder / "cutouts" / kind).mkdir(parents=True)
        for i in range(count):
            cutout = np.full((10 + 5 * i, 30, 4), 255, np.uint8)
            cutout[..., :3] = 20 * i
            Image.fromarray(cutout).save(folder / "cutouts" / kind / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def result(clean, artifacts, tiny_model):
    return benchmark(clean, tiny_model, artifacts=artifacts, corruptions=["blur", "ink"], **FEW)


def test_a_corruption_of_somebody_else_is_measured(clean, tiny_model, tmp_path):
    """And stands in the table, the JSON, the CSV and on the page; nothing names it in code."""
    spec = CorruptionSpec(
        "darken", "Less light", "share", (0.2, 0.5, 0.8), lambda i, s, r: (i * (1 - s)).astype("u1")
    )
    register_corruption(spec)
    try:
        found = benchmark(clean, tiny_model, corruptions=["darken"], **FEW)
        everything = benchmark(clean[:50], tiny_model, quick=True, **FEW | {"n_resamples": 2})
    finally:
        CORRUPTIONS.unregister("darken")
    assert list(everything.corruptions) == [*CORRUPTIONS.names(), "darken"]
    severities = found.corruptions["darken"].severities
    assert severities == (0.2, 0.5, 0.8)
    page = Page(found.save(tmp_path))
    assert "Less light" in page.text
    assert "Less light" in found.table()
    assert (tmp_path / "darken.png").exists()
    assert "darken" in (tmp_path / "benchmark.csv").read_text()
    jsonschema.validate(found.to_dict(), schema())


def test_every_number_is_that_of_other_libraries(result, clean, tiny_model):
    images = clean[np.sort(np.random.default_rng(0).choice(110, 50, replace=False))]
    before = {s: tiny_model.score_samples(images, s) for s in DETECTORS_OF_A_REFERENCE}
    z, x = (f(images).astype(float) for f in (tiny_model.latents, tiny_model.features))

    def spacing(features):
        return np.sort(cdist(features, features), axis=1)[:, 1:4].ravel()

    for severity, row in zip((1, 2, 3, 4), result.corruptions["blur"].rows, strict=True):
        # Blur takes nothing from its generator.
        rng = np.random.default_rng(99)
        soft = np.stack([corrupt(image, "blur", severity, rng) for image in images])
        for score in DETECTORS_OF_A_REFERENCE:
            after = tiny_model.score_samples(soft, score)
            labels = np.repeat([1, 0], 50)
            expected = roc_auc_score(labels, np.r_[before[score], after])
            assert row.auc[score].value == pytest.approx(expected, abs=2e-3)
            assert row.auc[score].low <= row.auc[score].value <= row.auc[score].high
        assert row.kept == pytest.approx((tiny_model.p_values(soft) > 0.05).mean(), abs=0.021)
        assert row.rl2 == pytest.approx(
            np.linalg.norm(z.mean(0) - tiny_model.latents(soft).astype(float).mean(0)), rel=1e-3
        )
        assert row.rl2_low <= row.rl2 <= row.rl2_high
        theirs = spacing(tiny_model.features(soft).astype(float))
        assert row.wad_div_zero == pytest.approx(theirs.mean(), rel=1e-3)
        assert row.wad_div_empirical == pytest.approx(
            wasserstein_distance(theirs, spacing(x)), rel=1e-2
        )
    corruption = result.corruptions["blur"]
    rho = spearmanr((1, 2, 3, 4), [row.rl2 for row in corruption.rows]).statistic
    assert corruption.spearman == pytest.approx(rho)
    halves = [
        np.linalg.norm(z[o[:25]].mean(0) - z[o[25:]].mean(0))
        for o in (np.random.default_rng(s).permutation(50) for s in range(200))
    ]
    assert result.clean.rl2 == pytest.approx(np.median(halves), rel=0.1)
    assert result.clean.rl2_low < result.clean.rl2 < result.clean.rl2_high
    assert result.clean.kept == pytest.approx((tiny_model.p_values(images) > 0.05).mean())


def test_the_filters_score_comes_first(result):
    assert result.provenance["detectors"][0] == result.provenance["filter_detector"] == FILTER_SCORE
    assert sorted(result.provenance["detectors"]) == sorted(DETECTORS_OF_A_REFERENCE)


def test_sets_of_artifacts(result, clean, artifacts, tiny_model):
    assert {name: s.row.n for name, s in result.real.items()} == {"<b>pen": 4, "fold": 2}
    assert {name: s.n_cutouts for name, s in result.cutouts.items()} == {"spot": 3, "thread": 1}
    images = clean[np.sort(np.random.default_rng(0).choice(110, 50, replace=False))]
    pens = str(artifacts / "<b>pen")
    found = result.real["<b>pen"].row
    for score in DETECTORS_OF_A_REFERENCE:
        values = np.r_[
            tiny_model.score_samples(images, score), tiny_model.score_samples(pens, score)
        ]
        expected = roc_auc_score(np.repeat([1, 0], [50, 4]), values)
        assert found.auc[score].value == pytest.approx(expected, abs=6e-3)
    assert np.isnan(found.rl2)
    # 10, 15 and 20 of 64 rows by 30 of 64 columns, each on a third of the patches.
    assert result.cutouts["spot"].row.covered == pytest.approx(15 * 30 / 64**2)
    assert result.cutouts["thread"].row.covered == pytest.approx(10 * 30 / 64**2)


def test_the_model_sees_every_image_once(clean, artifacts, tiny_model, monkeypatch):
    model, seen = copy.copy(tiny_model), []
    real = type(model).statistics

    def count(self, source, **options):
        seen.append(len(source))
        return real(self, source, **options)

    monkeypatch.setattr(type(model), "statistics", count)
    benchmark(clean, model, artifacts=artifacts, corruptions=["stain"], quick=True, **FEW)
    # Clean, two severities, two kinds of cut-outs, two real sets, two for the sample sizes.
    assert seen == [50, 50, 50, 50, 50, 4, 2]


def test_equal_seeds_give_equal_numbers(result, clean, artifacts, tiny_model):
    again = benchmark(clean, tiny_model, artifacts=artifacts, corruptions=["blur", "ink"], **FEW)
    assert again.corruptions == result.corruptions
    assert again.cutouts == result.cutouts
    assert again.stability == result.stability
    other = benchmark(clean, tiny_model, corruptions=["ink"], quick=True, seed=1, **FEW)
    assert other.corruptions["ink"].rows[0] != result.corruptions["ink"].rows[0]


def test_cutouts_at_odd_positions(clean, artifacts, tiny_model):
    found = benchmark(clean, tiny_model, artifacts=artifacts / "cutouts", cutouts="odd",
                      corruptions=["blur"], quick=True, **FEW)  # fmt: skip
    assert {name: s.n_cutouts for name, s in found.cutouts.items()} == {"spot": 1}
    assert any("thread: none at odd positions" in w for w in found.warnings)
    assert found.corruptions["blur"].severities == (1, 3)
    assert np.isnan(found.corruptions["blur"].spearman)


def test_smaller_artifacts_are_compared_at_their_size(stained, artifacts, tiny_model):
    model = copy.copy(tiny_model)
    model.patch_size = 96
    clean = stained(60, size=96, seed=2)
    found = benchmark(clean, model, artifacts=artifacts / "fold", corruptions=["blur"], **FEW)
    fold = found.real["fold"]
    assert fold.patch_size == 70
    assert any("fold: images of 70 px are smaller than the model's 96 px" in w
               for w in found.warnings)  # fmt: skip
    images = clean[np.sort(np.random.default_rng(0).choice(60, 50, replace=False))]
    model.patch_size = 70
    scores = [model.score_samples(i, FILTER_SCORE)
              for i in (images[:, 13:83, 13:83], str(artifacts / "fold"))]  # fmt: skip
    expected = roc_auc_score(np.repeat([1, 0], [50, 2]), np.concatenate(scores))
    assert fold.row.auc[FILTER_SCORE].value == pytest.approx(expected, abs=0.011)


def test_json_and_csv_hold_every_number(result, tmp_path):
    page = result.save(tmp_path / "new" / "out")
    assert {p.name for p in page.parent.iterdir()} == {
        "benchmark.html", "benchmark.json", "benchmark.csv", "blur.png", "ink.png",
        "stability.png"}  # fmt: skip
    data = json.loads((page.parent / "benchmark.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(data, schema())
    assert data["real"]["fold"]["row"]["rl2"] is None
    with (page.parent / "benchmark.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (2 * 4 + 2 + 2) * len(DETECTORS_OF_A_REFERENCE)
    for row in rows:
        if row["kind"] in ("degradation", "artifact"):
            corruption = data["corruptions"][row["name"]]
            found = corruption["rows"][corruption["severities"].index(float(row["severity"]))]
        else:
            assert row["severity"] == ""
            found = data[row["kind"]][row["name"]]["row"]
        areas = found["auc"][row["detector"]]
        assert [float(row[k]) for k in ("auc", "auc_low", "auc_high")] == [
            areas[k] for k in ("value", "low", "high")
        ]
        for key in ("kept", "rl2", "rl2_low", "rl2_high", "wad_div_empirical", "covered"):
            assert row[key] == ("" if found[key] is None else str(found[key]))


@pytest.mark.parametrize(
    ("change", "value"),
    [
        (("schema_version",), 1),
        (("corruptions", "blur", "rows", 0, "kept"), 1.5),
        (("clean", "n"), None),
        (("real", "fold", "row", "auc", "knn"), 0.5),
    ],
)
def test_the_schema_refuses_other_files(result, change, value):
    data = result.to_dict()
    place = data
    for key in change[:-1]:
        place = place[key]
    place[change[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema())


def test_the_figures_draw_the_numbers(result):
    corruption = result.corruptions["ink"]
    figure = corruption_figure(result, "ink")
    *pictures, distance, area = figure.axes
    assert len(pictures) == 5
    for axes, example in zip(pictures[1:], result.examples["corruptions/ink"], strict=True):
        assert np.array_equal(axes.images[0].get_array(), example.image)
    drawn = [line.get_ydata() for line in distance.lines]
    assert [row.rl2 for row in corruption.rows] in [list(y) for y in drawn]
    for score in DETECTORS_OF_A_REFERENCE:
        values = [row.auc[score].value for row in corruption.rows]
        assert values in [list(line.get_ydata()) for line in area.lines]
        assert any(score.replace("_", " ") in t.get_text() for t in area.get_legend().get_texts())

    panels = stability_figure(result.stability).axes
    assert [axes.get_title() for axes in panels] == ["RL2", "FID", "KID"]
    curve = result.stability.curves["rl2"]
    assert list(panels[0].lines[0].get_ydata()) == pytest.approx(
        [value / curve.degraded[-1] for value in curve.degraded]
    )


def test_everything_is_on_the_page(result, tmp_path):
    page = Page(result.save(tmp_path))
    # Two corruptions, sample sizes, 4 + 2 real images, 8 of each kind of cut-outs; not the clean.
    assert len(page.sources) == 2 + 1 + 6 + 16
    for title in ("At a glance", "Real artifacts", "Pasted cut-outs", "Corruptions",
                  "How many images", "Every number", "What the figures do not say",
                  "How it was made"):  # fmt: skip
        assert title in page.text
    assert "<b>pen" in page.text
    for row in result.rows():
        for found in row.found.auc.values():
            assert f"{found.value:.3f}" in page.text


def test_a_page_without_artifacts_and_sample_sizes(clean, tiny_model, tmp_path):
    found = benchmark(clean[:60], tiny_model, corruptions=["jpeg"], quick=True, **FEW)
    assert found.stability is None
    assert any("sample size" in w for w in found.warnings)
    jsonschema.validate(found.to_dict(), schema())
    page = Page(found.save(tmp_path))
    assert "Pasted cut-outs" not in page.text
    assert not (tmp_path / "stability.png").exists()


def test_the_table_shows_every_set(result):
    lines = result.table().splitlines()
    assert len(lines) == 2 + 8 + 2 + 2
    assert lines[0].split()[:3] == ["severity", FILTER_SCORE, "interval"]
    blur = next(line for line in lines if line.startswith("Gaussian blur"))
    row = result.corruptions["blur"].rows[0]
    assert blur.split()[2:4] == [
        "1",
        f"{row.auc[FILTER_SCORE].value:.3f}",
    ]
    assert "cutouts, n = 50" in result.table()


def test_alien_clean_images_are_a_warning(clean, tiny_model):
    found = benchmark(clean // 4, tiny_model, corruptions=["blur"], quick=True, **FEW)
    assert found.clean.kept < 0.85
    assert any("unlike this model's reference" in w for w in found.warnings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corruptions": ["rain"]}, "no corruption 'rain', perhaps 'stain'. Choose from blur"),
        ({"corruptions": []}, "no corruptions chosen"),
        ({"n": 49}, "n must be at least 50"),
        ({"alpha": 0}, "alpha must lie in \\(0, 1\\), got 0"),
        ({"n_resamples": 1}, "n_resamples must be at least 2"),
        ({"model": "nowhere"}, "no model 'nowhere'"),
        ({"artifacts": "nowhere"}, "no such folder: nowhere"),
    ],
)
def test_wrong_options(clean, tiny_model, options, message):
    with pytest.raises(UsageError, match=message):
        benchmark(clean, **{"model": tiny_model, **options})


def test_too_few_and_too_small_images(clean, stained, tiny_model, tmp_path):
    with pytest.raises(UsageError, match="49 clean images are too few for a benchmark: at least"):
        benchmark(clean[:49], tiny_model)
    model = copy.copy(tiny_model)
    model.patch_size = 96
    for i, image in enumerate(clean[:50]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    with pytest.raises(ImageError, match="50 of 50 images cannot be used"):
        benchmark(str(tmp_path), model)
    (tmp_path / "tiny").mkdir()
    Image.new("RGB", (40, 50)).save(tmp_path / "tiny" / "a.png")
    with pytest.raises(ImageError, match="artifacts tiny: patches of 40 px are too small"):
        benchmark(clean, tiny_model, artifacts=tmp_path / "tiny", corruptions=["blur"])


def test_a_benchmark_read_back_has_no_pictures(result, tmp_path):
    bare = Benchmark(result.provenance, result.clean, result.corruptions)
    with pytest.raises(UsageError, match="as benchmark"):
        bare.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_exists_is_not_replaced(tmp_path):
    check_folder(tmp_path)
    (tmp_path / "benchmark.html").write_text("mine")
    with pytest.raises(UsageError, match="holds a benchmark"):
        check_folder(tmp_path)
    check_folder(tmp_path, overwrite=True)
    with pytest.raises(UsageError, match="is a file"):
        check_folder(tmp_path / "benchmark.html")


def test_one_page_of_it_all(result, tmp_path):
    result.to_html(tmp_path / "own.html")
    assert [p.name for p in tmp_path.iterdir()] == ["own.html"]
    saved = result.save(tmp_path / "out").read_text(encoding="utf-8")
    assert (tmp_path / "own.html").read_text(encoding="utf-8") == saved


def test_a_figure_is_embedded_as_it_is_written(result, tmp_path):
    result.save(tmp_path)
    with Image.open(tmp_path / "blur.png") as written:
        drawn = rendered(corruption_figure(result, "blur"))
        np.testing.assert_array_equal(np.asarray(written.convert("RGB")), np.asarray(drawn))


def test_progress_counts_every_image(clean, tiny_model):
    seen = []
    benchmark(clean, tiny_model, corruptions=["blur"], quick=True, **FEW,
              progress=lambda done, total, what: seen.append((done, total, what)))  # fmt: skip
    assert seen[-1][0] == seen[-1][1] == 50 * 3
    assert list(dict.fromkeys(what for _, _, what in seen)) == [
        "benchmark", "clean", "blur 1", "blur 3"
    ]  # fmt: skip


def test_old_attributes_are_understood(result):
    with pytest.warns(DeprecationWarning, match="ladders is called corruptions now"):
        assert result.ladders is result.corruptions
    with pytest.warns(DeprecationWarning, match="run is called provenance now"):
        assert result.run is result.provenance
    curve = result.stability.curves["rl2"]
    with pytest.warns(DeprecationWarning, match="floor is called baseline now"):
        assert curve.floor == curve.baseline
    with pytest.raises(AttributeError, match="'Benchmark' object has no attribute 'nothing'"):
        result.nothing  # noqa: B018
