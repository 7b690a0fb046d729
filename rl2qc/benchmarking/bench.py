"""A model at the bench: what it says of clean and of damaged images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from rl2qc.benchmarking.result import ArtifactSet, CleanSet, Comparison, Example, LadderResult
from rl2qc.benchmarking.stability import Stability, stability
from rl2qc.images.sources.base import PatchSource, center_crop
from rl2qc.metrics.rl2 import rl2
from rl2qc.metrics.wad_div import wad_div
from rl2qc.model.detectors.book import FILTER_SCORE, SCORES
from rl2qc.model.network.backbone import POOLED
from rl2qc.model.quality import QualityModel
from rl2qc.stats.auc import auc
from rl2qc.stats.resampling import bootstrap
from rl2qc.synthetic.cutouts import paste
from rl2qc.synthetic.degradations import LADDERS, Ladder, degrade

_AREAS = (0.02, 0.05, 0.1, 0.3)


_LEVEL = 0.95


_K = 3


_HALVES = 50


_EXAMPLES = 8


# What the sample sizes are measured with.
_STABILITY = ("blur", 1.0)


Image = NDArray[np.uint8]


@dataclass(frozen=True)
class _Measured:
    """What the model says of a set of images, one row an image."""

    features: NDArray[np.float32]
    latents: NDArray[np.float32]
    scores: dict[str, NDArray[np.float64]]
    keep: NDArray[np.bool_]


class _Made:
    """Images made one by one as they are read; each moves the bar."""

    def __init__(self, make: Callable[[int], Image], n: int, bar: Any) -> None:
        self._make, self._n, self._bar = make, n, bar

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> Image:
        image = self._make(index)
        self._bar.update()
        return image


class _Bench:
    """The clean images and what each damaged set is compared with."""

    def __init__(
        self,
        model: QualityModel,
        source: PatchSource,
        alpha: float,
        n_resamples: int,
        seed: int,
        bar: Any,
    ) -> None:
        self._model, self._alpha, self._seed, self._bar = model, alpha, seed, bar
        self._n_resamples = n_resamples
        self.scores = (FILTER_SCORE, *(score for score in SCORES if score != FILTER_SCORE))
        bar.set_description("clean")
        # Held, since every variant starts from them; variants are made batch by batch.
        self._images = [source[i] for i in range(len(source))]
        self._clean = {model.patch_size: self._measure(self._images.__getitem__, len(source))}
        # The typical one shows the ladders.
        scores = self._reference.scores[FILTER_SCORE]
        self._typical = int(np.argsort(scores)[len(scores) // 2])
        kept = bool(self._reference.keep[self._typical])
        self.examples: dict[str, tuple[Example, ...]] = {}
        self.examples["clean"] = (Example(self._images[self._typical], kept),)

    @property
    def _reference(self) -> _Measured:
        return self._clean[self._model.patch_size]

    def clean_set(self) -> CleanSet:
        latents, rng = self._reference.latents, np.random.default_rng(self._seed)
        half = len(latents) // 2
        orders = (rng.permutation(len(latents)) for _ in range(_HALVES))
        floors = [rl2(latents[o[:half]], latents[o[half:]]).value for o in orders]
        low, middle, high = np.quantile(floors, [(1 - _LEVEL) / 2, 0.5, (1 + _LEVEL) / 2])
        return CleanSet(
            len(latents),
            float(self._reference.keep.mean()),
            float(middle),
            float(low),
            float(high),
            wad_div(self._reference.features, k=_K).value,
        )

    def ladder(self, name: str, ladder: Ladder, severities: Sequence[float]) -> LadderResult:
        rows, pictures = [], []
        for severity in severities:
            self._bar.set_description(f"{name} {severity:g}")

            def make(i: int, severity: float = severity) -> Image:
                return ladder.apply(self._images[i], severity, self._rng(i))

            found = self._measure(make, len(self._images))
            rows.append(self._against_clean(found))
            pictures.append(Example(make(self._typical), bool(found.keep[self._typical])))
        self.examples[f"ladders/{name}"] = tuple(pictures)
        rho = float("nan")
        if len(rows) > 2:
            rho = float(spearmanr(range(len(rows)), [row.rl2 for row in rows]).statistic)
        kind = "degradation" if name in LADDERS else "artifact"
        return LadderResult(ladder.title, ladder.unit, kind, tuple(severities), tuple(rows), rho)

    def cutouts(self, name: str, layers: Sequence[NDArray[np.uint8]]) -> ArtifactSet:
        """Clean images under cut-outs, each of which takes its turn."""
        self._bar.set_description(f"cut-outs {name}")
        covered: list[float] = []
        pictures: list[Image] = []

        def make(i: int) -> Image:
            damaged = paste(self._images[i], layers[i % len(layers)], self._rng(i))
            covered.append(float(damaged.mask.mean()))
            if i < _EXAMPLES:
                pictures.append(damaged.image)
            return damaged.image

        found = self._measure(make, len(self._images))
        self.examples[f"cutouts/{name}"] = self._pictures(pictures, found)
        row = self._against_clean(found, covered=float(np.median(covered)))
        return ArtifactSet(row, self._model.patch_size, len(layers))

    def real(self, name: str, source: PatchSource) -> ArtifactSet:
        """Images of real artifacts against the clean ones, cropped to their size if smaller."""
        self._bar.set_description(name)
        side = source.size
        pictures: list[Image] = []

        def make(i: int) -> Image:
            image = source[i]
            if i < _EXAMPLES:
                pictures.append(image)
            return image

        found = self._measure(make, len(source), side)
        self.examples[f"real/{name}"] = self._pictures(pictures, found)
        if side not in self._clean:
            self._clean[side] = self._measure(
                lambda i: center_crop(self._images[i], side), len(self._images), side
            )
        areas = {
            str(score): auc(
                self._clean[side].scores[score],
                found.scores[score],
                n_resamples=self._n_resamples,
                level=_LEVEL,
                seed=self._seed,
            )
            for score in self.scores
        }
        return ArtifactSet(Comparison(len(source), areas, float(found.keep.mean())), side)

    def stability(self, pool: PatchSource) -> Stability:
        name, severity = _STABILITY
        clean = self._measure(pool.__getitem__, len(pool))
        degraded = self._measure(
            lambda i: degrade(pool[i], name, severity, self._rng(i)), len(pool)
        )
        return stability(
            (clean.features, clean.latents),
            (degraded.features, degraded.latents),
            f"{LADDERS[name].title} of {severity:g} px",
            seed=self._seed,
        )

    def _rng(self, image: int) -> np.random.Generator:
        """The same draws for an image at every severity: they then differ in strength alone."""
        return np.random.default_rng([self._seed, image])

    def _measure(self, make: Callable[[int], Image], n: int, side: int | None = None) -> _Measured:
        size = side or self._model.patch_size
        source = PatchSource(_Made(make, n, self._bar), size, tuple(str(i) for i in range(n)))
        statistics = self._model.statistics(source)
        scores = self._model.scores_(statistics, self.scores)
        features = statistics[:, POOLED].copy()
        return _Measured(
            features,
            self._model.latents_of_features(features),
            # As the calibration has it: what is not finite is as abnormal as can be.
            {str(k): np.where(np.isfinite(v), v, -np.inf) for k, v in scores.items()},
            self._model.judge(statistics)["p_value"] > self._alpha,
        )

    def _against_clean(self, found: _Measured, covered: float = float("nan")) -> Comparison:
        """A damaged copy of every clean image against the clean images."""
        reference = self._reference
        options: dict[str, Any] = {
            "n_resamples": self._n_resamples,
            "level": _LEVEL,
            "seed": self._seed,
        }
        areas = {
            str(score): auc(reference.scores[score], found.scores[score], paired=True, **options)
            for score in self.scores
        }
        shift = found.latents.astype(np.float64) - reference.latents
        interval = bootstrap(
            lambda rows: float(np.linalg.norm(rows.mean(0))),
            shift,
            bounds=(0, np.inf),
            value=rl2(reference.latents, found.latents).value,
            **options,
        )
        diversity = wad_div(found.features, reference.features, k=_K)
        return Comparison(
            len(shift),
            areas,
            float(found.keep.mean()),
            interval.value,
            interval.low,
            interval.high,
            diversity.value,
            diversity.zero,
            covered,
        )

    def _pictures(self, images: Sequence[Image], found: _Measured) -> tuple[Example, ...]:
        return tuple(
            Example(image, bool(keep)) for image, keep in zip(images, found.keep, strict=False)
        )
