"""The pure functions on degenerate input: a known value or one clear line, and never a hang.

The contract of metrics (``tests/contracts/metric.py``) asks the same of every registered one.
"""

from __future__ import annotations

import faulthandler
import math

import numpy as np
import pytest

from rl2qc.metrics.authenticity import authenticity
from rl2qc.metrics.dice import dice
from rl2qc.metrics.frechet import fid
from rl2qc.metrics.frechet_limit import fid_infinity
from rl2qc.metrics.frechet_ratio import r_fid
from rl2qc.metrics.inception import inception_score
from rl2qc.metrics.irs import irs
from rl2qc.metrics.kernel import kid
from rl2qc.metrics.ms_ssim import ms_ssim, msssim_diversity
from rl2qc.metrics.prdc import prdc
from rl2qc.metrics.rl2 import rl2
from rl2qc.metrics.sliced import swd
from rl2qc.metrics.wad_div import wad_div
from rl2qc.stats.agreement import rank_agreement


@pytest.fixture(autouse=True)
def _no_hang():
    """A hang ends the run with a traceback of where it was."""
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


# Metrics of (real, generated) features.
PAIRS = {
    "rl2": lambda real, generated: rl2(real, generated).value,
    "wad_div": lambda real, generated: wad_div(generated, real).value,
    "wad_div unmatched": lambda real, generated: wad_div(generated, real, matched_n=False).value,
    "wad_div cosine": lambda real, generated: wad_div(generated, real, distance="cosine").value,
    "irs": lambda real, generated: irs(real, generated).value,
    "irs cosine": lambda real, generated: irs(real, generated, distance="cosine").value,
    "irs adjusted": lambda real, generated: irs(real, generated, real).adjusted,
    "fid": lambda real, generated: fid(real, generated).value,
    "r_fid": lambda real, generated: r_fid(real, generated).value,
    "fid_infinity": lambda real, generated: fid_infinity(real, generated).value,
    "kid": lambda real, generated: kid(real, generated).value,
    "precision": lambda real, generated: prdc(real, generated).precision,
    "recall": lambda real, generated: prdc(real, generated).recall,
    "density": lambda real, generated: prdc(real, generated).density,
    "coverage": lambda real, generated: prdc(real, generated).coverage,
    "prdc with edges": lambda real, generated: (
        prdc(real, generated, convention="kynkaanniemi").coverage
    ),
    "authenticity": lambda real, generated: authenticity(real, generated).value,
    "authenticity cosine": lambda real, generated: (
        authenticity(real, generated, distance="cosine").value
    ),
    "nearer_train": lambda real, generated: authenticity(real, generated, real).nearer_train,
}
# Metrics of generated features alone.
SINGLES = {
    "wad_div zero": lambda x: wad_div(x).value,
    "wad_div exponential": lambda x: wad_div(x, "exponential").value,
    "wad_div sampled": lambda x: wad_div(x, "exponential", method="sampled").value,
    "wad_div zero cosine": lambda x: wad_div(x, distance="cosine").value,
}

ANY = object()
"""A finite number, whichever."""

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 14, 6)) + 3
WIDE = RNG.normal(size=(2, 14, 60)) + 3
ONES = np.ones((14, 6))


def with_one(value: float) -> np.ndarray:
    x = X.copy()
    x[9, 2] = value
    return x


