"""What every export format must hold, whoever wrote it; call :func:`check_format` in a test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slide_helpers import BrightnessModel, MappedModel, write_slide

from rl2qc.cohort.decide import decide
from rl2qc.cohort.filter import filter_cohort
from rl2qc.cohort.store.record import JOURNAL
from rl2qc.cohort.store.results import read_results
from rl2qc.core.files import read_json
from rl2qc.errors import UsageError
from rl2qc.filtering.exports.files import export
from rl2qc.filtering.exports.registry import FORMATS, ExportFormat
from rl2qc.filtering.table import TileTable

Corners = Iterable[tuple[int, int]]
# Of twelve tiles of one brightness each, these keep some.
ALPHA, HIGHER = 0.5, 0.6
EMPTY = ("x", "y", "width", "height", "keep", "tissue_fraction")


def check_format(
    spec: ExportFormat, place: Path, *, read: Callable[[Path], Corners] | None = None
) -> None:
    """Written, read back, decided again, added later, removed; foreign files, links, kills.

    Parameters
    ----------
    spec
        A registered one that slides can be written in.
    place
        An empty folder.
    read
        Reads the corners of the kept tiles from what was written, in level-0 px; None where they
        cannot be told from it.
    """
    assert FORMATS.get(spec.name) is spec
    slide = _draw(place / "case.tif")
    path = _check_written(spec, slide, place / "out", read)
    _check_same(spec, slide, place / "again", path)
    _check_decided(spec, slide, place, read)
    _check_added(spec, slide, place, path)
    _check_foreign(spec, slide, place)
    _check_killed(spec, slide, place / "killed", path)
    if not spec.always:
        _check_removed(spec, slide, place / "out")
    _check_empty(spec, place / "empty", read_results(place / "again").tables["case"])


def _draw(path: Path) -> Path:
    """Twelve tiles of tissue, p-values from .4 to .73."""
    # Squares of two shades, since what is even is no tissue.
    y, x = np.mgrid[:192, :256] // 8
    pixels = np.repeat(80 + 40 * ((x + y) % 2)[..., None], 3, axis=2).astype(np.uint8)
    for i, (y, x) in enumerate((y, x) for y in range(0, 192, 64) for x in range(0, 256, 64)):
        pixels[y : y + 64, x : x + 64, 0] = 102 + 7.7 * i
    return write_slide(path, pixels)


def _model(spec: ExportFormat) -> BrightnessModel:
    return MappedModel() if spec.maps else BrightnessModel()


def _run(spec: ExportFormat, slide: Path, out: Path, **options: Any) -> Path:
    """Filter the slide; where the file of the format lies."""
    settings = {"alpha": ALPHA, "formats": [spec.name], "report": False, **options}
    result = filter_cohort(slide, out, _model(spec), **settings)
    assert result.errors == ()
    return spec.path(result.tables["case"], out / "case")


def _kept(out: Path) -> set[tuple[int, int]]:
    table = read_results(out).tables["case"]
    assert 0 < table.keep.sum() < len(table) == 12
    corners = np.stack([table.x, table.y], axis=1)[table.keep]
    return set(map(tuple, corners.tolist()))


def _content(path: Path) -> dict[str, bytes]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files if file.is_file()}


def _check_written(
    spec: ExportFormat, slide: Path, out: Path, read: Callable[[Path], Corners] | None
) -> Path:
    path = _run(spec, slide, out)
    assert path.exists()
    record = read_json(out / "case" / "record.json")
    assert os.path.relpath(path, out / "case") in record["files"]
    assert not (out / "case" / JOURNAL).exists()
    if read is not None:
        assert set(read(path)) == _kept(out)
    if spec.run_file is not None:
        assert spec.is_ours is not None and spec.is_ours(out)
        assert (out / spec.run_file).is_file()
    return path


def _check_same(spec: ExportFormat, slide: Path, out: Path, path: Path) -> None:
    """The same table is the same file, to the last byte."""
    assert _content(_run(spec, slide, out)) == _content(path)


def _check_decided(
    spec: ExportFormat, slide: Path, place: Path, read: Callable[[Path], Corners] | None
) -> None:
    """As if it had been decided so from the start."""
    path = _run(spec, slide, place / "decided")
    fresh = _run(spec, slide, place / "fresh", alpha=HIGHER)
    assert decide(place / "decided", HIGHER).failures == ()
    assert _content(path) == _content(fresh)
    if read is not None:
        assert set(read(path)) == _kept(place / "decided") < _kept(place / "out")


def _check_added(spec: ExportFormat, slide: Path, place: Path, path: Path) -> None:
    """Without a look at the slide, if it can be."""
    out = place / "added"
    settings = {"alpha": ALPHA, "formats": ["csv"], "report": False}
    filter_cohort(slide, out, _model(spec), **settings)
    if spec.sort is not None:
        with pytest.raises(UsageError, match="takes the pixels"):
            decide(out, formats=[spec.name])
        return
    aside = slide.rename(place / "aside.tif")
    assert decide(out, formats=[spec.name]).failures == ()
    aside.rename(slide)
    assert _content(out / path.relative_to(place / "out")) == _content(path)


def _check_foreign(spec: ExportFormat, slide: Path, place: Path) -> None:
    """What another tool has in its place is kept, be it a link to nowhere."""
    for name in ("theirs", "linked"):
        out = place / name
        path = _run(spec, slide, place / "out", overwrite=True)
        there = out / path.relative_to(place / "out")
        there.parent.mkdir(parents=True)
        if name == "theirs":
            there.write_text("of a lab")
        else:
            there.symlink_to(place / "nowhere")
        for overwrite in (False, True):
            with pytest.raises(UsageError, match="choose another --out"):
                _run(spec, slide, out, overwrite=overwrite)
        assert not (place / "nowhere").exists()
        assert there.is_symlink() or there.read_text() == "of a lab"


def _check_killed(spec: ExportFormat, slide: Path, out: Path, path: Path) -> None:
    """What was under way is known as ours, nothing of it is half written, and it is finished."""

    def die(table: TileTable, path: Path) -> None:
        spec.write(table, path)
        raise KeyboardInterrupt

    FORMATS.register(replace(spec, write=die), replace=True)
    try:
        with pytest.raises(KeyboardInterrupt):
            _run(spec, slide, out)
    finally:
        FORMATS.register(spec, replace=True)
    there = out / path.relative_to(out.parent / "out")
    assert os.path.relpath(there, out / "case") in read_json(out / "case" / JOURNAL)["files"]
    if spec.sort is None:
        assert not there.exists()
    assert _content(_run(spec, slide, out)) == _content(path)
    assert not list(out.rglob(".tmp-*"))


def _check_removed(spec: ExportFormat, slide: Path, out: Path) -> None:
    """Without the format its files go, and no others."""
    path = _run(spec, slide, out, overwrite=True)
    theirs = path.with_name("notes of a lab.txt")
    theirs.write_text("of a lab")
    _run(spec, slide, out, overwrite=True, formats=["csv"])
    assert not path.exists()
    assert theirs.read_text() == "of a lab"
    theirs.unlink()


def _check_empty(spec: ExportFormat, folder: Path, table: TileTable) -> None:
    """A slide without tiles can be written."""
    nothing = {name: getattr(table, name)[:0] for name in EMPTY}
    columns = {name: column[:0] for name, column in table.measurements.items()}
    evidence = None if table.evidence is None else table.evidence.take(np.arange(0))
    empty = replace(table, **nothing, measurements=columns, evidence=evidence)
    (path,) = export(empty, folder / "case", [spec.name])
    assert path.exists()
