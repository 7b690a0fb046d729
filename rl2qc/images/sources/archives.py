"""Images in zip and tar archives, shards of WebDataset among them; nothing is unpacked to disk."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources.containers import (
    Encoded,
    inner_name,
    is_unseen,
    register_container,
)
from rl2qc.images.sources.decode import MAX_BYTES
from rl2qc.images.sources.formats import (
    HEAD,
    TAR_SUFFIXES,
    ZIP_SUFFIXES,
    is_archive,
    is_picture,
    other_kind,
)

# Deflate makes nothing smaller than a thousandth; what claims more lies.
_MOST_RATIO = 1100
# A compressed tar is unpacked into a temporary file: no further than this, nor by so much.
_MOST_UNPACKED, _MOST_TAR_RATIO, _FREE = 64 << 30, 50, 1 << 30
_CHUNK = 1 << 20
_ZIP_ERRORS = (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile)


class _LeftOut:
    """What of an archive is left out, counted, with the first of each kind by name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, list[Any]] = {}
        self.more: list[str] = []

    def add(self, why: str, name: str) -> None:
        self._found.setdefault(why, [0, name])[0] += 1

    def warnings(self) -> tuple[str, ...]:
        lines = (
            f"{self._path}: {count} left out: {why}, such as {name!r}"
            for why, (count, name) in self._found.items()
        )
        return (*lines, *self.more)


_OUTSIDE = "names that lead out of the archive"
_TWICE = "pictures of a name that is there already"
_UNSEEN = "hidden, deleted or system pictures"
_LINKS = "links"
_ARCHIVES = "archives within it"
_BESIDE = "masks and other pictures of samples whose image has a name of its own"
_OTHERS = "files of a kind that is not read as images of patches"


# What a sample of WebDataset (KEY.FIELD.png) calls its image, the likeliest first, and a mask.
_IMAGES = ("image", "img", "input", "rgb")
_MASKS = ("mask", "masks", "seg", "segmentation", "label", "labels")


def _beside_images(names: Iterable[str]) -> list[str]:
    """Pictures of samples beside the one that is the image by its field.

    Examples
    --------
    >>> _beside_images(["a.image.png", "a.mask.png", "b.png", "b.mask.png", "c.1.png", "c.2.png"])
    ['a.mask.png', 'b.mask.png']
    """
    samples: dict[str, dict[str, list[str]]] = {}
    for name in names:
        folder, _, base = name.rpartition("/")
        key, _, rest = base.partition(".")
        field = rest.rpartition(".")[0].lower()
        samples.setdefault(f"{folder}/{key}", {}).setdefault(field, []).append(name)
    beside: list[str] = []
    for fields in samples.values():
        image = next((field for field in _IMAGES if field in fields), None)
        for field, found in fields.items():
            if field != image and (image is not None or ("" in fields and field in _MASKS)):
                beside += found
    return beside


class ZipImages(Encoded):
    """The pictures in a zip archive, by name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        left = _LeftOut(path)
        try:
            with zipfile.ZipFile(path) as archive:
                infos = archive.infolist()
        except _ZIP_ERRORS as error:
            raise ImageError(f"{path} is no zip archive, or a damaged one: {error}") from None
        members: dict[str, zipfile.ZipInfo] = {}
        others: list[tuple[str, zipfile.ZipInfo]] = []
        for info in infos:
            if info.is_dir():
                continue
            name = inner_name(info.filename)
            if not is_picture(info.filename):
                if name is not None and not is_unseen(name):
                    others.append((name, info))
            elif name is None:
                left.add(_OUTSIDE, info.filename)
            elif info.external_attr >> 28 == 0xA:
                left.add(_LINKS, name)
            elif is_unseen(name):
                left.add(_UNSEEN, name)
            elif name in members:
                left.add(_TWICE, name)
            else:
                members[name] = info
        for name in _beside_images(members):
            left.add(_BESIDE, name)
            del members[name]
        self.names = tuple(sorted(members))
        self._members = [members[name] for name in self.names]
        self._name_others(left, others)
        self.warnings = left.warnings()
        # A process that forks must not share the place where its parent reads.
        self._archive: tuple[int, zipfile.ZipFile] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_archive": None}

    def _name_others(self, left: _LeftOut, others: list[tuple[str, zipfile.ZipInfo]]) -> None:
        """Pictures of kinds that are not read, by their names or their first bytes."""
        with zipfile.ZipFile(self.path) as archive:

            def head(info: zipfile.ZipInfo) -> bytes:
                try:
                    with archive.open(info) as file:
                        return file.read(HEAD)
                except (*_ZIP_ERRORS, NotImplementedError):
                    return b""

            for name, info in others:
                if is_archive(name):
                    left.add(_ARCHIVES, name)
                elif kind := other_kind(name, partial(head, info)):
                    left.add(f"{_OTHERS} ({kind})", name)

    def content(self, index: int) -> bytes:
        info, called = self._members[index], self.called(index)
        if info.flag_bits & 1:
            raise ImageError(f"{called} is encrypted: unpack the archive with its password")
        if info.file_size > min(MAX_BYTES, _MOST_RATIO * max(info.compress_size, 1)):
            raise ImageError(
                f"{called} claims {info.file_size / 1e6:.0f} MB of {info.compress_size} bytes: it "
                "is not unpacked"
            )
        try:
            with self._open().open(info) as file:
                # A header may lie: one byte more than it says is too much.
                content = file.read(info.file_size + 1)
        except (*_ZIP_ERRORS, NotImplementedError) as error:
            raise ImageError(f"{called} cannot be read: it is damaged ({error})") from None
        if len(content) != info.file_size:
            raise ImageError(f"{called} cannot be read: it is not as large as it says")
        return content

    def _open(self) -> zipfile.ZipFile:
        if self._archive is None or self._archive[0] != os.getpid():
            self._archive = os.getpid(), zipfile.ZipFile(self.path)
        return self._archive[1]


class TarImages(Encoded):
    """The pictures in a tar archive, in its order; a compressed one is unpacked to a temporary
    file, since what it holds can only be read from its beginning."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._plain = _unpacked(path)
        self._file: tuple[int, int] | None = None
        left = _LeftOut(path)
        places: dict[str, tuple[int, int]] = {}
        for member in self._scan(left):
            name = inner_name(member.name)
            if name is None:
                left.add(_OUTSIDE, member.name)
            elif not member.isreg() or member.issparse():
                left.add(_LINKS if member.issym() or member.islnk() else "special files", name)
            elif is_unseen(name):
                left.add(_UNSEEN, name)
            elif name in places:
                left.add(_TWICE, name)
            else:
                places[name] = member.offset_data, member.size
        for name in _beside_images(places):
            left.add(_BESIDE, name)
            del places[name]
        self.names = tuple(places)
        self._places: NDArray[np.int64] = np.array([*places.values()], np.int64).reshape(-1, 2)
        self.warnings = left.warnings()

    def _scan(self, left: _LeftOut) -> Iterator[tarfile.TarInfo]:
        last = None
        try:
            with tarfile.open(fileobj=self._stream(), mode="r:") as archive:
                while (member := archive.next()) is not None:
                    last = member.name
                    # It would remember all of them.
                    archive.members = []  # type: ignore[attr-defined]
                    if member.isdir():
                        continue
                    if is_picture(member.name):
                        yield member
                    elif member.isreg():
                        self._name_other(left, member)
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            if last is None:
                said = f"{self.path} is no tar archive, or a damaged one: {error}"
                raise ImageError(said) from None
            left.more.append(f"{self.path} is damaged after {last}: what follows is lost ({error})")

    def _name_other(self, left: _LeftOut, member: tarfile.TarInfo) -> None:
        """A picture of a kind that is not read, by its name or its first bytes."""

        def head() -> bytes:
            return os.pread(self._descriptor(), min(member.size, HEAD), member.offset_data)

        name = inner_name(member.name)
        if name is None or is_unseen(name):
            return
        if is_archive(name):
            left.add(_ARCHIVES, name)
        elif kind := other_kind(name, head):
            left.add(f"{_OTHERS} ({kind})", name)

    def __reduce__(self) -> tuple[type[TarImages], tuple[Path]]:
        return TarImages, (self.path,)

    def content(self, index: int) -> bytes:
        offset, size = map(int, self._places[index])
        if size > MAX_BYTES:
            raise ImageError(f"{self.called(index)} of {size / 1e6:.0f} MB is no image of a patch")
        content = os.pread(self._descriptor(), size, offset)
        if len(content) != size:
            raise ImageError(f"{self.called(index)} cannot be read: the archive ends within it")
        return content

    def _stream(self) -> IO[bytes]:
        if self._plain is None:
            return self.path.open("rb")
        self._plain.seek(0)
        return self._plain

    def _descriptor(self) -> int:
        if self._plain is not None:
            return self._plain.fileno()
        if self._file is None or self._file[0] != os.getpid():
            self._file = os.getpid(), os.open(self.path, os.O_RDONLY)
        return self._file[1]

    # Bound here: where the interpreter ends, modules are gone before objects.
    def __del__(
        self, getpid: Callable[[], int] = os.getpid, close: Callable[[int], None] = os.close
    ) -> None:
        found = getattr(self, "_file", None)
        if found is not None and found[0] == getpid():
            close(found[1])


def _unpacked(path: Path) -> IO[bytes] | None:
    """A temporary file with what a compressed tar holds; None for a plain one."""
    with path.open("rb") as file:
        head = file.read(6)
    openers: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
    opener = next((o for magic, o in openers.items() if head.startswith(magic)), None)
    if opener is None:
        return None
    most = min(_MOST_UNPACKED, max(_FREE, _MOST_TAR_RATIO * path.stat().st_size))
    plain = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        with opener(path) as stream:
            while chunk := stream.read(_CHUNK):
                if plain.tell() + len(chunk) > most:
                    raise UsageError(
                        f"{path} unpacks to more than {most / 1e9:.0f} GB: it is not unpacked"
                    )
                plain.write(chunk)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ImageError(f"{path} cannot be unpacked: it is damaged ({error})") from None
    plain.flush()
    return plain


register_container("zip", ZIP_SUFFIXES, ZipImages, but_not=(".zarr.zip",))
register_container("tar", TAR_SUFFIXES, TarImages, folders=True)
