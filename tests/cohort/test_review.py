"""The tiles that a person should look at, their page, and what it saves."""

from __future__ import annotations

import csv
import html
import http.client
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from page_helpers import Page
from PIL import Image

import rl2qc
from rl2qc.cohort.review import find_tiles
from rl2qc.cohort.review_server import review_server
from rl2qc.errors import UsageError
from rl2qc.html.server import PageServer
from rl2qc.images.sources.exclusion import read_paths

pytestmark = pytest.mark.usefixtures("red_model")


@pytest.fixture
def out(tmp_path: Path, slide: Path) -> Path:
    """Two slides of six tiles with p-values .2 ... .7, and a set of two patches."""
    shutil.copy(slide, tmp_path / "other.tif")
    (tmp_path / "set").mkdir()
    for grey in (30, 200):
        Image.new("RGB", (64, 64), (grey,) * 3).save(tmp_path / "set" / f"{grey}.png")
    inputs = [slide, tmp_path / "other.tif", tmp_path / "set"]
    rl2qc.filter_cohort(inputs, tmp_path / "out", alpha=0.35, mpp=0.5, report=False)
    return tmp_path / "out"


def test_the_most_suspicious_come_first(out: Path) -> None:
    found = find_tiles(out)
    p = [tile.p_value for tile in found.tiles]
    expected = sorted([*np.arange(2, 8) / 10, *np.arange(2, 8) / 10, 30 / 255, 200 / 255])
    np.testing.assert_allclose(p, expected, atol=0.01)
    assert (found.total, found.kept, found.alpha) == (14, 9, 0.35)
    assert found.tiles[0].file.endswith("30.png")
    assert [tile.keep for tile in found.tiles] == [value > 0.35 for value in p]
    few = find_tiles(out, limit=3)
    assert [tile.key for tile in few.tiles[:2]] == [tile.key for tile in found.tiles[:2]]
    # Where not all can be shown, the nearest to alpha are there, too: kept ones among them.
    assert few.tiles[2].p_value == pytest.approx(0.4, abs=0.01)
    assert few.tiles[2].keep
    assert few.total == 14
    assert len({tile.key for tile in found.tiles}) == 14


def test_inputs_are_those_of_the_tiles_shown(out: Path) -> None:
    some = rl2qc.review(out, out / "some.html", limit=1)
    assert f"1 of {some.total} tiles, the most suspicious first, these of 1 input (" in some.page()


def test_the_page_is_whole_and_not_replaced(out: Path, rl2qc: Callable) -> None:
    done = rl2qc("review", out)
    assert done.code == 0
    assert "14 of 14 tiles, the most suspicious first" in done.out
    page = Page(out / "review.html")
    assert len(page.sources) == 28
    assert page.html.count('class="tile"') == 14
    assert "connect-src" not in page.html
    before = (out / "review.html").read_bytes()
    done = rl2qc("review", out)
    assert (done.code, (out / "review.html").read_bytes()) == (2, before)
    assert rl2qc("review", out, "--overwrite", "--limit", 2).code == 0
    page = Page(out / "review.html")
    assert page.html.count('class="tile"') == 2
    assert "The other 12 are neither as suspicious nor as near to" in page.text
    # A folder with a page in it is still one of results.
    assert rl2qc("decide", out, "--alpha", 0.5).code == 0


def test_the_page_alone_goes_to_standard_output(out: Path, rl2qc: Callable) -> None:
    done = rl2qc("review", out, "--html", "-")
    assert done.code == 0
    assert done.out.startswith("<!doctype html>") and done.out.strip().endswith("</html>")
    assert "the most suspicious first" in done.err
    assert not Path("-").exists()


def test_slides_that_are_gone_have_no_picture(out: Path, slide: Path, rl2qc: Callable) -> None:
    slide.unlink()
    found = find_tiles(out)
    gone = [tile for tile in found.tiles if tile.picture is None]
    assert {tile.slide for tile in gone} == {"case"}
    assert "6 tiles have no picture" in Page(found.page()).text
    done = rl2qc("review", out)
    assert (done.code, "6 tiles have no picture" in done.err) == (0, True)


