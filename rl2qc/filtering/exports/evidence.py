"""What later decisions are made from: the evidence of a general model, adapted to nothing."""

from __future__ import annotations

from pathlib import Path

from rl2qc.filtering.evidence import EVIDENCE
from rl2qc.filtering.exports.registry import BOTH, ExportFormat, register_format
from rl2qc.filtering.table import TileTable

__all__ = ["write_evidence"]


def write_evidence(table: TileTable, path: Path) -> None:
    """The evidence of a table that has some."""
    assert table.evidence is not None
    table.evidence.save(path)


register_format(
    # Deciding again reads it, and no decision changes it.
    ExportFormat(
        "evidence",
        EVIDENCE,
        write_evidence,
        kinds=BOTH,
        maps=True,
        always=True,
        decided=False,
        listed=False,
        order=20,
    )
)
