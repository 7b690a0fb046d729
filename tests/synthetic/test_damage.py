"""Random damage: every kind comes up, equal generators agree, severities span their range."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.synthetic import damage
from rl2qc.synthetic.damage import COVERS, DEGRADATIONS, random_damage, severity_at


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

    def note(name):
        def draw(picture, severity, rng):
            seen.setdefault(name, []).append(severity)
            return type("Damaged", (), {"image": picture})

        return draw

    names = list(damage.ARTIFACTS)
    monkeypatch.setattr(damage, "ARTIFACTS", {name: note(name) for name in names})
    monkeypatch.setattr(
        damage, "degrade", lambda i, name, s, r: seen.setdefault(name, []).append(s)
    )
    rng = np.random.default_rng(0)
    for _ in range(600):
        random_damage(image, rng)
    assert set(seen) == set(names) | set(DEGRADATIONS)
    for name, (mild, strong) in DEGRADATIONS.items():
        assert min(mild, strong) <= min(seen[name]) and max(seen[name]) <= max(mild, strong)
    for name in names:
        assert COVERS[0] <= min(seen[name]) and max(seen[name]) <= COVERS[1]


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_levels_are_even_in_the_logarithm(name):
    mild, strong = DEGRADATIONS[name]
    assert severity_at(name, 0) == pytest.approx(mild)
    assert severity_at(name, 1) == pytest.approx(strong)
    assert severity_at(name, 0.5) == pytest.approx(np.sqrt(mild * strong))
