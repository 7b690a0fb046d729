"""The drawings that teach the general model, by name, with their class and usual size.

They share no code with the artifacts of :mod:`rl2qc.synthetic.artifacts`, which stay a judge of
what these have taught.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rl2qc.synthetic import teaching_cells as cells
from rl2qc.synthetic import teaching_fibres as fibres
from rl2qc.synthetic import teaching_folds as folds
from rl2qc.synthetic import teaching_glass as glass
from rl2qc.synthetic import teaching_marks as marks
from rl2qc.synthetic import teaching_matter as matter
from rl2qc.synthetic import teaching_scan as scan
from rl2qc.synthetic import teaching_section as section
from rl2qc.synthetic.teaching_tools import Drawing

__all__ = ["CLASSES", "TEACHING", "Lesson"]

CLASSES = (
    "out_of_focus",
    "ink",
    "pen",
    "fold",
    "dark_spot",
    "bubble",
    "foreign",
    "noise",
    "compression",
    "stain",
    "other",
)
"""What the dense head tells apart. "bubble" holds edges of glass, "foreign" threads, cells and
debris, "stain" pale and overstained tissue, "other" tears, cracks, seams and missing data."""


@dataclass(frozen=True)
class Lesson:
    """A drawing, its class, the least and largest share of the area, and how often it is drawn."""

    kind: str
    draw: Drawing
    areas: tuple[float, float]
    weight: float = 1.0


TEACHING: Mapping[str, Lesson] = {
    "ink_soaked": Lesson("ink", marks.ink_soaked, (0.01, 0.6), 1.5),
    "ink_flakes": Lesson("ink", marks.ink_flakes, (0.005, 0.5), 1.5),
    "ink_wash": Lesson("ink", marks.ink_wash, (0.03, 0.8)),
    "pen_wet": Lesson("pen", marks.pen_wet, (0.03, 0.8), 1.2),
    "pen_dry": Lesson("pen", marks.pen_dry, (0.02, 0.4), 0.7),
    "pen_flood": Lesson("pen", marks.pen_flood, (0.1, 1.0)),
    "fold_band": Lesson("fold", folds.fold_band, (0.03, 0.6), 3.5),
    "fold_wrinkle": Lesson("fold", folds.fold_wrinkle, (0.025, 0.18), 2.0),
    "fold_lap": Lesson("fold", folds.fold_lap, (0.05, 0.7), 1.8),
    "fold_fan": Lesson("fold", folds.fold_fan, (0.04, 0.35)),
    "dark_spot": Lesson("dark_spot", matter.dark_spot, (0.01, 0.6), 1.2),
    "dark_smear": Lesson("dark_spot", matter.dark_smear, (0.03, 0.6)),
    "fat_ring": Lesson("dark_spot", matter.fat_ring, (0.05, 0.7), 0.5),
    "bubble_rim": Lesson("bubble", glass.bubble_rim, (0.03, 0.8), 1.5),
    "bubble_foam": Lesson("bubble", glass.bubble_foam, (0.02, 0.4), 0.7),
    "coverslip_edge": Lesson("bubble", glass.coverslip_edge, (0.03, 0.7), 0.7),
    "dried_medium": Lesson("bubble", glass.dried_medium, (0.05, 0.7), 0.4),
    "thread_pale": Lesson("foreign", fibres.thread_pale, (0.01, 0.15), 3.0),
    "hair": Lesson("foreign", fibres.hair, (0.01, 0.12), 1.5),
    "lint": Lesson("foreign", fibres.lint, (0.01, 0.12), 1.5),
    "threads_fine": Lesson("foreign", fibres.threads_fine, (0.01, 0.1), 0.7),
    "squame": Lesson("foreign", cells.squame, (0.03, 0.6), 2.0),
    "squames_many": Lesson("foreign", cells.squames_many, (0.06, 0.7)),
    "cell_single": Lesson("foreign", cells.cell_single, (0.008, 0.08), 1.5),
    "cells_clump": Lesson("foreign", cells.cells_clump, (0.02, 0.4)),
    "floater": Lesson("foreign", cells.floater, (0.02, 0.4), 1.2),
    "debris": Lesson("foreign", matter.debris, (0.005, 0.15)),
    "powder": Lesson("foreign", matter.powder, (0.01, 0.15), 0.7),
    "precipitate": Lesson("foreign", matter.precipitate, (0.01, 0.15), 0.6),
    "droplets": Lesson("foreign", matter.droplets, (0.02, 0.3), 0.5),
    "scratch": Lesson("other", fibres.scratch, (0.01, 0.08), 0.5),
    "tear": Lesson("other", section.tear, (0.03, 0.4), 0.3),
    "cracks": Lesson("other", section.cracks, (0.03, 0.2), 0.3),
    "knife_marks": Lesson("other", section.knife_marks, (0.05, 0.4), 0.6),
    "seam": Lesson("other", scan.seam, (0.1, 0.6), 0.5),
    "stripes": Lesson("other", scan.stripes, (0.03, 0.4), 0.4),
    "chromatic_shift": Lesson("other", scan.chromatic_shift, (0.3, 1.0), 0.4),
    "blackout": Lesson("other", scan.blackout, (0.01, 0.5), 0.6),
    "understained": Lesson("stain", section.understained, (0.2, 1.0), 0.6),
    "overstained": Lesson("stain", section.overstained, (0.2, 1.0), 0.6),
    "defocus_patch": Lesson("out_of_focus", scan.defocus_patch, (0.04, 1.0), 2.5),
    "jpeg_2000": Lesson("compression", scan.jpeg_2000, (0.5, 1.0), 0.6),
    "jpeg_again": Lesson("compression", scan.jpeg_again, (0.5, 1.0), 0.6),
}
"""Every drawing by its name."""
