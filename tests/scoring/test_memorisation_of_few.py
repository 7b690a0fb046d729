"""Nearness to single real images is no accusation where slides may differ as much."""

from __future__ import annotations

import pytest

from rl2qc.scoring.copies import Duplicates
from rl2qc.scoring.headline import Finding, headline
from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.spec import METRICS


@pytest.mark.parametrize(("n_groups", "standing"), [(9, ""), (40, "badly"), (None, "badly")])
def test_few_groups_do_not_accuse(n_groups: int | None, standing: str) -> None:
    side = METRICS.get("authenticity").copies
    row = MetricResult(
        0.3, False, "", baseline=0.5, observed=0.3, percentile=0 if side == "below" else 100
    )
    once = Duplicates(300, 300, 1)
    (said,) = headline({"authenticity": row}, Finding(300, once, once, n_groups=n_groups))
    assert said.question == "Memorisation" and "memorised?" in said.answer
    assert said.standing == standing
    assert ("9 groups of real images alone" in said.answer) == (n_groups == 9)
    # Copies that are seen are copies, of however few groups.
    (said,) = headline({}, Finding(300, once, once, n_copies=3, n_groups=n_groups))
    assert said.standing == "badly"