def test_bad_input(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results"):
        rl2qc.review(tmp_path / "set")
    with pytest.raises(UsageError, match="limit"):
        rl2qc.review(out, limit=0)
    (out / "other" / "tiles.csv").write_text("x\n")
    found = rl2qc.review(out)
    assert [name for name, _ in found.failures] == ["other"]
    assert {tile.slide for tile in found.tiles} == {"case", "set"}


@pytest.mark.parametrize("alpha", [0.0, 0.99])
def test_all_kept_and_all_rejected_can_be_looked_at(out: Path, alpha: float) -> None:
    """Whatever the decision was: the page is there, and what is empty is said, not failed."""
    rl2qc.decide(out, alpha=alpha)
    found = rl2qc.review(out)
    kept = 14 if alpha == 0 else 0
    assert (found.total, found.kept, len(found.tiles)) == (14, kept, 14)
    assert Page(out / "review.html").text
    if kept:
        assert len(rl2qc.KeptTiles(out)) == 14
    else:
        with pytest.warns(UserWarning, match="holds no tile that is kept"):
            assert len(rl2qc.KeptTiles(out)) == 0


def test_names_cannot_break_the_page(out: Path, tmp_path: Path, slide: Path) -> None:
    shutil.copytree(out, tmp_path / "odd")
    bad = tmp_path / 'a"><script>alert(1)</script>.tif'
    shutil.copy(slide, tmp_path / "x.tif")
    (tmp_path / "x.tif").rename(tmp_path / bad.name.replace("/", "_"))
    rl2qc.filter_cohort(tmp_path / bad.name.replace("/", "_"), tmp_path / "o2", alpha=0.35)
    assert "<script>alert" not in find_tiles(tmp_path / "o2").page()


@pytest.fixture
def server(out: Path, tmp_path: Path) -> Iterator[PageServer]:
    made, _ = review_server(lambda: find_tiles(out), tmp_path / "corrections.csv")
    with made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()


def test_what_the_page_saves_is_written(server: PageServer, out: Path, tmp_path: Path) -> None:
    with urlopen(server.url) as answer:
        page = html.unescape(answer.read().decode())
    assert "connect-src 'self'" in page
    first = find_tiles(out).tiles[0]
    text = f"slide,x,y,file,label\r\n{first.slide},0,0,{first.file},bad\r\n"
    place = server.url.replace("/?", "/corrections.csv?")
    with urlopen(Request(place, text.encode(), method="PUT")) as answer:
        assert answer.read().decode().startswith("saved: rl2qc decide ")
    listed = tmp_path / "corrections.csv"
    assert listed.read_bytes() == text.encode()
    assert "0 tiles called clean, 1 bad" in rl2qc.decide(out, corrections=listed).corrections
    assert read_paths(listed) == [first.file]


def test_strangers_are_refused(server: PageServer, tmp_path: Path) -> None:
    place = server.url.replace("/?", "/corrections.csv?")
    header = "slide,x,y,file,label\r\n"
    for url, headers, content in (
        (place[:-2] + "xx", {}, header),
        (place.split("?")[0], {}, header),
        (place, {"Host": "evil.example"}, header),
        (place.replace("corrections.csv", "run.json"), {}, header),
        (place, {}, "no list"),
    ):
        with pytest.raises(HTTPError):
            urlopen(Request(url, content.encode(), headers, method="PUT"))
    with pytest.raises(HTTPError):
        urlopen(server.url.split("?")[0])
    assert not (tmp_path / "corrections.csv").exists()
    # A length that is a lie.
    client = http.client.HTTPConnection("127.0.0.1", server.server_port)
    client.putrequest("PUT", place.partition(str(server.server_port))[2])
    client.putheader("Content-Length", str(2**40))
    client.endheaders()
    assert client.getresponse().status == 413


def test_a_second_server_on_the_port(server: PageServer, tmp_path: Path) -> None:
    looked = []
    with pytest.raises(UsageError, match="cannot be served"):
        review_server(lambda: looked.append(1), tmp_path / "c.csv", server.server_port)
    # It is said at once, not after minutes of reading slides.
    assert not looked


def test_a_port_is_free_again_where_nothing_can_be_shown(out: Path, tmp_path: Path) -> None:
    server, _ = review_server(lambda: find_tiles(out), tmp_path / "c.csv")
    port = server.server_port
    server.server_close()
    with pytest.raises(UsageError, match="no results"):
        review_server(lambda: find_tiles(tmp_path), tmp_path / "c.csv", port)
    server, shown = review_server(lambda: find_tiles(out), tmp_path / "c.csv", port)
    server.server_close()
    assert len(shown.tiles) == 14


def test_only_what_is_bad_is_left_out(tmp_path: Path) -> None:
    listed = tmp_path / "c.csv"
    with listed.open("w", newline="") as file:
        rows = [("slide", "x", "y", "file", "label")]
        rows += [("a", "0", "0", "a.png", "bad"), ("a", "0", "0", "b.png", "clean")]
        rows += [("s", "64", "0", "", "bad")]
        csv.writer(file).writerows(rows)
    assert read_paths(listed) == ["a.png"]
