"""Images in tables of Parquet, as Hugging Face keeps them: a column of bytes, a row an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rl2qc.core.registry import Extra
from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources.containers import Encoded, called_apart, register_container

# Column names that are images where a table has several of bytes.
_USUAL = ("image", "img", "png", "jpg", "jpeg", "bytes")
_ERRORS = (OSError, ValueError, KeyError, RuntimeError)


class ParquetImages(Encoded):
    """The images of a table, by the number of their row; one group of rows is held at a time."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._column, groups = called_apart(_layout, path)
        self._ends = np.cumsum(groups)
        self.names = tuple(map(str, range(sum(groups))))
        self._held: tuple[int, list[bytes | None]] | None = None

    def content(self, index: int) -> bytes:
        group = int(np.searchsorted(self._ends, index, side="right"))
        row = index - (int(self._ends[group - 1]) if group else 0)
        found = self._group(group)[row]
        if found is None:
            raise ImageError(f"{self.called(index)} cannot be read: the row holds no bytes")
        return found

    def _group(self, group: int) -> list[bytes | None]:
        # One look at the attribute: another thread may replace it meanwhile.
        held = self._held
        if held is None or held[0] != group:
            held = self._held = group, called_apart(_rows, self.path, self._column, group)
        return held[1]


def _layout(path: Path) -> tuple[str, list[int]]:
    """The column of images of a table, and how many rows its groups have."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            schema, groups = table.schema_arrow, range(table.num_row_groups)
            rows = [table.metadata.row_group(i).num_rows for i in groups]
    except _ERRORS as error:
        raise ImageError(f"{path} is no Parquet table, or a damaged one: {error}") from None
    return _column(path, schema), rows


def _rows(path: Path, column: str, group: int) -> list[bytes | None]:
    """The bytes of the images of a group; None where a row holds none."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            found = table.read_row_group(group, columns=[column]).column(column).to_pylist()
    except _ERRORS as error:
        raise ImageError(f"{path}: the rows of group {group} cannot be read: {error}") from None
    stored = (row.get("bytes") if isinstance(row, dict) else row for row in found)
    return [row if isinstance(row, bytes) else None for row in stored]


def _column(path: Path, schema: Any) -> str:
    """The column of images: bytes, or a structure that holds them."""
    import pyarrow as pa

    def is_bytes(kind: Any) -> bool:
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    found = [
        field.name
        for field in schema
        if is_bytes(field.type)
        or (
            pa.types.is_struct(field.type)
            and any(part.name == "bytes" and is_bytes(part.type) for part in field.type)
        )
    ]
    usual = [name for name in _USUAL if name in found]
    if len(found) == 1 or usual:
        return str(usual[0] if usual else found[0])
    held = ", ".join(found or schema.names) or "none"
    raise UsageError(
        f"{path} has {'several columns' if found else 'no column'} of image bytes: call it "
        f"'image' (columns: {held})"
    )


register_container(
    "parquet", (".parquet",), ParquetImages, extra=Extra("pyarrow", "rl2qc[parquet]")
)
