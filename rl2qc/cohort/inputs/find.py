"""What is to be filtered: slides and sets of patches, found, told apart and named."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rl2qc.cohort.inputs.discovery import Contents, is_wanted, look_into, tell_apart
from rl2qc.cohort.inputs.input import Input
from rl2qc.cohort.inputs.lists import read_mpp_table, read_slide_list
from rl2qc.cohort.inputs.own_files import match_coords, match_masks
from rl2qc.cohort.inputs.resolutions import differ, find_mpp, unused
from rl2qc.cohort.store.folder import RUN_NAMES
from rl2qc.core.arguments import check_paths
from rl2qc.core.names import folder_name
from rl2qc.errors import UsageError
from rl2qc.filtering.exports.registry import reserved_names
from rl2qc.images.sources.base import open_images, source_of
from rl2qc.images.sources.files import expand_glob, names_of
from rl2qc.slides.files import group_slides
from rl2qc.slides.readers.base import is_slide, is_slide_folder, scenes_of
from rl2qc.slides.scenes import is_scene, split_scene

__all__ = ["find_inputs"]

# Longer names, in bytes, leave no room for what is put behind them.
_LONGEST_NAME = 200


def find_inputs(
    inputs: str | Path | Sequence[str | Path],
    *,
    mpp_csv: str | Path | None = None,
    coords: str | Path | None = None,
    tissue_mask: str | Path | None = None,
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
        A file of coordinates, or a folder of them
        (:func:`rl2qc.cohort.inputs.own_files.match_coords`): what could be a patch in tiles or a
        small slide is a slide then.
    tissue_mask
        How tissue is found, a mask, or a folder of them
        (:func:`rl2qc.cohort.inputs.own_files.match_masks`).

    Returns
    -------
    The inputs in the order in which they are named, each once, and warnings about what is left out.

    Raises
    ------
    UsageError
        An input that does not exist, a folder that holds neither slides nor images, a CSV file
        without the columns that it needs, two resolutions for one slide, or coordinates or masks
        that cannot be told apart.
    """
    as_slides = coords is not None
    found = _Found(as_slides)
    inputs = check_paths("inputs", inputs)
    on_disk = []
    for item in inputs:
        # What a slide reader knows by its name is a slide, whatever else it could be.
        if is_slide(Path(item)) or source_of(item).on_disk:
            on_disk += _expand(item, found.warnings)
        else:
            found.add_images(Path(item))
    files = (path for path in on_disk if not path.is_dir() and not _is_list(path))
    patches = _named_patches(files, as_slides=as_slides)
    for path in on_disk:
        if _is_list(path):
            found.add_list(path)
        elif path in patches:
            found.loose[path.parent][path] = None
        elif path.is_dir() and not is_slide_folder(path):
            found.add_folder(path)
        else:
            found.add_slide(path)
    named = _with_unique_names(found.drafts())
    if mpp_csv is not None:
        table = read_mpp_table(mpp_csv)
        found.warnings += unused(table, named, mpp_csv)
        named = [
            item
            if item.kind == "patches" or item.mpp
            else replace(item, mpp=find_mpp(table, item, mpp_csv))
            for item in named
        ]
    matched = match_masks(tissue_mask, match_coords(coords, named))
    return matched, list(dict.fromkeys(found.warnings))


