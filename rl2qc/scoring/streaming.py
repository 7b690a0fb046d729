"""Scores of images that come batch by batch, as they do in a training loop."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.progress import Progress, track
from rl2qc.errors import ImageError, UsageError
from rl2qc.features.base import FeatureExtractor
from rl2qc.features.cache import FeatureCache
from rl2qc.features.find import get_extractor
from rl2qc.features.looks import Looks
from rl2qc.features.of_model import ModelStatistics
from rl2qc.images.sources.base import Patches, as_source
from rl2qc.images.sources.images import Image, Images, PatchSource, Taken, center_crop
from rl2qc.images.sources.in_batches import BatchFormat, Layout, Values, images_of, in_batches
from rl2qc.images.sources.sizes import at_one_size
from rl2qc.model.quality import DEFAULT_MODEL, QualityModel
from rl2qc.scoring.score import score
from rl2qc.scoring.scorecard import Scorecard
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import chosen_metrics

__all__ = ["ImageSetScorer"]

# Pixels beyond this go to a temporary file.
_IN_MEMORY = 256 << 20
_Floats = NDArray[np.float32]


class ImageSetScorer:
    """Score generated images as they come: ``update`` with batches, then ``compute``.

    What :func:`rl2qc.score` gives for the same images, without writing them to disk first. The
    real set is measured once, and stays measured when the scorer is reset.

    Parameters
    ----------
    real
        Anything that :func:`~rl2qc.images.sources.base.as_source` reads.
    model
        Name of a shipped model, a model file, or a model.
    settings
        Which metrics, and how.
    unseen
        Real images that the generator has not seen, as in :func:`rl2qc.score`.
    values : {"[0, 1]", "[-1, 1]", "[0, 255]"}, optional
        What floating-point images run between; it is not guessed. uint8 needs nothing.
    layout : {"NCHW", "NHWC"}, optional
        Where the channels of arrays stand; needed where both ends could hold them.
    **changes
        Single settings: ``metrics=("rl2", "kid")``.

    Raises
    ------
    UsageError
        Options out of range, or a real set that cannot be read.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> real = rng.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)
    >>> scorer = ImageSetScorer(real, metrics=["swd"], n_resamples=0, values="[-1, 1]")
    >>> for _ in range(3):
    ...     scorer.update(rng.uniform(-1, 1, (4, 3, 64, 64)))
    >>> len(scorer), 0 < scorer.compute()["swd"] < 1
    (12, True)
    """

    def __init__(
        self,
        real: Patches,
        model: str | Path | QualityModel = DEFAULT_MODEL,
        settings: ScoreSettings | None = None,
        *,
        unseen: Patches | None = None,
        values: Values | None = None,
        layout: Layout | None = None,
        **changes: Any,
    ) -> None:
        self.settings = ScoreSettings.resolve(settings, changes)
        self.model = QualityModel.of(model)
        self._given = {"real": real} if unseen is None else {"real": real, "unseen": unseen}
        self._form = BatchFormat(values, layout)
        specs = chosen_metrics(self.settings.metrics, unseen=unseen is not None)
        needs = {need for spec in specs for need in spec.needs}
        self._extractors = _extractors(self.settings, self.model, needs)
        self._known: dict[str, PatchSource] = {}
        self._stream: _Stream | None = None
        self._side, self._shape = 0, tuple[int, ...]()

    def __len__(self) -> int:
        """How many images there are since the last reset."""
        return 0 if self._stream is None else len(self._stream)

    def update(self, batch: Any) -> None:
        """Take a batch: nothing of it where anything of it cannot be taken.

        Parameters
        ----------
        batch
            An array or tensor (n, h, w, 3) or (n, 3, h, w), on any device, uint8 or
            floating-point; encoded bytes, pictures of Pillow, rows of a dataset, lists of such; a
            tuple that begins with images.

        Raises
        ------
        UsageError
            Images that are none, hold NaN, lie outside the range that was said, or are of another
            shape than those before.
        ImageError
            Bytes that are no image, or images smaller than those before.
        """
        images = images_of(batch, self._form)
        # A batch of an array is of one shape; pictures of a list may differ, as files may.
        shape = images[0].shape[:2] if len(getattr(batch, "shape", ())) == 4 and images else None
        if shape and self._shape and shape != self._shape:
            raise UsageError(
                f"a batch of {shape[1]} x {shape[0]} px after batches of {self._shape[1]} x "
                f"{self._shape[0]} px: give all at one size; the {len(self)} images before it are "
                "kept"
            )
        self._take(images)
        self._shape = shape or self._shape

    def update_all(
        self,
        images: Any,
        n: int | None = None,
        *,
        batch_size: int | None = None,
        progress: bool | Progress = False,
    ) -> None:
        """Take all images of whatever gives them.

        Parameters
        ----------
        images
            A DataLoader, an IterableDataset, a Dataset of Hugging Face, a generator, a function
            ``generate(n)`` that makes so many images, paths, an array.
        n
            How many to take; a function, or a generator without end, needs it.
        batch_size
            How many are asked of a function at a time; the model's by default.
        progress
            Show a bar on the standard error, or call a function with (done, total, what).
        """
        size = batch_size or self.settings.batch_size or self.model.batch_size
        waiting: list[Image] = []
        with track(progress, "images", n or 0) as step:
            for some in in_batches(images, self._form, n=n, batch_size=size):
                waiting += some
                step(len(some))
                if len(waiting) >= size:
                    self._take(waiting)
                    waiting = []
            self._take(waiting)

    def compute(self, *, progress: bool | Progress = False) -> Scorecard:
        """The card of all images since the last reset, as :func:`rl2qc.score` gives it.

        Raises
        ------
        UsageError
            Too few images.
        """
        if self._stream is None or not len(self._stream):
            raise UsageError("no generated images yet: call update(batch) first")
        return score(
            self._stream.source(),
            self._known["real"],
            self.model,
            self.settings,
            unseen=self._known.get("unseen"),
            progress=progress,
        )

    def reset(self) -> None:
        """Forget the generated images; what is known of the real ones stays."""
        # Not closed: cards of before have its pictures.
        self._stream, self._shape = None, ()

    def _take(self, images: Sequence[Image]) -> None:
        if not images:
            return
        if self._stream is None:
            self._stream = _Stream(self._settle(images), self._extractors)
        self._stream.add(images)

    def _settle(self, images: Sequence[Image]) -> int:
        """The size at which all is compared; the real set is measured at it, once."""
        side = min(min(image.shape[:2]) for image in images)
        if side != self._side:
            first = as_source(np.stack([center_crop(image, side) for image in images]))
            sources, _ = at_one_size({"generated": first, **self._given}, self.model.patch_size)
            size = sources["real"].size
            if not self._known or self._known["real"].size != size:
                cache = FeatureCache() if self.settings.cache else None
                self._known = {
                    title: _measured(source, self._extractors, cache)
                    for title, source in sources.items()
                    if title != "generated"
                }
            self._side = side
        return self._known["real"].size


def _extractors(
    settings: ScoreSettings, model: QualityModel, needs: set[str]
) -> tuple[FeatureExtractor, ...]:
    """What every image is measured by, once, when it comes."""
    chosen = get_extractor(settings.features, model)
    follows = chosen.follows is model
    found: list[FeatureExtractor] = []
    if (follows and needs & {"features", "probabilities"}) or needs & {"latents", "likelihood"}:
        found.append(ModelStatistics(model, evidence="likelihood" in needs))
    if not follows and needs & {"features", "probabilities"}:
        found.append(chosen)
    # For groups, copies and encoding: the pixels need not be read again.
    return (*found, Looks())


class _Measured(Taken):
    """Other images, with what was measured of all of them."""

    def __init__(self, images: Images, size: int, known: dict[str, _Floats]) -> None:
        super().__init__(images, range(len(images)))
        self._size, self._known = size, known

    def measured(self, identity: str, size: int) -> _Floats | None:
        return self._known.get(identity) if size == self._size else None


def _measured(
    source: PatchSource, extractors: Sequence[FeatureExtractor], cache: FeatureCache | None
) -> PatchSource:
    known = {
        by.identity: cache.features(by, source) if cache and by.cached else by.extract(source)
        for by in extractors
    }
    return replace(source, items=_Measured(source.items, source.size, known))


class _Stream(Images):
    """Patches that came one batch after another: their pixels, and what was measured of them."""

    def __init__(self, size: int, extractors: Sequence[FeatureExtractor]) -> None:
        self.size, self._by = size, extractors
        self._known: dict[str, list[_Floats]] = {by.identity: [] for by in extractors}
        self._pixels = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def add(self, images: Sequence[Image]) -> None:
        """Measure images; all or none are taken."""
        try:
            patches = np.stack([center_crop(image, self.size) for image in images])
        except ImageError as error:
            raise ImageError(f"{error}; the {self._n} images before it are kept") from None
        source = PatchSource(patches, self.size, tuple(map(str, range(len(patches)))))
        found = {by.identity: by.extract(source) for by in self._by}
        self._pixels.seek(self._n * self._bytes)
        self._pixels.write(patches.tobytes())
        for identity, rows in found.items():
            self._known[identity].append(rows)
        self._n += len(patches)

    def source(self) -> PatchSource:
        """All that there are now."""
        known = {identity: np.concatenate(parts) for identity, parts in self._known.items()}
        images = _Measured(self, self.size, known)
        return PatchSource(images, self.size, tuple(map(str, range(self._n))))

    @property
    def _bytes(self) -> int:
        return 3 * self.size**2

    def __getitem__(self, index: int) -> Image:
        self._pixels.seek(index * self._bytes)
        pixels = np.frombuffer(self._pixels.read(self._bytes), np.uint8)
        return pixels.reshape(self.size, self.size, 3)

    def header(self, index: int) -> tuple[int, int]:
        return self.size, self.size
