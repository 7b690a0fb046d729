from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rl2qc.images.quantities import measure_quantities
from rl2qc.images.quantity_names import QUANTITIES
from rl2qc.images.reasons import (
    MIN_REFERENCE,
    PROCEDURAL,
    REASONS,
    ReferenceQuantities,
    likely_reasons,
)
from rl2qc.images.sources.base import center_crop
from rl2qc.images.sources.files import read_image
from rl2qc.synthetic.corruptions import corrupt
from rl2qc.synthetic.tissue import Stain, synthetic_patches

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def corruption(name: str, share: float) -> Damage:
    return lambda image, rng: corrupt(image, name, share, rng)


def red_pen(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    marked = image.copy()
    marked[:, 60:130] = marked[:, 60:130] * np.array([0.7, 0.12, 0.08])
    return marked


def glass(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    covered = np.full_like(image, 243)
    covered[:60, :50] = image[:60, :50]
    return covered


def pale(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(255 - (255 - image.astype(np.float64)) * 0.2, np.uint8)


DAMAGES: list[tuple[str, Damage]] = [
    ("out of focus", corruption("blur", 2)),
    ("out of focus", corruption("blur", 4)),
    ("out of focus", corruption("out_of_focus", 0.7)),
    ("ink or pen", corruption("ink", 0.4)),
    ("ink or pen", red_pen),
    ("fold or dark", corruption("rectangles", 0.1)),
    ("fold or dark", corruption("fold", 0.4)),
    ("pale or background", glass),
    ("pale or background", pale),
    ("noise or compression", corruption("noise", 0.1)),
    ("noise or compression", corruption("salt_and_pepper", 0.05)),
    ("noise or compression", corruption("jpeg", 5)),
]
NAMES = [
    *("blur 2", "blur 4", "out of focus", "ink", "red pen", "rectangles", "fold", "glass", "pale"),
    *("noise", "salt and pepper", "jpeg 5"),
]


def count(images: list[np.ndarray], reference: ReferenceQuantities | None) -> Counter[str]:
    rejected = np.zeros(len(images), np.bool_)
    return Counter(likely_reasons(measure_quantities(images), rejected, reference).tolist())


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.concatenate(
        [synthetic_patches(15, 192, rng, stain=Stain.sample(rng, 0.5)) for _ in range(4)]
    )


@pytest.fixture(scope="module")
def reference(tissue: np.ndarray) -> ReferenceQuantities:
    return ReferenceQuantities.fit(measure_quantities(tissue[::2]))


@pytest.mark.parametrize(("reason", "damage"), DAMAGES, ids=NAMES)
def test_damage_is_named(
    tissue: np.ndarray, reference: ReferenceQuantities, reason: str, damage: Damage
) -> None:
    rng = np.random.default_rng(1)
    damaged = [damage(image, rng) for image in tissue[1::2]]
    assert count(damaged, reference)[reason] >= 0.8 * len(damaged)


def test_another_stain_is_unlike_the_reference(
    tissue: np.ndarray, reference: ReferenceQuantities
) -> None:
    # The same amounts of dyes of another colour, which absorb green most, too.
    stain = Stain(hematoxylin=(0.66, 0.69, 0.34), eosin=(0.42, 0.83, 0.30))
    restained = list(synthetic_patches(20, 192, np.random.default_rng(8), stain=stain))
    found = count(restained, reference)
    assert found.most_common(1)[0][0] == "out of distribution"
    clean = count(list(tissue[1::2]), reference)
    assert clean["out of distribution"] >= 0.8 * clean.total()


# A fold of pale tissue is no darker than dark tissue of another patch: folds are left out.
REAL = [(d, name) for d, name in zip(DAMAGES, NAMES, strict=True) if d is not DAMAGES[6]]


@pytest.mark.parametrize(("reason", "damage"), [d for d, _ in REAL], ids=[n for _, n in REAL])
def test_damage_of_real_patches_is_named(shared_data: Path, reason: str, damage: Damage) -> None:
    reference, images = _real(shared_data / "clean/colorectal/train")
    rng = np.random.default_rng(2)
    found = count([damage(image, rng) for image in images], reference)
    assert found[reason] >= 0.7 * len(images), found


def test_real_ink_is_named(shared_data: Path) -> None:
    reference, _ = _real(shared_data / "clean/prostate/train")
    files = sorted((shared_data / "artifacts/ink_prostate").iterdir())
    found = count([center_crop(read_image(file), 224) for file in files], reference)
    assert found["ink or pen"] >= 0.8 * len(files), found


_cache: dict[Path, tuple[ReferenceQuantities, list[np.ndarray]]] = {}


def _real(folder: Path) -> tuple[ReferenceQuantities, list[np.ndarray]]:
    """The reference that every 12th image of a folder makes, and a few others."""
    if folder not in _cache:
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        crop = partial(center_crop, size=224)
        known = [crop(read_image(file)) for file in files[::12]]
        others = [crop(read_image(file)) for file in files[5::80]]
        _cache[folder] = ReferenceQuantities.fit(measure_quantities(known)), others
    return _cache[folder]


# ---------------------------------------------------------------- the arithmetic

NEUTRAL = ReferenceQuantities(*(np.full(7, value) for value in (-10.0, 0.0, 10.0)))


def quantities(**changed: float) -> np.ndarray:
    return np.array([[changed.get(name, 0.0) for name in QUANTITIES]])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"focus": -10.5}, "out of focus"),
        ({"focus": 30.0}, "out of distribution"),
        ({"odd_hue": 11.0}, "ink or pen"),
        ({"darkness": 11.0}, "fold or dark"),
        ({"darkness": 9.0}, "out of distribution"),
        ({"white": 11.0}, "pale or background"),
        ({"density": -11.0}, "pale or background"),
        ({"noise": 11.0}, "noise or compression"),
        ({"blockiness": 11.0}, "noise or compression"),
        ({"focus": -20.0, "darkness": 19.0}, "out of focus"),
        ({"focus": -20.0, "darkness": 21.0}, "fold or dark"),
        ({}, "out of distribution"),
    ],
)
def test_what_lies_farthest_out_is_named(changed: dict[str, float], reason: str) -> None:
    assert likely_reasons(quantities(**changed), [False], NEUTRAL).tolist() == [reason]
    assert likely_reasons(quantities(**changed), [True], NEUTRAL).tolist() == [""]


