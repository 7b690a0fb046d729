"""The page of a review in a browser: marks, filters, undo, keys, and a list that is saved."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page_helpers import said_in_browser
from PIL import Image

import rl2qc
from rl2qc.html import review_page
from rl2qc.html.environment import render

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = [
    pytest.mark.usefixtures("red_model"),
    pytest.mark.skipif(BROWSER is None, reason="no chromium here"),
]

_HEAD = """
const said = {}, at = id => document.getElementById(id);
const press = key => document.activeElement.dispatchEvent(
  new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
const choose = (id, value) => {
  at(id).value = value; at(id).dispatchEvent(new Event("change"));
};
const all = () => [...document.querySelectorAll(".tile")];
const tiles = () => all().filter(tile => !tile.hidden);
const marks = () => all().map(tile => tile.dataset.mark).join(",");
URL.createObjectURL = blob => {
  blob.text().then(text => { said.list = text; tell(); });
  return "#";
};
const tell = () => { document.body.dataset.said = JSON.stringify(said); };
"""


@pytest.fixture
def drive(
    tmp_path: Path, slide: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], dict[str, Any]]:
    """Opens the page of six tiles of a slide and two patches, runs a script, and gives what it
    says; the browser remembers from one call to the next."""
    (tmp_path / "set").mkdir()
    for grey in (30, 200):
        Image.new("RGB", (64, 64), (grey,) * 3).save(tmp_path / "set" / f"{grey},.png")
    inputs = [slide, tmp_path / "set"]
    rl2qc.filter_cohort(inputs, tmp_path / "out", alpha=0.35, mpp=0.5, report=False)

    def run(script: str) -> dict[str, Any]:
        whole = _HEAD + script + "\ntell();"
        with monkeypatch.context() as patched:
            patched.setattr(
                review_page,
                "render",
                lambda name, scripts, **content: render(name, scripts=(*scripts, whole), **content),
            )
            rl2qc.review(tmp_path / "out", tmp_path / "page.html", overwrite=True)
        made = tmp_path / "page.html"
        return said_in_browser(BROWSER, made, tmp_path / "browser", "--virtual-time-budget=3000")

    return run


def test_keys_mark_and_go_on(drive: Callable[[str], dict[str, Any]]) -> None:
    said = drive("""
      tiles()[0].focus();
      press("b"); press("b"); press("c"); press("ArrowRight"); press("b");
      said.marks = marks(); said.progress = at("progress").textContent;
      press("ArrowLeft"); press("x"); said.without = marks();
      press("u"); press("u"); press("u"); said.undone = marks();
      press("z"); said.zoomed = at("zoom").open; said.pictures = at("large").children.length;
      press("z"); said.closed = !at("zoom").open;
    """)
    assert said["marks"] == "bad,bad,clean,,bad,,,"
    assert said["progress"] == "4 of 8 tiles marked: 3 bad, 1 clean; 8 shown"
    assert said["without"].count("bad") == 2 or said["without"] == "bad,bad,clean,,,,,"
    assert said["undone"].startswith("bad,bad,")
    assert (said["zoomed"], said["pictures"], said["closed"]) == (True, 1, True)


def test_filters_and_the_mouse(drive: Callable[[str], dict[str, Any]]) -> None:
    said = drive("""
      choose("slide", "set"); said.set = tiles().length;
      tiles()[1].querySelector("[data-what=clean]").click(); said.clicked = tiles()[1].dataset.mark;
      choose("slide", ""); choose("state", "rejected"); said.rejected = tiles().length;
      choose("state", "marked"); said.marked = tiles().length;
      choose("state", ""); choose("order", "near"); said.near = tiles()[0].dataset.near;
      tiles()[0].querySelector("img").click(); said.zoomed = at("zoom").open;
      said.what = at("what").textContent;
    """)
    assert (said["set"], said["clicked"]) == (2, "clean")
    assert (said["rejected"], said["marked"]) == (3, 1)
    assert float(said["near"]) < 0.2
    assert said["zoomed"]
    assert "p = " in said["what"]


def test_marks_outlive_a_reload_and_are_saved(
    drive: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    drive("""tiles()[0].focus(); press("b"); press("c");""")
    said = drive("""said.marks = marks(); press("s"); at("save").click();""")
    assert said["marks"] == "bad,clean,,,,,,"
    listed = tmp_path / "corrections.csv"
    listed.write_bytes(said["list"].encode())
    assert listed.read_text().splitlines()[0] == "slide,x,y,file,label"
    found = rl2qc.decide(tmp_path / "out", corrections=listed)
    assert found.corrections.startswith("corrections: 1 tile called clean, 1 bad")
    # Decided anew, the tiles are the same.
    assert drive("said.marks = marks();")["marks"].split(",").count("bad") == 1
