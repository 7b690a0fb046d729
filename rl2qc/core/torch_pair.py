"""torchvision, or one line that says why it does not fit the installed torch."""

from __future__ import annotations

from typing import Any

import torch

from rl2qc.errors import WorkError

__all__ = ["import_torchvision"]


def import_torchvision() -> Any:
    """Import torchvision.

    Raises
    ------
    WorkError
        torch and torchvision were built apart (a CPU-only torch beside another index's
        torchvision, say), which torchvision itself reports as "operator torchvision::nms does
        not exist".
    """
    try:
        import torchvision
    except (RuntimeError, ImportError, OSError) as error:
        raise WorkError(
            f"torch {torch.__version__} and the installed torchvision do not fit together "
            f"({str(error).splitlines()[0]}): reinstall both in one go from one index, "
            "pip install --force-reinstall torch torchvision"
        ) from error
    return torchvision
