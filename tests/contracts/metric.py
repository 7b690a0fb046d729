"""What every metric must hold, whoever wrote it; call :func:`check_metric` in a test."""

from __future__ import annotations

import csv
import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from scipy.special import softmax

from rl2qc import ScoreSettings, compare, score
from rl2qc.images.sources.base import as_source
from rl2qc.scoring.comparison import schema as comparison_schema
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.rows import Stacks
from rl2qc.scoring.scorecard import schema
from rl2qc.scoring.spec import MetricSpec, Value
from rl2qc.scoring.values import full_values

SETTINGS = ScoreSettings(n_resamples=20, k=3, prdc_k=3, seed=3)


def check_metric(spec: MetricSpec, model, images: np.ndarray) -> None:
    """What a spec says, values, rows, degenerate input; then cards, comparisons and their files.

    Parameters
    ----------
    spec
        A registered metric.
    model
        A quality model.
    images : (n, h, w, 3) uint8
        At least 130, no two equal.
    """
    check_words(spec)
    check_values(spec)
    check_rows(spec)
    check_degenerate(spec)
    check_card(spec, model, images)
    check_comparison(spec, model, images)


def check_words(spec: MetricSpec) -> None:
    for words in (spec.meaning, spec.below, spec.above, spec.more):
        assert words == words.strip() and "\n" not in words
    assert spec.meaning
    # What stands beside a baseline says what it means to lie beside it.
    assert bool(spec.below) == bool(spec.above) == (spec.of != "real")


def check_values(spec: MetricSpec) -> None:
    """Finite, within bounds, the same again and in another order, of the sets that it names."""
    real, generated, other = (image_set(40, seed) for seed in (0, 2, 1))
    real = real.beside(image_set(40, 3))
    value = value_of(spec, real, generated)
    assert math.isfinite(value)
    assert spec.bounds[0] <= value <= spec.bounds[1]
    assert value_of(spec, real, generated) == value
    rng = np.random.default_rng(0)
    shuffled = [s.take(rng.permutation(len(s))) for s in (real, generated)]
    assert value_of(spec, *shuffled) == near(spec, value)
    if spec.of == "generated":
        assert value_of(spec, other.beside(image_set(40, 3)), generated) == value
    if spec.of == "real":
        assert value_of(spec, real, other) == value


def check_rows(spec: MetricSpec) -> None:
    """Of all rows, and of some, what the plain function gives of these images."""
    if spec.resample is None or not math.isfinite(spec.tolerance):
        return
    real, generated = image_set(50, 0).beside(image_set(30, 3)), image_set(36, 2)
    found = Stacks([real, generated], SETTINGS).of(spec)
    assert found.metric(*found.rows) == near(spec, value_of(spec, real, generated))
    rng = np.random.default_rng(1)
    some = [np.sort(rng.permutation(len(s))[:24]) for s in (real, generated)]
    rows = [numbers[i] for numbers, i in zip(found.rows, some, strict=True)]
    expected = value_of(spec, real.take(some[0]), generated.take(some[1]))
    assert found.metric(*rows) == near(spec, expected)


def check_degenerate(spec: MetricSpec) -> None:
    """A finite value or one line that says why there is none; whatever the sets hold."""
    for real, generated in degenerate_sets():
        found = _value(spec, real, generated)
        if not math.isfinite(found.value):
            assert math.isnan(found.value)
            assert found.note and "\n" not in found.note


def check_card(spec: MetricSpec, model, images: np.ndarray) -> None:
    """Interval, baseline, verdict, JSON, CSV and page of a card."""
    card = score(
        images[:40],
        images[40:90],
        model,
        replace(SETTINGS, metrics=[spec.name]),
        unseen=images[90:130],
        probabilities={"generated": probabilities(40, 0), "real": probabilities(50, 1)},
    )
    row = card.metrics[spec.name]
    assert math.isfinite(row.value), row.note
    assert spec.bounds[0] <= row.low <= row.value <= row.high <= spec.bounds[1]
    assert row.method
    if spec.of != "real":
        assert row.baseline_low <= row.baseline <= row.baseline_high
        assert math.isfinite(row.observed) and 0 <= row.percentile <= 100
        assert row.baseline_n_real > 1 and row.baseline_n_generated > 1
        assert row.verdict
    assert (row.n_real > 0, row.n_generated > 0) == (spec.of != "generated", spec.of != "real")
    with tempfile.TemporaryDirectory() as folder:
        _check_files(card, spec, Path(folder))


