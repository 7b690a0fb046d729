"""A model at the bench: what it says of clean and of damaged images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from rl2qc.benchmarking.findings import (
    ArtifactSet,
    CleanSet,
    CorruptionResult,
    DamageResult,
    Example,
    LabResult,
)
from rl2qc.benchmarking.judge import Judge
from rl2qc.benchmarking.laboratories import Laboratory, measure_laboratory
from rl2qc.benchmarking.settings import BenchmarkSettings
from rl2qc.benchmarking.stability import Stability, stability
from rl2qc.core.progress import Step
from rl2qc.images.sources.base import PatchSource, center_crop
from rl2qc.images.sources.images import Image, Images
from rl2qc.metrics.rl2 import rl2
from rl2qc.metrics.wad_div import wad_div
from rl2qc.model.network.backbone import POOLED
from rl2qc.model.quality import QualityModel
from rl2qc.stats.auc import auc
from rl2qc.stats.resampling import bootstrap
from rl2qc.synthetic.corruptions import CORRUPTIONS, CorruptionSpec
from rl2qc.synthetic.cutouts import paste

__all__ = ["LEVEL", "Bench", "K"]

LEVEL = 0.95
"""Of all intervals."""
K = 3
"""Neighbours of WAD-Div."""

_HALVES = 50
_EXAMPLES = 8
# What the sample sizes are measured with.
_STABILITY = ("blur", 1.0)


@dataclass(frozen=True)
class Measured:
    """What the model says of a set of images, one row an image."""

    features: NDArray[np.float32]
    latents: NDArray[np.float32]
    scores: dict[str, NDArray[np.float64]]
    keep: NDArray[np.bool_]


class _Made(Images):
    """Images made one by one as they are read; each is a step."""

    def __init__(self, make: Callable[[int], Image], n: int, step: Step) -> None:
        self._make, self._n, self._step = make, n, step

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: int) -> Image:
        image = self._make(index)
        self._step()
        return image


class Bench:
    """The clean images and what each damaged set is compared with.

    Parameters
    ----------
    model
    source
        Clean images at the model's size.
    settings
    step
        Called once an image.

    Attributes
    ----------
    detectors
        Names of the model's detectors, first the one that decides what the filter keeps.
    examples
        Pictures by place, of what was measured so far.
    """

    def __init__(
        self, model: QualityModel, source: PatchSource, settings: BenchmarkSettings, step: Step
    ) -> None:
        self._model, self._settings, self._step = model, settings, step
        names = model.detectors_.names
        first = model.filter_score
        self.detectors = (first, *(name for name in names if name != first))
        step(0, "clean")
        self._judge: Judge | None = None
        # Held, since every variant starts from them; variants are made batch by batch.
        self._images = [source[i] for i in range(len(source))]
        self._clean = {model.patch_size: self._measure(self._images.__getitem__, len(source))}
        # The typical one shows the corruptions.
        scores = self._reference.scores[first]
        self._typical = int(np.argsort(scores)[len(scores) // 2])
        kept = bool(self._reference.keep[self._typical])
        self.examples: dict[str, tuple[Example, ...]] = {}
        self.examples["clean"] = (Example(self._images[self._typical], kept),)

    @property
    def _reference(self) -> Measured:
        return self._clean[self._model.patch_size]

    def clean_set(self) -> CleanSet:
        """The clean images among themselves."""
        latents = self._reference.latents
        rng = np.random.default_rng(self._settings.seed)
        half = len(latents) // 2
        orders = (rng.permutation(len(latents)) for _ in range(_HALVES))
        values = [rl2(latents[o[:half]], latents[o[half:]]).value for o in orders]
        low, middle, high = np.quantile(values, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
        return CleanSet(
            len(latents),
            float(self._reference.keep.mean()),
            float(middle),
            float(low),
            float(high),
            wad_div(self._reference.features, k=K).value,
        )

    def corruption(self, spec: CorruptionSpec, severities: Sequence[float]) -> CorruptionResult:
        """Every clean image with a corruption, at each severity."""
        rows, pictures = [], []
        for severity in severities:
            self._step(0, f"{spec.name} {severity:g}")

            def make(i: int, severity: float = severity) -> Image:
                return spec(self._images[i], severity, self._rng(i))

            found = self._measure(make, len(self._images))
            rows.append(self._against_clean(found))
            pictures.append(Example(make(self._typical), bool(found.keep[self._typical])))
        self.examples[f"corruptions/{spec.name}"] = tuple(pictures)
        rho = float("nan")
        if len(rows) > 2:
            rho = float(spearmanr(range(len(rows)), [row.rl2 for row in rows]).statistic)
        return CorruptionResult(
            spec.title, spec.unit, spec.kind, tuple(severities), tuple(rows), rho
        )

    def cutouts(self, name: str, layers: Sequence[NDArray[np.uint8]]) -> ArtifactSet:
        """Clean images under cut-outs, each of which takes its turn."""
        self._step(0, f"cut-outs {name}")
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
        self._step(0, name)
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
            detector: auc(
                self._clean[side].scores[detector],
                found.scores[detector],
                n_resamples=self._settings.n_resamples,
                level=LEVEL,
                seed=self._settings.seed,
            )
            for detector in self.detectors
        }
        return ArtifactSet(DamageResult(len(source), areas, float(found.keep.mean())), side)

    def laboratory(self, name: str, lab: Laboratory) -> LabResult:
        """Clean tiles of a laboratory, and the same tiles damaged.

        Raises
        ------
        ImageError
            No tile can be read.
        """
        self._step(0, name)
        result, tiles = measure_laboratory(lab, self._model, self._settings, LEVEL, self._step)
        self.examples[f"labs/{name}"] = tuple(Example(*tile) for tile in tiles[:_EXAMPLES])
        return result

    def stability(self, pool: PatchSource) -> Stability:
        """Metrics against the number of images."""
        self._step(0, "sample sizes")
        spec, severity = CORRUPTIONS.get(_STABILITY[0]), _STABILITY[1]
        clean = self._measure(pool.__getitem__, len(pool))
        degraded = self._measure(lambda i: spec(pool[i], severity, self._rng(i)), len(pool))
        return stability(
            (clean.features, clean.latents),
            (degraded.features, degraded.latents),
            f"{spec.title} of {severity:g} px",
            seed=self._settings.seed,
        )

    def _rng(self, image: int) -> np.random.Generator:
        """The same draws for an image at every severity: they then differ in strength alone."""
        return np.random.default_rng([self._settings.seed, image])

    def _measure(self, make: Callable[[int], Image], n: int, side: int | None = None) -> Measured:
        size = side or self._model.patch_size
        source = PatchSource(_Made(make, n, self._step), size, tuple(str(i) for i in range(n)))
        statistics = self._model.statistics(source)
        if self._judge is None:  # the clean images come first
            self._judge = Judge(self._model, statistics)
            filter_scores, p_values = self._judge.scores, self._judge.p_values
        else:
            filter_scores, p_values = self._judge(statistics)
        scores = self._model.detectors_(statistics, self.detectors[1:])
        features = statistics[:, POOLED].copy()
        return Measured(
            features,
            self._model.latents_of_features(features),
            # As the calibration has it: what is not finite is as abnormal as can be.
            {self.detectors[0]: filter_scores}
            | {str(k): np.where(np.isfinite(v), v, -np.inf) for k, v in scores.items()},
            p_values > self._settings.alpha,
        )

    def _against_clean(self, found: Measured, covered: float = float("nan")) -> DamageResult:
        """A damaged copy of every clean image against the clean images."""
        reference = self._reference
        options: dict[str, Any] = {
            "n_resamples": self._settings.n_resamples,
            "level": LEVEL,
            "seed": self._settings.seed,
        }
        areas = {
            detector: auc(
                reference.scores[detector], found.scores[detector], paired=True, **options
            )
            for detector in self.detectors
        }
        shift = found.latents.astype(np.float64) - reference.latents
        interval = bootstrap(
            lambda rows: float(np.linalg.norm(rows.mean(0))),
            shift,
            bounds=(0, np.inf),
            value=rl2(reference.latents, found.latents).value,
            **options,
        )
        diversity = wad_div(found.features, reference.features, k=K)
        return DamageResult(
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

    def _pictures(self, images: Sequence[Image], found: Measured) -> tuple[Example, ...]:
        return tuple(
            Example(image, bool(keep)) for image, keep in zip(images, found.keep, strict=False)
        )
