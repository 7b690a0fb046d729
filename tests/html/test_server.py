"""A page on this machine alone, and clients that mean no good."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest

from rl2qc.html.server import PageServer, page_server

SAVED: list[bytes] = []


def _save(content: bytes) -> str:
    if content == b"full disk":
        raise OSError(28, "No space left on device")
    SAVED.append(content)
    return "saved"


@pytest.fixture
def server() -> Iterator[PageServer]:
    SAVED.clear()
    with page_server(lambda: "<p>here</p>", saves={"list.csv": _save}) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()


def raw(server: PageServer, method: str, path: str, *lines: str, body: bytes = b"") -> bytes:
    """The first line of the answer, b"" without one."""
    token = server.url.partition("?")[2]
    request = [f"{method} {path}?{token} HTTP/1.1", f"Host: 127.0.0.1:{server.server_port}", *lines]
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as client:
        client.sendall("\r\n".join([*request, "", ""]).encode("latin-1") + body)
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as answer:
            return answer.readline()


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        ("/list.csv", "abc", b" 411 "),
        ("/list.csv", "-1", b" 411 "),
        ("/list.csv", "1e3", b" 411 "),
        ("/list.csv", "\u00b2", b" 411 "),
        ("/list.csv", "9" * 5000, b" 411 "),
        ("/list.csv", "0", b" 413 "),
        ("/list.csv", str(2**40), b" 413 "),
        ("/../list.csv", "4", b" 404 "),
        ("/%2e%2e/list.csv", "4", b" 404 "),
        ("/list.csv/", "4", b" 404 "),
        ("http://[", "4", b" 400 "),
    ],
)
def test_odd_requests_are_refused_without_a_word_on_the_terminal(
    server: PageServer,
    capfd: pytest.CaptureFixture[str],
    path: str,
    length: str,
    status: bytes,
) -> None:
    assert status in raw(server, "PUT", path, f"Content-Length: {length}", body=b"a,b\n")
    assert SAVED == []
    assert b" 200 " in raw(server, "GET", "/")
    assert capfd.readouterr() == ("", "")


def test_what_is_broken_off_is_not_saved(
    server: PageServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert b" 400 " in raw(server, "PUT", "/list.csv", "Content-Length: 100", body=b"a,b\n")
    assert SAVED == []
    assert b" 200 " in raw(server, "PUT", "/list.csv", "Content-Length: 4", body=b"a,b\n")
    assert SAVED == [b"a,b\n"]
    assert capfd.readouterr().err == ""


def test_a_disk_that_is_full_is_said_to_the_page(
    server: PageServer, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = raw(server, "PUT", "/list.csv", "Content-Length: 9", body=b"full disk")
    assert b" 500 cannot be saved: No space left" in answer
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("method", ["POST", "DELETE", "HEAD", "BREW"])
def test_other_methods_are_refused(server: PageServer, method: str) -> None:
    assert b" 501 " in raw(server, method, "/list.csv", "Content-Length: 4", body=b"a,b\n")
    assert SAVED == []


def test_a_client_that_says_nothing_keeps_nobody_waiting(server: PageServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)):
        client = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        client.request("GET", "/?" + server.url.partition("?")[2])
        assert client.getresponse().read() == b"<p>here</p>"


@pytest.mark.parametrize("path", ["/favicon.ico", "/../../etc/passwd", "/%2e%2e/list.csv"])
def test_there_is_one_page_alone(server: PageServer, path: str) -> None:
    answer = raw(server, "GET", path)
    assert b" 404 " in answer
    assert b"root:" not in answer
