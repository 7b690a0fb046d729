"""The page of a review on this machine alone: it is shown, and what it saves is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rl2qc.cohort.corrections import COLUMNS
from rl2qc.cohort.review import CORRECTIONS, ReviewedTiles
from rl2qc.core.files import atomic_path
from rl2qc.core.text import printable
from rl2qc.html.server import PageServer, page_server

__all__ = ["review_server", "serve_review"]


def review_server(tiles: ReviewedTiles, target: Path, port: int = 0) -> PageServer:
    """A server that is not yet running; what the page saves goes to ``target``.

    Raises
    ------
    UsageError
        The port is taken.
    """
    page = tiles.page(served=True)

    def save(content: bytes) -> str:
        if not content.startswith(",".join(COLUMNS).encode()):
            raise ValueError("no list of corrections")
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
        folder = printable(str(tiles.folder))
        return f"saved: rl2qc decide {folder} --corrections {printable(str(target))}"

    return page_server(lambda: page, port, {CORRECTIONS: save})


def serve_review(
    tiles: ReviewedTiles, target: Path, port: int, tell: Callable[[str], object]
) -> None:
    """Serve until it is stopped."""
    with review_server(tiles, target, port) as server:
        tell(f"{len(tiles.tiles)} of {tiles.total} tiles, the most suspicious first")
        tell(f"page   {server.url}")
        tell(f"marks  {printable(str(target))}, when the page saves them; Ctrl-C ends")
        server.serve_forever()
