"""What is to be filtered: slides and sets of patches, found, told apart and named."""

from __future__ import annotations

import glob
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rl2qc.cohort.inputs.discovery import Contents, look_into, tell_apart
from rl2qc.cohort.inputs.input import Input
from rl2qc.cohort.inputs.lists import read_mpp_table, read_slide_list
from rl2qc.cohort.store.folder import RUN_NAMES
from rl2qc.errors import UsageError
from rl2qc.filtering.exports.registry import reserved_names
from rl2qc.images.sources.base import open_images, source_of
from rl2qc.images.sources.files import list_images
from rl2qc.slides.coords import look_up_coords, read_coords
from rl2qc.slides.files import group_slides, slide_name, slide_place

__all__ = ["find_inputs", "match_coords"]

# Longer names, in bytes, leave no room for what is put behind them.
_LONGEST_NAME = 200


def find_inputs(
    inputs: str | Path | Sequence[str | Path],
    *,
    mpp_csv: str | Path | None = None,
    coords: str | Path | None = None,
) -> tuple[list[Input], list[str]]:
    """Tell slides, patch folders and images apart, and name them.

    Parameters
    ----------
    inputs
        Slides, folders of slides or of patches, DICOM folders, image files, globs, items of
        registered image sources, and CSV files of slides
        (:func:`rl2qc.cohort.inputs.lists.read_slide_list`). What files are that may be either, such
        as TIFF, is told by their company (:func:`rl2qc.cohort.inputs.discovery.tell_apart`).
    mpp_csv
        A table ``wsi,mpp`` of resolutions, by path, name or name of the results; what a list of
        slides gives itself goes before.
    coords
        A file of coordinates, or a folder of them (:func:`match_coords`).

    Returns
    -------
    The inputs in the order in which they are named, each once, and warnings about what is left out.

    Raises
    ------
    UsageError
        An input that does not exist, a folder that holds neither slides nor images, a CSV file
        without the columns that it needs, or coordinates that cannot be told apart.
    """
    found = _Found()
    inputs = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    on_disk = []
    for item in inputs:
        if source_of(item).on_disk:
            on_disk += _expand(item)
        else:
            found.add_images(Path(item))
    patches = _named_patches(path for path in on_disk if not path.is_dir() and not _is_list(path))
    for path in on_disk:
        if _is_list(path):
            found.add_list(path)
        elif path in patches:
            found.loose[path.parent][path] = None
        elif path.is_dir():
            found.add_folder(path)
        else:
            found.add_slide(path)
    named = _with_unique_names(found.drafts())
    if mpp_csv is not None:
        table = read_mpp_table(mpp_csv)
        found.warnings += _unused(table, named, mpp_csv)
        named = [
            item
            if item.kind == "patches" or item.mpp
            else replace(item, mpp=_find_mpp(table, item))
            for item in named
        ]
    return named if coords is None else match_coords(coords, named), found.warnings


@dataclass
class _Found:
    """What is found so far: slides by where they really are, with the resolutions that are given,
    folders of patches, images that were named one by one, and what is to be said."""

    slides: dict[Path, Path] = field(default_factory=dict)
    resolutions: dict[Path, float] = field(default_factory=dict)
    folders: dict[Path, Path] = field(default_factory=dict)
    loose: defaultdict[Path, dict[Path, None]] = field(default_factory=lambda: defaultdict(dict))
    warnings: list[str] = field(default_factory=list)

    def add_slide(self, path: Path) -> None:
        self.slides.setdefault(_real(path), path)

    def add_images(self, item: Path) -> None:
        """What an image source knows that is no folder of files."""
        self.loose[item].update((Path(name), None) for name in open_images(item).names)

    def add_list(self, path: Path) -> None:
        # A slide that is listed and missing is an input that fails, not the end of the others.
        for file, mpp in read_slide_list(path):
            found = look_into(file) if file.is_dir() else Contents([file])
            self.warnings += found.warnings
            for slide in found.slides or [file]:
                self.add_slide(slide)
                if mpp is not None:
                    self.resolutions[_real(slide)] = mpp

    def add_folder(self, path: Path) -> None:
        found = look_into(path)
        self.warnings += found.warnings
        for file in found.slides:
            self.add_slide(file)
        if found.slides and found.images:
            self.warnings.append(
                f"{len(found.images)} images beside the slides in {path} are left out: "
                "name them as inputs of their own to filter them"
            )
        elif found.images and found.linked:
            # Images are not looked for behind links: they must be named.
            self.loose[path].update(dict.fromkeys(found.images))
        elif found.images:
            self.folders.setdefault(_real(path), path)
        elif not found.slides:
            nothing = f"no slides and no images in folder {path}"
            raise UsageError("; ".join([nothing, *found.warnings]))

    def drafts(self) -> list[Input]:
        """Everything as inputs, whose names may be alike yet."""
        return [
            *(
                Input(name, "slide", files[0], mpp=self._mpp_of(files), own_name=name)
                for name, files in group_slides(self.slides.values())
            ),
            *(_patch_input(path, list_images(path)) for path in self.folders.values()),
            *(_patch_input(folder, images) for folder, images in self.loose.items()),
        ]

    def _mpp_of(self, files: Iterable[Path]) -> float | None:
        """The resolution that a list gives for a slide, by any of its files."""
        return next(filter(None, (self.resolutions.get(_real(file)) for file in files)), None)


