"""Tissue by the user's own account: one field of the settings, for every call."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.cohort.decide import decide
from rl2qc.cohort.filter import filter_cohort
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.job import resolve_jobs
from rl2qc.cohort.store.results import CohortResult, read_results
from rl2qc.errors import ImageError, UsageError
from rl2qc.filtering.measure import find_model
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.slide import filter_slide


@pytest.fixture
def slide(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Tissue in the 2 x 3 tiles of the right half of 2 x 6."""
    pixels = tissue_like(rng, 128, 384, (slice(None), slice(192, 384)))
    (tmp_path / "slides").mkdir()
    return write_slide(tmp_path / "slides" / "case.tif", pixels)


def save(path: Path, values: NDArray[np.bool_]) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(values.astype(np.uint8) * 255).save(path)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """The first tile, and half of the second."""
    values = np.zeros((32, 96), np.bool_)
    values[:16, :24] = True
    return save(tmp_path / "masks" / "case.png", values)


def run(slides: Path | list[Path], out: Path, **options: Any) -> CohortResult:
    options = {"formats": ["csv"], "report": False, **options}
    return filter_cohort(slides, out, BrightnessModel(), **options)


def tiles(result: CohortResult, name: str = "case") -> list[tuple[int, int]]:
    table = result.tables[name]
    return list(zip(table.x.tolist(), table.y.tolist(), strict=True))


def without_the_option(out: Path) -> None:
    """Make the results those of a day on which there was no such option."""
    for file in (out / "run.json", *out.glob("*/record.json")):
        content = json.loads(file.read_text())
        settings = content["settings"] if file.name == "run.json" else content["key"]["settings"]
        del settings["tissue_mask"]
        content.get("slide", {}).pop("tissue_source", None)
        file.write_text(json.dumps(content))


def test_a_slide_by_a_mask_a_folder_and_words(slide: Path, mask: Path) -> None:
    model = BrightnessModel()
    for place in (mask, str(mask), mask.parent):
        table = filter_slide(slide, model, tissue_mask=place)
        assert (table.x.tolist(), table.y.tolist()) == ([0, 64], [0, 0])
        assert table.tissue_fraction.tolist() == [1, 0.5]
        assert table.tissue_coverage == pytest.approx(1.5 / 12)
        assert (table.tissue_source, table.tissue_threshold) == ("case.png (mask)", None)
        assert any("leaves out 100% of what looks like tissue" in w for w in table.warnings)
    assert len(filter_slide(slide, model, tissue_mask=mask, min_tissue=0.6)) == 1
    everything = filter_slide(slide, model, tissue_mask="none")
    assert (len(everything), everything.tissue_coverage) == (12, 1)
    for rule in ("auto", "otsu"):
        table = filter_slide(slide, model, tissue_mask=rule)
        assert (len(table), table.tissue_source) == (6, rule)


