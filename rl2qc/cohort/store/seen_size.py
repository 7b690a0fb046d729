"""What the model saw of the tiles of a result, from a record of any day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rl2qc.cohort.store.folder import RunFolder

__all__ = ["seen_size"]


def seen_size(folder: Path, about: dict[str, Any]) -> int | None:
    """Side in px of what the model saw of each tile, from a record of any day.

    Parameters
    ----------
    folder
        Of the result: records of before two sizes were told apart hold that of the tiles, which is
        the model's but for imported ones, and for those the manifest of the run has the model's.
    about
        What the record says of the table.

    Returns
    -------
    None where neither says it.
    """
    if "tile_size" in about or about.get("coords") is None:
        size = about.get("patch_size")
    else:
        manifest = RunFolder(folder.resolve().parent).manifest()
        size = (manifest.get("model") or {}).get("patch_size")
    return int(size) if isinstance(size, int) else None
