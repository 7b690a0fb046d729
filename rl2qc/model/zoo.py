"""Models by name: those that come with the package."""

from __future__ import annotations

from pathlib import Path

from rl2qc.core.arguments import check_path
from rl2qc.core.defaults import DEFAULT_MODEL
from rl2qc.core.registry import nearest
from rl2qc.errors import UsageError

__all__ = ["ALIASES", "DEFAULT_MODEL", "find_checkpoint", "shipped_checkpoints"]

ALIASES: dict[str, str] = {}
"""Old names of shipped models, by old name: still understood, no longer shown."""


def _folders() -> tuple[Path, Path]:
    package = Path(__file__).resolve().parents[1]
    # Inside the installed package, or beside it in a source tree.
    return package / "checkpoints", package.parent / "checkpoints"


def shipped_checkpoints() -> dict[str, Path]:
    """The models that come with the package, by name.

    Examples
    --------
    >>> "histology" in shipped_checkpoints()
    True
    """
    return {
        path.stem: path for folder in _folders() for path in sorted(folder.glob("*.safetensors"))
    }


def find_checkpoint(name_or_path: str | Path) -> Path:
    """The file of a shipped model's name, of an old name too, or the path itself.

    Raises
    ------
    UsageError
        Neither a shipped name nor a file.
    """
    check_path("model", name_or_path)
    shipped = shipped_checkpoints()
    name = ALIASES.get(str(name_or_path), str(name_or_path))
    if name in shipped:
        return shipped[name]
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(shipped) or "none"
        raise UsageError(
            f"no model {str(name_or_path)!r}{nearest(str(name_or_path), shipped)} "
            f"Give a file or a shipped name ({known})"
        )
    return path
