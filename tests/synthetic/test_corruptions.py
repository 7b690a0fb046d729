"""Every corruption against one contract; one of somebody else's beside ours."""

from __future__ import annotations

import numpy as np
import pytest
from contracts.corruption import check_corruption

from rl2qc.errors import UsageError
from rl2qc.synthetic.corruptions import (
    CORRUPTIONS,
    CorruptionSpec,
    Damaged,
    corrupt,
    register_corruption,
    taught,
)
from rl2qc.synthetic.tissue import synthetic_tissue


@pytest.fixture(scope="module")
def image():
    return synthetic_tissue(128, 160, np.random.default_rng(0))


@pytest.mark.parametrize("name", CORRUPTIONS.names())
def test_every_corruption_holds_the_contract(name, image):
    check_corruption(CORRUPTIONS.get(name), image)


def test_degradations_come_first_in_the_order_that_is_learnt():
    """Models learn from them by their position."""
    kinds = [spec.kind for spec in CORRUPTIONS][:16]
    assert kinds == ["degradation"] * 9 + ["artifact"] * 7
    assert [spec.name for spec in taught("degradation")] == [
        "blur", "noise", "salt_and_pepper", "jpeg", "rectangles"
    ]  # fmt: skip
    assert [spec.name for spec in taught("artifact")] == [
        "ink", "pen", "fold", "bubble", "out_of_focus", "thread", "specks"
    ]  # fmt: skip


def hair(image, severity, rng):
    """Somebody else's: a dark line, as wide as it is severe."""
    made, mask = image.copy(), np.zeros(image.shape[:2], np.bool_)
    row = int(rng.integers(image.shape[0] // 2))
    mask[row : row + int(severity)] = True
    made[mask] = made[mask] // 4
    return Damaged(made, mask)


@pytest.fixture
def hairs():
    yield register_corruption(
        CorruptionSpec("hair", "Hair", "width, px", (1, 3, 9), hair, "artifact")
    )
    CORRUPTIONS.unregister("hair")


def test_one_of_somebody_else(hairs, image):
    check_corruption(hairs, image)
    assert CORRUPTIONS.names()[-1] == "hair"
    expected = hair(image, 3, np.random.default_rng(0)).image
    np.testing.assert_array_equal(corrupt(image, "hair", 3, np.random.default_rng(0)), expected)
    with pytest.raises(ValueError, match="nothing learns from it"):
        hairs.at(0.5)


def test_names(hairs, image):
    with pytest.raises(UsageError, match=r"no corruption 'blurr', perhaps 'blur'\?"):
        corrupt(image, "blurr", 1, np.random.default_rng(0))
    with pytest.raises(UsageError, match="already"):
        register_corruption(CorruptionSpec("hair", "Other hair", "px", (1, 2), hair))


@pytest.mark.parametrize("broken", [
    CorruptionSpec("falls", "Falls", "px", (2, 1), lambda i, s, r: (i * (1 - s / 9)).astype("u1")),
    CorruptionSpec("none", "None", "px", (1, 2), lambda i, s, r: i.copy()),
    CorruptionSpec("same", "Same", "px", (1, 2), lambda i, s, r: i),
    CorruptionSpec("wild", "Wild", "px", (1, 2), lambda i, s, r: np.random.default_rng().integers(
        0, int(40 * s), i.shape, np.uint8)),
    CorruptionSpec("wide", "Wide", "px", (1, 2), lambda i, s, r: 255 - i // int(s + 1), "artifact"),
    CorruptionSpec("no name", "", "px", (1, 2), lambda i, s, r: 255 - i // int(s + 1)),
], ids=lambda spec: spec.name)  # fmt: skip
def test_the_contract_refuses_what_breaks_it(broken, image):
    with pytest.raises(AssertionError):
        check_corruption(broken, image)
