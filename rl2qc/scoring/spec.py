"""What a metric says of itself: all that cards, comparisons and their files know of it.

A metric is a function and a :class:`MetricSpec` that is registered. Nothing anywhere asks for a
metric by its name; what is special about one is a field of its spec.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from rl2qc.core.registry import Registry
from rl2qc.errors import UsageError

if TYPE_CHECKING:
    from rl2qc.metrics.matrices import Matrices, Rows
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.results import Curve, MetricResult
    from rl2qc.stats.difference import Difference

__all__ = [
    "ANY",
    "METRICS",
    "NOT_NEGATIVE",
    "SHARE",
    "Alarm",
    "MetricSpec",
    "Need",
    "Value",
    "chosen_metrics",
    "register_metric",
]

Need: TypeAlias = Literal["features", "latents", "likelihood", "pixels", "probabilities", "unseen"]
Shown: TypeAlias = Literal["always", "on request", "with unseen"]
CopiesLie: TypeAlias = Literal["below", "above", ""]
Question: TypeAlias = Literal["Realism", "Diversity", "Memorisation", "Coverage", ""]
Side: TypeAlias = Literal["both", "generated", "real"]

ANY = (-math.inf, math.inf)
NOT_NEGATIVE = (0.0, math.inf)
SHARE = (0.0, 1.0)

_NAN = math.nan
# A name is a key in JSON and a cell in CSV; the schemas hold the same pattern.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# What can be resampled by rows: an array of all images at once.
_STACKED = {"features", "latents", "pixels"}


@dataclass(frozen=True)
class Value:
    """What a metric found on whole sets, where a bare number does not say it all.

    Attributes
    ----------
    value
        NaN where it is not defined; ``note`` says why.
    note
        How it was made.
    low, high, method
        An interval of its own, and what it comes from: it is then not resampled.
    of_independent
        That interval takes all images for independent: where slides or patients are known, it is
        joined with one that resamples these.
    std
        Standard deviation of the parts that the value is the mean of, such as KID's subsets.
    error
        Standard error of the value.
    unjudged
        Why no verdict must be read off the value; it then takes the verdict's place.
    n_real, n_generated
        Images that it was computed on; those of the sets where left out.
    """

    value: float
    note: str = ""
    low: float = _NAN
    high: float = _NAN
    method: str = ""
    of_independent: bool = False
    std: float = _NAN
    error: float = _NAN
    unjudged: str = ""
    n_real: int | None = None
    n_generated: int | None = None


class Alarm(str):
    """Words of a verdict that a reader must not miss."""


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A metric of the scorecard.

    Parameters
    ----------
    name
        Letters, digits and underscores.
    needs
        What it is computed from: "features" of the extractor that was chosen, the model's
        "latents" or its "likelihood" (and who is kept), "pixels", a classifier's
        "probabilities"; "unseen" asks for real images that the generator has not seen.
    higher_is_better : bool or None
        None where neither direction is good in itself.
    meaning
        What it says, in a few plain words.
    below, above
        What it means to lie below or above real images that are compared with real ones.
    compute : callable
        ``compute(real, generated, settings)`` of two :class:`~rl2qc.scoring.image_sets.ImageSet`,
        which hold what the metric needs, and :class:`~rl2qc.scoring.settings.ScoreSettings`: a
        float or a :class:`Value`. Several specs may share one
        function that gives a mapping by name; it is called once. A ``ValueError`` says in one line
        why there is no value.
    rows : callable, optional
        ``rows(matrices, real, generated, settings)``: the same of rows of the
        :class:`~rl2qc.metrics.matrices.Matrices` of all images, fast. Without it ``compute`` is
        called on each resample.
    tolerance
        By what share the value may change with the order of the images, or between ``rows`` and
        ``compute``, where random draws are made.
    order
        Place in the table; others come behind those of the package.
    of : {"both", "generated", "real"}
        The sets that it looks at. One of the real set alone has no baseline, and no place in a
        comparison.
    resample : {"subsample", "bootstrap"} or None
        How the interval is made: repeated images, which a bootstrap has, corrupt metrics of
        neighbours. None for a metric whose ``compute`` gives the interval.
    resamples_at_most
        For metrics that cost much.
    bounds
        Range of the metric.
    share
        Whether it is a share of images, whose interval is never narrower than that of Clopper and
        Pearson; so are all that lie in ``(0, 1)`` where left out.
    enough
        Images in the smaller set below which it has not settled; 0 where any number will do.
    fits_covariance
        Whether it is biased for fewer images than dimensions.
    depends_on_n
        Whether its expected value shifts with the number of generated images.
    check : callable, optional
        ``check(title, n, settings)``: raise ``UsageError`` for a set of ``n`` images that is too
        small to be asked for the metric at all.
    baseline : callable, optional
        What it is compared with (a rule of :mod:`rl2qc.scoring.baselines`); parts of the real set
        against each other where left out.
    from_baselines : callable, optional
        ``from_baselines(metric, baselines)`` gives the value in place of ``compute`` where there
        are baselines: one that they hold.
    curve : bool or callable
        Whether it is drawn against the number of images; a function
        ``curve(curve, real, generated, settings)`` adds what it knows of the limit.
    shown : {"always", "on request", "with unseen"}
        When it is computed without being asked for by name.
    verdict : callable, optional
        ``verdict(result, n_copies)``: words for a case of its own (an
        :class:`Alarm` where they must not be missed), or None.
    compared : callable, optional
        ``compared(difference)``: the same in a comparison of two generated sets.
    copies
        On which side of the baseline copies of real images lie, "below" or "above"; "" where they
        are not told from others. Its words may end in ": copies?", which paired scenes are not
        asked.
    question
        Which question of the card it answers: "Realism", "Diversity", "Memorisation" (of real
        images), "Coverage" (of what real images show); "" for none.
    recommended
        Whether it stands in the short table, and answers that question.
    cite
        BibTeX entries to be cited with it ("@article{...}"), or keys of those of the package.
    published
        What it must not be taken for, being on other features: "the published Inception FID".
    paper
        The paper that reports its scores in this form, where there are several.
    on_scale
        Whether it is a distance of latents that rises with what is done to images: it is then told
        how much JPEG or blur moves real ones as far.
    by_extractor
        Whether several extractors are held against each other by it, unless metrics are named.
    more
        What a higher value is called in a comparison, where it is not simply better.

    Examples
    --------
    >>> def shift(real, generated, settings):
    ...     return float(abs(real.features.mean() - generated.features.mean()))
    >>> spec = MetricSpec(
    ...     name="shift", needs="features", higher_is_better=False,
    ...     meaning="shift of the mean", below="nearer than real sets", above="farther",
    ...     compute=shift)
    >>> spec.needs, spec.resample, spec.shown
    (('features',), 'subsample', 'always')
    """

    name: str
    needs: Need | tuple[Need, ...]
    higher_is_better: bool | None
    meaning: str
    below: str
    above: str
    compute: Callable[[ImageSet, ImageSet, Any], Any]
    rows: Callable[[Matrices, Rows, Rows, Any], Any] | None = None
    tolerance: float = 1e-4
    order: float = 1000.0
    of: Side = "both"
    resample: Literal["subsample", "bootstrap"] | None = "subsample"
    resamples_at_most: int | None = None
    bounds: tuple[float, float] = ANY
    share: bool | None = None
    enough: int = 0
    fits_covariance: bool = False
    depends_on_n: bool = True
    check: Callable[[str, int, Any], None] | None = None
    baseline: Callable[[Any, Value, Any], Any] | None = None
    from_baselines: Callable[[Any, Any], Value] | None = None
    curve: bool | Callable[[Curve, ImageSet, ImageSet, Any], Curve] = True
    shown: Shown = "always"
    verdict: Callable[[MetricResult, int], str | None] | None = None
    compared: Callable[[Difference], str | None] | None = None
    copies: CopiesLie = ""
    question: Question = ""
    recommended: bool = False
    cite: tuple[str, ...] = ()
    published: str = ""
    paper: str = ""
    on_scale: bool = False
    by_extractor: bool = False
    more: str = ""

    def __post_init__(self) -> None:
        needs = (self.needs,) if isinstance(self.needs, str) else tuple(self.needs)
        object.__setattr__(self, "needs", needs)
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise UsageError(
                f"a metric's name has letters, digits and underscores, got {self.name!r}"
            )
        if unknown := set(needs) - set(get_args(Need)):
            known = ", ".join(get_args(Need))
            raise UsageError(f"{self.name} needs {unknown.pop()!r}: choose from {known}")
        if not set(needs) - {"unseen"}:
            raise UsageError(f"{self.name} must need something of the images: features, pixels, ..")
        if self.rows is not None and not _STACKED & set(needs):
            raise UsageError(f"{self.name}: rows are of features, latents or pixels")
        for name, kind in (
            ("of", Side),
            ("shown", Shown),
            ("copies", CopiesLie),
            ("question", Question),
        ):
            if getattr(self, name) not in get_args(kind):
                known = ", ".join(filter(None, get_args(kind)))
                raise UsageError(f"{self.name}: {name} must be one of {known}")
        if self.resample not in ("subsample", "bootstrap", None):
            raise UsageError(f"{self.name}: resample must be subsample, bootstrap or None")
        if not self.bounds[0] < self.bounds[1]:
            raise UsageError(f"{self.name}: bounds must be a lower and an upper one")
        if self.share is None:
            object.__setattr__(self, "share", tuple(self.bounds) == SHARE)
        elif self.share and tuple(self.bounds) != SHARE:
            raise UsageError(f"{self.name}: a share lies in (0, 1)")

    @property
    def resampled_bounds(self) -> tuple[float, float]:
        """Bounds for resampling, which takes 0 and 1 for those of a share."""
        return ANY if tuple(self.bounds) == SHARE and not self.share else self.bounds

    def resamples(self, n: int) -> int:
        """How many resamples the metric gets where ``n`` are asked for."""
        return n if self.resamples_at_most is None else min(n, self.resamples_at_most)


