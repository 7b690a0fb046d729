"""A reader of pages that fails where a page is no good citizen."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

_VOID = {"meta", "img", "br", "link", "input", "hr", "base"}


def _beside(address: str) -> bool:
    """Whether it leads to the page itself, or to a file beside it."""
    return not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|/", address)


class Page(HTMLParser):
    """What a page holds, checked.

    Every tag is closed; nothing is fetched; pictures are inside, have sizes and words for those
    who do not see them; a content security policy forbids the rest; there is a style for print.

    Attributes
    ----------
    html, text
        All of it, and what is read.
    sources
        Of the pictures.
    """

    def __init__(self, page: Path | str) -> None:
        super().__init__()
        self.html = page.read_text(encoding="utf-8") if isinstance(page, Path) else page
        self.sources: list[str] = []
        self.text, self._open, self._policy = "", [], ""
        self._scripts: list[str] = []
        self._style = ""
        self.feed(self.html)
        assert self._open == []
        self._check()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        assert tag not in ("link", "iframe", "object", "embed", "form", "base")
        assert not any(name.startswith("on") for name in values), values
        assert not {"href", "srcset", "action"} & values.keys() or _beside(str(values["href"]))
        if tag == "img":
            self.sources.append(str(values["src"]))
            assert values["alt"]
            assert int(values["width"]) > 0, values["alt"]
            assert int(values["height"]) > 0, values["alt"]
        elif tag == "script":
            assert "src" not in values
            self._scripts.append("")
        elif tag == "meta" and values.get("http-equiv") == "Content-Security-Policy":
            self._policy = str(values["content"])
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["style"]:
            self._style += data
        elif self._open[-1:] == ["script"]:
            self._scripts[-1] += data
        else:
            self.text += data

    def _check(self) -> None:
        assert all(source.startswith("data:image/jpeg;base64,") for source in self.sources)
        assert not re.search(r"https?://|@import|url\((?!data:)", self._style)
        rules = dict(rule.split(" ", 1) for rule in self._policy.split("; "))
        assert rules["default-src"] == "'none'"
        assert rules["img-src"] == "data:"
        known = [
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for text in self._scripts
        ]
        assert rules.get("script-src", "").split() == known
        assert "@media print" in self._style
        assert "print-color-adjust: exact" in self._style
        assert "max-width: 640px" in self._style


def said_in_browser(
    browser: str | Path, page: Path, profile: Path, *options: str
) -> dict[str, Any]:
    """What a script on a page left in ``document.body.dataset.said``, as JSON.

    Parameters
    ----------
    browser
        A Chromium.
    page
    profile
        Folder of what the browser remembers.
    options
        More of the browser's.
    """
    done = subprocess.run(
        [
            str(browser),
            *("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *options,
            f"--user-data-dir={profile}",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r'data-said="([^"]*)"', done.stdout)
    assert found is not None, done.stderr[-2000:]
    return dict(json.loads(html.unescape(found[1])))


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
"""A Chromium; None where there is none."""

PHONE, PAPER = (390, 844), (688, 40000)
"""Windows in px; of paper, what the margins of A4 leave, and so much that nothing scrolls."""
_TOLD = """<script>addEventListener("load", async () => {
  const root = document.documentElement, said = {
    height: root.scrollHeight, width: root.scrollWidth, window: innerWidth,
    within: [...document.querySelectorAll(".scroll")].filter(
      one => one.scrollWidth > one.clientWidth).length};
  %s
  parent.postMessage(said, "*");
});</script></body>"""
_FRAME = """<!doctype html><body><iframe src="%s" style="border:0;width:%dpx;height:%dpx">
</iframe><script>addEventListener("message", event => {
  document.body.dataset.said = JSON.stringify(event.data);
});</script></body>"""


def on_a_phone(
    page: Path, folder: Path, script: str = "", window: tuple[int, int] = PHONE
) -> dict[str, Any]:
    """What a finished page is like in a window of 390 px, and what a script leaves in ``said``.

    height, width
        Of all of it, as it opens.
    window
        Of what is seen of it.
    within
        How many parts of the page scroll by themselves.
    """
    assert BROWSER is not None
    text = page.read_text(encoding="utf-8")
    # The page would not run what it does not bring.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    folder.mkdir(exist_ok=True)
    told = folder / "page.html"
    told.write_text(text.replace("</body>", _TOLD % script), encoding="utf-8")
    (folder / "frame.html").write_text(_FRAME % (told.as_uri(), *window), encoding="utf-8")
    options = ("--window-size=1000,900", "--virtual-time-budget=5000")
    return said_in_browser(BROWSER, folder / "frame.html", folder / "browser", *options)


_PRINTED = """
  for (const sheet of document.styleSheets) for (const rule of sheet.cssRules)
    if (rule.media?.mediaText === "print") rule.media.mediaText = "all";
  for (const details of document.querySelectorAll("details")) details.open = true;
  const seen = one => one.checkVisibility() && one.getClientRects().length > 0;
  said.wide = [...document.querySelectorAll("body *")].filter(one => seen(one) &&
    !one.closest("svg") && one.getBoundingClientRect().right > innerWidth + 1).map(
    one => one.outerHTML.slice(0, 90)).slice(0, 3);
  said.pressed = [...document.querySelectorAll("button, select, progress")].filter(seen).length;
  said.sticky = [...document.querySelectorAll("body *")].filter(
    one => /sticky|fixed/.test(getComputedStyle(one).position) && seen(one)).length;
  said.markers = [...document.querySelectorAll("summary")].filter(
    one => getComputedStyle(one).listStyleType !== "none").length;
"""


def on_paper(page: Path, folder: Path, script: str = "") -> dict[str, Any]:
    """What a finished page is like as printed on A4, without a sheet's end.

    wide
        What is cut off at the right.
    pressed, sticky, markers
        How much there is that means nothing on paper.
    """
    return on_a_phone(page, folder, _PRINTED + script, PAPER)


def prints(said: dict[str, Any]) -> None:
    """Nothing is cut off, and nothing is there to be clicked."""
    assert said["window"] == PAPER[0]
    assert said["wide"] == []
    assert (said["pressed"], said["sticky"], said["markers"]) == (0, 0, 0)


_HIGHEST = 6000
ZOOM = """
  const box = document.getElementById("enlarged");
  const all = [...document.querySelectorAll("img.zooms")];
  said.pictures = [...document.querySelectorAll("img")].length - 1;
  said.zooming = all.length; said.sizes = []; said.opened = 0;
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const image of all) {
    image.click(); said.opened += box.open && box.querySelector("img").src === image.src;
    said.sizes.push([image, box.querySelector("img")].map(one => one.clientWidth));
    box.querySelector("button").click();
  }
  const free = all.find(one => one.tabIndex === 0);
  free.focus(); free.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true}));
  said.key = box.open; box.close();
"""


def fits(said: dict[str, Any]) -> None:
    """A page of a phone's width, which is not endless."""
    assert said["window"] == 390
    assert said["width"] <= 390
    assert 844 <= said["height"] < _HIGHEST


def enlarges(said: dict[str, Any]) -> None:
    """Each of its pictures does, by click and key."""
    assert said["pictures"] == said["zooming"] == said["opened"] > 0
    assert all(large >= small - 1 for small, large in said["sizes"])
    assert said["key"] is True
