"""Features kept between runs, by what the images hold and never by what they are called."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.arguments import Interval, check, check_path
from rl2qc.core.progress import Progress, track
from rl2qc.errors import WorkError

if TYPE_CHECKING:
    from rl2qc.features.base import Extractor
    from rl2qc.images.sources.base import PatchSource

__all__ = ["CacheInfo", "FeatureCache", "default_folder"]

T = TypeVar("T")

# Raise the number when the table or the key changes: an older file is then left alone.
_FILE = "features-1.sqlite3"
_TABLE = "CREATE TABLE IF NOT EXISTS features (key BLOB PRIMARY KEY, value BLOB NOT NULL)"
_COUNT = "SELECT count(*) FROM features"
# Patches that are hashed, looked up, computed and stored at a time.
_CHUNK = 128
# A row of 512 floats is 2 KB: small pages would hold one and leave half of themselves empty.
_PAGE = 32768
# Seconds to wait for another process that writes.
_TIMEOUT = 30.0
_CORRUPT = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_ERROR,  # no such table or column
    sqlite3.SQLITE_MISMATCH,
}


def default_folder() -> Path:
    """``$RL2QC_CACHE``, else ``$XDG_CACHE_HOME/rl2qc``, else ``~/.cache/rl2qc``."""
    own, shared = os.environ.get("RL2QC_CACHE"), os.environ.get("XDG_CACHE_HOME", "")
    if own:
        return Path(own).expanduser()
    # The XDG specification has relative paths ignored.
    return (Path(shared) if Path(shared).is_absolute() else Path.home() / ".cache") / "rl2qc"


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds.

    Attributes
    ----------
    path
        The database; it need not exist yet.
    entries
        Feature vectors: one an image, extractor and patch size.
    size, max_bytes
        Bytes on disk, and beyond how many the oldest entries are dropped.
    """

    path: Path
    entries: int
    size: int
    max_bytes: int


