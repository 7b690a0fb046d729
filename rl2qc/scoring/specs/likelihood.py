"""What the model says of either set: likelihoods, and the share that its filter keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rl2qc.scoring.spec import ANY, SHARE, MetricSpec, Value, register_metric

if TYPE_CHECKING:
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings


# Below this share of kept real images the model does not know them, and says nothing of others.
_KNOWN = 0.5


def _of_set(title: str, images: ImageSet) -> dict[str, float]:
    return {
        f"mean_log_likelihood_{title}": float(np.mean(images.log_likelihood)),
        f"median_log_likelihood_{title}": float(np.median(images.log_likelihood)),
        f"kept_fraction_{title}": float(np.mean(images.keep)),
    }


def _of_real(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> dict[str, float]:
    return _of_set("real", real)


def _of_generated(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> dict[str, Value]:
    kept = float(np.mean(real.keep))
    # Like real, but only in being foreign to the model, is no praise; nor is unlike it a reproach.
    unjudged = (
        "" if kept >= _KNOWN else f"not judged: of the real images the model keeps {kept:.0%}"
    )
    return {
        name: Value(value, unjudged=unjudged)
        for name, value in _of_set("generated", generated).items()
    }


def _register(order: int, name: str, meaning: str, **fields: Any) -> None:
    less, more = ("fewer", "more") if fields["bounds"] == SHARE else ("lower", "higher")
    shared: Any = {"needs": "likelihood", "resample": "bootstrap", "curve": False}
    register_metric(
        MetricSpec(
            name=f"{name}_real",
            order=order,
            of="real",
            higher_is_better=None,
            meaning=f"{meaning}, real",
            below="",
            above="",
            compute=_of_real,
            bounds=fields["bounds"],
            **shared,
        )
    )
    register_metric(
        MetricSpec(
            name=f"{name}_generated",
            order=order + 1,
            of="generated",
            higher_is_better=True,
            meaning=f"{meaning}, generated",
            below=f"{less} than of real images",
            above=f"{more} than of real images: smoother or simpler than real?",
            compute=_of_generated,
            depends_on_n=False,
            **shared,
            **fields,
        )
    )


_register(120, "mean_log_likelihood", "mean log p in nats", bounds=ANY)
_register(122, "median_log_likelihood", "median log p in nats", bounds=ANY)
_register(124, "kept_fraction", "share that the filter keeps", bounds=SHARE)
