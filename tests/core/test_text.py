"""Numbers as text."""

from __future__ import annotations

import pytest

from rl2qc.core.text import percent


@pytest.mark.parametrize("n", [7, 40, 1000])
def test_percent_never_claims_all_or_none(n):
    assert percent(0.0) == "0%"
    assert percent(1.0) == "100%"
    for k in range(1, n):
        shown = percent(k / n)
        assert shown not in ("0%", "0.0%", "100%", "100.0%")
        if shown[0] not in "<>":
            assert float(shown[:-1]) == pytest.approx(100 * k / n, abs=0.5)
