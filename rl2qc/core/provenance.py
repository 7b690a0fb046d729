"""What made a result: versions of the program and of what its numbers depend on."""

from __future__ import annotations

import importlib.metadata
import platform

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """Of Python and the packages that numbers depend on."""
    packages = ("rl2qc", "torch", "torchvision", "numpy", "scipy")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }
