"""The kept tiles of filtered slides as a torch dataset."""

from __future__ import annotations

import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from rl2qc.cohort.store.record import RECORD, Record, ResultFolder
from rl2qc.cohort.store.summary import repeated
from rl2qc.cohort.store.tables import kept_tiles
from rl2qc.cohort.tile_masks import TileMasks
from rl2qc.cohort.tile_source import source_of_tiles
from rl2qc.core.arguments import check, check_index, check_path
from rl2qc.core.text import one_line, printable
from rl2qc.errors import ImageError, SlideError, UsageError, WorkError
from rl2qc.filtering.evidence import EVIDENCE
from rl2qc.images.cells import CELL
from rl2qc.images.sources.base import center_crop, read_named
from rl2qc.slides.readers.base import ReaderDied, SharedCache, SlideReader, open_slide
from rl2qc.slides.scenes import split_scene
from rl2qc.slides.stretch import mpp_again, square_tile

__all__ = ["KeptTiles", "Tile"]

UNREADABLE = ("raise", "skip")

# Open slides a process: a shuffled loop over a cohort must not run out of file handles or memory.
_OPEN_SLIDES = 16
_ROW = np.dtype([("x", np.int32), ("y", np.int32), ("width", np.int32), ("p_value", np.float64)])


@dataclass(frozen=True)
class Tile:
    """A kept tile: ``slide`` is the name of its folder of results, ``path`` the slide (or the
    image, for patches), ``x`` and ``y`` its corner in level-0 px (of an imported tile, that of the
    file it came from), ``p_value`` its conformal p-value."""

    slide: str
    path: Path
    x: int
    y: int
    p_value: float


