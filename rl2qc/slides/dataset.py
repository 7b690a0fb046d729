"""The kept tiles of filtered slides as a torch dataset."""

from __future__ import annotations

import csv
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from rl2qc.errors import SlideError, UsageError
from rl2qc.images.sources import center_crop, read_image
from rl2qc.slides.reader import SlideReader
from rl2qc.slides.records import RECORD, Record, read_record

__all__ = ["KeptTiles", "Tile"]

# Open slides a process: a shuffled loop over a cohort must not run out of file handles or memory.
_OPEN_SLIDES = 16


@dataclass(frozen=True)
class Tile:
    """A kept tile: ``slide`` is the name of its folder of results, ``path`` the slide (or the
    image, for patches), ``x`` and ``y`` its corner in level-0 px, ``p_value`` its conformal
    p-value."""

    slide: str
    path: Path
    x: int
    y: int
    p_value: float


@dataclass(frozen=True)
class _Source:
    """How the tiles of one input are read."""

    name: str
    path: Path
    kind: str
    patch_size: int
    level: int
    scale: float
    mpp: float | None
    icc: bool


class KeptTiles(Dataset[Any]):
    """Tiles that ``rl2qc filter`` kept, read from the slides when they are asked for.

    It works in a DataLoader with any number of workers, forked or spawned: each opens the slides
    that it needs itself.

    Parameters
    ----------
    results
        The output folder of ``rl2qc filter``, or the folder of one slide in it.
    transform
        Takes a tile as a PIL image; by default, a float32 tensor (3, h, w) in [0, 1] is made.
    slides
        Folder in which to look for slides that are no longer where they were, by file name.

    Attributes
    ----------
    sources
        Names of the inputs in order.
    source_of
        (n,) int64, for each tile the index of its input in ``sources``; for samplers, and for
        splits by slide.

    Raises
    ------
    UsageError
        No results there.
    SlideError, ImageError
        On access: a slide that is gone or damaged.

    Example
    -------
    >>> import tempfile, tifffile
    >>> from rl2qc.slides.cohort import run_cohort
    >>> from rl2qc.slides.jobs import find_jobs
    >>> folder = Path(tempfile.mkdtemp())
    >>> tifffile.imwrite(folder / "a.tif", np.full((128, 192, 3), (170, 90, 150), np.uint8),
    ...                  tile=(64, 64), photometric="rgb", resolution=(2e4, 2e4),
    ...                  resolutionunit="CENTIMETER")
    >>> class Even:
    ...     patch_size, mpp, name = 64, 0.5, "even"
    ...     def measure(self, images):
    ...         return {"log_likelihood": np.zeros(len(images)), "p_value": np.ones(len(images))}
    >>> _ = run_cohort(find_jobs([folder])[0], Even(), folder / "results")
    >>> tiles = KeptTiles(folder / "results")
    >>> len(tiles), tiles[0].shape, tiles.tile(5).x
    (6, torch.Size([3, 64, 64]), 128)
    >>> loader = torch.utils.data.DataLoader(tiles, batch_size=4, shuffle=True)
    >>> [len(batch) for batch in loader]
    [4, 2]
    """

    def __init__(
        self,
        results: str | Path,
        transform: Callable[[Image.Image], Any] | None = None,
        *,
        slides: str | Path | None = None,
    ) -> None:
        results = Path(results)
        folders = [results] if (results / RECORD).exists() else sorted(results.glob("*/"))
        found = [(folder, record) for folder in folders if (record := read_record(folder))]
        if not found:
            raise UsageError(f"{results} holds no results of rl2qc filter")
        self.transform = transform
        self._sources = [_source(folder, record, slides) for folder, record in found]
        rows = [list(_kept(folder)) for folder, _ in found]
        # Arrays, not objects: forked workers would copy a million objects by counting references.
        self.source_of: NDArray[np.int64] = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        flat = [row for part in rows for row in part]
        self._corners = np.array([row[:2] for row in flat], np.int64).reshape(-1, 2)
        self._p_values = np.array([row[2] for row in flat], np.float64)
        self._images = np.array([row[3] for row in flat], dtype=np.str_)
        self._readers: OrderedDict[int, SlideReader] = OrderedDict()
        self._pid = os.getpid()

    @property
    def sources(self) -> list[str]:
        """Names of the inputs in order."""
        return [source.name for source in self._sources]

    def __len__(self) -> int:
        return len(self.source_of)

    def __getitem__(self, index: int) -> Any:
        image = Image.fromarray(self.pixels(index))
        if self.transform is not None:
            return self.transform(image)
        return _to_tensor(image)

    def __getstate__(self) -> dict[str, Any]:
        # Handles do not travel; each worker opens its own.
        return {**self.__dict__, "_readers": OrderedDict()}

    def tile(self, index: int) -> Tile:
        """Where a tile comes from."""
        index = self._checked(index)
        source = self._sources[self.source_of[index]]
        x, y = self._corners[index].tolist()
        path = source.path if source.kind == "slide" else Path(str(self._images[index]))
        return Tile(source.name, path, x, y, float(self._p_values[index]))

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """A tile (patch_size, patch_size, 3) uint8, just as the model saw it."""
        index = self._checked(index)
        number = int(self.source_of[index])
        source = self._sources[number]
        if source.kind == "patches":
            return center_crop(read_image(Path(str(self._images[index]))), source.patch_size)
        x, y = self._corners[index].tolist()
        size = (source.patch_size, source.patch_size)
        reader = self._reader(number)
        return reader.read_region(x, y, size, level=source.level, scale=source.scale).rgb

    def _checked(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"tile {index} of {len(self)}")
        return int(index) % len(self)

    def _reader(self, number: int) -> SlideReader:
        # A fork may have inherited an open slide, whose position in the file it would share.
        if self._pid != os.getpid():
            self._readers, self._pid = OrderedDict(), os.getpid()
        if number not in self._readers:
            source = self._sources[number]
            if not source.path.exists():
                raise SlideError(
                    f"{source.path} is gone: say where its slides are, KeptTiles(..., slides=DIR)"
                )
            reader = SlideReader(source.path, mpp_override=source.mpp, icc=source.icc)
            self._readers[number] = reader
            if len(self._readers) > _OPEN_SLIDES:
                self._readers.popitem(last=False)[1].close()
        self._readers.move_to_end(number)
        return self._readers[number]


def _source(folder: Path, record: Record, slides: str | Path | None) -> _Source:
    about = record.slide
    path = Path(about["path"])
    if slides is not None and (Path(slides) / path.name).exists():
        path = Path(slides) / path.name
    return _Source(
        folder.resolve().name,
        path,
        about["kind"],
        int(about["patch_size"]),
        int(about["level"] or 0),
        float(about["scale"] or 1.0),
        about["slide_mpp"],
        bool(about["icc"]),
    )


def _kept(folder: Path) -> Iterator[tuple[int, int, float, str]]:
    """x, y, p-value and image of each kept row of a table."""
    with (folder / "tiles.csv").open(
        newline="", encoding="utf-8", errors="surrogateescape"
    ) as file:
        row: Mapping[str, str]
        for row in csv.DictReader(file):
            if row["keep"] == "true":
                yield int(row["x"]), int(row["y"]), float(row["p_value"]), row.get("path", "")


def _to_tensor(image: Image.Image) -> Tensor:
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return pixels.contiguous().to(torch.float32) / 255
