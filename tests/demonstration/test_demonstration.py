"""What a demonstration counts and returns; the whole of it is run by the tests of its command."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rl2qc.demonstration.result import ArtifactRow, Demo, SetRow
from rl2qc.demonstration.run import truth_rows
from rl2qc.synthetic.corruptions import CORRUPTIONS


def test_tiles_are_counted_by_kind() -> None:
    shares = {
        "ink": np.array([0.0, 0.05, 0.10, 0.9, 0.0]),
        "fold": np.array([0.0, 0.0, 0.0, 0.5, 0.01]),
    }
    keep = np.array([True, True, True, False, False])
    assert truth_rows(shares, keep) == (
        ArtifactRow("clean", 1, 1),
        ArtifactRow("ink", 2, 1),
        ArtifactRow("fold", 1, 0),
        ArtifactRow("any artifact", 2, 1),
    )


@pytest.fixture
def found() -> Demo:
    rows = (ArtifactRow("clean", 8, 7), ArtifactRow("out_of_focus", 4, 1), ArtifactRow("ink", 0, 0))
    return Demo(Path("a/index.html"), rows, (SetRow("clean", 1.234, 0.5, 0.97),), 0.25, 12.3)


def test_the_table(found: Demo) -> None:
    assert found.table().splitlines() == [
        "tiles             n  rejected",
        "clean             8       12%",
        "out of focus      4       75%",
        "ink               0         -",
        "",
        "patches                        RL2  WAD-Div   kept",
        "clean                         1.23    0.500    97%",
    ]
    assert "out of focus" in found._repr_html_()


def test_json_and_csv(found: Demo, tmp_path: Path) -> None:
    found.to_json(tmp_path / "demo.json")
    plain = json.loads((tmp_path / "demo.json").read_text())
    assert plain["artifacts"][1] == {"name": "out_of_focus", "tiles": 4, "kept": 1, "rejected": 3}
    assert plain["sets"][0]["rl2"] == 1.234
    found.to_csv(tmp_path / "demo.csv")
    with (tmp_path / "demo.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["rejected"] for row in rows] == ["1", "3", "0"]


def test_every_artifact_of_the_slide_has_a_colour() -> None:
    from rl2qc.demonstration.page import _COLOURS
    from rl2qc.synthetic.slide import _PLACES

    assert set(_COLOURS) == set(_PLACES) <= set(CORRUPTIONS.names())


def test_what_lies_in_between_and_what_rejections_were_told_as() -> None:
    from rl2qc.demonstration.page import _between, _told

    table = SimpleNamespace(
        keep=np.array([True, False, False, False]),
        reasons=np.array(["", "out of focus", "bubble or edge", "ink"]),
    )
    scene: Any = SimpleNamespace(shares={"bubble": np.array([0, 0.02, 0.9, 0.5])}, table=table)
    assert _between(scene) == {"tiles": 1, "rejected": 1}
    told = {"clean": "", "bubble": "bubble or edge 1, ink 1"}
    assert _told(scene) == told | {"any artifact": told["bubble"]}
