"""How a folder of results names what lies elsewhere: as it is seen from there, or by codes.

With ``--private`` every slide, folder and image goes by a code, which is a hash with a key of this
folder. Key and names stand beside the folder, ``DIR.names.key`` and ``DIR.names.csv``: with them
results find their slides again, without them nobody does.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import os
import re
import secrets
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from rl2qc.core.files import plain, plain_cell, write_csv
from rl2qc.core.opening import open_table, read_file_text
from rl2qc.errors import UsageError
from rl2qc.images.sources.base import from_anywhere
from rl2qc.images.sources.places import reached_from, seen_from, without_places

__all__ = ["Naming"]

_HEADER = ["code", "name", "path"]
_CODE, _SHORTEST = 16, 4


class Naming:
    """The names that results in a folder have for what lies elsewhere.

    Parameters
    ----------
    run
        The folder of a run.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        real = Path(os.path.realpath(run))
        self.table = real.with_name(f"{real.name}.names.csv")
        self._key_file = real.with_name(f"{real.name}.names.key")

    @cached_property
    def _key(self) -> bytes | None:
        with suppress(OSError, ValueError):
            return bytes.fromhex(read_file_text(self._key_file).strip())
        return None

    @property
    def private(self) -> bool:
        """Whether results go by codes."""
        return self._key is not None

    @cached_property
    def _paths(self) -> dict[str, Path]:
        """What each code stands for."""
        return {code: Path(path) for code, (_, path) in self._rows().items()}

    def _rows(self) -> dict[str, tuple[str, str]]:
        """Name and path of each code, as the table has them."""
        if not self.table.exists():
            return {}
        try:
            with open_table(self.table) as file:
                return {
                    row["code"]: (plain_cell(row["name"]), plain_cell(row["path"]))
                    for row in csv.DictReader(file)
                }
        # Of short lines, cells are None.
        except (OSError, KeyError, AttributeError, csv.Error) as error:
            reason = getattr(error, "strerror", None) or "columns are missing"
            raise UsageError(f"{self.table} is damaged ({reason}): bring it back") from error

    def code(self, item: str | Path) -> str:
        """The code of a file; of private folders alone."""
        assert self._key is not None
        path = os.fsencode(os.path.abspath(from_anywhere(Path(item))))  # noqa: PTH100
        return hmac.new(self._key, path, hashlib.sha256).hexdigest()[:_CODE]

    def shown(self, item: str | Path) -> str:
        """What a file is called in results."""
        if not self.private or not str(item):
            return seen_from(self.run, item) if str(item) else ""
        # What was read from results without the names has its code already.
        known = Path(item).name.partition(".")[0]
        if re.fullmatch(f"[0-9a-f]{{{_CODE}}}", known) and not Path(item).exists():
            return Path(item).name
        return f"{self.code(item)}{Path(item).suffix}"

    def reached(self, name: str) -> Path:
        """The file that results call so."""
        found = self._paths.get(name.partition(".")[0]) if self.private else None
        return found if found is not None else reached_from(self.run, name)

    def text(self, text: str, places: Iterable[Path], files: Iterable[Path] = ()) -> str:
        """A text as it is written down: without folders, and of private results without names."""
        for file in files if self.private else ():
            if file.stem not in text:
                continue
            shown = self.shown(file)
            # A short name without its suffix may be a word, or a number, of the text.
            stem = file.stem if len(file.stem) >= _SHORTEST else ""
            for part in filter(None, (str(file.absolute()), str(file), file.name, stem)):
                text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", shown, text)
        return without_places(text, places)

    def places(self, *inputs: str | Path) -> list[Path]:
        """Folders that are nobody else's affair: of inputs, of the results, of this machine."""
        code = (sysconfig.get_path(name) for name in ("stdlib", "purelib"))
        ours = (Path(__file__).parents[3], self.run.absolute().parent, Path.cwd(), Path.home())
        return [*map(Path, code), *ours, *(Path(item).absolute().parent for item in inputs)]

    def told(self, content: Any, inputs: Sequence[str]) -> Any:
        """Plain data of a run, each text as it is written down (:meth:`text`)."""
        places, files = self.places(*inputs), [Path(item) for item in inputs if item]

        def tell(value: Any) -> Any:
            if isinstance(value, str):
                return self.text(value, places, files)
            if isinstance(value, Mapping):
                return {name: tell(item) for name, item in value.items()}
            return [tell(item) for item in value] if isinstance(value, list) else value

        return tell(plain(content))

    def begin(self, files: Iterable[tuple[str, Path]]) -> None:
        """Go by codes from now on, and note what they stand for; whoever holds the folder.

        Parameters
        ----------
        files
            Name and path of all that results will speak of.

        Raises
        ------
        UsageError
            The place of the table holds a file of others.
        """
        self.run.mkdir(parents=True, exist_ok=True)
        if not self.private:
            if self.table.exists():
                raise UsageError(
                    f"{self.table} is there without {self._key_file.name}, which made its codes: "
                    "bring that back, or choose another --out"
                )
            with suppress(FileExistsError):
                opened = os.open(self._key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(opened, "w", encoding="ascii") as file:
                    file.write(secrets.token_hex(32) + "\n")
            del self._key
        rows = {self.code(path): (name, str(from_anywhere(path))) for name, path in files}
        if self.table.exists():
            rows = {**self._rows(), **rows}
        else:
            self.table.touch(0o600)
        write_csv(self.table, _HEADER, ([code, *of] for code, of in rows.items()))
        self.__dict__.pop("_paths", None)