def test_masks_that_cannot_be(slide: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such mask"):
        filter_slide(slide, BrightnessModel(), tissue_mask=tmp_path / "absent.png")
    square = save(tmp_path / "square.png", np.ones((50, 50), np.bool_))
    with pytest.raises(ImageError, match="another shape"):
        filter_slide(slide, BrightnessModel(), tissue_mask=square)


def test_a_run_with_a_folder_of_masks(
    slide: Path, mask: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    write_slide(slide.parent / "other.tif", tissue_like(rng, 64, 128))
    write_slide(slide.parent / "third.tif", tissue_like(rng, 64, 192))
    # As HistoQC leaves them.
    save(mask.parent / "other.tif" / "other.tif_mask_use.png", np.eye(1, 2, dtype=np.bool_))
    result = run(slide.parent, tmp_path / "out", tissue_mask=mask.parent)
    assert {row.name: row.status for row in result.rows} == {
        "case": "done",
        "other": "done",
        "third": "failed",
    }
    (error,) = result.errors
    assert "no mask of third.tif" in error
    assert tiles(result) == [(0, 0), (64, 0)]
    assert tiles(result, "other") == [(0, 0)]
    # The masks may move; what counts is what they say.
    moved = mask.parent.rename(tmp_path / "moved")
    again = run([slide], tmp_path / "out", tissue_mask=moved)
    assert again.before == ("case",)
    save(moved / "case.png", np.ones((32, 96), np.bool_))
    with pytest.raises(UsageError, match=r"tissue_mask case\.png \(\w+\) -> case\.png \(\w+\)"):
        run([slide], tmp_path / "out", tissue_mask=moved)


def test_one_mask_for_several_slides_is_refused(
    slide: Path, mask: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    write_slide(slide.parent / "other.tif", tissue_like(rng, 64, 128))
    with pytest.raises(UsageError, match="is the mask of one slide and there are 2"):
        run(slide.parent, tmp_path / "out", tissue_mask=mask)
    with pytest.raises(UsageError, match=r"no such mask.*auto, none, otsu"):
        run(slide.parent, tmp_path / "out", tissue_mask="nnone")
    (tmp_path / "b").mkdir()
    twin = write_slide(tmp_path / "b" / "case.tif", tissue_like(rng, 128, 384))
    with pytest.raises(UsageError, match=r"may be of .* or of .*: call their files slides__case"):
        run([slide, twin], tmp_path / "out", tissue_mask=mask.parent)
    assert not (tmp_path / "out").exists()


def test_results_of_before_go_on_as_they_were_made(slide: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(slide, out, tissue_mask="otsu")
    without_the_option(out)
    assert read_results(out).tables["case"].tissue_source == "otsu"
    assert run(slide, out, tissue_mask="otsu").before == ("case",)
    with pytest.raises(UsageError, match=r"otsu -> auto\): pass --tissue-mask otsu to go on"):
        run(slide, out, tissue_mask="auto")
    # Nobody asked for another rule.
    resumed = run(slide, out)
    assert resumed.before == ("case",)
    assert any("tissue is found by otsu, as in the results" in w for w in resumed.warnings)
    other = write_slide(slide.with_name("b.tif"), tissue_like(np.random.default_rng(1), 64, 192))
    assert run(other, out).tables["b"].tissue_source == "otsu"
    assert decide(out, 0.1).failures == ()
    assert run(slide, out, overwrite=True).tables["case"].tissue_source == "auto"


def test_patches_have_no_mask(tmp_path: Path, slide: Path, stained: Callable[..., Any]) -> None:
    folder, out = tmp_path / "set", tmp_path / "out"
    folder.mkdir()
    for i, patch in enumerate(stained(2)):
        Image.fromarray(patch).save(folder / f"{i}.png")
    run(folder, out, mpp=0.5)
    without_the_option(out)
    for rule in ("auto", "none", "otsu"):
        assert run(folder, out, mpp=0.5, tissue_mask=rule).before == ("set",)


def test_a_mask_is_not_replaced_by_what_is_made_of_it(slide: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = {"formats": ["histoqc"]}
    first = run(slide, out, **options)
    (made,) = list(out.rglob("*_mask_use.png"))
    before = made.read_bytes()
    assert first.errors == ()
    with pytest.raises(UsageError, match="would be replaced while it is read"):
        run(slide, out, tissue_mask=made, overwrite=True, **options)
    assert made.read_bytes() == before


def test_a_job_from_anywhere_knows_its_mask(
    slide: Path, mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = FilterSettings(tissue_mask=mask.relative_to(tmp_path))
    inputs, _ = find_inputs([slide])
    model = find_model(BrightnessModel())
    (job,) = resolve_jobs(inputs, tmp_path / "out", model, settings, ["csv"]).jobs
    assert job.absolute().mask == mask


def test_tissue_that_no_tile_reaches_is_counted(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_slide(tmp_path / "reach.tif", tissue_like(rng, 128, 160))
    table = filter_slide(path, BrightnessModel(), edges="leave")
    (warning,) = [w for w in table.warnings if "edge" in w]
    assert warning.startswith("20.0% of the tissue is not judged")
    assert not any("edge" in w for w in filter_slide(path, BrightnessModel()).warnings)
    # Glass there is nobody's concern.
    pixels = tissue_like(rng, 128, 160, (slice(None), slice(0, 128)))
    path = write_slide(tmp_path / "inner.tif", pixels)
    assert filter_slide(path, BrightnessModel(), edges="leave").warnings == ()


def test_a_slide_that_was_cut_short_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = tissue_like(rng, 256, 256, (slice(None), slice(0, 128)))
    pixels[128:] = 0
    path = write_slide(tmp_path / "cut.tif", pixels)
    for rule in ("auto", "otsu", "none"):
        table = filter_slide(path, BrightnessModel(), tissue_mask=rule)
        assert any(w.startswith("50% of the slide is black") for w in table.warnings)
