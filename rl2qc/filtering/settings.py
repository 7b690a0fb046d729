"""How tiles are cut, measured and decided on: the options of a filter, each told once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rl2qc.core.settings import Interval, Settings, option
from rl2qc.filtering.decision import ADAPT, METHODS
from rl2qc.filtering.verdict import VerdictRules
from rl2qc.images.resolution import PLAUSIBLE_MPP

__all__ = ["FilterSettings"]

_MPP = Interval(*PLAUSIBLE_MPP, unit="um/px")


def _readers() -> tuple[str, ...]:
    # Here, since --help must not wait for what reads slides.
    from rl2qc.slides.readers.base import READERS

    return tuple(READERS.names())


@dataclass(frozen=True)
class FilterSettings(Settings):
    """How tiles are cut, measured and decided on.

    Raises
    ------
    UsageError
        A value that is out of range.

    Examples
    --------
    >>> settings = FilterSettings(alpha=0.01)
    >>> settings.changes(stride=112).record()["stride"], settings.names("decision")
    (112, ('alpha', 'method', 'adapt', 'max_rejected', 'use_from', 'drop_below', 'drop_area'))
    """

    alpha: float = option(
        0.05,
        help="Tiles with a p-value above are kept; of clean tiles, this share is rejected.",
        phase="decision",
        within=Interval(0, 1, "left"),
    )
    method: str = option(
        METHODS[0],
        help="threshold: each tile by itself; bh: Benjamini-Hochberg over each slide, ALPHA being "
        "the share of clean tiles among the rejected.",
        phase="decision",
        choices=METHODS,
    )
    adapt: str = option(
        ADAPT[0],
        help="What the general model takes for usual: a slide's tiles, beside those of slides like "
        "it (auto), its own alone (slide), those of all slides like it (cohort), or what its "
        "teaching laboratories have (none). A model with a reference of its own has that.",
        phase="decision",
        before="none",
        choices=ADAPT,
        metavar="HOW",
    )
    mpp: float | None = option(
        None,
        help="Microns per pixel to read tiles at.",
        show_default="the model's",
        within=_MPP,
    )
    mpp_override: float | None = option(
        None,
        help="Microns per pixel at level 0, for slides that do not record it or record it wrongly.",
        show_default="what the slide records",
        within=_MPP,
        per_input=True,
    )
    any_mpp: bool = option(False, help="Allow --mpp far from what the model was trained at.")
    reader: str | None = option(
        None,
        help="Reader of slides by name, such as fastslide, in place of the one that the file asks "
        "for.",
        show_default="by the file",
        choices=_readers,
        metavar="NAME",
    )
    icc: bool = option(
        False, help="Take colours through the slide's ICC profile to sRGB (shifts scores)."
    )
    min_tissue: float = option(
        0.1, help="Tiles with a smaller share of tissue are left out.", within=Interval(0, 1)
    )
    tissue_mask: str | Path | None = option(
        None,
        help="Tissue by your own account: a mask (PNG, TIFF, GeoJSON), or a folder of masks or of "
        "results of TRIDENT, HistoQC or GrandQC. auto finds it on glass of any tint; none takes "
        "all that was scanned; otsu is one threshold a slide, as in results of before, which go "
        "on with that.",
        show_default="auto",
        before="otsu",
        metavar="MASK",
        per_input=True,
    )
    stride: int | None = option(
        None,
        help="Distance between neighbouring tiles in their px.",
        show_default="side by side",
        within=Interval(1),
    )
    edges: str | None = option(
        None,
        help="Tiles that would reach over the right or the bottom edge are moved inwards, up to it "
        "(shift), or left out, as in results of before (leave), which go on with that.",
        show_default="shift",
        before="leave",
        choices=("shift", "leave"),
        metavar="HOW",
        per_input=True,
    )
    max_rejected: float = option(
        0.5,
        help="Slides that lose a larger share of their tissue are flagged.",
        phase="decision",
        within=Interval(0, 1),
    )
    use_from: float = option(
        VerdictRules.use_from,
        help="Slides of which at least this share of the tissue is usable get the verdict use.",
        phase="decision",
        within=Interval(0, 1),
    )
    drop_below: float = option(
        VerdictRules.drop_below,
        help="Slides of which less of the tissue is usable get the verdict drop.",
        phase="decision",
        within=Interval(0, 1),
    )
    drop_area: float = option(
        VerdictRules.drop_area,
        help="Slides of which one kind of damage covers at least this share of the tissue get the "
        "verdict drop.",
        phase="decision",
        within=Interval(0, 1),
    )
    coords: str | Path | None = option(
        None,
        help="Measure the tiles of this TRIDENT or CLAM file, or of each slide's in this folder: "
        "all of them, in their order, whatever tissue they hold.",
        show_default="a grid",
        metavar="FILE",
        per_input=True,
    )
    covering: str | None = option(
        None,
        help="Of imported tiles larger than the model's, all of each is looked at in parts and the "
        "worst decides (whole), or the centre alone is measured, as in results of before, which go "
        "on with that (centre).",
        show_default="whole",
        before="centre",
        choices=("whole", "centre"),
        metavar="HOW",
        per_input=True,
    )
    batch_size: int = option(32, help="Tiles a forward pass.", phase="speed", within=Interval(1))
    num_workers: int = option(
        2,
        help="Threads that read.",
        phase="speed",
        within=Interval(1),
        flags=("--workers",),
    )

    @property
    def window(self) -> int:
        """Tiles that are read ahead: one batch at the model, one ready for it."""
        return 2 * self.batch_size
