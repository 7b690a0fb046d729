"""What is closed at the end of a ``with`` statement."""

from __future__ import annotations

from types import TracebackType
from typing import Self

__all__ = ["Closing"]


class Closing:
    """Something that holds a file, until :meth:`close` or the end of a ``with`` statement.

    Examples
    --------
    >>> class Held(Closing):
    ...     def close(self):
    ...         print("closed")
    >>> with Held() as held:
    ...     pass
    closed
    """

    def close(self) -> None:
        """Release what is held; there is nothing by default."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
