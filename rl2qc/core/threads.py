"""Keep libraries from starting threads for work that is too small for them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["one_thread"]


def one_thread() -> AbstractContextManager[Any]:
    """Let BLAS and OpenMP use the calling thread alone.

    Their threads wait for one another by spinning: beside threads that read, a product of a few
    rows then takes a hundred times as long.

    Examples
    --------
    >>> import numpy as np
    >>> with one_thread():
    ...     float((np.ones((2, 3)) @ np.ones((3, 2))).sum())
    12.0
    """
    limit: AbstractContextManager[Any] = _controller().limit(limits=1)
    return limit


@cache
def _controller() -> Any:
    # Looking for the libraries takes longer than the work.
    return ThreadpoolController()
