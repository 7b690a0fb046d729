"""Slides that kill the process which reads them, by their names."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from PIL import Image

from rl2qc.slides.readers.base import ReaderSpec
from rl2qc.slides.readers.openslide import OpenSlideReader


class Killer(OpenSlideReader):
    """Reads TIFF files, and kills its process when one says ``open``, ``tile`` or ``once``."""

    def __init__(self, path: Path, **options: Any) -> None:
        if "open" in Path(path).name:
            os.abort()
        super().__init__(path, **options)

    def read_layer(self, x: int, y: int, level: int, size: tuple[int, int]) -> Image.Image:
        name = "/".join(self.path.resolve().parts[-2:])
        if size == (64, 64) and (x, y) == (128, 64):
            if "tile" in name:
                os.kill(os.getpid(), signal.SIGSEGV)
            marker = self.path.with_suffix(".died")
            if "once" in name and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().read_layer(x, y, level, size)


def spec() -> ReaderSpec:
    """Reads what ends with .toy."""
    return ReaderSpec("killer", Killer, suffixes=frozenset({".toy"}), may_crash=True)


def dies(path: str | Path) -> None:
    """A decoder that dies of what it is given."""
    os.kill(os.getpid(), signal.SIGBUS)
