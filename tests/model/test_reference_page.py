"""The page of ``train --review``: patches sorted by doubt, marked, undone, and left out."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from page_helpers import BROWSER, Page, said_in_browser

import rl2qc
from rl2qc.html import review_page
from rl2qc.html.environment import render

_SCRIPT = """
const said = {}, at = id => document.getElementById(id);
const all = [...document.querySelectorAll(".tile")], tell = () => {
  document.body.dataset.said = JSON.stringify(said);
};
const press = key => document.activeElement.dispatchEvent(
  new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
URL.createObjectURL = blob => {
  blob.text().then(text => { said.list = text; tell(); }); return "#";
};
said.places = all.map(tile => tile.dataset.file);
said.p = all.map(tile => Number(/p = ([0-9.e-]+)/.exec(tile.textContent)[1]));
said.choices = [...document.querySelectorAll(".tools label")].filter(one => !one.hidden).length;
all[0].focus(); press("b"); press("b"); press("b"); press("u"); press("c");
all[5].querySelector("img").click(); said.zoomed = at("large").children.length; at("zoom").close();
all[5].querySelector("[data-what=bad]").click(); at("undo").click();
said.marks = all.slice(0, 7).map(tile => tile.dataset.mark);
press("s"); said.saved = at("saved").textContent;
tell();
"""


@pytest.fixture
def trained(
    patch_folder: Path, tiny_model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The page of a reference, with a script that marks."""

    def with_script(name: str, scripts: Any, **content: Any) -> str:
        return render(name, scripts=(*scripts, _SCRIPT), **content)

    monkeypatch.setattr(review_page, "render", with_script)
    out = tmp_path / "m.safetensors"
    rl2qc.train(patch_folder, out, backbone=tiny_model_file, epochs=1, mpp=0.5, review=True)
    return out.with_suffix(".review.html")


def test_the_page_holds_more_than_the_list(trained: Path) -> None:
    page = Page(trained)
    with trained.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(page.sources) == page.html.count('class="tile"') > len(rows) == 10
    # In the same order, the list's first.
    places = [page.html.index(Path(row["file"]).name) for row in rows]
    assert places == sorted(places)
    assert "that did not see the patch" in page.text


@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
def test_what_is_marked_is_left_out(
    trained: Path, patch_folder: Path, tiny_model_file: Path, tmp_path: Path
) -> None:
    assert BROWSER is not None
    said = said_in_browser(BROWSER, trained, tmp_path / "browser", "--virtual-time-budget=3000")
    assert said["p"] == sorted(said["p"])
    # Nothing was decided of a reference, and there is one state to choose.
    assert said["choices"] == 1
    assert said["marks"] == ["bad", "bad", "clean", "", "", "", ""]
    assert said["zoomed"] == 1
    assert said["saved"].startswith("saved as m.marks.csv: rl2qc train")
    marks = tmp_path / "m.marks.csv"
    marks.write_bytes(said["list"].encode())
    options = {"backbone": tiny_model_file, "epochs": 1, "mpp": 0.5}
    without = rl2qc.train(patch_folder, tmp_path / "n.safetensors", exclude=marks, **options)
    assert without.provenance["n_excluded"] == 2
    listed = trained.with_suffix(".csv")
    kept = rl2qc.train(
        patch_folder, tmp_path / "o.safetensors", exclude=listed, include=marks, **options
    )
    assert kept.provenance["n_excluded"] == 9
