"""Whatever comes in: every good slide is done, every bad one is listed with its reason."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from slide_helpers import BrightnessModel, damage, tissue_like, write_slide

from rl2qc.slides.cohort import prepare_output, run_cohort
from rl2qc.slides.filtering import filter_slide
from rl2qc.slides.jobs import find_jobs


class RankModel(BrightnessModel):
    """Ranks that are uniform for purple tiles and the lowest for all others."""

    def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
        pixels = images.reshape(len(images), -1, 3).astype(np.float64)
        purple = np.abs(pixels.mean(axis=1) - [170, 90, 150]).max(axis=1) < 5
        ranks = (pixels.mean(axis=(1, 2)) * 1000) % 1
        p_values = np.where(purple, 0.001 + 0.999 * ranks, 0.001)
        return {"log_likelihood": np.log(p_values), "p_value": p_values}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = tissue_like(np.random.default_rng(0), 256, 320)
    return write_slide(tmp_path_factory.mktemp("good") / "good.tif", pixels)


def noise_in_tiles(path: Path, rng: np.random.Generator) -> None:
    """Random bytes in place of everything that was scanned."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        spans = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    content = bytearray(path.read_bytes())
    for offset, count in spans:
        content[offset : offset + count] = rng.bytes(count)
    path.write_bytes(content)


def test_two_hundred_slides_of_which_some_are_broken(
    tmp_path: Path, good: Path, rng: np.random.Generator, shared_data: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    names = [f"good{i:03}" for i in range(184)]
    for name in names:
        shutil.copy(good, folder / f"{name}.tif")
    long, odd = "long" * 50, "caf\udce9"
    for name in (long, odd):
        shutil.copy(good, folder / f"{name}.tif")
    content = good.read_bytes()
    pixels = tissue_like(rng, 256, 320)

    # What must fail, and what must be said.
    reasons = {
        "zero": "truncated, or in a format",
        "text": "truncated, or in a format",
        "loop": "loop.svs",
        "missing": "no such file",
        "blind": "--mpp-override",
        "absurd": "cannot be true",
        "coarse": "cannot give tiles",
        "noise": "cannot be read",
    }
    (folder / "zero.svs").write_bytes(b"")
    (folder / "text.ndpi").write_text("no slide")
    (folder / "loop.svs").symlink_to(folder / "loop.svs")
    (folder / "here").symlink_to(folder)
    (folder / "half.svs").write_bytes(content[: len(content) // 2])
    write_slide(folder / "blind.tif", pixels, mpp=None)
    write_slide(folder / "absurd.tif", pixels, mpp=265.0)
    write_slide(folder / "coarse.tif", pixels, mpp=2.0)
    noise_in_tiles(write_slide(folder / "noise.tif", pixels), rng)
    # What must be done and flagged.
    write_slide(folder / "glass.tif", np.full((256, 320, 3), 240, np.uint8))
    write_slide(folder / "inverted.tif", 255 - pixels)
    dark = np.zeros((256, 320, 3), np.uint8)
    dark[32:224, 32:288, 2] = rng.integers(40, 200, (192, 256))
    write_slide(folder / "fluorescence.tif", dark)
    write_slide(folder / "swapped.tif", pixels[..., [1, 0, 2]])
    damage(write_slide(folder / "scratch.tif", pixels), 7)
    broken = shared_data / "slides" / "broken"
    real = {path.stem for path in broken.iterdir() if path.suffix != ".md"}

    (tmp_path / "list.csv").write_text("slide\nmissing.svs\n")
    jobs, _ = find_jobs([folder, broken, tmp_path / "list.csv"])
    prepare_output(out, jobs)
    rows = {row.name: row for row in run_cohort(jobs, RankModel(), out, formats=["csv"])}

    failed = {name for name, row in rows.items() if row.status == "failed"}
    assert failed == {*reasons, *real, "half"}
    for name, reason in reasons.items():
        assert reason in rows[name].error
        assert "\n" not in rows[name].error
    for name in failed:
        trace = (out / "failed" / f"{name}.txt").read_text()
        assert trace.startswith("Traceback") and "SlideError" in trace
        assert not (out / name / "tiles.csv").exists()
    # Two folders of results for a name that is too long or no text, and one each for the others.
    whole = [row for row in rows.values() if row.path.endswith((f"{long}.tif", f"{odd}.tif"))]
    assert len(whole) == 2
    reference = (out / names[0] / "tiles.csv").read_bytes()
    for row in [*(rows[name] for name in names), *whole]:
        assert (row.status, row.tiles, row.flags) == ("done", 20, ())
        assert (out / row.name / "tiles.csv").read_bytes() == reference
    flags = {name: row.flags for name, row in rows.items() if row.flags}
    unlike = ("colours look wrong", "unlike the reference", "over-rejected")
    assert flags == {
        "glass": ("no tissue",),
        "inverted": unlike,
        "fluorescence": unlike,
        "swapped": unlike,
        "scratch": ("unreadable tiles",),
    }
    assert rows["scratch"].tiles == 19
    with (out / "summary.csv").open(encoding="utf-8", errors="surrogateescape") as file:
        listed = {row["name"]: row for row in csv.DictReader(file)}
    assert set(listed) == set(rows)
    assert listed["inverted"]["flags"] == "; ".join(unlike)
    assert len(rows) >= 200


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_anywhere(tmp_path: Path, good: Path, seed: int) -> None:
    """A slide with random damage is done or fails in one line; it never ends the run."""
    rng = np.random.default_rng(seed)
    content = bytearray(good.read_bytes())
    for start in rng.integers(0, len(content) - 64, 6):
        content[start : start + 64] = rng.bytes(64)
    (tmp_path / "damaged.svs").write_bytes(content)
    shutil.copy(good, tmp_path / "whole.tif")
    jobs, _ = find_jobs([tmp_path])
    damaged, whole = run_cohort(jobs, RankModel(), tmp_path / "out", formats=["csv"])
    assert whole.status == "done"
    assert "\n" not in damaged.error
    assert (damaged.status == "failed") == bool(damaged.error)
    if damaged.status == "done":
        assert damaged.tiles + damaged.unreadable <= 20


def test_a_slide_that_stays_unlike_the_reference_is_flagged_whatever_alpha(
    tmp_path: Path, rng: Any
) -> None:
    path = write_slide(tmp_path / "a.tif", 255 - tissue_like(rng, 256, 320))
    table = filter_slide(path, RankModel(), alpha=0.0)
    assert table.keep.all()
    assert table.flags == ("colours look wrong", "unlike the reference")
    assert table.drift == pytest.approx(0.499001)


def test_colours_that_are_wrong_are_flagged(shared_data: Path) -> None:
    """YCbCr shown as RGB, judged by the shipped model."""
    from rl2qc.model.quality import QualityModel

    slide = shared_data / "slides" / "CMU-1-dicom"
    model = QualityModel.load("histology", device="cpu")
    table = filter_slide(slide, model, mpp_override=0.5, stride=900)
    assert {"colours look wrong", "unlike the reference"} <= set(table.flags)