class KeptTiles(Dataset[Any]):
    """Tiles that ``rl2qc filter`` kept, read from the slides when they are asked for.

    It works in a DataLoader with any number of workers, forked or spawned: each opens the slides
    that it needs itself, 16 at a time, and decoded blocks take 128 MiB of it at most.

    Parameters
    ----------
    results
        The output folder of ``rl2qc filter``, or the folder of one slide in it.
    transform
        Takes a tile as a PIL image; by default, a float32 tensor (3, h, w) in [0, 1] is made.
    slides
        Folder in which to look for slides that are no longer where they were, by file name.
    unreadable
        What becomes of tiles that cannot be read any more: "raise" ends the loop, "skip" leaves
        them out of the batches of a DataLoader, and counts them. A batch that would be empty has
        one tile of another place instead.
    mask
        Give each tile with its map: a pair of the tile and a uint8 tensor (h, w), 0 where nothing
        is damaged, and the classes counted from 1 in the order of :attr:`classes`.

    Attributes
    ----------
    sources
        Names of the inputs in order.
    source_of
        (n,) int64, for each tile the index of its input in ``sources``; for samplers, and for
        splits by slide.
    skipped
        Of each input with such tiles, how many were left out by now, in all workers.

    Raises
    ------
    UsageError
        No results there, or those of imported coordinates without the ``run.json`` beside them; or
        masks are asked for, and a model gave none.
    WorkError
        A damaged table, or not one record that can be read; of others, damaged ones are warned of.
    SlideError, ImageError
        On access: a slide that is gone or damaged.

    Examples
    --------
    >>> import tempfile, tifffile
    >>> from rl2qc.cohort.filter import filter_cohort
    >>> folder = Path(tempfile.mkdtemp())
    >>> tifffile.imwrite(folder / "a.tif", np.full((128, 192, 3), (170, 90, 150), np.uint8),
    ...                  tile=(64, 64), photometric="rgb", resolution=(2e4, 2e4),
    ...                  resolutionunit="CENTIMETER")
    >>> class Even:
    ...     patch_size, mpp, name = 64, 0.5, "even"
    ...     def measure(self, images):
    ...         return {"log_likelihood": np.zeros(len(images)), "p_value": np.ones(len(images))}
    >>> _ = filter_cohort(folder, folder / "results", Even())
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
        unreadable: str = "raise",
        mask: bool = False,
    ) -> None:
        check("unreadable", unreadable, str, choices=UNREADABLE)
        results = check_path("results", results)
        check("slides", slides, str | Path | None)
        found = _found(results)
        self.transform = transform
        self._sources = [source_of_tiles(folder, record, slides) for folder, record in found]
        rows, images = zip(*(_kept(folder, record) for folder, record in found), strict=True)
        counts = [len(part) for part in rows]
        # Arrays, not objects: forked workers would copy a million objects by counting references.
        self.source_of: NDArray[np.int64] = np.repeat(np.arange(len(rows)), counts)
        self._rows: NDArray[np.void] = np.concatenate(rows)
        self._first = np.cumsum([0, *counts])
        self._images: tuple[NDArray[np.bytes_], ...] = images
        self._cache: SharedCache | None = None
        self._readers: OrderedDict[int, SlideReader] = OrderedDict()
        self._dead: dict[int, str] = {}
        self._pid = os.getpid()
        self.unreadable = unreadable
        # Shared by all workers of a DataLoader, forked or spawned.
        self._skipped = torch.zeros(len(self) * (unreadable == "skip"), dtype=torch.bool)
        self._skipped.share_memory_()  # type: ignore[no-untyped-call]
        without = [f for f, record in found if EVIDENCE not in record.files] if mask else []
        if without:
            raise UsageError(f"{without[0]} has no map: its model says nothing of where damage is")
        self._masks = TileMasks([folder for folder, _ in found]) if mask else None
        if not len(self):
            warnings.warn(f"{results} holds no tile that is kept", stacklevel=2)

    @property
    def classes(self) -> tuple[str, ...]:
        """What the numbers of masks stand for, from 1 on; () without masks."""
        return self._masks.classes if self._masks is not None else ()

    @property
    def sources(self) -> list[str]:
        """Names of the inputs in order."""
        return [source.name for source in self._sources]

    def __len__(self) -> int:
        return len(self.source_of)

    def __repr__(self) -> str:
        masks = "" if self._masks is None else ", with masks"
        return f"<KeptTiles of {len(self._sources)} inputs: {len(self)} tiles{masks}>"

    def __getitem__(self, index: int) -> Any:
        image = Image.fromarray(self.pixels(index))
        tile = _to_tensor(image) if self.transform is None else self.transform(image)
        return tile if self._masks is None else (tile, torch.from_numpy(self.mask(index)))

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """What a DataLoader asks for: the tiles of a batch, those that can be read."""
        if self.unreadable == "raise":
            return [self[index] for index in indices]
        found = [item for index in indices for item in self._tried(index)]
        if not found and len(indices):
            return self._any_after(indices[-1])
        return found

    @property
    def skipped(self) -> dict[str, int]:
        """How many tiles of each input were left out, each counted once."""
        numbers, counts = np.unique(
            self.source_of[: len(self._skipped)][self._skipped.numpy()], return_counts=True
        )
        return {self._sources[n].name: int(c) for n, c in zip(numbers, counts, strict=True)}

    def _tried(self, index: int) -> list[Any]:
        """A tile, or nothing."""
        try:
            return [self[index]]
        except (SlideError, ImageError):
            self._skipped[index] = True
            return []

    def _any_after(self, index: int) -> list[Any]:
        """The next tile that can be read."""
        for step in range(1, len(self)):
            other = (index + step) % len(self)
            if not self._skipped[other] and int(self.source_of[other]) not in self._dead:
                with suppress(SlideError, ImageError):
                    return [self[other]]
        raise SlideError("not one of the kept tiles can be read")

    def __getstate__(self) -> dict[str, Any]:
        # Handles do not travel; each worker opens its own.
        return {**self.__dict__, "_readers": OrderedDict(), "_cache": None}

    def tile(self, index: int) -> Tile:
        """Where a tile comes from."""
        index = self._checked(index)
        source, row = self._sources[self.source_of[index]], self._rows[index]
        path = source.path if source.kind == "slide" else self._image(index)
        return Tile(source.name, path, int(row["x"]), int(row["y"]), float(row["p_value"]))

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """A tile (patch_size, patch_size, 3) uint8, just as the model saw it.

        Of patches and of imported tiles that are larger than the model's, that is their centre; of
        smaller imported ones, what is around them, too.
        """
        index = self._checked(index)
        number = int(self.source_of[index])
        source, row = self._sources[number], self._rows[index]
        if source.kind == "patches":
            return center_crop(read_named(self._image(index)), source.patch_size)
        reader = self._reader(number)
        try:
            tile = int(row["x"]), int(row["y"]), int(row["width"])
            return source.window(reader).read(reader, *square_tile(tile, source.stretch))
        except ReaderDied as error:
            self._dead[number] = str(error)
            raise
        except SlideError:
            # Another try opens the slide anew.
            del self._readers[number]
            raise

    def mask(self, index: int) -> NDArray[np.uint8]:
        """The map of a tile (patch_size, patch_size) uint8, pixel by pixel as it lies on the tile.

        Raises
        ------
        UsageError
            Masks were not asked for.
        """
        if self._masks is None:
            raise UsageError("ask for masks first: KeptTiles(results, mask=True)")
        index = self._checked(index)
        number = int(self.source_of[index])
        cells = self._masks.of(number)[index - self._first[number]]
        side = np.arange(self._sources[number].patch_size) // CELL
        # Tiles that are no whole number of cells: the last one ends with the tile.
        down, across = (np.minimum(side, cells_there - 1) for cells_there in cells.shape)
        return np.ascontiguousarray(cells[np.ix_(down, across)])

    def _image(self, index: int) -> Path:
        number = self.source_of[index]
        name = bytes(self._images[number][index - self._first[number]])
        return Path(name.decode("utf-8", "surrogateescape"))

    def _checked(self, index: int) -> int:
        return check_index("tile", index, len(self))

    def _reader(self, number: int) -> SlideReader:
        # A fork may have inherited an open slide, whose position in the file it would share.
        if self._pid != os.getpid():
            self._readers, self._cache, self._pid = OrderedDict(), None, os.getpid()
        if number in self._dead:
            raise ReaderDied(self._dead[number])
        if self._cache is None:
            self._cache = SharedCache()
        if number not in self._readers:
            source = self._sources[number]
            if not split_scene(source.path)[0].exists():
                raise SlideError(
                    f"{source.path} is gone: say where its slides are, KeptTiles(..., slides=DIR)"
                )
            try:
                self._readers[number] = open_slide(
                    source.path,
                    mpp_override=mpp_again(source.slide_mpp, source.stretch),
                    icc=source.icc,
                    cache=self._cache,
                    reader=source.reader,
                )
            except ReaderDied as error:
                self._dead[number] = str(error)
                raise
            if len(self._readers) > _OPEN_SLIDES:
                self._readers.popitem(last=False)[1].close()
        self._readers.move_to_end(number)
        return self._readers[number]


def _found(results: Path) -> list[tuple[Path, Record]]:
    """The results in a folder, or that it is: one that is damaged costs none of the others."""
    folders = [results] if (results / RECORD).exists() else sorted(results.glob("*/"))
    found, damaged = [], []
    for folder in (place for place in folders if os.path.lexists(place / RECORD)):
        try:
            found.append((folder, ResultFolder(folder).check_record()))
        except WorkError as error:
            damaged.append(f"{printable(folder.name)} ({one_line(error)})")
    if damaged:
        more = f" and {len(damaged) - 3} more" if len(damaged) > 3 else ""
        said = (
            f"{len(damaged)} of {len(damaged) + len(found)} results in {results} cannot be read: "
            f"{'; '.join(damaged[:3])}{more}: run rl2qc filter again"
        )
        if not found:
            raise WorkError(said)
        warnings.warn(said, stacklevel=3)
    if not found:
        raise UsageError(f"{results} holds no results of rl2qc filter")
    of_slides = ((f.name, r.slide["path"]) for f, r in found if r.slide["kind"] == "slide")
    for said in repeated(of_slides):
        warnings.warn(said, stacklevel=3)
    return found


def _kept(folder: Path, record: Record) -> tuple[NDArray[np.void], NDArray[np.bytes_]]:
    """The kept rows of a table (:data:`_ROW`), and the images of patches."""
    images: list[bytes] = []

    def rows() -> Iterator[tuple[int, int, int, float]]:
        for x, y, width, p_value, image in kept_tiles(folder, record):
            if image is not None:
                images.append(os.fsencode(image))
            yield x, y, width, p_value

    return np.fromiter(rows(), _ROW), np.array(images, np.bytes_)


def _to_tensor(image: Image.Image) -> Tensor:
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return pixels.contiguous().to(torch.float32) / 255
