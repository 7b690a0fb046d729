"""What the answer says of metrics that disagree, beside what their own rows say."""

from __future__ import annotations

import pytest

from rl2qc.scoring.copies import Duplicates
from rl2qc.scoring.headline import Finding, headline
from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.spec import METRICS
from rl2qc.scoring.verdict import verdict


def answer(n_images: int, percentiles: dict[str, float], n_groups: int | None = None):
    """The answer on realism, and the words of each row."""
    rows = {}
    for name, percentile in percentiles.items():
        row = MetricResult(
            2.7, False, "", baseline=1.0, observed=2.7, percentile=percentile, n_generated=n_images
        )
        said = verdict(METRICS.get(name), row, n_images)
        rows[name] = MetricResult(**{**vars(row), "verdict": said})
    once = Duplicates(n_images, n_images, 1)
    found = headline(rows, Finding(n_images, once, once, n_groups=n_groups))
    realism = next(line for line in found if line.question == "Realism")
    return realism.answer, {name: str(row.verdict) for name, row in rows.items()}


def test_few_images_that_one_metric_tells_apart():
    """45 images of a GAN: RL2 is sure, FID and KID lean the same way."""
    said, rows = answer(45, {"rl2": 100, "fid": 94, "kid": 96})
    assert said == "farther from real images by rl2; too few images to tell by fid and kid"
    assert all("too few images to tell" in rows[name] for name in ("fid", "kid"))
    said, rows = answer(45, {"rl2": 100, "fid": 60, "kid": 99})
    assert said == "farther from real images by rl2 and kid; too few images to tell by fid"
    assert rows["fid"] == "not told apart from real (few images)"


@pytest.mark.parametrize("n_images", [45, 1000])
def test_metrics_that_agree(n_images):
    said, _ = answer(n_images, {"rl2": 100, "fid": 99, "kid": 99})
    few = " (few images)" * (n_images == 45)
    assert said == f"farther from real images than these are from each other{few}"


def test_many_images_that_one_metric_tells_apart():
    said, rows = answer(1000, {"rl2": 100, "fid": 94, "kid": 60})
    assert said == "farther from real images by rl2, not by fid and kid"
    assert rows["kid"] == "like real"
    # FID alone wants 300 images.
    said, _ = answer(100, {"rl2": 100, "fid": 94, "kid": 60})
    assert said.endswith("by rl2, not by kid; too few images to tell by fid")
