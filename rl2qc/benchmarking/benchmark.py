"""The benchmark: a model's detectors against corrupted, pasted and real artifacts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl2qc.benchmarking.artifact_folders import ArtifactFolders, find_artifacts
from rl2qc.benchmarking.bench import LEVEL, Bench, K
from rl2qc.benchmarking.findings import OWN, ArtifactSet, CleanSet, LabResult
from rl2qc.benchmarking.laboratories import (
    MOST_TILES,
    Laboratory,
    damage_of,
    find_laboratories,
    lab_warnings,
)
from rl2qc.benchmarking.result import Benchmark
from rl2qc.benchmarking.settings import MIN_CLEAN, BenchmarkSettings
from rl2qc.benchmarking.stability import SIZES, sample_sizes
from rl2qc.core.progress import Progress, track
from rl2qc.core.provenance import versions
from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources.base import Patches, PatchSource, as_source
from rl2qc.images.sources.decode import read_cutout
from rl2qc.images.sources.files import image_size
from rl2qc.images.sources.images import Image
from rl2qc.images.sources.notes import abouts_of, scale_notes
from rl2qc.model.quality import DEFAULT_MODEL, QualityModel
from rl2qc.synthetic.corruptions import CORRUPTIONS, CorruptionSpec

__all__ = ["benchmark"]

# With --quick: this many images, and every second severity.
_QUICK = 100
_TOO_FEW_FOR_SIZES = "too few images to measure metrics against sample size: at least 100"


def benchmark(
    clean: Patches,
    model: QualityModel | str | Path = DEFAULT_MODEL,
    settings: BenchmarkSettings | None = None,
    *,
    progress: bool | Progress = False,
    **changes: Any,
) -> Benchmark:
    """Measure how well a model tells clean from damaged images.

    Random clean images are damaged by every corruption, and cut-outs are pasted onto them. Each
    damaged set is compared with the clean one: AUC of every detector, share kept by the filter,
    RL2, WAD-Div. Real artifacts are compared by AUC and share kept. The model sees every image
    once.

    Parameters
    ----------
    clean
        Clean images that the model was not trained on: anything that
        :func:`~rl2qc.images.sources.base.as_source` reads.
    model
        A model, or what :meth:`QualityModel.load` takes.
    settings
        What they are damaged with, and how that is measured. Equal seeds give equal benchmarks on
        one machine.
    progress
        True shows a bar on stderr; a function is called with (images done, all, what).
    **changes
        Single options of :class:`~rl2qc.benchmarking.settings.BenchmarkSettings`:
        ``corruptions=("blur",)``.

    Returns
    -------
    Benchmark
        With all that ``rl2qc benchmark`` prints and writes.

    Raises
    ------
    UsageError
        No or too few clean images, of another resolution than the model's, no images among the
        artifacts, or unknown names.
    ImageError
        Images that cannot be read, or clean ones smaller than the model's patches.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> textures = rng.integers(0, 256, (100, 64, 64, 3), np.uint8)
    >>> model = QualityModel.fit(textures, backbone="random", epochs=1, device="cpu")
    >>> found = benchmark(textures, model, corruptions=["blur"], n=50, quick=True, n_resamples=9)
    >>> found.corruptions["blur"].severities
    (1, 3)
    """
    started = time.monotonic()
    settings = BenchmarkSettings.resolve(settings, changes)
    corruptions = _chosen(settings.corruptions)
    model = QualityModel.of(model)
    plan = _find(clean, model, settings)
    abouts = abouts_of(plan.pool)
    scale = scale_notes(model.mpp, settings.mpp, abouts, "the clean images")
    step = 2 if settings.quick else 1
    severities = {spec: spec.severities[::step] for spec in corruptions}
    total = plan.n_images(model.patch_size, sum(map(len, severities.values())))
    with track(progress, "benchmark", total) as advance:
        bench = Bench(model, plan.pool.sample(plan.n, settings.seed), settings, advance)
        clean_set = bench.clean_set()
        results = {spec.name: bench.corruption(spec, s) for spec, s in severities.items()}
        cutouts = {name: bench.cutouts(name, layers) for name, layers in plan.cutouts.items()}
        real = {name: bench.real(name, source) for name, source in plan.real.items()}
        curves = bench.stability(plan.pool_for_sizes(settings.seed)) if plan.n_sizes else None
        labs, unread = _labs(bench, plan.labs)
    provenance = {
        "n": plan.n,
        "n_available": len(plan.pool),
        "clean": str(clean) if isinstance(clean, str | Path) else type(clean).__name__,
        "patch_size": model.patch_size,
        "filter_detector": bench.detectors[0],
        "detectors": list(bench.detectors),
        "level": LEVEL,
        "wad_div_k": K,
        "checkpoint": model.name,
        "checkpoint_sha256": model.sha256,
        "device": str(model.device),
        "settings": {**settings.record(), "corruptions": list(results)},
        "versions": versions(),
        "seconds": round(time.monotonic() - started, 1),
    }
    warnings = (
        *scale,
        *_clean_warnings(clean_set, settings.alpha),
        *plan.warnings,
        *_real_warnings(real, model.patch_size),
        *unread,
        *lab_warnings(labs, settings.alpha),
        *([] if curves else [_TOO_FEW_FOR_SIZES]),
    )
    return Benchmark(
        provenance, clean_set, results, cutouts, real, labs, curves, warnings, bench.examples
    )


@dataclass(frozen=True)
class _Plan:
    """What is measured, found and checked before any work is done.

    ``n`` of the clean images are damaged; ``n_sizes`` measure metrics against sample size, 0 where
    they are too few.
    """

    pool: PatchSource
    n: int
    n_sizes: int
    cutouts: dict[str, list[Image]]
    real: dict[str, PatchSource]
    labs: dict[str, Laboratory]
    damages: int
    warnings: tuple[str, ...]

    def n_images(self, patch_size: int, n_severities: int) -> int:
        """How many images the model sees."""
        sides = {source.size for source in self.real.values()} - {patch_size}
        of_clean = self.n * (1 + n_severities + len(self.cutouts) + len(sides))
        of_labs = sum(len(lab.tiles) for lab in self.labs.values()) * (1 + self.damages)
        return of_clean + sum(map(len, self.real.values())) + 2 * self.n_sizes + of_labs

    def pool_for_sizes(self, seed: int) -> PatchSource:
        """The clean images that subsets are drawn from."""
        return self.pool if self.n_sizes == len(self.pool) else self.pool.sample(self.n_sizes, seed)


def _find(clean: Patches, model: QualityModel, settings: BenchmarkSettings) -> _Plan:
    pool = as_source(clean, model.patch_size)
    if len(pool) < MIN_CLEAN:
        raise UsageError(
            f"{len(pool)} clean images are too few for a benchmark: at least {MIN_CLEAN}, better "
            "300, that the model was not trained on"
        )
    folders = ArtifactFolders()
    if settings.artifacts is not None:
        folders = find_artifacts(settings.artifacts, settings.cutouts)
    real = {
        name: _at_common_size(name, paths, model.patch_size) for name, paths in folders.real.items()
    }
    cutouts = {name: [read_cutout(p) for p in paths] for name, paths in folders.cutouts.items()}
    n = min(settings.n, len(pool), _QUICK if settings.quick else len(pool))
    sizes = sample_sizes(min(len(pool), n if settings.quick else 2 * max(SIZES)))
    n_sizes = 2 * sizes[-1] if len(sizes) > 1 else 0
    labs: dict[str, Laboratory] = {}
    no_labs: list[str] = []
    if settings.labs is not None:
        own = Laboratory(pool.sample(min(n, MOST_TILES), settings.seed), pool)
        others, no_labs = find_laboratories(settings.labs, model.patch_size, settings)
        labs = {OWN: own, **others}
    damages = len(damage_of(settings)) if labs else 0
    named = {"clean": pool, **real}
    left = (f"{title}: {line}" for title, source in named.items() for line in source.warnings)
    warnings = (*left, *folders.warnings, *no_labs)
    return _Plan(pool, n, n_sizes, cutouts, real, labs, damages, warnings)


def _labs(bench: Bench, labs: dict[str, Laboratory]) -> tuple[dict[str, LabResult], list[str]]:
    """What each laboratory gives, and what is to be said of those that cannot be read."""
    found, unread = {}, []
    for name, lab in labs.items():
        try:
            found[name] = bench.laboratory(name, lab)
        except ImageError as error:
            unread.append(f"{name}: {error}")
    return found, unread


def _chosen(names: Sequence[str] | None) -> tuple[CorruptionSpec, ...]:
    if names is None:
        return tuple(CORRUPTIONS)
    if not names:
        raise UsageError("no corruptions chosen")
    return tuple(CORRUPTIONS.get(name) for name in dict.fromkeys(names))


def _at_common_size(name: str, paths: Sequence[Path], largest: int) -> PatchSource:
    """Images at the model's size, or at that of the smallest one where it is smaller."""
    try:
        return as_source(list(paths), min(largest, *(min(image_size(path)) for path in paths)))
    except ImageError as error:
        raise ImageError(f"artifacts {name}: {error}") from error


def _clean_warnings(clean: CleanSet, alpha: float) -> list[str]:
    if clean.kept >= 1 - 3 * alpha:
        return []
    return [
        f"the filter keeps {clean.kept:.0%} of the clean images where {1 - alpha:.0%} were asked "
        "for: they are unlike this model's reference, and figures on them say little about others"
    ]


def _real_warnings(sets: dict[str, ArtifactSet], patch_size: int) -> list[str]:
    few = [f"{name} ({found.row.n})" for name, found in sets.items() if found.row.n < 10]
    warnings = [f"few images of real artifacts: {', '.join(few)}"] if few else []
    return warnings + [
        f"{name}: images of {found.patch_size} px are smaller than the model's {patch_size} px, "
        "so clean ones were cropped to that size; the share kept is not calibrated there"
        for name, found in sets.items()
        if found.patch_size < patch_size
    ]