def test_excess_counts_usual_ranges(rng: np.random.Generator) -> None:
    values = rng.normal(size=(500, 7)) * np.arange(1, 8)
    reference = ReferenceQuantities.fit(values)
    np.testing.assert_allclose(reference.median, np.median(values, axis=0))
    excess = reference.excess(reference.low[None])
    assert excess["out of focus"][0] == pytest.approx(1)
    assert reference.excess(reference.high[None])["ink or pen"][0] == pytest.approx(1)
    twice = 2 * reference.high - reference.median
    assert reference.excess(twice[None])["fold or dark"][0] == pytest.approx(2)
    # Of the reference itself, a hundredth lies outside on each side.
    assert (reference.excess(values)["out of focus"] > 1).mean() == pytest.approx(0.01, abs=0.002)


def test_equal_patches_are_a_narrow_reference_but_no_point() -> None:
    reference = ReferenceQuantities.fit(np.zeros((MIN_REFERENCE, 7)))
    near = np.full((1, 7), 1e-3)
    assert likely_reasons(near, [False], reference).tolist() == ["out of distribution"]


def test_the_kept_stand_for_the_reference(rng: np.random.Generator) -> None:
    clean = rng.normal(size=(MIN_REFERENCE, 7)) * 0.01 + 5
    outlier = np.full((1, 7), 5.0)
    outlier[0, QUANTITIES.index("darkness")] = 6
    rows, keep = np.concatenate([clean, outlier]), np.arange(MIN_REFERENCE + 1) < MIN_REFERENCE
    assert likely_reasons(rows, keep)[-1] == "fold or dark"
    np.testing.assert_array_equal(
        likely_reasons(rows, keep), likely_reasons(rows, keep, ReferenceQuantities.fit(clean))
    )
    # One fewer, and procedural tissue stands for it.
    np.testing.assert_array_equal(
        likely_reasons(rows[1:], keep[1:]), likely_reasons(rows[1:], keep[1:], PROCEDURAL)
    )
    assert likely_reasons(rows[:0], keep[:0]).shape == (0,)


def test_procedural_tissue_is_what_is_usual_without_a_reference(tissue: np.ndarray) -> None:
    excess = PROCEDURAL.excess(measure_quantities(tissue))
    for reason, values in excess.items():
        assert (values <= 1).mean() >= 0.85, reason


def test_state_is_plain_arrays(reference: ReferenceQuantities) -> None:
    state = reference.state()
    assert all(type(part) is np.ndarray and part.dtype == np.float64 for part in state.values())
    again = ReferenceQuantities.from_state({name: part.tolist() for name, part in state.items()})
    for name, part in again.state().items():
        np.testing.assert_array_equal(part, state[name])
    with pytest.raises(KeyError):
        ReferenceQuantities.from_state({"low": state["low"]})
    with pytest.raises(ValueError, match="7 quantities"):
        ReferenceQuantities.from_state({name: part[:3] for name, part in state.items()})


def test_wrong_input() -> None:
    with pytest.raises(ValueError, match=f"needs {MIN_REFERENCE} patches, got 2"):
        ReferenceQuantities.fit(np.zeros((2, 7)))
    with pytest.raises(ValueError, match=r"must be \(n, 7\)"):
        ReferenceQuantities.fit(np.zeros((50, 6)))
    with pytest.raises(ValueError, match="decisions of shape"):
        likely_reasons(np.zeros((2, 7)), [True])


def test_reasons_are_those_of_the_issue() -> None:
    assert len(set(REASONS)) == 6
    assert REASONS[-1] == "out of distribution"
