"""The page of a review on this machine alone: it is shown, and what it saves is written."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from rl2qc.cohort.corrections import COLUMNS
from rl2qc.cohort.review import CORRECTIONS, ReviewedTiles
from rl2qc.core.files import atomic_path
from rl2qc.core.text import printable
from rl2qc.errors import UsageError

__all__ = ["review_server", "serve_review"]

_HOST = "127.0.0.1"
_MOST = 16 * 2**20


class Server(ThreadingHTTPServer):
    """Serves one page; ``url`` is where."""

    daemon_threads = True
    url = ""


def review_server(tiles: ReviewedTiles, target: Path, port: int = 0) -> Server:
    """A server that is not yet running; its ``url`` holds a token that nobody can guess.

    Raises
    ------
    UsageError
        The port is taken.
    """
    token, page = secrets.token_urlsafe(24), tiles.page(served=True).encode()

    class Handler(BaseHTTPRequestHandler):
        server: Server

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

        def do_GET(self) -> None:
            if self._allowed("/"):
                self._answer(page, "text/html; charset=utf-8")

        def do_PUT(self) -> None:
            if not self._allowed(f"/{CORRECTIONS}"):
                return
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 < length <= _MOST:
                return self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            content = self.rfile.read(length)
            if not content.startswith(",".join(COLUMNS).encode()):
                return self.send_error(HTTPStatus.BAD_REQUEST)
            with atomic_path(target) as temporary:
                temporary.write_bytes(content)
            folder = printable(str(tiles.folder))
            self._answer(
                f"saved: rl2qc decide {folder} --corrections {printable(str(target))}".encode(),
                "text/plain; charset=utf-8",
            )

        def _allowed(self, path: str) -> bool:
            """Whether it was asked by who knows the token, and by this machine's own name."""
            asked = urlsplit(self.path)
            given = parse_qs(asked.query).get("token", [""])[0]
            known = hmac.compare_digest(given.encode(), token.encode())
            own = self.headers.get("Host", "") == f"{_HOST}:{self.server.server_port}"
            if known and own and asked.path == path:
                return True
            self.send_error(HTTPStatus.FORBIDDEN if not (known and own) else HTTPStatus.NOT_FOUND)
            return False

        def _answer(self, content: bytes, kind: str) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(content)

    try:
        server = Server((_HOST, port), Handler)
    except OSError as error:
        raise UsageError(
            f"port {port} of {_HOST} cannot be served ({error.strerror}): is another one running? "
            "--port 0 takes a free one"
        ) from error
    server.url = f"http://{_HOST}:{server.server_port}/?token={token}"
    return server


def serve_review(
    tiles: ReviewedTiles, target: Path, port: int, tell: Callable[[str], object]
) -> None:
    """Serve until Ctrl-C."""
    with review_server(tiles, target, port) as server:
        tell(f"{len(tiles.tiles)} of {tiles.total} tiles, the most suspicious first")
        tell(f"page   {server.url}")
        tell(f"marks  {printable(str(target))}, when the page saves them; Ctrl-C ends")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            tell("ended")
