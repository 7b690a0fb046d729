"""The same slide in several formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from slide_helpers import BrightnessModel, shrink, tissue_like, write_slide
from test_czi import write_czi
from test_ome_tiff import write_ome
from test_ome_zarr import write_image

from rl2qc.cohort.filter import filter_cohort
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.filtering.slide import filter_slide

for _module in ("imagecodecs", "zarr", "pylibCZIrw"):
    pytest.importorskip(_module, reason="needs the extras czi and ome")


def test_the_same_slide_in_four_formats_has_the_same_decisions(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    pixels = tissue_like(rng, 300, 440, (slice(40, 300), slice(0, 400)))
    levels = [pixels, shrink(pixels, 2)]
    slides = tmp_path / "slides"
    slides.mkdir()
    write_slide(slides / "a.tif", pixels, levels=2)
    write_ome(slides / "b.ome.tiff", levels, 0.5)
    write_image(slides / "c.ome.zarr", levels, 0.5)
    write_czi(slides / "d.czi", [(pixels, (0, 0), 0)], 0.5)
    jobs, warnings = find_inputs([slides])
    names = sorted(job.name for job in jobs)
    assert (names, warnings) == (["a", "b.ome", "c.ome", "d"], [])
    p_values = filter_slide(slides / "a.tif", BrightnessModel()).measurements["p_value"]
    alpha = float(np.median(p_values))
    result = filter_cohort([slides], tmp_path / "out", BrightnessModel(), alpha=alpha, report=False)
    first, *others = (result.tables[name] for name in names)
    assert 0 < first.keep.sum() < len(first)
    for other in others:
        assert other.warnings == first.warnings
        for name, column in first.columns().items():
            np.testing.assert_array_equal(other.columns()[name], column)