def _patch_input(folder: Path, images: Iterable[Path]) -> Input:
    name = _real(folder).name
    return Input(name, "patches", folder, tuple(images), own_name=name)


def _real(path: Path) -> Path:
    """Where links lead; unlike Path.resolve, without an error for a loop of links."""
    return Path(os.path.realpath(path))


def _is_list(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and path.is_file()


def _named_patches(files: Iterable[Path]) -> set[Path]:
    """The images of patches among files that were named one by one."""
    together: defaultdict[Path, list[Path]] = defaultdict(list)
    for file in files:
        together[file.parent].append(file)
    return {image for group in together.values() for image in tell_apart(group)[1]}


def _called(item: Input) -> tuple[str, ...]:
    """What a table may call a slide: by its place or by name."""
    path, place = item.path, slide_place(item.path)
    given = path if place == path else path.parent
    places = (str(path), str(given), str(place))
    return (*places, item.name, path.name, place.name, slide_name(path), path.stem)


def _find_mpp(table: Mapping[str, float], item: Input) -> float | None:
    return next((table[name] for name in _called(item) if name in table), None) if table else None


def _unused(table: Mapping[str, float], inputs: Sequence[Input], source: object) -> list[str]:
    """A misspelt name in a table of resolutions must not go unnoticed."""
    known = {name for item in inputs for name in _called(item)}
    left = [name for name in table if name not in known]
    if not left:
        return []
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    return [f"{source} has a resolution for {left[0]}{more}, which is no slide of this run"]


def _expand(item: str | Path) -> list[Path]:
    if Path(item).exists():
        return [Path(item)]
    # Path.glob takes no absolute pattern.
    matches = sorted(glob.glob(str(item), recursive=True))  # noqa: PTH207
    if not matches:
        raise UsageError(f"no such file or folder: {item}")
    return [Path(match) for match in matches]


# ---------------------------------------------------------------- names


def _with_unique_names(inputs: Sequence[Input]) -> list[Input]:
    """The inputs, each with a name for its folder: its own, and more of its path where two are
    alike or the name is taken by files of the run."""
    names = [item.name for item in inputs]
    longer: list[Callable[[Input], str]] = [
        lambda item: f"{_real(item.path).parent.name}__{item.name}",
        lambda item: f"{_real(item.path).parent.name}__{item.path.name}",
        lambda item: f"{item.name}-{_digest(item)}",
    ]
    taken = (*RUN_NAMES, *reserved_names())
    for make in longer:
        # Some file systems do not tell upper from lower case.
        counts = Counter([*taken, *(name.casefold() for name in names)])
        names = [
            make(item) if counts[name.casefold()] > 1 else name
            for item, name in zip(inputs, names, strict=True)
        ]
    return [
        replace(item, name=_short(name, item)) for item, name in zip(inputs, names, strict=True)
    ]


def _short(name: str, item: Input) -> str:
    return name if len(os.fsencode(name)) <= _LONGEST_NAME else f"{name[:40]}-{_digest(item)}"


def _digest(item: Input) -> str:
    return hashlib.sha256(os.fsencode(_real(item.path))).hexdigest()[:8]


# ---------------------------------------------------------------- coordinates


def match_coords(place: str | Path, inputs: Sequence[Input]) -> list[Input]:
    """The inputs, each slide with its file in the folder ``place``.

    A file goes by the slide's name in the output or by its own. That there is none is for the
    slide to fail with.

    Raises
    ------
    UsageError
        Coordinates of one slide for several, or no coordinates at all.
    """
    place = Path(place)
    count = sum(item.kind == "slide" for item in inputs)
    if not place.is_dir():
        read_coords(place)
        if count > 1:
            raise UsageError(
                f"--coords {place} holds the tiles of one slide and there are {count}: "
                "name the folder of their files"
            )
        return list(inputs)
    matched, taken = [], dict[Path, Input]()
    for item in inputs:
        is_slide = item.kind == "slide"
        file = look_up_coords(place, item.name, item.own_name) if is_slide else None
        if file is not None and (other := taken.setdefault(file, item)) is not item:
            raise UsageError(
                f"{file} may be of {other.path} or of {item.path}: call their files "
                f"{other.name}_patches.h5 and {item.name}_patches.h5"
            )
        matched.append(replace(item, coords=file))
    return matched
