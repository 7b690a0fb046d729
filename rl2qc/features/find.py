"""The extractors that a user names: by name, by path, or objects of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.registry import nearest
from rl2qc.core.text import brief
from rl2qc.errors import UsageError
from rl2qc.features.base import (
    EXTRACTORS,
    Extractor,
    ExtractorSpec,
    FeatureExtractor,
    finite_floats,
)
from rl2qc.features.stretched import NORMALIZED, Stretched
from rl2qc.images.sources.base import PatchSource
from rl2qc.model.quality import QualityModel

__all__ = ["find_all", "find_extractors", "get_extractor"]


def find_extractors(
    features: str | Path | Extractor, model: QualityModel, titles: Sequence[str]
) -> dict[str, FeatureExtractor]:
    """The extractor of each set of images that ``--features`` names, by the set's title.

    Parameters
    ----------
    features
        - an :class:`Extractor`; what it returns is checked;
        - the name of a registered one, such as ``"model"``, ``"latents"`` (of ``model``),
          ``"imagenet-resnet18"`` (patches at their own size), ``"inception"``;
        - a file: an rl2qc model, whose backbone is taken with its preprocessing, or the weights
          of a ResNet-18 (safetensors, or a state dict ``.pt``/``.pth`` read without running any
          of its code), with ImageNet's normalisation;
        - a folder of features that were computed elsewhere, ``TITLE.npy`` for each set.

        A name or file may end in ``:normalized``: each patch is then stretched to the whole range
        first (:mod:`rl2qc.features.stretched`).
    model
        Gives the device and the batch size as well.
    titles
        Of the sets of images; features from a folder are of one set only.

    Raises
    ------
    UsageError
        Neither a known name, a path nor an extractor; or its extra is not installed.
    WorkError
        Weights are not at hand and cannot be fetched; the message says where to put them.
    CheckpointError
        The file holds other things than such weights.
    """
    if isinstance(features, list | tuple):
        raise UsageError(f"features must be one extractor here, got {len(features)}")
    if not isinstance(features, str | Path):
        return dict.fromkeys(titles, _complete(features))
    if (name := str(features)).endswith(NORMALIZED):
        return _stretched(find_extractors(name.removesuffix(NORMALIZED), model, titles))
    spec = _spec(features)
    if spec.extra is not None:
        spec.extra.require(f"the extractor {spec.name}")
    if spec.open is not None:
        opened = spec.open(Path(features), model, titles)
        return {title: _complete(opened[title]) for title in titles}
    assert spec.make is not None
    return dict.fromkeys(titles, _complete(spec.make(model)))


def _stretched(found: Mapping[str, FeatureExtractor]) -> dict[str, FeatureExtractor]:
    return {title: Stretched(extractor) for title, extractor in found.items()}


def find_all(
    features: Sequence[str | Path | Extractor], model: QualityModel, titles: Sequence[str]
) -> list[dict[str, FeatureExtractor]]:
    """:func:`find_extractors` of several that stand side by side.

    Raises
    ------
    UsageError
        Two of them are the same, beside what :func:`find_extractors` raises.
    """
    found = [find_extractors(one, model, titles) for one in features]
    known: dict[str, str] = {}
    for extractors in found:
        first = extractors[titles[0]]
        if first.identity in known:
            raise UsageError(f"features {first.name} are those of {known[first.identity]}")
        known[first.identity] = first.name
    return found


def get_extractor(features: str | Path | Extractor, model: QualityModel) -> FeatureExtractor:
    """The extractor of a single set of images; see :func:`find_extractors`."""
    return find_extractors(features, model, ("images",))["images"]


def _spec(features: str | Path) -> ExtractorSpec:
    """The spec of a name or of a path; a known name comes first, whatever lies there."""
    name = str(features)
    if name in EXTRACTORS and EXTRACTORS.get(name).make is not None:
        return EXTRACTORS.get(name)
    if name:  # Path("") is the current folder
        for spec in EXTRACTORS:
            # What is too long for a path is none.
            with suppress(OSError, ValueError):
                if spec.accepts is not None and spec.accepts(Path(features)):
                    return spec
    known = tuple(spec.name for spec in EXTRACTORS if spec.make is not None)
    raise UsageError(f"no features {brief(name)!r}{nearest(name, known)} Give {_known()}")


def _known() -> str:
    # Names come first, then kinds of paths.
    *most, last = (s.name for s in sorted(EXTRACTORS, key=lambda spec: spec.make is None))
    return f"{', '.join(most)} or {last}"


_MEMBERS = ("name", "dim", "identity", "extract")


def _complete(extractor: Any) -> FeatureExtractor:
    """An extractor with all that may be asked of it; what somebody else's returns is checked."""
    if isinstance(extractor, FeatureExtractor):
        return extractor
    if isinstance(extractor, Extractor):
        return _Checked(extractor)
    lacking = ", ".join(m for m in _MEMBERS if not hasattr(extractor, m))
    raise UsageError(
        f"features must be {_known()}, or an extractor, and {type(extractor).__name__} has no "
        f"{lacking}"
    )


class _Checked(FeatureExtractor):
    """An extractor that is none of ours; what it returns is checked."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self.name, self.dim, self.identity = extractor.name, extractor.dim, extractor.identity

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, dim) float32; UsageError for anything else."""
        what = f"features of the extractor {self.name}"
        array = np.asarray(self._extractor.extract(source, progress=progress))
        features = finite_floats(array, what)
        if features.shape != (len(source), self.dim):
            wanted = (len(source), self.dim)
            raise UsageError(f"{what} must have the shape {wanted}, got {features.shape}")
        return features

    def probabilities(self, features: ArrayLike) -> NDArray[np.float64] | None:
        """Those of the extractor where it has classes."""
        own = getattr(self._extractor, "probabilities", None)
        return None if own is None else np.asarray(own(features), np.float64)
