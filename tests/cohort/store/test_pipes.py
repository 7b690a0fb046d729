"""Named pipes in the place of files of results: nothing waits for who would write to them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import rl2qc
from rl2qc.errors import Rl2qcError
from rl2qc.images.sources.own import own_pictures

pytestmark = [
    pytest.mark.usefixtures("red_model"),
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here"),
]

# What is written once a folder, and once a slide.
SHARED = ("run.json", "summary.csv", "results.tsv", "report.html", "../out.names.csv")
KEY, OWN = "../out.names.key", ("record.json", "tiles.csv", "thumbnail.png")


@pytest.fixture
def out(tmp_path: Path, slide: Path) -> Path:
    rl2qc.filter_cohort(
        [slide], tmp_path / "out", alpha=0.1, private=True, formats=("csv", "histoqc")
    )
    return tmp_path / "out"


@pytest.fixture
def _in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        # No OSError, which would be taken for one of the file's.
        raise AssertionError("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def listed(out: Path) -> Any:
    folder = next(path.parent for path in out.glob("*/tiles.csv*"))
    return own_pictures(str(folder), {path.name for path in folder.iterdir()})


READERS: dict[str, Callable[[Path], Any]] = {
    "decide": lambda out: rl2qc.decide(out, 0.2),
    "read_results": rl2qc.read_results,
    "KeptTiles": rl2qc.KeptTiles,
    "review": lambda out: rl2qc.review(out, out.parent / "page.html", overwrite=True),
    "filter": lambda out: rl2qc.filter_cohort([out.parent / "case.tif"], out, alpha=0.1),
    "listing": listed,
}


@pytest.mark.usefixtures("_in_time")
@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_waited_for_by_nobody(out: Path, reader: str) -> None:
    (result,) = (path.parent for path in out.glob("*/record.json"))
    files = [*(out / name for name in (*SHARED, KEY)), *(result / name for name in OWN)]
    for file in filter(Path.exists, files):
        place = file.resolve()
        kept = place.with_name("kept")
        shutil.move(place, kept)
        os.mkfifo(place)
        with suppress(Rl2qcError):
            READERS[reader](out)
        place.unlink(missing_ok=True)
        shutil.move(kept, place)


@pytest.mark.parametrize("text", ["", "code\nx\n", "code,name,path\nx\n", "\0"])
def test_a_damaged_table_of_names_is_named(out: Path, text: str) -> None:
    table = out.parent / "out.names.csv"
    codes = table.read_text()
    table.write_text(text)
    for reader in ("decide", "read_results"):
        try:
            READERS[reader](out)
        except Rl2qcError as error:
            assert str(table) in str(error)
            assert "\n" not in str(error)
    table.write_text(codes)
    assert rl2qc.decide(out, 0.2).failures == ()
