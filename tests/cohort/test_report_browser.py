"""The report in a browser: columns sorted by click and key, tiles filtered by input and reason."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_helpers import said_in_browser
from slide_helpers import BrightnessModel, tissue_like, write_slide

import rl2qc
from rl2qc.cohort import page
from rl2qc.html.environment import write_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium here")

_HEAD = """
const said = {}, at = id => document.getElementById(id);
const column = (table, i) => [...table.tBodies[0].rows].map(row => row.cells[i].textContent);
const all = document.querySelector("table.sortable"), places = at("places");
const head = (table, i) => table.tHead.rows[0].cells[i];
const choose = (id, value) => {
  at(id).value = value; at(id).dispatchEvent(new Event("change"));
};
"""


@pytest.fixture
def drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Opens the report of three slides, runs a script, and gives what it says."""
    rng = np.random.default_rng(0)
    (tmp_path / "slides").mkdir()
    for name, sides in (("a2", (128, 320)), ("a10", (256, 320)), ("b", (192, 320))):
        pixels = tissue_like(rng, *sides)
        pixels[:64] -= 60
        write_slide(tmp_path / "slides" / f"{name}.tif", pixels)
    rl2qc.filter_cohort(
        tmp_path / "slides", tmp_path / "out", BrightnessModel(), alpha=0.5, mpp=0.5, report=False
    )

    def run(script: str) -> dict[str, Any]:
        tell = "document.body.dataset.said = JSON.stringify(said);"

        def write(path: Path, template: str, *, scripts: Any, **content: Any) -> None:
            write_page(path, template, scripts=(*scripts, _HEAD + script + tell), **content)

        with monkeypatch.context() as patched:
            patched.setattr(page, "write_page", write)
            made = page.write_cohort_page(tmp_path / "out")
        return said_in_browser(BROWSER, made, tmp_path / "browser")

    return run


def test_columns_sort(drive: Callable[[str], dict[str, Any]]) -> None:
    said = drive("""
const press = i => {
  const button = head(all, i).querySelector("button");
  button.focus(); said.focus = document.activeElement === button; button.click();
};
press(0); said.names = column(all, 0);
said.sort = head(all, 0).getAttribute("aria-sort");
press(0); said.back = column(all, 0);
press(3); said.tiles = column(all, 3);
said.sorts = [0, 3].map(i => head(all, i).getAttribute("aria-sort"));
said.files = head(all, 9).querySelector("button") === null;
""")
    assert said == {
        "focus": True,
        "names": ["a2", "a10", "b"],
        "sort": "ascending",
        "back": ["b", "a10", "a2"],
        "tiles": ["10", "15", "20"],
        "sorts": ["none", "ascending"],
        "files": True,
    }


def test_rejected_tiles_are_filtered(drive: Callable[[str], dict[str, Any]]) -> None:
    said = drive("""
said.open = at("rejected").open;
said.rows = column(places, 0).length;
choose("of-slide", "0"); said.slide = [...new Set(column(places, 0))];
const reason = column(places, 3)[0];
choose("of-slide", "");
choose("of-reason", [...at("of-reason").options].find(one => one.text === reason).value);
said.reasons = [...new Set(column(places, 3))].length;
said.count = at("how-many").textContent;
choose("of-reason", "");
head(places, 2).querySelector("button").click();
said.p = column(places, 2);
document.querySelector('[data-rejected="b"]').click();
said.then = [at("rejected").open, [...new Set(column(places, 0))]];
said.links = [...places.querySelectorAll("a")].every(a => document.querySelector(a.hash));
""")
    assert said["open"] is False
    assert said["rows"] >= 3
    assert len(said["slide"]) == 1
    assert said["reasons"] == 1
    assert re.fullmatch(r"\d+ of \d+ shown", said["count"])
    assert said["p"] == sorted(said["p"])
    assert said["then"] == [True, ["b"]]
    assert said["links"] is True
