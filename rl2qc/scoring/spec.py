"""The metrics of a scorecard: what each says, which way is better, how it is resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rl2qc.errors import UsageError

__all__ = ["CATALOGUE", "Kind", "Spec", "chosen_metrics"]

Kind: TypeAlias = Literal["latents", "likelihood", "features", "pixels", "probabilities"]


@dataclass(frozen=True)
class Spec:
    """One row of the scorecard before it has a value.

    Parameters
    ----------
    kind : str
        What it is computed from.
    higher_is_better : bool or None
        None where neither direction is good in itself.
    meaning : str
        What it says, in a few plain words.
    below, above : str
        What it means to lie below or above real against real.
    method : {"bootstrap", "subsample"}
        How it is resampled: repeated images corrupt neighbour-based metrics.
    bounds : (float, float)
        Range of the metric.
    enough : int
        Images in the smaller set below which it has not settled; 0 where any number will do.
    optional : bool
        Only computed when asked for by name.
    """

    kind: Kind
    higher_is_better: bool | None
    meaning: str
    below: str
    above: str
    method: Literal["bootstrap", "subsample"] = "subsample"
    bounds: tuple[float, float] = (0.0, float("inf"))
    enough: int = 0
    optional: bool = False


_SHARE = (0.0, 1.0)
_ANY = (float("-inf"), float("inf"))
_FAR = "farther from real than real sets are from each other"
_NEAR = "nearer to real than real sets are to each other: copies?"


def _likelihood(name: str, meaning: str, share: bool = False) -> dict[str, Spec]:
    bounds = _SHARE if share else _ANY
    less, more = ("fewer", "more") if share else ("lower", "higher")
    return {
        f"{name}_real": Spec("likelihood", None, f"{meaning}, real", "", "", "bootstrap", bounds),
        f"{name}_generated": Spec(
            "likelihood",
            True,
            f"{meaning}, generated",
            f"{less} than of real images",
            f"{more} than of real images: smoother or simpler than real?",
            "bootstrap",
            bounds,
        ),
    }


CATALOGUE: dict[str, Spec] = {
    "rl2": Spec(
        "latents", False, "distance of the mean latents", _NEAR, _FAR, "bootstrap", enough=300
    ),
    "wad_div_zero": Spec(
        "features",
        True,
        "mean distance to the nearest neighbours",
        "images lie closer together than real ones: less varied",
        "images lie farther apart than real ones: more varied, or noisier",
        enough=300,
    ),
    "wad_div_exponential": Spec(
        "features",
        None,
        "neighbour distances against an exponential law",
        "nearer to an exponential law than real ones",
        "farther from an exponential law than real ones",
        enough=300,
    ),
    "wad_div_empirical": Spec(
        "features",
        False,
        "neighbour distances against those of the real set",
        "spacing closer to real than real sets have",
        "spacing unlike that of real images",
        enough=300,
    ),
    "wad_div_normalized": Spec(
        "features",
        True,
        "0: all alike, 1: as dispersed as the real set",
        "less varied than real",
        "at least as varied as real",
        # A ratio cut off at 1, and no share of images.
        bounds=(float("-inf"), 1.0),
        enough=300,
    ),
    "wad_div_ratio": Spec(
        "features",
        None,
        "the same unclipped: above 1, more dispersed than real",
        "less varied than real",
        "more dispersed than real: more varied, or noisier",
        enough=300,
    ),
    "irs_alpha": Spec(
        "features",
        True,
        "share of the real images that generated ones retrieve",
        "repeats fewer modes than real images cover",
        "spreads over more real images than real ones do",
        bounds=_SHARE,
        enough=100,
    ),
    "irs_inf": Spec(
        "features",
        True,
        "that share for infinitely many generated images",
        "misses part of what real images cover",
        "covers more than real images do",
        bounds=_SHARE,
        enough=100,
    ),
    "irs_adjusted": Spec(
        "features",
        True,
        "that share relative to held-out real images",
        "misses part of what held-out real images cover",
        "covers more than held-out real images do",
        enough=100,
    ),
    "fid": Spec(
        "features", False, "distance of the fitted Gaussians", _NEAR, _FAR, "bootstrap", enough=300
    ),
    "r_fid": Spec(
        "features",
        True,
        "real-against-real FID as a share of the observed one",
        _FAR,
        _NEAR,
        enough=300,
    ),
    "kid": Spec(
        "features", False, "kernel distance, unbiased", _NEAR, _FAR, bounds=_ANY, enough=50
    ),
    "swd": Spec(
        "pixels",
        False,
        "distance of local textures at every scale",
        "textures nearer to real than real sets are to each other: copies?",
        "textures unlike those of real images",
        enough=50,
    ),
    "inception_score": Spec(
        "probabilities",
        True,
        "how sure a classifier is of each image, and how varied its answers",
        "less distinct or less varied than real",
        "more distinct or more varied than real",
        "bootstrap",
        bounds=(1.0, float("inf")),
        enough=1000,
    ),
    "precision": Spec(
        "features",
        True,
        "share of generated images that look real",
        "fewer images look real than of held-out real ones",
        "more images look real than of held-out real ones: safe and simple?",
        bounds=_SHARE,
        enough=100,
    ),
    "recall": Spec(
        "features",
        True,
        "share of real images that could have been generated",
        "part of the real images is out of reach",
        "reaches more than held-out real images do: more spread out",
        bounds=_SHARE,
        enough=100,
    ),
    "density": Spec(
        "features",
        True,
        "how deep generated images lie among real ones",
        "lies in thinner regions than held-out real images",
        "lies in denser regions than held-out real images: safe and simple?",
        enough=100,
    ),
    "coverage": Spec(
        "features",
        True,
        "share of real images with a generated one nearby",
        "fewer real images are covered than by held-out real ones",
        "more real images are covered than by held-out real ones",
        bounds=_SHARE,
        enough=100,
    ),
    "authenticity": Spec(
        "features",
        True,
        "share of generated images that are no near-copies",
        "nearer to single real images than new real ones are: copies?",
        "no sign of copies; new real images lie nearer",
        bounds=_SHARE,
        enough=100,
    ),
    "nearer_train": Spec(
        "features",
        False,
        "share nearer to the real (training) set than to held-out images",
        "nearer to the held-out images than chance has it",
        "nearer to the real set than chance has it: copies of training images?",
        bounds=_SHARE,
        enough=100,
        optional=True,
    ),
    "ms_ssim": Spec(
        "pixels",
        None,
        "mean similarity of pairs of generated images",
        "pairs look less alike than real ones",
        "pairs look more alike than real ones",
        bounds=_SHARE,
        enough=50,
        optional=True,
    ),
    **_likelihood("mean_log_likelihood", "mean log p in nats"),
    **_likelihood("median_log_likelihood", "median log p in nats"),
    **_likelihood("kept_fraction", "share that the filter keeps", share=True),
}


def chosen_metrics(names: Sequence[str] | None) -> tuple[str, ...]:
    """The metrics asked for in the order of the table; None asks for all but optional ones.

    Raises
    ------
    UsageError
        For a name that is no metric.

    Examples
    --------
    >>> chosen_metrics(["fid", "rl2"])
    ('rl2', 'fid')
    """
    if names is None:
        return tuple(name for name, spec in CATALOGUE.items() if not spec.optional)
    if not names:
        raise UsageError("no metrics chosen: name at least one")
    if unknown := [name for name in names if name not in CATALOGUE]:
        raise UsageError(f"no metric {unknown[0]!r}: choose from {', '.join(CATALOGUE)}")
    return tuple(name for name in CATALOGUE if name in names)
