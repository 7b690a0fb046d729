"""Several extractors side by side: what each makes of the same images, and how far they agree.

The table of medigan (Osuala et al., 2023, Table 4: real against real, real against generated and
their ratio, by extractor), and the agreement of extractors and their measurement gap as the
supplement of the image retrieval score has them (Dombrowski et al., CVPR 2025, Tables 1 and 4 to
6). FIDs differ by an order of magnitude between extractors: a score is quoted with its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.text import layout, number, percent
from rl2qc.metrics.irs_counts import irs_expected
from rl2qc.metrics.matrices import halves
from rl2qc.metrics.neighbors import kneighbors
from rl2qc.metrics.retrieval import NO_CONSENSUS, consensus, consensus_scores, retrieval_agreement
from rl2qc.scoring.baselines import Baselines
from rl2qc.scoring.card_rows import card_rows
from rl2qc.scoring.image_sets import ByExtractor, ImageSet
from rl2qc.scoring.results import MetricResult, plain
from rl2qc.scoring.rows import Stacks
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import METRICS, MetricSpec

__all__ = ["ExtractorRow", "Retrieval", "SideBySide", "side_by_side"]

# Generated images whose retrievals are compared.
_QUERIES = 2_000


@dataclass(frozen=True)
class Retrieval:
    """How much of real images other real ones retrieve by one extractor (IRS_real).

    Attributes
    ----------
    share
        Of the training images.
    ideal
        What uniform draws would retrieve: what is missing is the extractor's measurement gap.
    n_train, n_queries
        Images.
    """

    share: float
    ideal: float
    n_train: int
    n_queries: int


@dataclass(frozen=True)
class ExtractorRow:
    """What one extractor makes of one generated set.

    Attributes
    ----------
    features, identity, dim
        The extractor.
    generator
        Title of the generated set.
    metrics
        By name, each with interval and baseline.
    irs_real
        Of the real set; None where it cannot be halved.
    consensus
        How often it retrieves what most extractors do, where most agree; NaN for two extractors.
    """

    features: str
    identity: str
    dim: int
    generator: str
    metrics: Mapping[str, MetricResult]
    irs_real: Retrieval | None
    consensus: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "features": self.features,
            "identity": self.identity,
            "dim": self.dim,
            "generator": self.generator,
            "metrics": {name: m.to_dict() for name, m in self.metrics.items()},
            "irs_real": None if self.irs_real is None else vars(self.irs_real),
            "consensus": plain(self.consensus),
        }


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Extractors side by side.

    Attributes
    ----------
    rows
        A row an extractor and generated set.
    agreement : (k, k) float64
        How often two of the k extractors retrieve the same real image for a generated one.
    n_queries
        Generated images that this is known from.
    agreed
        Share of them for which most extractors retrieve the same; NaN for two extractors.

    Examples
    --------
    >>> import rl2qc
    >>> images = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), dtype=np.uint8)
    >>> card = rl2qc.score(
    ...     images[:12], images[12:], "histology", features=["model", "latents"],
    ...     metrics=["coverage"], n_resamples=0)
    >>> [row.features for row in card.extractors.rows], card.extractors.agreement.shape
    (['model', 'latents'], (2, 2))
    """

    rows: tuple[ExtractorRow, ...]
    agreement: NDArray[np.float64]
    n_queries: int
    agreed: float

    @property
    def features(self) -> tuple[str, ...]:
        """The extractors' names."""
        return tuple(dict.fromkeys(row.features for row in self.rows))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.metrics))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "rows": [row.to_dict() for row in self.rows],
            "agreement": self.agreement.tolist(),
            "n_queries": self.n_queries,
            "agreed": plain(self.agreed),
        }

    def cells(self) -> list[list[str]]:
        """Header and rows: each metric, in brackets that of real images against real ones."""
        directed = {n: METRICS.get(n).higher_is_better for n in self.metrics}
        arrows = {True: " ↑", False: " ↓", None: ""}
        named = [f"{n}{arrows[directed[n]]} (real)" for n in self.metrics]
        last = ["consensus"] if self._has_consensus else []
        table = [[*self._titles(), "dim", *named, "IRS_real (ideal)", *last]]
        for row in self.rows:
            values = [_beside(row.metrics[n]) if n in row.metrics else "-" for n in self.metrics]
            gap = "-" if (r := row.irs_real) is None else f"{percent(r.share)} ({percent(r.ideal)})"
            share = [percent(row.consensus)] if self._has_consensus else []
            titles = [getattr(row, name) for name in self._titles()]
            table.append([*titles, str(row.dim), *values, gap, *share])
        return table

    @property
    def _has_consensus(self) -> bool:
        return not math.isnan(self.agreed)

    def _titles(self) -> list[str]:
        several = len({row.generator for row in self.rows}) > 1
        return ["generator", "features"] if several else ["features"]

    def agreement_cells(self) -> list[list[str]]:
        """Header and rows of the agreement."""
        names = self.features
        rows = zip(names, self.agreement, strict=True)
        return [["", *names], *([name, *map(percent, row)] for name, row in rows)]

    def notes(self) -> list[str]:
        """What the numbers mean, a sentence each."""
        gap = next((row.irs_real for row in self.rows if row.irs_real is not None), None)
        lines = [
            "Values at the baseline's numbers of images, in brackets real against real: numbers of "
            "different features cannot be compared, only what they say of the same images."
        ]
        if gap is not None:
            lines.append(
                f"IRS_real: share of {gap.n_train} real images that {gap.n_queries} others "
                "retrieve, in brackets what uniform draws would: the gap is the extractor's, not "
                "the generator's."
            )
        said = f"Agreement: two extractors retrieve the same real image, of {self.n_queries}"
        lines.append(f"{said} generated ones.")
        if self._has_consensus:
            lines.append(
                f"Consensus: for {percent(self.agreed)} of them most extractors retrieve the same; "
                "how often each is with them."
            )
        return lines

    def table(self) -> str:
        """Both tables for the terminal."""
        cells = self.cells()
        lines = layout(cells, right=range(len(self._titles()), len(cells[0])))
        lines += ["", *layout(self.agreement_cells(), right=range(1, len(self.features) + 1))]
        return "\n".join([*lines, "", *self.notes()])


