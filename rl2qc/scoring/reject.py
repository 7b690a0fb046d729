"""Reject a generator that is not diverse enough, after as few images as that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.progress import Progress, track
from rl2qc.core.provenance import versions
from rl2qc.core.results import Result
from rl2qc.core.schemas import load_schema
from rl2qc.core.text import layout, number
from rl2qc.errors import UsageError
from rl2qc.features.base import FeatureExtractor
from rl2qc.features.cache import FeatureCache
from rl2qc.features.find import find_extractors
from rl2qc.images.encoding import encoding_differences
from rl2qc.images.sources.base import Patches
from rl2qc.images.sources.images import PatchSource
from rl2qc.images.sources.notes import difference_warnings, sized_abouts
from rl2qc.images.sources.sizes import at_one_size
from rl2qc.metrics._duplicates import first_occurrences
from rl2qc.metrics.irs_counts import irs_from_counts
from rl2qc.metrics.irs_rejection import RejectionPlan, beside_real, rejection_plan
from rl2qc.metrics.neighbors import kneighbors
from rl2qc.model.quality import DEFAULT_MODEL, QualityModel
from rl2qc.scoring.encoding import encoding_of
from rl2qc.scoring.settings import RejectSettings

__all__ = ["SCHEMA_VERSION", "Rejection", "Retrieval", "reject", "schema"]

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Rejection(Result):
    """Whether a generator was rejected, and after how many images.

    Attributes
    ----------
    rejected
        Whether it is less diverse than wanted, at the error probability asked for.
    n_read, n_generated
        Images that were read before that was certain, and all that there are.
    n_train
        Training images, equal ones counted once.
    retrieved
        Distinct training images among the nearest of those that were read.
    irs, irs_low, irs_high
        IRS_inf of these images, of the share that real images reach where unseen ones were given.
    looks
        At each number of images that was looked at: how many distinct training images there were,
        and with how few the generator would have been rejected.
    error
        Probability of rejecting a generator that is as diverse as wanted, over all looks.
    warnings, provenance

    Examples
    --------
    >>> made = {"settings": {"diversity": 0.8}}
    >>> looks = ((10, 4, 5),)
    >>> found = Rejection(True, 10, 99, 50, 4, 0.1, 0.05, 0.3, looks, 0.05, provenance=made)
    >>> found.csv_rows()
    [{'n': 10, 'retrieved': 4, 'rejects_at_most': 5}]
    """

    rejected: bool
    n_read: int
    n_generated: int
    n_train: int
    retrieved: int
    irs: float
    irs_low: float
    irs_high: float
    looks: tuple[tuple[int, int, int], ...]
    error: float
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        what = "rejected after" if self.rejected else "not rejected by"
        return f"<Rejection: {what} {self.n_read} of {self.n_generated} images>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as the schema in the package describes it (:func:`schema`)."""
        return {
            "schema_version": SCHEMA_VERSION,
            **{name: getattr(self, name) for name in _PLAIN},
            "looks": [dict(zip(_LOOK, look, strict=True)) for look in self.looks],
            "warnings": list(self.warnings),
            "provenance": dict(self.provenance),
        }

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """One line a look."""
        return [dict(zip(_LOOK, look, strict=True)) for look in self.looks]

    def table(self) -> str:
        """The looks, and what came of them."""
        rows = [("images", "distinct", "rejects at most")]
        rows += [(str(n), str(k), str(most or "-")) for n, k, most in self.looks]
        return "\n".join([*layout(rows, right=(0, 1, 2)), "", self.sentence()])

    def sentence(self) -> str:
        """What came of it, in a sentence."""
        settings = self.provenance["settings"]
        wanted = f"{settings['diversity']:.0%} of {self.n_train} training images"
        share = f"IRS_inf {number(self.irs)} [{number(self.irs_low)}, {number(self.irs_high)}]"
        if self.rejected:
            return (
                f"rejected after {self.n_read} of {self.n_generated} images: {self.retrieved} "
                f"distinct training images are too few for a generator of {wanted} "
                f"(error {self.error:.2g} over all looks); {share}"
            )
        read = "one image" if self.n_read == 1 else f"{self.n_read} images"
        return (
            f"not rejected by {read}: {self.retrieved} distinct training images "
            f"may come from a generator of {wanted}; {share}"
        )


_LOOK = ("n", "retrieved", "rejects_at_most")
_PLAIN = (
    "rejected",
    "n_read",
    "n_generated",
    "n_train",
    "retrieved",
    "irs",
    "irs_low",
    "irs_high",
    "error",
)


class Retrieval:
    """Training images that generated ones retrieve, counted as these come.

    Parameters
    ----------
    train : (N, d)
        Features of the training images; equal ones are one.
    distance
        "euclidean" or "cosine".

    """

    def __init__(self, train: NDArray[np.float32], distance: Any = "euclidean") -> None:
        first = first_occurrences(train, distance)
        self._train, self._distance = train[np.unique(first)], distance
        self._counts = np.zeros(len(self._train), np.intp)

    @property
    def n_train(self) -> int:
        """Training images, equal ones counted once."""
        return len(self._train)

    @property
    def retrieved(self) -> int:
        """How many of them were the nearest to a generated image."""
        return int(np.count_nonzero(self._counts))

    @property
    def n(self) -> int:
        """Generated images so far."""
        return int(self._counts.sum())

    @property
    def counts(self) -> NDArray[np.intp]:
        """How often each of the training images was the nearest that ever was."""
        return self._counts[self._counts > 0]

    def of(self, images: NDArray[np.float32]) -> Retrieval:
        """What other images retrieve of the same training images."""
        other = Retrieval(self._train, self._distance)
        other.add(images)
        return other

    def add(self, generated: NDArray[np.float32]) -> None:
        """Look up the nearest training image of each."""
        nearest = kneighbors(generated, self._train, 1, distance=self._distance).indices
        self._counts += np.bincount(nearest[:, 0], minlength=len(self._counts))