# By case: real set, generated set, what every metric gives, and the exceptions.
CASES = {
    "all identical": (ONES, ONES, 0, {
        "irs": 1, "irs cosine": 1, "irs adjusted": 1, "r_fid": 1, "prdc with edges": 1,
        "nearer_train": 0.5,
    }),
    "a collapsed generator": (X, ONES, ANY, {
        "irs": 1 / 14, "irs cosine": 1 / 14, "irs adjusted": 1 / 14, "recall": 0,
    }),
    "a real set without spread": (ONES, X, ANY, {
        "irs": 1, "irs cosine": 1, "irs adjusted": 1, "precision": 0, "density": 0, "coverage": 0,
        "authenticity": 1,
    }),
    "one set twice": (X, X, ANY, {
        "rl2": 0, "wad_div": 0, "wad_div unmatched": 0, "wad_div cosine": 0, "irs": 1,
        "irs cosine": 1, "irs adjusted": 1, "fid": 0, "precision": 1, "recall": 1, "density": 1,
        "coverage": 1, "prdc with edges": 1, "authenticity": 0, "authenticity cosine": 0,
        "nearer_train": 0.5,
    }),
    "n = 1 generated": (X, Y[:1], "k = . needs more than . images in .*, got n = 1", {
        "rl2": ANY, "irs": 1, "irs cosine": 1, "irs adjusted": 1,
        "fid": "generated needs at least 2 images", "r_fid": "generated needs at least 2 images",
        "fid_infinity": "generated needs at least 2 images",
        "kid": "generated needs at least 2 images", "authenticity": ANY,
        "authenticity cosine": ANY, "nearer_train": 0.5,
    }),
    "n = 1 real": (X[:1], Y, "k = . needs more than . images in (real|the reference), got n = 1", {
        "rl2": ANY, "irs": 1, "irs cosine": 1, "irs adjusted": 1,
        "fid": "real needs at least 2 images", "r_fid": "real needs at least 2 images",
        "fid_infinity": "real needs at least 2 images", "kid": "real needs at least 2 images",
        "authenticity": "k = 1 needs more than 1 images in train",
        "authenticity cosine": "k = 1 needs more than 1 images in train",
        "nearer_train": "k = 1 needs more than 1 images in train",
    }),
    "n < k": (X, Y[:3], ANY, {
        name: "k = . needs more than . images" for name in PAIRS
        if name.startswith(("wad_div", "precision", "recall", "density", "coverage", "prdc"))
    }),
    "n < D": (*WIDE, ANY, {}),
    "NaN in real": (with_one(np.nan), Y, "must be finite: .* in 1 of 14 rows, .* row 9", {}),
    "NaN in generated": (Y, with_one(np.nan), "must be finite: .* row 9", {}),
    "infinity in real": (with_one(np.inf), Y, "must be finite: .* row 9", {}),
    "infinity in generated": (Y, with_one(-np.inf), "must be finite: .* row 9", {}),
    "empty real": (X[:0], Y, r"is empty: shape \(0, 6\)", {}),
    "empty generated": (X, Y[:0], r"is empty: shape \(0, 6\)", {}),
    "no dimensions": (X[:, :0], Y[:, :0], r"is empty: shape \(14, 0\)", {}),
    "mismatched dimensions": (X, Y[:, :5], "must have the same dimension, got . and .", {}),
    "one axis": (X[0], Y, r"must be a 2-D array \(images x dimensions\), got shape \(6,\)", {}),
    "rows of unequal length": ([[1.0], [1.0, 2.0]], Y, "rows of different lengths", {}),
    "no numbers": ([["a", "b"]], Y, "must hold real numbers", {}),
    "integers": ((4 * X).astype(int), (4 * Y).astype(int), ANY, {}),
    "too large": (
        1e51 * X, Y, "(real|reference|train|latents_a) too large: .* up to .*e.51, .*; scale", {},
    ),
    "large": (1e20 * X, 1e20 * Y, ANY, {}),
    "tiny": (1e-150 * X, 1e-150 * Y, ANY, {}),
}  # fmt: skip


def check(call, expected, *arguments):
    """The call gives the number, any finite one, or a ValueError of one line that says this."""
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected) as error:
            call(*arguments)
        assert "\n" not in str(error.value)
        return
    value = call(*arguments)
    assert math.isfinite(value)
    if expected is not ANY:
        assert value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("metric", PAIRS)
@pytest.mark.parametrize("case", CASES)
def test_pairs_of_sets(case, metric):
    real, generated, usual, exceptions = CASES[case]
    check(PAIRS[metric], exceptions.get(metric, usual), real, generated)


