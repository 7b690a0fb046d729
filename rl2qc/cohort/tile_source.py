"""Where the kept tiles of a result come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rl2qc.cohort.store.folder import RUN
from rl2qc.cohort.store.record import Record
from rl2qc.cohort.store.seen_size import seen_size
from rl2qc.errors import UsageError
from rl2qc.filtering.pixels import TileWindow
from rl2qc.slides.readers.base import SlideReader
from rl2qc.slides.scenes import split_scene

__all__ = ["TileSource", "source_of_tiles"]


@dataclass(frozen=True)
class TileSource:
    """How the tiles of one input are read: at ``patch_size`` px of ``mpp`` from ``level``."""

    name: str
    path: Path
    kind: str
    patch_size: int
    level: int
    scale: float
    mpp: float | None
    slide_mpp: float | None
    icc: bool
    reader: str | None
    stretch: tuple[float, float] = (1.0, 1.0)

    def window(self, reader: SlideReader) -> TileWindow:
        """What the model saw of each tile."""
        return TileWindow.of_record(
            self.patch_size,
            self.level,
            self.scale,
            (self.mpp, self.slide_mpp),
            reader.info.level_downsamples,
        )


def source_of_tiles(folder: Path, record: Record, slides: str | Path | None) -> TileSource:
    about = record.slide
    path = Path(about["path"])
    if slides is not None and split_scene(Path(slides) / path.name)[0].exists():
        path = Path(slides) / path.name
    # Of tiles that were looked at in parts, all was seen.
    size = int(about["tile_size"]) if about.get("covered") else seen_size(folder, about)
    if size is None:
        raise UsageError(
            f"{folder} was measured at imported coordinates, and {RUN} of its run, which says what "
            "of them the model saw, is not there: keep the folder in that of its run"
        )
    return TileSource(
        folder.resolve().name,
        path,
        about["kind"],
        size,
        about.get("level") or 0,
        about.get("scale") or 1.0,
        about.get("mpp"),
        about.get("slide_mpp"),
        about.get("icc", False),
        about.get("reader"),
        tuple(about.get("stretch") or (1.0, 1.0)),
    )
