"""The ground of all pages: what each of them is by being made here."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import jinja2
import numpy as np
import pytest
from page_helpers import Page
from PIL import Image

import rl2qc
from rl2qc.html import environment as module
from rl2qc.html.environment import Picture, encode, environment, render, write_page

PACKAGE = Path(rl2qc.__file__).parent
TEMPLATES = PACKAGE / "html" / "templates"
# What pages are made of, and are none.
_PARTS = {"base.html.j2", "parts.html.j2"}
PAGES = sorted(path.name for path in TEMPLATES.glob("*.j2") if path.name not in _PARTS)


@pytest.fixture
def page(monkeypatch):
    """Makes a page of a template of one's own."""

    def make(body: str, **content: object) -> str:
        own = jinja2.DictLoader(
            {
                "own.html.j2": '{% extends "base.html.j2" %}{% block title %}Own{% endblock %}'
                "{% block body %}" + body + "{% endblock %}"
            }
        )
        monkeypatch.setattr(
            environment(), "loader", jinja2.ChoiceLoader([own, jinja2.PackageLoader("rl2qc.html")])
        )
        return render("own.html.j2", **content)

    environment().cache.clear()
    yield make
    environment().cache.clear()


@pytest.mark.parametrize("name", PAGES)
def test_every_page_stands_on_the_base(name):
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    assert text.startswith('{% extends "base.html.j2" %}')
    for own in ("<style", "<head", "<meta", "<img", "<script", "| safe", "http:", "https:"):
        assert own not in text.replace("'<small>%s</small>' | safe", ""), own


def test_nobody_else_makes_an_environment_or_encodes_pictures():
    for path in PACKAGE.rglob("*.py"):
        if path != PACKAGE / "html" / "environment.py":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\bimport jinja2|from jinja2|b64encode", text), path


def test_a_page_is_a_good_citizen(page):
    made = Page(page("{{ p.img('a tile') }}", p=encode(np.zeros((8, 8, 3), np.uint8))))
    assert len(made.sources) == 1


def test_what_is_not_there_is_an_error(page):
    with pytest.raises(jinja2.UndefinedError, match="nothing"):
        page("{{ nothing }}")
    with pytest.raises(jinja2.UndefinedError, match="colour"):
        page("{{ picture.colour }}", picture=Picture("data:,", 1, 1))


def test_text_stays_text(page):
    made = page(
        "{{ words }} {{ file }} {{ picture.img(words) }}",
        words="<script>alert('caf\udce9')</script>",
        file=Path("a\udce9<b>"),
        picture=Picture('"><script>', 1, 1),
    )
    assert "<script>" not in made
    made.encode()
    assert "caf\N{REPLACEMENT CHARACTER}" in made
    assert "a\N{REPLACEMENT CHARACTER}&lt;b&gt;" in made


def test_scripts_run_where_they_were_given_alone(page):
    script = "document.title = 1 < 2 && 'a'"
    made = page("<p>text</p>", scripts=[script])
    assert f"<script>{script}</script>" in made
    Page(made)
    assert "script-src" not in page("<p>text</p>")
    with pytest.raises(ValueError, match="script"):
        page("", scripts=["'</SCRIPT >'"])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
@pytest.mark.parametrize("kind", ["tissue", "drawing", "overview"])
def test_the_size_is_that_of_the_picture(mode, kind):
    made = encode(Image.new(mode, (300, 200)), 128, kind=kind)
    with Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))) as shown:
        assert (shown.width, shown.height) == (made.width, made.height) == (128, 85)
        assert shown.format == "JPEG"
    assert encode(Image.new(mode, (30, 20)), 128).width == 30


def test_colours_of_tissue_are_kept(stained):
    """The chroma of neighbouring pixels is not shared."""
    patch = stained(1, 64)[0]
    made = encode(patch)
    with Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))) as shown:
        error = np.asarray(shown).astype(float) - patch
    halved = io.BytesIO()
    Image.fromarray(patch).save(halved, "JPEG", quality=85)
    with Image.open(halved) as shared:
        assert np.abs(error).mean() < np.abs(np.asarray(shared).astype(float) - patch).mean()


def test_the_picture_given_stays_as_it_is():
    picture = Image.new("RGB", (300, 200))
    encode(picture, 10)
    assert picture.size == (300, 200)


def test_a_page_appears_whole_or_not_at_all(page, tmp_path):
    page("<p>{{ there }}</p>", there=1)
    with pytest.raises(jinja2.UndefinedError):
        write_page(tmp_path / "page.html", "own.html.j2")
    assert list(tmp_path.iterdir()) == []
    write_page(tmp_path / "page.html", "own.html.j2", there=2)
    assert "<p>2</p>" in (tmp_path / "page.html").read_text()


def test_one_environment():
    assert module.environment() is module.environment()
