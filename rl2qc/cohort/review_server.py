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


def review_server(
    find: Callable[[], ReviewedTiles], target: Path, port: int = 0
) -> tuple[PageServer, ReviewedTiles]:
    """A server that is not yet running, and what it shows; what the page saves goes to ``target``.

    Raises
    ------
    UsageError
        The port is taken, which is known before any tile is read.
    """
    server = page_server(str, port)
    try:
        tiles = find()
        page = tiles.page(served=True)
    except BaseException:
        server.server_close()
        raise

    def save(content: bytes) -> str:
        if not content.startswith(",".join(COLUMNS).encode()):
            raise ValueError("no list of corrections")
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
        folder = printable(str(tiles.folder))
        return f"saved: rl2qc decide {folder} --corrections {printable(str(target))}"

    server.page, server.takers = lambda: page, {CORRECTIONS: save}
    return server, tiles


def serve_review(
    find: Callable[[], ReviewedTiles], target: Path, port: int, tell: Callable[[str], object]
) -> None:
    """Serve until it is stopped."""
    server, tiles = review_server(find, target, port)
    with server:
        tell(f"{len(tiles.tiles)} of {tiles.total} tiles, the most suspicious first")
        tell(f"page   {server.url}")
        tell(f"marks  {printable(str(target))}, when the page saves them; Ctrl-C ends")
        if tiles.unseen:
            tell(tiles.unseen)
        server.serve_forever()