def _check_files(card, spec: MetricSpec, folder: Path) -> None:
    data = json.loads(json.dumps(card.to_dict(), allow_nan=False))
    jsonschema.validate(data, schema())
    assert data["metrics"][spec.name]["value"] == card[spec.name]
    card.to_csv(folder / "card.csv")
    (line,) = csv.DictReader((folder / "card.csv").read_text().splitlines())
    assert (line["metric"], float(line["value"])) == (spec.name, card[spec.name])
    card.to_html(folder / "card.html")
    assert spec.name in (folder / "card.html").read_text()
    assert spec.name in card.table() and spec.name in card._repr_html_()


def check_comparison(spec: MetricSpec, model, images: np.ndarray) -> None:
    """Values and differences of two generated sets, where the metric looks at them."""
    sets = {"a": images[:30], "b": images[30:60] // 2}
    found = compare(sets, images[60:100], model, replace(SETTINGS, metrics=[spec.name]))
    jsonschema.validate(json.loads(json.dumps(found.to_dict())), comparison_schema())
    if spec.of == "real":
        assert spec.name not in found.values
    elif spec.name in found.values:
        assert all(map(math.isfinite, found.values[spec.name]))
        for difference in found.differences.get(spec.name, {}).values():
            a, b = found.values[spec.name]
            assert difference.low <= a - b <= difference.high
            assert found.verdicts[spec.name]["b"] in found.table()
    else:  # it needs what a comparison has not got, and says so
        assert any(w.startswith(f"{spec.name}: needs") for w in found.warnings)


def near(spec: MetricSpec, value: float):
    return pytest.approx(value, rel=spec.tolerance, abs=1e-9)


def value_of(spec: MetricSpec, real: ImageSet, generated: ImageSet) -> float:
    return _value(spec, real, generated).value


def _value(spec: MetricSpec, real: ImageSet, generated: ImageSet) -> Value:
    found = Stacks([real, generated], SETTINGS).of(spec)
    return full_values([found])[spec.name]


def probabilities(n: int, seed: int) -> np.ndarray:
    return softmax(np.random.default_rng(seed).normal(size=(n, 4)), axis=1)


def image_set(n: int, seed: int, **arrays: np.ndarray) -> ImageSet:
    """Arrays of one distribution that moves a little with the seed."""
    rng = np.random.default_rng(seed)
    # The coarser, the higher the seed.
    block = 2 ** (seed % 4)
    pictures = rng.integers(0, 256, (n, 64 // block, 64 // block, 3), dtype=np.uint8)
    pictures = pictures.repeat(block, axis=1).repeat(block, axis=2)
    usual = {
        "features": rng.normal(0.3 * seed, 1, size=(n, 6)).astype(np.float32),
        "latents": rng.normal(0.3 * seed, 1, size=(n, 5)).astype(np.float32),
        "log_likelihood": rng.normal(seed, 1, size=n),
        "keep": rng.random(n) < 0.8,
        "probabilities": probabilities(n, seed),
    }
    return ImageSet(as_source(pictures), usual | arrays)


def degenerate_sets() -> Iterator[tuple[ImageSet, ImageSet]]:
    """Real and generated sets: of one image, all equal, the same twice, not finite, far apart."""
    real, generated = image_set(14, 0), image_set(14, 1)
    one, three = np.array([0]), np.arange(3)
    yield from ((real.take(one), generated), (real, generated.take(one)))
    yield from ((real, generated.take(three)), (real, real))
    yield from ((real, _collapsed(14)), (_collapsed(14), generated), (_collapsed(14),) * 2)
    for broken in (np.nan, np.inf, -np.inf):
        yield from ((real, _with(generated, broken)), (_with(real, broken), generated))
    for scale in (1e-150, 1e20, 1e60):
        yield _scaled(real, scale), _scaled(generated, scale)
    yield real, _wide(generated)


def _collapsed(n: int) -> ImageSet:
    same = image_set(n, 0)
    arrays = {name: np.repeat(array[:1], n, axis=0) for name, array in same.arrays.items()}
    return ImageSet(as_source(np.full((n, 64, 64, 3), 7, np.uint8)), arrays)


def _with(images: ImageSet, value: float) -> ImageSet:
    arrays = {name: array.copy() for name, array in images.arrays.items()}
    for array in arrays.values():
        if array.dtype.kind == "f":
            array[9] = value
    return ImageSet(images.source, arrays)


def _scaled(images: ImageSet, scale: float) -> ImageSet:
    large = {
        name: images.arrays[name].astype(np.float64) * scale for name in ("features", "latents")
    }
    return ImageSet(images.source, {**images.arrays, **large})


def _wide(images: ImageSet) -> ImageSet:
    wide = {name: np.repeat(images.arrays[name], 2, axis=1) for name in ("features", "latents")}
    return ImageSet(images.source, {**images.arrays, **wide})
