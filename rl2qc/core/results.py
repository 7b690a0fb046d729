"""What every result of a public call can do: be shown, and be written down."""

from __future__ import annotations

import html
import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl2qc.core.arguments import check_path
from rl2qc.core.files import write_csv, write_json
from rl2qc.errors import UsageError

__all__ = ["Result"]


class Result(ABC):
    """Base of results; a subclass says what it holds, and gets the rest.

    A result that has lines for a table of other programs says so in :meth:`csv_rows`; one with a
    page adds ``to_html``.
    """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""

    @abstractmethod
    def table(self) -> str:
        """A table for the terminal."""

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """Lines for :meth:`to_csv`, all with the columns of the first."""
        raise NotImplementedError(f"{type(self).__name__} has no CSV form: use to_json")

    def to_json(self, path: str | Path) -> None:
        """Write :meth:`to_dict` to ``path``, whole or not at all; what is not finite is null."""
        write_json(check_path("path", path), self.to_dict())

    def to_csv(self, path: str | Path) -> None:
        """Write :meth:`csv_rows` to ``path``, whole or not at all."""
        rows = self.csv_rows()
        header = list(rows[0]) if rows else []
        write_csv(
            check_path("path", path), header, ([row[name] for name in header] for row in rows)
        )

    def to_frame(self) -> Any:
        """The lines of :meth:`to_csv` as a pandas DataFrame.

        Raises
        ------
        UsageError
            pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise UsageError("a data frame needs pandas: pip install pandas") from error
        return pandas.DataFrame(list(self.csv_rows()))

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return f"<pre>{html.escape(self.table())}</pre>"
