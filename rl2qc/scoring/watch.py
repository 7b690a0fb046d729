"""Score the checkpoints of a training run as they appear."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rl2qc.core.arguments import check_path
from rl2qc.core.files import read_json, write_csv, write_json
from rl2qc.core.outputs import check_is_folder
from rl2qc.core.progress import Progress
from rl2qc.errors import Rl2qcError, UsageError, WorkError
from rl2qc.images.sources.base import open_images
from rl2qc.model.quality import DEFAULT_MODEL, QualityModel
from rl2qc.scoring.checkpoint_sets import CheckpointSet, find_sets, stamp_of
from rl2qc.scoring.event_files import EventFiles
from rl2qc.scoring.reject import reject
from rl2qc.scoring.score import score
from rl2qc.scoring.watch_settings import WatchSettings
from rl2qc.scoring.watched import Watched, WatchedSet

__all__ = ["watch"]

STATE, TABLE, PAGE = "watch.json", "scores.csv", "index.html"


def watch(
    run: str | Path,
    real: Any,
    model: str | Path | QualityModel = DEFAULT_MODEL,
    settings: WatchSettings | None = None,
    *,
    told: Callable[[Watched], object] | None = None,
    looked: Callable[[Watched], object] | None = None,
    progress: bool | Progress = False,
    **changes: Any,
) -> Watched:
    """Score the images of each checkpoint of a training run, as they appear.

    Everything that ``rl2qc watch`` does. Each folder or archive of images in ``run`` is one
    checkpoint's; its step is the last number in its name. One is scored when it has stayed as it is
    from one look to the next. What was scored is kept: begun again, the watch goes on.

    Parameters
    ----------
    run
        The folder that fills.
    real
        The real images.
    model
        Name of a shipped model, a model file, or a model.
    settings
        Which metrics, how often to look, and where ``watch.json``, ``scores.csv`` and
        ``index.html`` go.
    told
        Called with all that is known, after each set.
    looked
        Called with all that is known, after each look at the folder, before anything is scored.
    progress
        As in :func:`rl2qc.score`.
    **changes
        Single settings: ``metrics=["rl2"]``.

    Raises
    ------
    UsageError
        No such folder, no real images, settings out of range, or results of another watch in
        ``out``.
    WorkError
        The folder of the run vanished; what was scored is kept.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> place = Path(tempfile.mkdtemp())
    >>> (place / "run").mkdir()
    >>> rng = np.random.default_rng(0)
    >>> for step in (100, 200):
    ...     np.save(place / f"run/step_{step}.npy", rng.integers(0, 256, (8, 64, 64, 3), np.uint8))
    >>> np.save(place / "real.npy", rng.integers(0, 256, (12, 64, 64, 3), np.uint8))
    >>> seen = watch(place / "run", place / "real.npy", metrics=["swd"], n_resamples=0, once=True)
    >>> [(one.step, one.images) for one in seen.sets]
    [(100, 8), (200, 8)]
    """
    place, settings = Path(check_path("run", run)), WatchSettings.resolve(settings, changes)
    if not place.is_dir():
        raise UsageError(f"{place} is no folder: name the one that checkpoints' images appear in")
    folder = Path(settings.out or place.with_name(f"{place.name}.watch"))
    # Real images that lie in the run are no checkpoint's.
    apart = [Path(real)] if isinstance(real, str | Path) else []
    settings.score_settings()  # what it does not know is told before the long part
    loaded = model if isinstance(model, QualityModel) else QualityModel.load(model)
    looking = _Looking(place, real, loaded, settings, folder, progress)
    looking.resume(overwrite=settings.overwrite)
    events = EventFiles(folder) if settings.tensorboard else None
    before: dict[str, str] = {}
    while True:
        try:
            sets = find_sets(place, folder, *apart)
        except WorkError as error:
            raise WorkError(f"{error}: what was scored is in {folder}") from error
        stamps = {one.name: stamp_of(one.path) for one in sets}
        due = [one for one in sets if looking.is_new(one, stamps[one.name])]
        # One without a file is about to be filled.
        ready = [one for one in due if not stamps[one.name].startswith("0 ")]
        settled = [
            one for one in ready if settings.once or before.get(one.name) == stamps[one.name]
        ]
        looking.waiting = tuple(one.name for one in due if one not in settled)
        if looked is not None:
            looked(looking.watched())
        for one in settled:
            found = looking.score(one, stamps[one.name])
            if events is not None:
                events.write(found.scores, found.step)
            if told is not None:
                told(looking.watched())
        if settings.once:
            looking.write()
            return looking.watched()
        before = stamps
        time.sleep(settings.interval)


class _Looking:
    """A watch under way."""

    def __init__(
        self,
        run: Path,
        real: Any,
        model: QualityModel,
        settings: WatchSettings,
        folder: Path,
        progress: bool | Progress,
    ) -> None:
        self._run, self._model, self._settings = run, model, settings
        self._folder, self._progress = folder, progress
        self._real = open_images(real)
        names = "\n".join(map(str, self._real.names)).encode("utf-8", "surrogateescape")
        self._identity = {
            "settings": settings.record(),
            "model": model.sha256,
            "real": hashlib.sha256(names).hexdigest(),
        }
        self._sets: dict[str, WatchedSet] = {}
        self.waiting: tuple[str, ...] = ()

    def resume(self, *, overwrite: bool) -> None:
        """Take up what was scored before.

        Raises
        ------
        UsageError
            That was by other settings.
        """
        file = check_is_folder(self._folder) / STATE
        if not file.exists():
            if self._folder.exists() and any(self._folder.iterdir()) and not overwrite:
                raise UsageError(f"{self._folder} is not empty and no watch: name another --out")
            return
        try:
            known = read_json(file)
            sets = [WatchedSet.from_dict(one) for one in known["sets"]]
            identity = known["identity"]
            identity |= {"settings": WatchSettings.complete(identity["settings"])}
        except (KeyError, TypeError, ValueError, WorkError) as error:
            if overwrite:
                return
            raise UsageError(f"{file} is damaged: name another --out, or --overwrite") from error
        if identity != self._identity:
            if overwrite:
                return
            differ = ", ".join(k for k in self._identity if identity.get(k) != self._identity[k])
            raise UsageError(
                f"{self._folder} was begun with another {differ}: name another --out, or begin "
                "anew with --overwrite"
            )
        self._sets = {one.name: one for one in sets}

    def is_new(self, found: CheckpointSet, stamp: str) -> bool:
        """Whether a set was not yet scored as it is now."""
        known = self._sets.get(found.name)
        return known is None or known.stamp != stamp

    def score(self, found: CheckpointSet, stamp: str) -> WatchedSet:
        """Score one set, and write all that is known."""
        started = time.monotonic()
        try:
            done = self._score(found, stamp)
        except Rl2qcError as error:
            failure = " ".join(str(error).split())
            # What vanished meanwhile is tried again if it comes back.
            seen = stamp if found.path.exists() else ""
            done = WatchedSet(found.name, found.step, seen, failure=failure)
        seconds = round(time.monotonic() - started, 2)
        self._sets[found.name] = replace(done, seconds=seconds)
        self.write()
        return self._sets[found.name]

    def _score(self, found: CheckpointSet, stamp: str) -> WatchedSet:
        settings, images = self._settings, open_images(found.path)
        card = score(
            images, self._real, self._model, settings.score_settings(), progress=self._progress
        )
        scores = {
            name: (row.value, row.low, row.high)
            for name in settings.wanted
            if (row := card.metrics.get(name)) is not None
        }
        rejected = None
        if settings.diversity is not None:
            rejected = reject(
                images,
                self._real,
                self._model,
                diversity=settings.diversity,
                alpha=settings.alpha,
                features=settings.features,
                cache=settings.cache,
                seed=settings.seed,
            ).rejected
        known = WatchedSet(found.name, found.step, stamp, scores, rejected, len(images))
        return replace(known, warnings=card.warnings)

    def watched(self) -> Watched:
        """All that is known."""
        ordered = sorted(self._sets.values(), key=lambda one: (one.step, one.name))
        metrics = self._settings.wanted
        return Watched(self._run, self._folder, tuple(ordered), metrics, self.waiting)

    def write(self) -> None:
        """State, table and page, each whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        known = self.watched()
        write_json(self._folder / STATE, {**known.to_dict(), "identity": self._identity})
        rows = known.csv_rows()
        header = ["step", "set", "images", "metric", "value", "low", "high", "rejected"]
        write_csv(self._folder / TABLE, header, ([row[name] for name in header] for row in rows))
        known.to_html(self._folder / PAGE)