class FeatureCache:
    """Features of patches, computed once for the same bytes, extractor and patch size.

    One SQLite file, so 100,000 images do not make 100,000 files, and processes may share it. A
    rollback journal is used and not WAL, which needs shared memory that network file systems
    (where clusters keep home folders) do not have. A cache is never worth a failure: a damaged
    file or entry is computed again, and where nothing can be written (a full disk, a read-only
    folder, another process that holds the lock for long) one warning says so and the work goes on.

    Parameters
    ----------
    folder
        None takes :func:`default_folder`. Nothing is made there before the first features.
    max_bytes
        Beyond this size the entries written first are dropped.

    Examples
    --------
    >>> import tempfile
    >>> FeatureCache(tempfile.mkdtemp()).info().entries
    0
    """

    def __init__(self, folder: str | Path | None = None, *, max_bytes: int = 4 * 2**30) -> None:
        self.path = (
            check_path("folder", folder) if folder is not None else default_folder()
        ) / _FILE
        check("max_bytes", max_bytes, int, within=Interval(0))
        self.max_bytes = max_bytes
        self._readable = self._writable = True
        self._said: set[str] = set()

    def __repr__(self) -> str:
        return f"FeatureCache({str(self.path.parent)!r})"

    def features(
        self, extractor: Extractor, source: PatchSource, *, progress: bool | Progress = False
    ) -> NDArray[np.float32]:
        """Features (n, dim) float32 of the patches, of which only unknown ones are computed.

        One pass with bounded memory. Files are known by the SHA-256 of their bytes; patches of
        arrays and datasets by that of their pixels, each of which is fetched once.
        """
        out = np.empty((len(source), extractor.dim), np.float32)
        with track(progress, extractor.name, len(source)) as step:
            for start in range(0, len(source), _CHUNK):
                rows = range(start, min(start + _CHUNK, len(source)))
                out[start : rows.stop] = self._chunk(extractor, source, rows)
                step(len(rows))
        return out

    def info(self) -> CacheInfo:
        """Entries and size; WorkError if the file cannot be read."""
        with self._explained("read"):
            if not self.path.exists():
                return CacheInfo(self.path, 0, 0, self.max_bytes)
            entries = self._query(lambda db: _one(db, _COUNT))
            return CacheInfo(self.path, entries, self.path.stat().st_size, self.max_bytes)

    def clear(self) -> int:
        """Drop everything and return how many bytes that freed; WorkError if it cannot be."""

        # Emptied and not deleted: another process may be in the middle of it.
        def empty(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM features")
            db.commit()
            db.execute("VACUUM")

        with self._explained("clear"):
            if not self.path.exists():
                return 0
            before = self.path.stat().st_size
            self._query(empty)
            return before - self.path.stat().st_size

    def _chunk(self, extractor: Extractor, source: PatchSource, rows: range) -> NDArray[np.float32]:
        stored = [source.digest(i) for i in rows]
        contents = [digest for digest in stored if digest is not None]
        if len(contents) == len(rows):
            part = source.take(rows)
        else:
            # A dataset may draw anew at each access: hash and extract the very same pixels.
            patches = np.stack([source[i] for i in rows])
            contents = [hashlib.sha256(b"pixels" + p.tobytes()).digest() for p in patches]
            part = replace(source, items=patches, names=tuple(source.names[i] for i in rows))
        keys = [_key(extractor.identity, source.size, content) for content in contents]
        known = self._read(set(keys), extractor.dim)
        wider: tuple[str, int] | None = getattr(extractor, "begins", None)
        if wider is not None and len(known) < len(set(keys)):
            those = {_key(wider[0], source.size, c): k for c, k in zip(contents, keys, strict=True)}
            kept = self._read(set(those), wider[1])
            known = {those[key]: row[: extractor.dim] for key, row in kept.items()} | known
        # A dict: an image that stands in the chunk twice is computed once.
        missing = {key: i for i, key in enumerate(keys) if key not in known}
        if missing:
            computed = extractor.extract(part.take(list(missing.values())))
            fresh = dict(zip(missing, np.asarray(computed, np.float32), strict=True))
            self._write({key: value for key, value in fresh.items() if np.isfinite(value).all()})
            known |= fresh
        return np.stack([known[key] for key in keys])

    def _read(self, keys: set[bytes], dim: int) -> dict[bytes, NDArray[np.float32]]:
        if not self._readable:
            return {}
        marks = ", ".join("?" * len(keys))
        statement = f"SELECT key, value FROM features WHERE key IN ({marks})"
        try:
            if not self.path.exists():
                return {}
            found = self._query(lambda db: db.execute(statement, tuple(keys)).fetchall())
        except (OSError, sqlite3.Error) as error:
            self._readable = False
            self._warn(f"cannot be used ({error}): features are computed again")
            return {}
        values = {key: _decoded(key, blob, dim) for key, blob in found}
        return {key: value for key, value in values.items() if value is not None}

    def _write(self, entries: dict[bytes, NDArray[np.float32]]) -> None:
        if not (self._readable and self._writable):
            return

        def store(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT OR REPLACE INTO features VALUES (?, ?)",
                [(key, _encoded(key, value)) for key, value in entries.items()],
            )
            self._evict(db)

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._query(store)
        except (OSError, sqlite3.Error) as error:
            self._writable = False
            self._warn(
                f"cannot be written ({error}): new features are not kept; RL2QC_CACHE names "
                "another folder"
            )

    def _evict(self, db: sqlite3.Connection) -> None:
        """Drop the oldest, a tenth at a time, so that not every later write has to."""
        while _used(db) > self.max_bytes and (entries := _one(db, _COUNT)):
            db.execute(
                "DELETE FROM features WHERE rowid IN "
                "(SELECT rowid FROM features ORDER BY rowid LIMIT ?)",
                (entries // 10 + 1,),
            )

    def _query(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in one transaction; a damaged file is replaced by an empty one, once."""
        try:
            with _database(self.path) as db:
                return work(db)
        except sqlite3.Error as error:
            if not _corrupt(error):
                raise
        self._warn("was damaged and begins anew")
        self._discard()
        with _database(self.path) as db:
            return work(db)

    def _discard(self) -> None:
        # The journal first: it would be played back into the new file.
        for path in (self.path.with_name(f"{_FILE}-journal"), self.path):
            path.unlink(missing_ok=True)

    def _warn(self, message: str) -> None:
        if message not in self._said:
            warnings.warn(f"the feature cache {self.path} {message}", RuntimeWarning, stacklevel=2)
        self._said.add(message)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise WorkError(f"cannot {what} the feature cache {self.path}: {error}") from error


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for one transaction: none outlives it, so processes may fork."""
    with closing(sqlite3.connect(path, timeout=_TIMEOUT)) as db:
        if _one(db, "PRAGMA page_count") == 0:
            db.execute(f"PRAGMA page_size = {_PAGE}")
            db.execute(_TABLE)
        with db:
            yield db


def _one(db: sqlite3.Connection, statement: str) -> int:
    return int(db.execute(statement).fetchone()[0])


def _used(db: sqlite3.Connection) -> int:
    pages = _one(db, "PRAGMA page_count") - _one(db, "PRAGMA freelist_count")
    return pages * _one(db, "PRAGMA page_size")


def _corrupt(error: sqlite3.Error) -> bool:
    # The low byte is the primary code; the rest says more about it.
    return getattr(error, "sqlite_errorcode", -1) & 0xFF in _CORRUPT


def _key(identity: str, size: int, content: bytes) -> bytes:
    return hashlib.sha256(f"{identity}\n{size}\n".encode() + content).digest()


def _encoded(key: bytes, values: NDArray[np.float32]) -> bytes:
    blob = np.ascontiguousarray(values, "<f4").tobytes()
    return zlib.crc32(key + blob).to_bytes(4, "little") + blob


def _decoded(key: bytes, blob: object, dim: int) -> NDArray[np.float32] | None:
    """The features, or None where these are not the bytes that were stored under the key, or no
    features."""
    if not isinstance(blob, bytes) or len(blob) != 4 + 4 * dim:
        return None
    if zlib.crc32(key + blob[4:]) != int.from_bytes(blob[:4], "little"):
        return None
    values = np.frombuffer(blob, "<f4", offset=4).astype(np.float32)
    return values if np.isfinite(values).all() else None
