"""What scripts/benchmark_metrics.py measures: our way and the usual one.

Each function makes everything that comes before the work (imports, input) and returns the work.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Work = Callable[[], float]


def features(n: int, dim: int, seed: int = 0) -> np.ndarray:
    # float32 from the start: a float64 temporary would raise the peak that memory is counted from.
    return np.random.default_rng(seed).standard_normal((n, dim), np.float32)


def wad_div_ours(n: int, _: Path) -> Work:
    from rl2qc.metrics.wad_div import wad_div

    x = features(n, 512)
    float(wad_div(x[:10]))  # imports faiss, where it is installed
    return lambda: wad_div(x).value


def wad_div_scipy(n: int, _: Path) -> Work:
    from scipy.spatial.distance import cdist

    x = features(n, 512)

    def work() -> float:
        distances = cdist(x, x)
        np.fill_diagonal(distances, np.inf)
        return float(np.sort(distances, axis=1)[:, :3].mean())

    return work


def nearest_ours(n: int, _: Path) -> Work:
    from rl2qc.metrics.neighbors import kneighbors

    x = features(n, 512)
    kneighbors(x[:10], x[:10], 3)  # imports faiss, where it is installed
    return lambda: float(kneighbors(x[:10_000], x, 3).distances.mean())


def irs_ours(n: int, _: Path) -> Work:
    from rl2qc.metrics.irs_counts import irs_from_counts

    retrieved = round(0.97 * n)
    return lambda: irs_from_counts(retrieved, n, 1_281_166).value


def _shifted(n: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sets with unequal means and, in both, deviations that fall from 1 to 0.1."""
    spread = np.linspace(1, 0.1, dim)
    return features(n, dim) * spread, features(n, dim, 1) * spread[::-1] + 0.1


def fid_ours(n: int, _: Path) -> Work:
    from rl2qc.metrics.frechet import fid

    a, b = _shifted(n, 2048)
    return lambda: fid(a, b).value


def fid_sqrtm(n: int, _: Path) -> Work:
    import scipy.linalg

    a, b = _shifted(n, 2048)

    def work() -> float:
        s, t = np.cov(a.T), np.cov(b.T)
        root = scipy.linalg.sqrtm(s @ t)
        shift = a.mean(axis=0) - b.mean(axis=0)
        return float(shift @ shift + np.trace(s + t) - 2 * np.trace(root.real))

    return work


def fid_fidelity(n: int, _: Path) -> Work:
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    pair = [torch.from_numpy(x) for x in _shifted(n, 2048)]
    _one_library_of_threads(torch)

    def work() -> float:
        found = fid_statistics_to_metric(*map(fid_features_to_statistics, pair), False)
        return float(found["frechet_inception_distance"])

    return work


def _one_library_of_threads(torch: Any) -> None:
    """As many threads as the other side has."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))


def kid_ours(n: int, _: Path) -> Work:
    from rl2qc.metrics.kernel import kid

    a, b = features(n, 512), features(n, 512, 1) * np.float32(1.1)
    kid(a[:50], b[:50])
    return lambda: kid(a, b, n_subsets=100, subset_size=1000, full_sample=False).value


def kid_fidelity(n: int, _: Path) -> Work:
    import torch
    from torch_fidelity.metric_kid import kid_features_to_metric

    a, b = features(n, 512), features(n, 512, 1) * np.float32(1.1)
    _one_library_of_threads(torch)

    def work() -> float:
        found = kid_features_to_metric(
            torch.from_numpy(a), torch.from_numpy(b), kid_subsets=100, kid_subset_size=1000,
            verbose=False, rng_seed=0,
        )  # fmt: skip
        return float(found["kernel_inception_distance_mean"])

    return work


def prdc_ours(n: int, _: Path) -> Work:
    from rl2qc.metrics.prdc import prdc

    a, b = features(n, 512), features(n, 512, 1) * np.float32(1.02)
    prdc(a[:50], b[:50])  # imports faiss, where it is installed
    return lambda: prdc(a, b, 5).density


def prdc_theirs(n: int, _: Path) -> Work:
    from prdc import compute_prdc

    a, b = features(n, 512), features(n, 512, 1) * np.float32(1.02)
    return lambda: float(compute_prdc(a, b, 5)["density"])


def rl2_of_images(n: int, folder: Path) -> Work:
    from rl2qc.metrics.rl2 import rl2
    from rl2qc.model.quality import QualityModel

    model = QualityModel.load("histology")

    def work() -> float:
        real, generated = (model.latents(f) for f in image_folders(folder, n))
        return rl2(real, generated).value

    return work


def fid_of_images(n: int, folder: Path) -> Work:
    import torch
    import torchvision

    from rl2qc.features.inception import InceptionFeatures
    from rl2qc.images.sources.base import as_source
    from rl2qc.metrics.frechet import fid

    torch.manual_seed(0)
    trunk = torchvision.models.inception_v3(weights=None, init_weights=False)
    extractor = InceptionFeatures(trunk)

    def work() -> float:
        real, generated = (extractor.extract(as_source(str(f))) for f in image_folders(folder, n))
        return fid(real, generated).value

    return work


def score_command(n: int, folder: Path) -> Work:
    """The command with every default, on ``n`` generated and 12 / 7 as many real images."""
    real, generated = image_folders(folder, n)
    command = [sys.executable, "-m", "rl2qc", "score", str(generated), "--real", str(real)]
    environment = {**os.environ, "RL2QC_CACHE": str(folder / "cache")}

    def work() -> float:
        subprocess.run(command, env=environment, check=True, capture_output=True)
        return 0.0

    if not (folder / "cache").exists():
        work()
    return work


def score_again(n: int, folder: Path) -> Work:
    """RL2 and KID of cached images, without intervals, in a process that has scored before."""
    os.environ["RL2QC_CACHE"] = str(folder / "cache")
    from rl2qc import QualityModel, score

    real, generated = image_folders(folder, n)
    model = QualityModel.load("histology")

    def work() -> float:
        card = score(
            str(generated), str(real), model, metrics=("rl2", "kid"), n_resamples=0, cache=True
        )
        return card["rl2"]

    work()
    return work


def image_folders(folder: Path, n: int) -> tuple[Path, Path]:
    return folder / f"real_{n}", folder / f"generated_{n}"


def write_images(folder: Path, n_real: int, n_generated: int, side: int) -> None:
    """PNG files cut from procedural tissue, no two alike."""
    from PIL import Image

    from rl2qc.synthetic.tissue import synthetic_tissue

    rng = np.random.default_rng(0)
    fields = [synthetic_tissue(512, 512, rng) for _ in range(16)]
    counts = (n_real, n_generated)
    for target, count in zip(image_folders(folder, n_generated), counts, strict=True):
        target.mkdir()
        for i in range(count):
            top, left = rng.integers(0, 512 - side, 2)
            image = fields[i % 16][top : top + side, left : left + side]
            Image.fromarray(image).save(target / f"{i}.png")
