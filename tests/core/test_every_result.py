"""What every result can do."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from rl2qc.core.results import Result
from rl2qc.errors import UsageError


class Rows(Result):
    def to_dict(self) -> dict[str, Any]:
        return {}

    def table(self) -> str:
        return "two rows"

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        return [{"a": 1}, {"a": 2}]


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
