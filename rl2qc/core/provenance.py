"""What made a result: versions of the program and of what its numbers depend on."""

from __future__ import annotations

import importlib.metadata
import platform

from rl2qc import __version__

__all__ = ["versions"]


def versions(*more: str) -> dict[str, str]:
    """Of Python, rl2qc and the packages that numbers depend on.

    Parameters
    ----------
    more
        Other packages that this result depends on.

    Examples
    --------
    >>> versions("no-such-package")["no-such-package"]
    'not installed'
    """
    known = {"python": platform.python_version(), "rl2qc": __version__}
    for package in ("torch", "torchvision", "numpy", "scipy", *more):
        try:
            known[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            known[package] = "not installed"
    return known
