"""The demo: from nothing to a page, without a network."""

from __future__ import annotations

import csv
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openslide
import pytest
from page_helpers import BROWSER, ZOOM, Page, enlarges, fits, on_a_phone
from typer.testing import CliRunner

import rl2qc
from rl2qc.cli.app import app, main
from rl2qc.demonstration import run as module
from rl2qc.demonstration.result import Demo
from rl2qc.model.quality import QualityModel


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    """A demo of a quarter of the size, on a machine without a network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the demo asked for the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SLIDE", (33, 1120, 1568))
        patch.setattr(module, "REFERENCES", tuple((s, 1120, 1344) for s in range(101, 105)))
        patch.setattr(module, "SCORED", (201, 1120, 1344))
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


@pytest.fixture(scope="module")
def printed(small: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a demo made by the command, and what the command printed."""
    out = tmp_path_factory.mktemp("demo") / "new" / "folder"
    result = CliRunner().invoke(app, ["demo", "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    return out, result.stdout


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_last_line_names_the_page(printed: tuple[Path, str]) -> None:
    out, text = printed
    assert text.splitlines()[-1] == f"page  {(out / 'index.html').resolve()}"
    assert "Traceback" not in text


def test_the_folder_is_complete(printed: tuple[Path, str]) -> None:
    names = {path.name for path in printed[0].iterdir()}
    assert names == {
        "index.html",
        "model.safetensors",
        "overlay.png",
        "slide.tiff",
        "tiles.csv",
        "tiles.geojson",
        "truth.csv",
    }
    with openslide.OpenSlide(printed[0] / "slide.tiff") as slide:
        assert slide.level_count == 3
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)


def test_the_page_stands_alone(printed: tuple[Path, str]) -> None:
    page = Page(printed[0] / "index.html")
    assert len(page.sources) >= 4
    # One script, which enlarges the pictures.
    assert page.html.count("<script") == 1


@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
def test_the_page_on_a_phone(printed: tuple[Path, str], tmp_path: Path) -> None:
    page = printed[0] / "index.html"
    fits(on_a_phone(page, tmp_path / "phone"))
    said = on_a_phone(page, tmp_path / "zoom", ZOOM)
    enlarges(said)
    # Overlay, truth and two rows of tiles.
    assert said["zooming"] == 20


def test_the_table_agrees_with_the_files(printed: tuple[Path, str]) -> None:
    out, text = printed
    truth, tiles = rows(out / "truth.csv"), rows(out / "tiles.csv")
    assert [r["x"] + "," + r["y"] for r in truth] == [r["x"] + "," + r["y"] for r in tiles]
    assert [r["keep"].lower() for r in truth] == [r["keep"] for r in tiles]

    kinds = ("fold", "out_of_focus", "ink", "bubble")
    clean = [r for r in truth if all(float(r[k]) == 0 for k in kinds)]
    groups = {"clean": clean}
    groups |= {k: [r for r in truth if float(r[k]) >= 0.1] for k in kinds}
    groups["any artifact"] = [r for r in truth if max(float(r[k]) for k in kinds) >= 0.1]
    for name, group in groups.items():
        line = re.search(rf"^{name.replace('_', ' ')} +(\d+) +(\d+)%$", text, re.M)
        assert line, name
        rejected = sum(r["keep"] == "False" for r in group) / len(group)
        assert int(line[1]) == len(group)
        assert int(line[2]) == pytest.approx(100 * rejected, abs=0.51)


def test_the_filter_tells_artifacts_from_clean_tiles(printed: tuple[Path, str]) -> None:
    share = {
        name: int(percent) / 100
        for name, percent in re.findall(r"^(clean|any artifact) +\d+ +(\d+)%$", printed[1], re.M)
    }
    assert share["any artifact"] > 0.7
    assert share["clean"] < 0.4


def test_rl2_rises_with_blur_and_wad_div_with_repetition(printed: tuple[Path, str]) -> None:
    found = re.findall(r"^(.{26}) +([\d.]+) +([\d.]+) +\d+%$", printed[1], re.M)
    distance = [float(rl2) for _, rl2, _ in found]
    spread = [float(wad) for _, _, wad in found]
    assert len(found) == 5
    assert 2 * distance[0] < distance[1] < distance[2] < distance[3]
    assert distance[4] < distance[1]
    assert spread[4] > spread[0]


def test_the_command_is_the_call(
    small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the shipped model, which is a switch: what is printed and written is in the result."""
    steps: list[tuple[int, int, str]] = []
    found = rl2qc.demo(
        tmp_path / "call",
        own_reference=False,
        progress=lambda done, total, what: steps.append((done, total, what)),
    )
    assert isinstance(found, Demo)
    assert [step[:2] for step in steps] == [(i, 4) for i in range(4)]
    assert not any("learning" in what for *_, what in steps)
    assert capsys.readouterr().err == ""
    out = tmp_path / "command"
    result = CliRunner().invoke(app, ["demo", "--shipped", "--out", str(out)])
    assert result.exit_code == 0
    assert result.stdout.startswith(found.table() + "\n")
    assert {p.name for p in out.iterdir()} == {p.name for p in (tmp_path / "call").iterdir()}
    assert not (out / "model.safetensors").exists()
    for name in ("tiles.csv", "truth.csv", "slide.tiff", "overlay.png"):
        assert (out / name).read_bytes() == (tmp_path / "call" / name).read_bytes(), name
    pages = [
        re.sub(r"in \d+ seconds", "", (folder / "index.html").read_text(encoding="utf-8"))
        for folder in (out, found.page.parent)
    ]
    assert pages[0] == pages[1]
    damaged = found.artifacts[-1]
    # Of a slide most of which is damaged, what is usual is too.
    assert damaged.rejected > 0.75 * damaged.tiles
    assert "the demo fitted its own model" not in pages[0]
    for what in ("drawing a slide", "filtering the slide", "writing the page"):
        assert what in result.stderr


def test_the_fitted_model_knows_its_resolution(printed: tuple[Path, str]) -> None:
    assert QualityModel.load(printed[0] / "model.safetensors").mpp == 0.5
    assert "the demo fitted its own model" in (printed[0] / "index.html").read_text("utf-8")


@pytest.mark.parametrize("kind", ["file", "demo"])
def test_what_exists_is_not_replaced(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "taken"
    if kind == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "index.html").write_text("mine")
    monkeypatch.setattr("sys.argv", ["rl2qc", "demo", "--out", str(out)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"rl2qc: error: {'--out ' * (kind == 'file')}{out}")
    assert printed.err.count("\n") == 1
    assert (out if kind == "file" else out / "index.html").read_text() == "mine"