METRICS: Registry[MetricSpec] = Registry(
    "metric", room="rl2qc.scoring.specs", group="rl2qc.metrics"
)
"""All metrics by name: those of :mod:`rl2qc.scoring.specs`, of other packages (entry points of the
group ``rl2qc.metrics``) and of scripts (:func:`register_metric`)."""


def register_metric(spec: MetricSpec, *, replace: bool = False) -> MetricSpec:
    """Add a metric to cards, comparisons, their files and pages.

    Parameters
    ----------
    spec
        The metric.
    replace
        Take the place of a metric of that name.

    Raises
    ------
    UsageError
        There is a metric of that name, and ``replace`` is False.

    Examples
    --------
    >>> def shift(real, generated, settings):
    ...     return float(abs(real.features.mean() - generated.features.mean()))
    >>> spec = register_metric(MetricSpec(
    ...     name="shift", needs="features", higher_is_better=False,
    ...     meaning="shift of the mean", below="nearer than real sets", above="farther",
    ...     compute=shift))
    >>> "shift" in METRICS
    True
    >>> METRICS.unregister("shift")
    """
    return METRICS.register(spec, replace=replace)


def chosen_metrics(names: Sequence[str] | None, *, unseen: bool = False) -> tuple[MetricSpec, ...]:
    """The metrics asked for, in the order of the table.

    Parameters
    ----------
    names
        None asks for all but those that are computed on request alone.
    unseen
        Whether there are real images that the generator has not seen.

    Raises
    ------
    UsageError
        For a name that is no metric, or none at all.

    Examples
    --------
    >>> [spec.name for spec in chosen_metrics(["fid", "rl2"])]
    ['rl2', 'fid']
    """
    if names is None:
        shown = {"always", "with unseen"} if unseen else {"always"}
        return tuple(spec for spec in METRICS if spec.shown in shown)
    if not names:
        raise UsageError("no metrics chosen: name at least one")
    wanted = {METRICS.get(name).name for name in names}
    return tuple(spec for spec in METRICS if spec.name in wanted)
