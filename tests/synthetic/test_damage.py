"""Random damage: every kind comes up, equal generators agree, severities span their range."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.synthetic.corruptions import (
    CORRUPTIONS,
    CorruptionSpec,
    register_corruption,
    taught,
)
from rl2qc.synthetic.damage import SHARE_DEGRADED, random_damage


@pytest.fixture
def image(stained):
    return stained(1, 64)[0]


def test_equal_generators_give_equal_images(image):
    a, b, c = (random_damage(image, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert a.dtype == np.uint8 and a.shape == image.shape


def test_every_kind_comes_up_within_its_range(image, monkeypatch):
    seen: dict[str, list[float]] = {}

    def note(self, picture, severity, rng):
        seen.setdefault(self.name, []).append(severity)
        return picture

    monkeypatch.setattr(CorruptionSpec, "__call__", note)
    rng = np.random.default_rng(0)
    for _ in range(600):
        random_damage(image, rng)
    specs = (*taught("degradation"), *taught("artifact"))
    assert set(seen) == {spec.name for spec in specs}
    for spec in specs:
        mild, strong = sorted(spec.teaches)
        assert mild <= min(seen[spec.name]) and max(seen[spec.name]) <= strong
    degraded = sum(len(seen[spec.name]) for spec in taught("degradation"))
    assert degraded / 600 == pytest.approx(SHARE_DEGRADED, abs=0.06)


def test_what_others_register_changes_nothing_that_is_learnt(image):
    before = [random_damage(image, np.random.default_rng(seed)) for seed in range(12)]
    register_corruption(CorruptionSpec("black", "Black", "", (1, 2), lambda i, s, r: 0 * i))
    try:
        after = [random_damage(image, np.random.default_rng(seed)) for seed in range(12)]
    finally:
        CORRUPTIONS.unregister("black")
    np.testing.assert_array_equal(before, after)


def test_what_a_seed_draws_stays(image, monkeypatch):
    """Models that are trained again must come out the same: what version 0.1 drew."""
    seen = []
    monkeypatch.setattr(
        CorruptionSpec, "__call__", lambda self, i, s, r: seen.append((self.name, s)) or i
    )
    for seed in range(8):
        random_damage(image, np.random.default_rng(seed))
    assert [name for name, _ in seen] == [
        "bubble", "thread", "blur", "blur", "specks", "ink", "bubble", "out_of_focus"
    ]  # fmt: skip
    expected = [0.011826524146068605, 0.01804419848290061, 3.127464286402562, 3.0268156819283227,
                0.5443885296589103, 0.08247584821902282, 0.04531660580344252,
                0.2394895015061871]  # fmt: skip
    np.testing.assert_allclose([severity for _, severity in seen], expected, rtol=1e-12)
