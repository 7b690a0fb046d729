"""A page on this machine alone: it is shown to who knows a token, and what it saves is taken."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rl2qc.errors import UsageError

__all__ = ["PageServer", "page_server"]

_HOST = "127.0.0.1"
_MOST = 16 * 2**20
_DIGITS, _PATIENCE = 18, 30


class PageServer(ThreadingHTTPServer):
    """Serves one page; ``url`` is where, with a token that nobody can guess."""

    daemon_threads = True
    url = ""
    page: Callable[[], str]
    takers: Mapping[str, Callable[[bytes], str]]

    def __init__(self, place: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.token = secrets.token_urlsafe(24)
        super().__init__(place, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing on the terminal: what a client breaks off is its own matter."""


def page_server(
    page: Callable[[], str],
    port: int = 0,
    saves: Mapping[str, Callable[[bytes], str]] | None = None,
) -> PageServer:
    """A server that is not yet running.

    Parameters
    ----------
    page
        Its text, asked for each time.
    port
        0 takes a free one.
    saves
        What takes the content that the page puts to a name, and says what to answer; ValueError
        for what it does not take.

    Raises
    ------
    UsageError
        The port is taken.
    """
    try:
        server = PageServer((_HOST, port), _Handler)
    except OSError as error:
        raise UsageError(
            f"port {port} of {_HOST} cannot be served ({error.strerror}): is another one running? "
            "--port 0 takes a free one"
        ) from error
    server.page, server.takers = page, saves or {}
    server.url = f"http://{_HOST}:{server.server_port}/?token={server.token}"
    return server


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    # Of a client that says nothing more.
    timeout = _PATIENCE

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    def do_GET(self) -> None:
        name = self._asked()
        if name == "":
            self._answer(self.server.page(), "text/html")
        elif name is not None:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_PUT(self) -> None:
        name = self._asked()
        if name is None:
            return
        takers = self.server.takers
        if name not in takers:
            return self.send_error(HTTPStatus.NOT_FOUND)
        told = self.headers.get("Content-Length") or ""
        if not (told.isascii() and told.isdigit() and 0 < len(told) <= _DIGITS):
            return self.send_error(HTTPStatus.LENGTH_REQUIRED)
        if not 0 < int(told) <= _MOST:
            return self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        content = self.rfile.read(int(told))
        try:
            # Of what was broken off, nothing is saved.
            if len(content) < int(told):
                raise ValueError("cut short")
            answer = takers[name](content)
        except ValueError:
            return self.send_error(HTTPStatus.BAD_REQUEST)
        except OSError as error:
            reason = f"cannot be saved: {error.strerror or type(error).__name__}"
            return self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, reason)
        self._answer(answer, "text/plain")

    def _asked(self) -> str | None:
        """What was asked for, by who knows the token and by this machine's own name; None
        for strangers, who are refused."""
        try:
            asked = urlsplit(self.path)
            given = parse_qs(asked.query).get("token", [""])[0]
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return None
        known = hmac.compare_digest(given.encode(), self.server.token.encode())
        if known and self.headers.get("Host", "") == f"{_HOST}:{self.server.server_port}":
            return asked.path.removeprefix("/")
        self.send_error(HTTPStatus.FORBIDDEN)
        return None

    def _answer(self, text: str, kind: str) -> None:
        content = text.encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(content)
