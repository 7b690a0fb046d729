"""What every result can do."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rl2qc.benchmarking.result import Benchmark
from rl2qc.core.results import Result
from rl2qc.demonstration.result import Demo
from rl2qc.errors import UsageError
from rl2qc.filtering.table import TileTable
from rl2qc.images.sources.base import as_source
from rl2qc.model.review import Review
from rl2qc.scoring.agree import agree
from rl2qc.scoring.comparison import Comparison
from rl2qc.scoring.dice import Dice
from rl2qc.scoring.reject import Rejection
from rl2qc.scoring.scorecard import Scorecard


class Rows(Result):
    def to_dict(self) -> dict[str, Any]:
        return {}

    def table(self) -> str:
        return "two rows"

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        return [{"a": 1}, {"a": 2}]


def test_results_are_short_in_a_prompt() -> None:
    made = {"n_generated": 3, "n_real": 4}
    card = Scorecard.__new__(Scorecard)
    card.__dict__.update(provenance=made, metrics={"fid": None})
    assert repr(card) == "<Scorecard: 3 generated against 4 real images, 1 metrics>"
    comparison = Comparison.__new__(Comparison)
    comparison.__dict__.update(generators=("a", "b"), values={"fid": (1.0, 2.0)})
    assert repr(comparison) == "<Comparison of a, b: 1 metrics>"
    found = Benchmark.__new__(Benchmark)
    found.__dict__.update(corruptions={"blur": []}, cutouts={}, real={"ink": 0}, labs={})
    assert repr(found) == "<Benchmark: 1 corruptions, 1 real sets>"
    for kind in (Scorecard, Comparison, Benchmark, TileTable):
        assert issubclass(kind, Result)
        assert "__repr__" in vars(kind)


def test_every_result_of_a_call_is_short_in_a_prompt(patches: np.ndarray) -> None:
    rows = {"generator": ["a", "b"], "dice": [1, 2], "fid": [1, 2]}
    assert repr(agree(rows)) == "<Agreement with dice: 1 scores, 1 tasks>"
    looks = tuple((n, n, n) for n in range(100))
    found = Rejection(True, 10, 99, 50, 4, 0.1, 0.05, 0.3, looks, 0.05)
    assert repr(found) == "<Rejection: rejected after 10 of 99 images>"
    dice = Dice(0.75, 0.5, 1.0, ("a", "b"), (0.5, 1.0), None, 0, None, ())
    assert repr(dice) == "<Dice 0.7500 of 2 pairs>"
    least = np.zeros(3)
    review = Review(as_source(patches[:3]), least, least, least, n_reference=100)
    assert repr(review) == "<Review: the least likely 3 of 100 patches>"
    assert repr(Demo(Path("demo.html"), (), (), 0.5, 9.0)) == "<Demo 'demo.html'>"


def test_a_frame_has_the_rows_of_the_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows: ("df", rows)))
    assert Rows().to_frame() == ("df", [{"a": 1}, {"a": 2}])


def test_without_pandas_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        Rows().to_frame()


def test_pandas_itself_takes_them() -> None:
    pandas = pytest.importorskip("pandas")
    assert Rows().to_frame().equals(pandas.DataFrame({"a": [1, 2]}))