def side_by_side(
    by_extractor: Sequence[ByExtractor],
    titles: Sequence[str],
    specs: Sequence[MetricSpec],
    settings: ScoreSettings,
) -> SideBySide | None:
    """The table of several extractors; None of fewer than two.

    Parameters
    ----------
    by_extractor
        The same sets by each.
    titles
        Of the generated sets.
    specs
        Metrics that were asked for: those of features are taken, where none was named those that
        extractors are held against each other by.
    settings
    """
    if len(by_extractor) < 2:
        return None
    chosen = [s for s in specs if _of_features(s) and (settings.metrics or s.by_extractor)]
    found = [_retrieved(by, titles, settings) for by in by_extractor]
    retrieved = np.stack(found)
    enough = len(by_extractor) > 2
    with_most = consensus_scores(retrieved) if enough else np.full(len(found), math.nan)
    rows = []
    for by, share in zip(by_extractor, with_most, strict=True):
        gap = _irs_real(by.sets["real"], settings)
        for title in titles:
            metrics = _metrics(chosen, by.sets["real"], by.sets[title], settings)
            rows.append(
                ExtractorRow(by.name, by.identity, by.dim, title, metrics, gap, float(share))
            )
    agreed = float((consensus(retrieved) != NO_CONSENSUS).mean()) if enough else math.nan
    # By generator, so that what is compared stands together.
    order = sorted(rows, key=lambda row: titles.index(row.generator))
    return SideBySide(tuple(order), retrieval_agreement(retrieved), retrieved.shape[1], agreed)


def _of_features(spec: MetricSpec) -> bool:
    return spec.of != "real" and set(spec.needs) <= {"features", "unseen"}


def _metrics(
    specs: Sequence[MetricSpec], real: ImageSet, generated: ImageSet, settings: ScoreSettings
) -> dict[str, MetricResult]:
    stacks = Stacks((real, generated), settings)
    return dict(card_rows([stacks.of(spec) for spec in specs], Baselines(stacks)).rows)


def _retrieved(by: ByExtractor, titles: Sequence[str], settings: ScoreSettings) -> NDArray[np.intp]:
    """The nearest real image of each generated one; the same queries whatever the extractor."""
    each = max(_QUERIES // len(titles), 1)
    drawn = [(by.sets[t], by.sets[t].drawn(each, settings.seed)) for t in titles]
    queries = np.concatenate([s.features[rows] for s, rows in drawn])
    return _nearest(queries, by.sets["real"].features, settings)


def _irs_real(real: ImageSet, settings: ScoreSettings) -> Retrieval | None:
    """Unseen real images retrieve the others; without them a half of the real set the other."""
    if real.unseen is not None:
        train, queries = real.features, real.unseen.features
    else:
        try:
            kept, aside = halves(np.arange(len(real)), real.groups, settings.seed)
        except ValueError:
            return None
        train, queries = real.features[kept], real.features[aside]
    n, m = len(train), len(queries)
    share = len(np.unique(_nearest(queries, train, settings))) / n
    return Retrieval(share, irs_expected(n, m).mean / n, n, m)


def _nearest(
    queries: NDArray[np.float32], reference: NDArray[np.float32], settings: ScoreSettings
) -> NDArray[np.intp]:
    return kneighbors(queries, reference, 1, distance=settings.distance).indices[:, 0]


def _beside(row: MetricResult) -> str:
    if math.isnan(row.baseline):
        return number(row.value)
    return f"{number(row.observed)} ({number(row.baseline)})"