def reject(
    generated: Patches,
    train: Patches,
    model: str | Path | QualityModel = DEFAULT_MODEL,
    settings: RejectSettings | None = None,
    *,
    unseen: Patches | None = None,
    progress: bool | Progress = False,
    **changes: Any,
) -> Rejection:
    """Whether a generator covers less of its training images than wanted.

    No more of it is read than that takes.

    Each generated image retrieves its nearest training image. A generator that draws uniformly
    from the wanted share of them retrieves a known number of distinct ones; with fewer it is
    rejected, at the first look that is certain. Looks come at numbers that grow by a quarter, and
    all of them together err with probability ``alpha``.

    Parameters
    ----------
    generated
        Images of the generator; read in random order.
    train
        Those that it was trained on.
    model
        Name of a model, a model file, or a model.
    settings
        Wanted diversity, error probability, features.
    unseen
        Real images that the generator has not seen: what not even these retrieve is not held
        against it.
    progress
        Show a bar on the standard error, or call a function with (done, total, what).
    **changes
        Single settings: ``diversity=0.9``.

    Raises
    ------
    UsageError
        Options out of range, or sets that are empty.
    ImageError
        Files that are no images or too small.

    References
    ----------
    Dombrowski et al., "Image generation diversity issues and how to tame them", CVPR 2025,
    supplement, section 7.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> train = rng.integers(0, 256, (60, 64, 64, 3), np.uint8)
    >>> few = train[rng.integers(0, 6, 100)]
    >>> found = reject(few, train, "histology", cache=False)
    >>> found.rejected, found.n_read < 100
    (True, True)
    """
    settings = RejectSettings.resolve(settings, changes)
    judge = QualityModel.load(model) if isinstance(model, str | Path) else model
    given = {"train": train, "generated": generated}
    sources, warnings = at_one_size(
        given if unseen is None else {**given, "unseen": unseen}, judge.patch_size
    )
    sized = {title: sized_abouts(source) for title, source in sources.items()}
    warnings = [*warnings, *difference_warnings(sized, next(iter(sources.values())).size)]
    warnings += _stored_differently(sources)
    extractors = find_extractors(settings.features, judge, list(sources))
    measure = _Measuring(settings, FeatureCache() if settings.cache else None)
    known = Retrieval(measure(sources["train"], extractors["train"]), settings.distance)
    if known.n_train < 2:
        raise UsageError("the training set holds one image, or copies of one: give more")
    total, share = len(sources["generated"]), 1.0
    plan = rejection_plan(known.n_train, total, settings.diversity, settings.alpha)
    if unseen is None:
        warnings.append(
            "without real images that the generator has not seen (--unseen) it is held against "
            "the generator that features do not retrieve every training image even for real ones"
        )
    else:
        of_real = known.of(measure(sources["unseen"], extractors["unseen"]))
        plan, share = beside_real(plan, known.n_train, settings.diversity, of_real.counts)
    order = np.random.default_rng(settings.seed).permutation(total)
    looks, found = [], False
    with track(progress, "images", total) as step:
        for n, most in zip(plan.looks, plan.most, strict=True):
            some = sources["generated"].take(order[known.n : n])
            step(len(some))
            known.add(measure(some, extractors["generated"]))
            looks.append((n, known.retrieved, most))
            if found := plan.rejects(n, known.retrieved):
                break
    return _result(known, looks, found, plan, total, share, warnings, {
        "features": extractors["train"].name,
        "features_identity": extractors["train"].identity,
        "checkpoint": judge.name,
        "checkpoint_sha256": judge.sha256,
        "patch_size": sources["train"].size,
        "retrieved_by_real": share,
        "settings": {**settings.record(), "features": extractors["train"].name},
        "versions": versions(),
    })  # fmt: skip


def _stored_differently(sources: Mapping[str, PatchSource]) -> list[str]:
    """What the files say of how the sets are encoded; their pixels are not all read."""
    stored = {title: encoding_of(source, None) for title, source in sources.items()}
    return [
        f"{'; '.join(d.words for d in found).replace('generated', title)}. That alone moves which "
        "images are retrieved: save all sets alike"
        for title, encoding in stored.items()
        if title != "train" and (found := encoding_differences(stored["train"], encoding))
    ]


@dataclass(frozen=True)
class _Measuring:
    settings: RejectSettings
    cache: FeatureCache | None

    def __call__(self, source: PatchSource, by: FeatureExtractor) -> NDArray[np.float32]:
        if self.cache is not None and by.cached:
            return self.cache.features(by, source)
        return by.extract(source)


def _result(
    known: Retrieval,
    looks: Sequence[tuple[int, int, int]],
    found: bool,
    plan: RejectionPlan,
    total: int,
    share: float,
    warnings: Sequence[str],
    made: Mapping[str, Any],
) -> Rejection:
    irs = irs_from_counts(known.retrieved, known.n, known.n_train, made["settings"]["alpha"])
    low, value, high = (min(x / share, 1.0) for x in (irs.low, irs.value, irs.high))
    return Rejection(
        found,
        known.n,
        total,
        known.n_train,
        known.retrieved,
        value,
        low,
        high,
        tuple(looks),
        plan.error,
        tuple(warnings),
        made,
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of :meth:`Rejection.to_dict`."""
    return load_schema("scoring", "rejection")
