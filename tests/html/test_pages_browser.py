"""Pages in a browser: on a phone none is endless or slides sideways, and pictures enlarge."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from page_helpers import BROWSER, ZOOM, enlarges, fits, on_a_phone, on_paper, prints
from PIL import Image
from slide_helpers import BrightnessModel, tissue_like, write_slide

import rl2qc
from rl2qc.benchmarking.benchmark import benchmark
from rl2qc.cohort import page
from rl2qc.scoring.score import score
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.watch_settings import WatchSettings
from rl2qc.scoring.watched import Watched, WatchedSet

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium here")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three slides with kept and rejected tiles."""
    place = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    (place / "slides").mkdir()
    for name, sides in (("a2", (512, 640)), ("a" * 60, (512, 640)), ("b", (512, 320))):
        pixels = tissue_like(rng, *sides)
        pixels[:128] -= 60
        write_slide(place / "slides" / f"{name}.tif", pixels)
    rl2qc.filter_cohort(place / "slides", place / "out", BrightnessModel(), alpha=0.5, mpp=0.5)
    return place / "out" / "report.html"


def test_a_report_of_three_slides(report: Path, tmp_path: Path) -> None:
    fits(on_a_phone(report, tmp_path / "phone"))
    enlarges(on_a_phone(report, tmp_path / "zoom", ZOOM))
    unfolded = on_a_phone(
        report, tmp_path / "open", "said.width = 0;" + ZOOM + "said.width = root.scrollWidth;"
    )
    assert unfolded["width"] <= 390


def test_wide_tables_scroll_inside(report: Path, tmp_path: Path) -> None:
    said = on_a_phone(
        report,
        tmp_path / "phone",
        """
        for (const details of document.querySelectorAll("details")) details.open = true;
        said.within = [...document.querySelectorAll("table")].filter(
          one => one.offsetWidth > innerWidth).map(one => {
            const box = one.closest(".scroll");
            return box?.scrollWidth > box?.clientWidth && box.clientWidth < innerWidth;
          });
        said.width = root.scrollWidth;""",
    )
    assert said["within"] and all(said["within"])
    assert said["width"] <= 390


def test_a_score_of_many_metrics(stained, tiny_model, tmp_path: Path) -> None:
    images = stained(60, seed=3)
    settings = ScoreSettings(n_resamples=8, cache=False)
    card = score(images[30:], images[:30], tiny_model, settings)
    assert len(card.shown()) >= 25
    card.to_html(tmp_path / "card.html")
    fits(on_a_phone(tmp_path / "card.html", tmp_path / "phone"))
    prints(on_paper(tmp_path / "card.html", tmp_path / "paper"))


def test_a_report_on_paper(report: Path, tmp_path: Path) -> None:
    said = on_paper(
        report,
        tmp_path / "paper",
        """
        said.places = document.querySelectorAll("#places tbody tr").length;
        said.told = seen(document.getElementById("how-many"));""",
    )
    prints(said)
    # How many of the rejected tiles the list holds, which is cut where it was shown.
    assert said["places"] > 0
    assert said["told"] is True


def test_a_review_on_paper(report: Path, tmp_path: Path) -> None:
    rl2qc.review(report.parent, tmp_path / "review.html")
    said = on_paper(
        tmp_path / "review.html",
        tmp_path / "paper",
        """
        const tile = document.querySelector(".tile"), caption = tile.querySelector("figcaption");
        tile.dataset.mark = "bad";
        said.mark = getComputedStyle(caption, "::before").content;
        said.keys = document.body.innerText.includes("Keys:");
        said.told = seen(document.getElementById("progress"));""",
    )
    prints(said)
    # Without colours, too.
    assert "bad" in said["mark"]
    assert (said["keys"], said["told"]) == (False, True)


@pytest.fixture(scope="module")
def benchmark_page(stained, tiny_model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With real artifacts of two kinds, cut-outs of four, some corruptions, and sample sizes."""
    place = tmp_path_factory.mktemp("benchmark")
    images = stained(120, seed=5)
    for kind in ("pen", "fold"):
        (place / "artifacts" / kind).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(images[i] // 3).save(place / "artifacts" / kind / f"{i}.png")
    for kind in ("spot", "thread", "cell", "bubble"):
        (place / "artifacts" / "cutouts" / kind).mkdir(parents=True)
        cutout = np.full((20, 30, 4), 255, np.uint8)
        Image.fromarray(cutout).save(place / "artifacts" / "cutouts" / kind / "0.png")
    found = benchmark(
        images,
        tiny_model,
        artifacts=place / "artifacts",
        corruptions=("blur", "noise", "fold", "pen", "bubble"),
        n_resamples=5,
    )
    found.to_html(place / "benchmark.html")
    return place / "benchmark.html"


def test_a_benchmark(benchmark_page: Path, tmp_path: Path) -> None:
    fits(on_a_phone(benchmark_page, tmp_path / "phone"))
    enlarges(on_a_phone(benchmark_page, tmp_path / "zoom", ZOOM))
    said = on_paper(
        benchmark_page,
        tmp_path / "paper",
        """
        const pairs = [...document.querySelectorAll(".figures figure")].map(
          one => one.getBoundingClientRect());
        said.figures = pairs.length; said.rows = new Set(pairs.map(one => one.top)).size;
        said.rejected = [...document.querySelectorAll(".framed .gone")].every(
          one => getComputedStyle(one).borderStyle === "dashed");""",
    )
    prints(said)
    # Two a line, and what is rejected is told without colours.
    assert said["figures"] == 5
    assert said["rows"] == -(-said["figures"] // 2)
    assert said["rejected"] is True


@pytest.fixture
def watch_page(tmp_path: Path) -> Path:
    """Of three checkpoints, one of which failed, by the usual metrics and some more."""
    metrics = (*WatchSettings().wanted, "swd", "recall", "density")
    sets = [
        WatchedSet(f"step_{i}", i, "", dict.fromkeys(metrics, (1.0 * i, 0.5, 2000.0)), True, 40)
        for i in (100, 200)
    ]
    sets.append(WatchedSet("step_300", 300, "", failure="no images: " + "why that is, " * 20))
    place = tmp_path / "watch.html"
    Watched(tmp_path / "run", tmp_path, tuple(sets), metrics, ("step_400",)).to_html(place)
    return place


def test_a_watched_run(watch_page: Path, tmp_path: Path) -> None:
    fits(on_a_phone(watch_page, tmp_path / "phone"))
    prints(on_paper(watch_page, tmp_path / "paper"))


def test_all_rejected_tiles(report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_NAMED", 3)
    shutil.copytree(report.parent, tmp_path / "out")
    page.write_cohort_page(tmp_path / "out")
    tiles = tmp_path / "out" / "tiles.html"
    said = on_a_phone(tiles, tmp_path / "phone")
    fits(said)
    # The reasons are seen without sliding.
    assert said["within"] == 0
    said = on_paper(tiles, tmp_path / "paper", "said.rows = places.tBodies[0].rows.length;")
    prints(said)
    assert said["rows"] > 3
