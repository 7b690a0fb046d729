"""The benchmark: a model's scores against degraded, drawn, pasted and real artifacts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from rl2qc.errors import ImageError, UsageError
from rl2qc.images.artifacts import ARTIFACTS
from rl2qc.images.cutouts import Positions, paste, read_cutout
from rl2qc.images.degrade import LADDERS, Ladder, degrade
from rl2qc.images.sources import Patches, PatchSource, as_source, center_crop, image_size
from rl2qc.metrics.auc import auc
from rl2qc.metrics.resampling import bootstrap
from rl2qc.metrics.rl2 import rl2
from rl2qc.metrics.wad_div import wad_div
from rl2qc.model.backbone import POOLED
from rl2qc.model.quality import DEFAULT_MODEL, QualityModel
from rl2qc.model.scale import check_scale
from rl2qc.model.scores import FILTER_SCORE, SCORES
from rl2qc.progress import progress_bar
from rl2qc.reports.artifact_folders import ArtifactFolders, find_artifacts
from rl2qc.reports.benchmark_result import (
    ArtifactSet,
    Benchmark,
    CleanSet,
    Comparison,
    Example,
    LadderResult,
)
from rl2qc.reports.scoring import versions
from rl2qc.reports.stability import SIZES, Stability, sample_sizes, stability

__all__ = ["MIN_CLEAN", "benchmark", "benchmark_ladders"]

# Fewer clean images leave intervals too wide to compare anything, and no halves to compare.
MIN_CLEAN = 50
# With --quick: this many images, and every second severity.
_QUICK = 100
_AREAS = (0.02, 0.05, 0.1, 0.3)
_LEVEL = 0.95
_K = 3
_HALVES = 50
_EXAMPLES = 8
# What the sample sizes are measured with.
_STABILITY = ("blur", 1.0)
_TOO_FEW_FOR_SIZES = "too few images to measure metrics against sample size: at least 100"

Image = NDArray[np.uint8]


def benchmark_ladders() -> dict[str, Ladder]:
    """The degradations, then the drawn artifacts by the share of the area that they cover."""

    def drawn(name: str) -> Callable[[Image, float, np.random.Generator], Image]:
        return lambda image, area, rng: ARTIFACTS[name](image, area, rng).image

    return dict(LADDERS) | {
        name: Ladder(f"Drawn {name.replace('_', ' ')}", "share of the area", _AREAS, drawn(name))
        for name in ARTIFACTS
    }


def benchmark(
    clean: Patches,
    model: QualityModel | str | Path = DEFAULT_MODEL,
    *,
    artifacts: str | Path | None = None,
    cutouts: Positions = "all",
    ladders: Sequence[str] | None = None,
    n: int = 300,
    mpp: float | None = None,
    alpha: float = 0.05,
    n_resamples: int = 500,
    seed: int = 0,
    quick: bool = False,
    progress: bool = False,
) -> Benchmark:
    """Measure how well a model tells clean from damaged images.

    A random ``n`` of the clean images are sent down every ladder; cut-outs are pasted onto them.
    Each damaged set is compared with the clean one: AUC of every score, share kept by the filter,
    RL2, WAD-Div. Real artifacts are compared by AUC and share kept. The model sees every image
    once.

    Parameters
    ----------
    clean
        Clean images that the model was not trained on: anything that
        :func:`~rl2qc.images.sources.as_source` reads.
    model
        A model, or what :meth:`QualityModel.load` takes.
    artifacts
        Folder of real artifacts (:func:`~rl2qc.reports.artifact_folders.find_artifacts`).
    cutouts
        Which of the cut-outs of each folder are pasted: "all", or those at "even" or "odd"
        positions in sorted order (even for choosing a detector, odd for reporting on it).
    ladders
        Names out of :func:`benchmark_ladders`; None takes all.
    n
        Clean images, at least :data:`MIN_CLEAN`; all where there are fewer.
    mpp
        Microns per pixel of the clean images, to be held against the model's.
    alpha
        The filter keeps images with a p-value above this.
    n_resamples
        Of intervals, at least 2.
    seed
        Equal seeds give equal benchmarks on one machine.
    quick
        At most 100 images, and every second severity.
    progress
        Show a bar with the time left on stderr.

    Raises
    ------
    UsageError
        No or too few clean images, of another resolution than the model's, no images among the
        artifacts, or unknown names.
    ImageError
        Images that cannot be read, or clean ones smaller than the model's patches.
    """
    started = time.monotonic()
    chosen = _chosen_ladders(ladders)
    if not 0 < alpha < 1:
        raise UsageError(f"alpha must lie between 0 and 1, got {alpha}")
    if n < MIN_CLEAN:
        raise UsageError(f"n must be at least {MIN_CLEAN}, got {n}")
    if n_resamples < 2:
        raise UsageError(f"n_resamples must be at least 2, got {n_resamples}")
    if not isinstance(model, QualityModel):
        model = QualityModel.load(model)
    scale = check_scale(model.mpp, mpp, "the clean images")
    pool = as_source(clean, model.patch_size)
    if len(pool) < MIN_CLEAN:
        raise UsageError(
            f"{len(pool)} clean images are too few for a benchmark: at least {MIN_CLEAN}, better "
            "300, that the model was not trained on"
        )
    folders = ArtifactFolders() if artifacts is None else find_artifacts(artifacts, cutouts)
    sources = {
        name: _at_common_size(name, paths, model.patch_size) for name, paths in folders.real.items()
    }
    pasted = {
        name: [read_cutout(path) for path in paths] for name, paths in folders.cutouts.items()
    }
    n = min(n, len(pool), _QUICK if quick else len(pool))
    step = 2 if quick else 1
    largest = n if quick else 2 * max(SIZES)
    sizes = sample_sizes(min(len(pool), largest))
    n_pool = 2 * sizes[-1] if len(sizes) > 1 else 0

    total = n * (1 + sum(len(ladder.severities[::step]) for ladder in chosen.values()))
    total += n * (len(pasted) + len({s.size for s in sources.values()} - {model.patch_size}))
    total += sum(len(source) for source in sources.values()) + 2 * n_pool
    with progress_bar(progress, "benchmark", total=total, unit="img") as bar:
        bench = _Bench(model, pool.sample(n, seed), alpha, n_resamples, seed, bar)
        clean_set = bench.clean_set()
        results = {
            name: bench.ladder(name, ladder, ladder.severities[::step])
            for name, ladder in chosen.items()
        }
        cutout_sets = {name: bench.cutouts(name, layers) for name, layers in pasted.items()}
        real_sets = {name: bench.real(name, source) for name, source in sources.items()}
        curves = None
        if n_pool:
            bar.set_description("sample sizes")
            curves = bench.stability(pool if n_pool == len(pool) else pool.sample(n_pool, seed))
    run = {
        "n": n,
        "n_available": len(pool),
        "clean": str(clean) if isinstance(clean, str | Path) else type(clean).__name__,
        "artifacts": None if artifacts is None else str(artifacts),
        "cutouts": cutouts,
        "patch_size": model.patch_size,
        "mpp": mpp,
        "filter_score": FILTER_SCORE,
        "scores": list(bench.scores),
        "alpha": alpha,
        "level": _LEVEL,
        "n_resamples": n_resamples,
        "wad_div_k": _K,
        "seed": seed,
        "quick": quick,
        "checkpoint": model.name,
        "checkpoint_sha256": model.sha256,
        "device": str(model.device),
        "versions": versions(),
        "seconds": round(time.monotonic() - started, 1),
    }
    warnings = [
        *([scale] if scale else []),
        *_about_clean(clean_set, alpha),
        *folders.warnings,
        *_about_real(real_sets, model.patch_size),
        *([] if curves else [_TOO_FEW_FOR_SIZES]),
    ]
    return Benchmark(
        run, clean_set, results, cutout_sets, real_sets, curves, tuple(warnings), bench.examples
    )


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


def _chosen_ladders(names: Sequence[str] | None) -> dict[str, Ladder]:
    known = benchmark_ladders()
    if names is None:
        return known
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"no ladder {unknown[0]!r}: choose from {', '.join(known)}")
    if not names:
        raise UsageError("no ladders chosen")
    return {name: known[name] for name in dict.fromkeys(names)}


def _at_common_size(name: str, paths: Sequence[Path], largest: int) -> PatchSource:
    """Images at the model's size, or at that of the smallest one where it is smaller."""
    try:
        return as_source(list(paths), min(largest, *(min(image_size(path)) for path in paths)))
    except ImageError as error:
        raise ImageError(f"artifacts {name}: {error}") from error


def _about_clean(clean: CleanSet, alpha: float) -> list[str]:
    if clean.kept >= 1 - 3 * alpha:
        return []
    return [
        f"the filter keeps {clean.kept:.0%} of the clean images where {1 - alpha:.0%} were asked "
        "for: they are unlike this model's reference, and figures on them say little about others"
    ]


def _about_real(sets: dict[str, ArtifactSet], patch_size: int) -> list[str]:
    few = [f"{name} ({found.row.n})" for name, found in sets.items() if found.row.n < 10]
    warnings = [f"few images of real artifacts: {', '.join(few)}"] if few else []
    return warnings + [
        f"{name}: images of {found.patch_size} px are smaller than the model's {patch_size} px, "
        "so clean ones were cropped to that size; the share kept is not calibrated there"
        for name, found in sets.items()
        if found.patch_size < patch_size
    ]
