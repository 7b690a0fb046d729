"""The benchmark: a model's scores against degraded, drawn, pasted and real artifacts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rl2qc.benchmarking.artifact_folders import ArtifactFolders, find_artifacts
from rl2qc.benchmarking.bench import _AREAS, _K, _LEVEL, Image, _Bench
from rl2qc.benchmarking.result import (
    ArtifactSet,
    Benchmark,
    CleanSet,
)
from rl2qc.benchmarking.stability import SIZES, sample_sizes
from rl2qc.core.progress import progress_bar
from rl2qc.core.provenance import versions
from rl2qc.errors import ImageError, UsageError
from rl2qc.images.resolution import check_scale
from rl2qc.images.sources.base import Patches, PatchSource, as_source
from rl2qc.images.sources.files import image_size
from rl2qc.model.detectors.book import FILTER_SCORE
from rl2qc.model.quality import DEFAULT_MODEL, QualityModel
from rl2qc.synthetic.artifacts import ARTIFACTS
from rl2qc.synthetic.cutouts import Positions, read_cutout
from rl2qc.synthetic.degradations import LADDERS, Ladder

__all__ = ["MIN_CLEAN", "benchmark", "benchmark_ladders"]

# Fewer clean images leave intervals too wide to compare anything, and no halves to compare.
MIN_CLEAN = 50
# With --quick: this many images, and every second severity.
_QUICK = 100
_TOO_FEW_FOR_SIZES = "too few images to measure metrics against sample size: at least 100"


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
        :func:`~rl2qc.images.sources.base.as_source` reads.
    model
        A model, or what :meth:`QualityModel.load` takes.
    artifacts
        Folder of real artifacts (:func:`~rl2qc.benchmarking.artifact_folders.find_artifacts`).
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