@dataclass
class _Found:
    """What is found so far: slides by where they really are, with the resolutions that are given,
    folders of patches with their images, images that were named one by one, and what is to be
    said."""

    as_slides: bool = False
    slides: dict[Path, Path] = field(default_factory=dict)
    resolutions: dict[Path, float] = field(default_factory=dict)
    folders: dict[Path, tuple[Path, list[Path]]] = field(default_factory=dict)
    loose: defaultdict[Path, dict[Path, None]] = field(default_factory=lambda: defaultdict(dict))
    warnings: list[str] = field(default_factory=list)

    def add_slide(self, path: Path) -> None:
        for scene in scenes_of(path):
            self.slides.setdefault(_real(scene), scene)

    def add_images(self, item: Path) -> None:
        """What an image source knows that is no folder of files."""
        opened = open_images(item)
        self.warnings += opened.warnings
        self.loose[item].update((Path(name), None) for name in opened.names)

    def add_list(self, path: Path) -> None:
        # A slide that is listed and missing is an input that fails, not the end of the others.
        listed = read_slide_list(path)
        files = (file for file, _ in listed if not file.is_dir())
        patches = _named_patches(files, as_slides=True)
        for file, mpp in listed:
            if file in patches:
                self.loose[file.parent][file] = None
                of_it = [file]
            else:
                of_it = self._add_listed(file)
            for one in of_it:
                self._give(one, mpp, path)

    def _add_listed(self, file: Path) -> list[Path]:
        """A slide, or a folder, of a list; the files that it stands for."""
        found = look_into(file, as_slides=True) if file.is_dir() else Contents([file])
        self.warnings += found.warnings
        if found.images and not found.slides:
            self.folders.setdefault(_real(file), (file, found.images))
            return found.images
        for slide in found.slides or [file]:
            self.add_slide(slide)
        return found.slides or [file]

    def _give(self, file: Path, mpp: float | None, where: Path) -> None:
        """Note the resolution that a list gives for a file, whatever it calls it."""
        if mpp is None:
            return
        known = self.resolutions.setdefault(_real(file), mpp)
        if differ(known, mpp):
            raise UsageError(
                f"two resolutions are given for {file}, {known:g} and {mpp:g} um/px (in {where}): "
                "leave the line of the wrong one out"
            )

    def add_folder(self, path: Path) -> None:
        found = look_into(path, as_slides=self.as_slides)
        self.warnings += found.warnings
        for file in found.slides:
            self.add_slide(file)
        if found.slides and found.images:
            self.warnings.append(
                f"{len(found.images)} images beside the slides in {path} are left out: "
                "name them as inputs of their own to filter them"
            )
        elif found.images:
            self.folders.setdefault(_real(path), (path, found.images))
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
            *(self._patches(path, sorted(images)) for path, images in self.folders.values()),
            *(self._patches(folder, list(images)) for folder, images in self.loose.items()),
        ]

    def _patches(self, folder: Path, files: Sequence[Path]) -> Input:
        found = names_of(files)
        self.warnings += found.warnings
        given = set[float]()
        if self.resolutions:
            real = map(_real, files)
            given = {self.resolutions[file] for file in real if file in self.resolutions}
        if len(given) > 1 and differ(min(given), max(given)):
            raise UsageError(
                f"the images in {folder} are one set, and {min(given):g} and {max(given):g} um/px "
                "are given for them: give one, or put each kind in a folder of its own"
            )
        name = _real(folder).name
        return Input(
            name,
            "patches",
            folder,
            tuple(map(Path, found.names)),
            mpp=min(given, default=None),
            own_name=name,
        )

    def _mpp_of(self, files: Sequence[Path]) -> float | None:
        """What lists give for the files of one slide."""
        # What is given for a file counts for every slide in it.
        every = [place for file in files for place in dict.fromkeys((file, split_scene(file)[0]))]
        real = map(_real, every) if self.resolutions else ()
        given = {self.resolutions[file] for file in real if file in self.resolutions}
        if len(given) > 1 and differ(min(given), max(given)):
            raise UsageError(
                f"two resolutions are given for the files of one slide, {min(given):g} and "
                f"{max(given):g} um/px: {files[0]} and others"
            )
        return min(given, default=None)


def _real(path: Path) -> Path:
    """Where links lead; unlike Path.resolve, without an error for a loop of links."""
    return Path(os.path.realpath(path))


def _is_list(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and path.is_file()


def _named_patches(files: Iterable[Path], *, as_slides: bool) -> set[Path]:
    """The images of patches among files that were named one by one."""
    together: defaultdict[Path, list[Path]] = defaultdict(list)
    for file in files:
        together[file.parent].append(file)
    return {
        image for group in together.values() for image in tell_apart(group, as_slides=as_slides)[1]
    }


def _expand(item: str | Path, warnings: list[str]) -> list[Path]:
    if os.path.lexists(item) or is_scene(Path(item)):
        return [Path(item)]
    matches, left = expand_glob(str(item), is_wanted)
    warnings += left.warnings()
    return matches


# ---------------------------------------------------------------- names


def _with_unique_names(inputs: Sequence[Input]) -> list[Input]:
    """The inputs, each with a name for its folder: its own, and more of its path where two are
    alike or the name is taken by files of the run."""
    names = [folder_name(item.name) for item in inputs]
    longer: list[Callable[[Input], str]] = [
        lambda item: folder_name(f"{_real(item.path).parent.name}__{item.name}"),
        lambda item: folder_name(f"{_real(item.path).parent.name}__{item.path.name}"),
        lambda item: folder_name(f"{item.name}-{_digest(item)}"),
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