@pytest.mark.parametrize("metric", SINGLES)
@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (ONES, 0),
        (X, ANY),
        (WIDE[0], ANY),
        (1e-150 * X, ANY),
        (1e100 * X, "features too large"),
        (1e40 * X, ANY),
        (X[:1], "k = 3 needs more than 3 images, got n = 1"),
        (X[:3], "k = 3 needs more than 3 images, got n = 3"),
        (with_one(np.nan), "features must be finite"),
        (with_one(np.inf), "features must be finite"),
        (X[:0], "features is empty"),
        (X[:, :0], "features is empty"),
        (X[0], "features must be a 2-D array"),
        ("zero", "features must be a 2-D array"),  # the arguments swapped
    ],
)
def test_single_sets(metric, x, expected):
    check(SINGLES[metric], expected, x)


SWAPPED = {
    "rl2": "rl2", "wad_div": "wad_div", "wad_div unmatched": "wad_div unmatched",
    "wad_div cosine": "wad_div cosine", "fid": "fid", "precision": "recall", "recall": "precision",
}  # fmt: skip


@pytest.mark.parametrize("metric", PAIRS)
def test_swapped_arguments(metric):
    there, back = PAIRS[metric](X, Y[:9]), PAIRS[SWAPPED.get(metric, metric)](Y[:9], X)
    assert math.isfinite(there) and math.isfinite(back)
    if metric in SWAPPED:
        assert there == pytest.approx(back)


EYE = np.eye(4)
PICTURES = RNG.integers(0, 256, (4, 24, 24, 3), dtype=np.uint8)
FLAT = np.full((4, 24, 24, 3), 7, np.uint8)
MASKS = np.eye(6, dtype=bool)[None]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: inception_score(np.full((12, 4), 0.25)).value, 1),
        (lambda: inception_score(EYE[:1], splits=1).value, 1),
        (lambda: inception_score(EYE, splits=1).value, 4),
        (lambda: inception_score(EYE, splits=5).value, "splits must be between 1 and n = 4"),
        (lambda: inception_score(EYE + np.nan, splits=1).value, "must be finite"),
        (lambda: inception_score(EYE + np.inf, splits=1).value, "must be finite"),
        (lambda: inception_score(EYE[:0], splits=1).value, "is empty"),
        (lambda: inception_score(2 * EYE, splits=1).value, "softmax"),
        (lambda: swd(FLAT, FLAT).value, 0),
        (lambda: swd(PICTURES, PICTURES).value, 0),
        (lambda: swd(PICTURES[:1], FLAT).value, ANY),
        (lambda: swd(PICTURES[:0], FLAT).value, "at least 1 image"),
        (lambda: swd(PICTURES, FLAT[:, :20]).value, "one size"),
        (lambda: swd(PICTURES + np.nan, FLAT).value, "uint8"),
        (lambda: msssim_diversity(FLAT).value, 1),
        (lambda: msssim_diversity(PICTURES[:1]).value, "at least 2 images"),
        (lambda: msssim_diversity(PICTURES[:0]).value, "at least 2 images"),
        (lambda: msssim_diversity(PICTURES + np.inf).value, "uint8"),
        (lambda: ms_ssim(FLAT[0], FLAT[0]), 1),
        (lambda: ms_ssim(FLAT[0], PICTURES[0]), ANY),
        (lambda: ms_ssim(FLAT[0], PICTURES[0, :20]), "one size"),
        (lambda: dice(MASKS, MASKS).value, 1),
        (lambda: dice(MASKS, ~MASKS).value, 0),
        (lambda: dice(MASKS & False, MASKS & False).value, 1),
        (lambda: dice(MASKS[:0], MASKS[:0]).value, "no masks"),
        (lambda: dice(MASKS, MASKS[:, :3]).value, "must be 2-D"),
        (lambda: dice(MASKS + np.nan, MASKS).value, "bools or integers"),
        (lambda: rank_agreement({"a": [1, 2]}, {"a": True}).ranks.sum(), 3),
        (lambda: rank_agreement({"a": [1, 1], "b": [1, 2]}, dict.fromkeys("ab", True)).ranks.sum(),
         6),
        (lambda: rank_agreement({"a": [1]}, {"a": True}), "at least 2 generators"),
        (lambda: rank_agreement({"a": [1, np.nan]}, {"a": True}), "not all are in a"),
        (lambda: rank_agreement({"a": [1, np.inf]}, {"a": True}), "not all are in a"),
    ],
)  # fmt: skip
def test_images_masks_and_probabilities(call, expected):
    check(call, expected)
