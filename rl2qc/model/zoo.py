"""Models by name."""

from __future__ import annotations

from pathlib import Path

from rl2qc.errors import UsageError

__all__ = ["find_checkpoint", "shipped_checkpoints"]


def _folders() -> tuple[Path, Path]:
    package = Path(__file__).resolve().parents[1]
    # Inside the installed package, or beside it in a source tree.
    return package / "checkpoints", package.parent / "checkpoints"


def shipped_checkpoints() -> dict[str, Path]:
    """The models that come with the package, by name."""
    return {
        path.stem: path for folder in _folders() for path in sorted(folder.glob("*.safetensors"))
    }


def find_checkpoint(name_or_path: str | Path) -> Path:
    """The file of a shipped model's name, or the path itself.

    Raises
    ------
    UsageError
        Neither a shipped name nor a file.
    """
    shipped = shipped_checkpoints()
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    path = Path(name_or_path)
    if not path.is_file():
        names = ", ".join(shipped) or "none"
        raise UsageError(f"no model {str(name_or_path)!r}: give a file or a shipped name ({names})")
    return path
