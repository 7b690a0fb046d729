"""Files that stand for others: links that lead nowhere, pointers to what was not fetched."""

from __future__ import annotations

import errno
import re
import stat
from pathlib import Path

__all__ = ["fetched_name", "is_regular", "why_not_fetched", "why_unreadable"]

_LFS = b"version https://git-lfs.github.com/spec/"
_ANNEX = re.compile(rb"^(?:/annex/objects/|\.git/annex/objects/|.*/\.git/annex/objects/)\S+\s*$")
# iCloud keeps ".name.png.icloud" in place of a picture that is only in the cloud.
_ICLOUD = re.compile(r"^\.(.+)\.icloud$")
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


def is_regular(path: Path) -> bool:
    """Whether a path leads to a file, or to nothing at all: not to a pipe, say, which would be
    waited for without end."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return path.is_symlink()


def fetched_name(name: str) -> str:
    """The name of the picture that a placeholder of iCloud stands for, "" of any other file.

    Examples
    --------
    >>> fetched_name(".a.png.icloud"), fetched_name("a.png")
    ('a.png', '')
    """
    found = _ICLOUD.match(name)
    return found[1] if found else ""


def why_unreadable(path: str | Path) -> str:
    """Why a file cannot be what its name says, in words that follow its name; "" where it may.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> (place / "a.png").symlink_to("nowhere.png")
    >>> why_unreadable(place / "a.png")
    'is a link that leads nowhere, no such file as nowhere.png: was it fetched?'
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not path.is_symlink():
            return ""
        target = str(path.readlink())
        is_annexed = ".git/annex/" in target.replace("\\", "/")
        fetch = "fetch it first (git annex get)" if is_annexed else "was it fetched?"
        return f"is a link that leads nowhere, no such file as {target}: {fetch}"
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            return "is a link that leads in a circle, to no such file"
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    for is_kind, what in _KINDS:
        if is_kind(mode):
            return f"is {what} and no file"
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return why_not_fetched(head)


def why_not_fetched(head: bytes) -> str:
    """Why a file that begins so holds no picture: it points to one that was not fetched; "" where
    it does not.

    Examples
    --------
    >>> why_not_fetched(b"version https://git-lfs.github.com/spec/v1")
    'was not fetched: it is a pointer of Git LFS (git lfs pull)'
    """
    if head.startswith(_LFS):
        return "was not fetched: it is a pointer of Git LFS (git lfs pull)"
    if _ANNEX.match(head):
        return "was not fetched: it is a pointer of git-annex (git annex get)"
    return ""
