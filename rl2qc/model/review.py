"""The least likely patches of a reference, to be looked at before a model is trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import rankdata

from rl2qc.core.files import atomic_path
from rl2qc.core.results import Result
from rl2qc.core.text import layout, number, printable
from rl2qc.html.environment import encode
from rl2qc.html.review_page import ReviewTile, review_page
from rl2qc.images.sources.base import PatchSource
from rl2qc.model.detectors.base import Reference, Scores
from rl2qc.model.detectors.folds import fold_rows
from rl2qc.model.detectors.stages import StageDetector
from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.model.network.statistics import Statistics
from rl2qc.stats.adaptation import judge_own
from rl2qc.stats.looks import corrected
from rl2qc.stats.prior import GeneralPrior

__all__ = ["Review", "listed", "review_reference"]

# What is listed: this share of the reference, and at least so many patches.
SHARE, AT_LEAST = 0.02, 10
# This share is set aside at first, since what was trained on looks normal.
_ASIDE = 0.1
# A sheet of more pictures is no longer looked at; the table has all.
_PICTURES, _COLUMNS = 200, 10
_SIDE, _GAP, _CAPTION, _TITLE = 128, 8, 30, 34
_PAGE_SIDE = 256
_PAPER, _INK, _FAINT = (255, 255, 255), (20, 20, 20), (120, 120, 120)


@dataclass(frozen=True)
class Review(Result):
    """The least likely patches, the least likely first.

    Attributes
    ----------
    source
        The patches.
    score : (n,) float64
        The score "stages" by densities that did not see the patch.
    log_likelihood : (n,) float64
        What the model itself says, nats; of patches that it was trained on, too well.
    p_value : (n,) float64
        Share of the reference that is as suspicious: by the score, and by a general model's
        evidence of damage where there is one, the smaller of both, corrected for two looks.
    n_reference
        Of how many patches these are the least likely.
    groups
        Slide or patient of each; () where they are not known.
    """

    source: PatchSource
    score: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    p_value: NDArray[np.float64]
    n_reference: int
    groups: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Review: the least likely {len(self)} of {self.n_reference} patches>"

    def __len__(self) -> int:
        return len(self.source)

    def csv_rows(self) -> list[dict[str, Any]]:
        """File, score, log_likelihood, p_value, rank; the row number where there is no file.

        ``rl2qc train --exclude`` reads it.
        """
        columns = zip(
            self.source.names,
            self.score.tolist(),
            self.log_likelihood.tolist(),
            self.p_value.tolist(),
            range(1, len(self) + 1),
            strict=True,
        )
        names = ("file", "score", "log_likelihood", "p_value", "rank")
        return [dict(zip(names, row, strict=True)) for row in columns]

    def to_dict(self) -> dict[str, Any]:
        """The patches as plain data, and of how many they are the least likely."""
        return {"n_reference": self.n_reference, "patches": self.csv_rows()}

    def table(self) -> str:
        """Rank, score, p-value and file of each."""
        lines = [("rank", "score", "p-value", "file")]
        for row in self.csv_rows():
            numbers = (str(row["rank"]), number(row["score"]), number(row["p_value"]))
            lines.append((*numbers, printable(row["file"])))
        return "\n".join(layout(lines, right=(0, 1, 2)))

    def to_png(self, path: str | Path) -> None:
        """Draw the first 200 with rank, score and file name: a contact sheet."""
        shown = min(len(self), _PICTURES)
        columns = min(shown, _COLUMNS)
        rows = math.ceil(shown / columns)
        step = _SIDE + _GAP
        size = (columns * step + _GAP, _TITLE + rows * (step + _CAPTION) + _GAP)
        sheet = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(sheet)
        title = f"least likely of {self.n_reference} reference patches"
        if shown < len(self):
            title += f", {shown} of {len(self)}"
        draw.text((_GAP, _GAP), title, _INK, ImageFont.load_default(15))
        font = ImageFont.load_default(11)
        for i in range(shown):
            x = _GAP + i % columns * step
            y = _TITLE + i // columns * (step + _CAPTION)
            picture = Image.fromarray(np.ascontiguousarray(self.source[i]))
            sheet.paste(picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), (x, y))
            draw.text((x, y + _SIDE), f"{i + 1}   p {self.p_value[i]:.2g}", _INK, font)
            draw.text((x, y + _SIDE + 13), _short(self.source.names[i]), _FAINT, font)
        with atomic_path(path) as temporary:
            sheet.save(temporary)

    def first(self, n: int) -> Review:
        """The first ``n`` of them."""
        return Review(
            self.source.take(range(min(n, len(self)))),
            self.score[:n],
            self.log_likelihood[:n],
            self.p_value[:n],
            self.n_reference,
            self.groups[:n],
        )

    def to_html(self, path: str | Path, model: str = "MODEL") -> None:
        """Write a page on which a person marks them; it saves a list for ``train --exclude``.

        Parameters
        ----------
        path
            Where the page goes.
        model
            What the model is called, and so the list.
        """
        groups = self.groups or ("",) * len(self)
        tiles = [
            ReviewTile(
                printable(groups[i]) if groups[i] != name else "",
                *(0, 0, name, float(self.p_value[i]), None, "", 0.0),
                encode(np.ascontiguousarray(self.source[i]), _PAGE_SIDE, kind="overview"),
            )
            for i, name in enumerate(self.source.names)
        ]
        saved = f"{model}.marks.csv"
        page = review_page(
            tiles,
            about=[
                f"{len(self):,} of {self.n_reference:,} reference patches, the least likely first: "
                "p is the share of the reference that is as suspicious, by scores that did not "
                "see the patch."
            ],
            saved=saved,
            command=f"rl2qc train ... --exclude {saved}",
            known="\n".join(sorted(self.source.names)),
        )
        with atomic_path(path) as temporary:
            temporary.write_text(page, encoding="utf-8", errors="surrogateescape")


def review_reference(
    source: PatchSource,
    statistics: Statistics,
    measure: Callable[[Statistics], Mapping[str, NDArray[np.float64]]],
    groups: Sequence[str] | None = None,
    prior: GeneralPrior | None = None,
    at_least: int = AT_LEAST,
) -> Review:
    """Find the 2 % of the reference, at least 10 patches by default, that are least like the rest
    of it, or look damaged most.

    A model finds normal what it was trained on, artifacts included, so its own scores would hide
    them. Here every patch is scored by stage densities that did not see it: out of fold, and after
    a first round has set the least normal tenth aside, as robust estimates of covariance do [1]_.
    A general model's evidence is no density of the reference: what it was taught of damage counts
    beside it. List and p-values are of the same score. Ties keep the order of the reference.

    Parameters
    ----------
    source
        Training and held-out patches.
    statistics : (n, 2048) float32
        Theirs, by the backbone of the model that was trained on them.
    measure
        :meth:`rl2qc.model.quality.QualityModel.measure_statistics` of that model.
    groups
        Slide or patient of each: a patch is not scored by densities that saw others of its group.
    prior
        What the network was taught of damage, whose evidence ends the statistics then.
    at_least
        Patches, however small their share is.

    References
    ----------
    .. [1] Rousseeuw and Van Driessen, "A fast algorithm for the minimum covariance determinant
       estimator", Technometrics 1999 (the C-step).
    """
    score = _out_of_sample(statistics, groups)
    p_value = rankdata(score, "max") / len(score)
    if prior is not None:
        evidence = statistics[:, STATISTICS_DIM:]
        damage = judge_own(evidence, prior)[1].p_value
        p_value = corrected(np.minimum(p_value, damage), np.full(len(score), 2))
    n = max(min(at_least, len(source)), listed(len(source)))
    rows = np.lexsort((score, p_value))[:n]
    likelihood = measure(statistics[rows])["log_likelihood"]
    chosen = () if groups is None else tuple(groups[i] for i in rows)
    return Review(source.take(rows), score[rows], likelihood, p_value[rows], len(source), chosen)


def listed(n: int) -> int:
    """How many of a reference of n patches the list has.

    Examples
    --------
    >>> listed(4), listed(120), listed(1000)
    (4, 10, 20)
    """
    return min(n, max(AT_LEAST, math.ceil(SHARE * n)))


def _out_of_sample(statistics: Statistics, groups: Sequence[str] | None) -> Scores:
    """Score (n,) of each patch by densities that did not see it."""
    # Evidence of a general model is no part of any density.
    statistics = statistics[:, :STATISTICS_DIM]
    fold = fold_rows(len(statistics), groups, seed=0)
    first = StageDetector().fit(Reference(statistics, fold)).out_of_fold_
    kept = first > np.quantile(first, _ASIDE)
    detector = StageDetector().fit(Reference(statistics[kept], fold[kept]))
    score = np.empty(len(statistics))
    score[kept] = detector.out_of_fold_
    score[~kept] = detector.scores(statistics[~kept])
    return score


def _short(name: str, letters: int = 20) -> str:
    """The end of a file name, which tells patches apart; in letters that the font has."""
    text = Path(name).name.encode("ascii", "replace").decode()
    return text if len(text) <= letters else f"..{text[2 - letters :]}"
