"""Files that hold several slides: each goes by the file's name and its number."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["is_scene", "scene_path", "split_scene"]

_SCENE = re.compile(r"^(.+)@scene([1-9]\d{0,3})$", re.DOTALL)


def scene_path(file: Path, number: int) -> Path:
    """What a scene is called; they are counted from 0, and called from 1 on.

    Examples
    --------
    >>> scene_path(Path("a.ome.tiff"), 1)
    PosixPath('a.ome.tiff@scene2')
    """
    return file.with_name(f"{file.name}@scene{number + 1}")


def split_scene(path: Path) -> tuple[Path, int | None]:
    """The file that holds a slide, and which of its scenes that is; None for what is no scene.

    Examples
    --------
    >>> split_scene(Path("a.ome.tiff@scene2"))
    (PosixPath('a.ome.tiff'), 1)
    >>> split_scene(Path("a.ome.tiff"))[1] is None
    True
    """
    found = _SCENE.match(path.name)
    if found is None or path.exists():
        return path, None
    return path.with_name(found[1]), int(found[2]) - 1


def is_scene(path: Path) -> bool:
    """Whether a path is that of a slide within a file that is there."""
    file, scene = split_scene(path)
    return scene is not None and file.exists()
