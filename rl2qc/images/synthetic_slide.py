"""The old name of :mod:`rl2qc.synthetic.slide`, still understood until 1.0."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    said = "rl2qc.images.synthetic_slide is called rl2qc.synthetic.slide now"
    warnings.warn(said, DeprecationWarning, stacklevel=2)
    # Of a room above: old names must not draw it in for everybody.
    return getattr(import_module("rl2qc.synthetic.slide"), name)
