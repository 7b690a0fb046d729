"""Every score of a generated set against a real one, from one feature pass."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl2qc.atomic import atomic_path
from rl2qc.errors import UsageError
from rl2qc.images.sources import Patches, PatchSource, as_source
from rl2qc.metrics.rl2 import rl2
from rl2qc.metrics.wad_div import wad_div
from rl2qc.model.quality import QualityModel

__all__ = ["Metric", "Scorecard", "score"]


@dataclass(frozen=True)
class Metric:
    """One number of a scorecard.

    Attributes
    ----------
    value
    higher_is_better
        None where neither direction is good in itself.
    meaning
        What it says, in a few plain words.
    """

    value: float
    higher_is_better: bool | None
    meaning: str


@dataclass(frozen=True)
class Scorecard:
    """The scores of one generated set, how they were made, and what to beware of.

    Attributes
    ----------
    metrics
        By name, in the order of the table.
    run
        Inputs, counts, settings, checkpoint hash and versions.
    warnings
        Plain sentences.
    """

    metrics: Mapping[str, Metric]
    run: Mapping[str, Any]
    warnings: tuple[str, ...]

    def __getitem__(self, name: str) -> float:
        return self.metrics[name].value

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a value that is not finite becomes None."""
        return {
            "metrics": {
                name: {
                    **asdict(metric),
                    "value": metric.value if math.isfinite(metric.value) else None,
                }
                for name, metric in self.metrics.items()
            },
            "run": dict(self.run),
            "warnings": list(self.warnings),
        }

    def to_json(self, path: str | Path) -> None:
        """Write :meth:`to_dict` to ``path``, whole or not at all."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")

    def table(self) -> str:
        """A table for the terminal: name, value, which way is better, meaning."""
        arrow = {True: "higher is better", False: "lower is better", None: ""}
        rows = [
            (name, f"{m.value:.6g}", arrow[m.higher_is_better], m.meaning)
            for name, m in self.metrics.items()
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        return "\n".join(
            f"{name:<{widths[0]}}  {value:>{widths[1]}}  {better:<{widths[2]}}  {meaning}".rstrip()
            for name, value, better, meaning in rows
        )


def score(
    generated: Patches,
    real: Patches,
    model: QualityModel,
    *,
    k: int = 3,
    alpha: float = 0.05,
    seed: int = 0,
    progress: bool = False,
) -> Scorecard:
    """Score generated images against real ones on a model's features.

    Both sets are taken at one size: the model's, or the smaller one's where a set is smaller
    (with a warning: likelihoods are calibrated for the model's size only).

    Parameters
    ----------
    generated, real
        Anything that :func:`~rl2qc.images.sources.as_source` reads.
    k
        Neighbours of WAD-Div.
    alpha
        False-positive rate at which the filter keeps an image: p-value above alpha.
    seed
        Of the draws that give both sets one size.

    Raises
    ------
    UsageError
        Fewer than two images, or k not below the size of a set.
    ImageError
        Files that are no images or too small.
    """
    if not 0 < alpha < 1:
        raise UsageError(f"alpha must lie between 0 and 1, got {alpha}")
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k}")
    sources, warnings = _one_size(generated, real, model)
    for title, source in sources.items():
        if len(source) < 2:
            raise UsageError(f"the {title} set holds one image: at least two are needed")
        if k >= len(source):
            raise UsageError(
                f"k = {k} needs more than {k} images, the {title} set holds {len(source)}: "
                "give more images or a smaller k"
            )
    features = {t: model.features(s, progress=progress) for t, s in sources.items()}
    latents = {t: model.latents_of_features(f) for t, f in features.items()}
    judged = {t: model.judge_features(f) for t, f in features.items()}

    distance = rl2(latents["real"], latents["generated"]).value
    zero = wad_div(features["generated"], "zero", k)
    exponential = wad_div(features["generated"], "exponential", k)
    empirical = wad_div(features["generated"], features["real"], k, seed=seed)
    metrics = {
        "rl2": Metric(distance, False, "distance of the mean latents"),
        "wad_div_zero": Metric(zero.value, True, f"mean distance to the {k} nearest neighbours"),
        "wad_div_exponential": Metric(
            exponential.value, None, "neighbour distances against an exponential law"
        ),
        "wad_div_empirical": Metric(
            empirical.value, False, "neighbour distances against those of the real set"
        ),
        "wad_div_normalized": Metric(
            _number(empirical.normalized), True, "0: all alike, 1: as dispersed as the real set"
        ),
        "wad_div_ratio": Metric(
            _number(empirical.ratio), None, "the same unclipped: above 1, more dispersed than real"
        ),
    }
    for name, reduce in (("mean", np.mean), ("median", np.median)):
        for title, better in (("real", None), ("generated", True)):
            metrics[f"{name}_log_likelihood_{title}"] = Metric(
                float(reduce(judged[title]["log_likelihood"])), better, f"{name} log p, nats"
            )
    for title, better in (("real", None), ("generated", True)):
        metrics[f"kept_fraction_{title}"] = Metric(
            float((judged[title]["p_value"] > alpha).mean()),
            better,
            f"share that the filter keeps at alpha {alpha:g}",
        )
    if metrics["kept_fraction_real"].value < 0.5:
        warnings.append(
            f"the filter keeps {metrics['kept_fraction_real'].value:.0%} of the real images: they "
            "are unlike this model's reference, so train a model on your own clean patches "
            "(rl2qc train) before trusting likelihoods"
        )
    warnings += _small_samples({t: len(s) for t, s in sources.items()})
    run = {
        "n_generated": len(sources["generated"]),
        "n_real": len(sources["real"]),
        "k": k,
        "alpha": alpha,
        "seed": seed,
        "patch_size": sources["real"].size,
        "features": "rl2qc pooled ResNet-18, 512-d, float32",
        "checkpoint": model.name,
        "checkpoint_sha256": model.sha256,
        "device": str(model.device),
        "versions": _versions(),
    }
    return Scorecard(metrics, run, tuple(warnings))


def _number(value: float | None) -> float:
    """NaN, null in JSON, for what is not defined (a real set of one repeated image)."""
    return math.nan if value is None else value


def _one_size(
    generated: Patches, real: Patches, model: QualityModel
) -> tuple[dict[str, PatchSource], list[str]]:
    sources = {"generated": as_source(generated), "real": as_source(real)}
    size = min(model.patch_size, *(s.size for s in sources.values()))
    warnings = []
    if size < model.patch_size:
        warnings.append(
            f"images are {size} px, the model's patches {model.patch_size} px: distances hold, "
            f"likelihoods and kept shares are not calibrated at {size} px (rl2qc train on real "
            "images of this size calibrates them)"
        )
    return {t: as_source(s, size) for t, s in sources.items()}, warnings


def _small_samples(counts: Mapping[str, int]) -> list[str]:
    return [
        f"{n} {title} images are few: RL2 is stable from about 300, neighbour distances of "
        "fewer are larger"
        for title, n in counts.items()
        if n < 300
    ]


def _versions() -> dict[str, str]:
    packages = ("rl2qc", "torch", "torchvision", "numpy", "scipy")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }
