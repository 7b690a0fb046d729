"""What is to be filtered: slides and sets of patches, found, told apart and named."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rl2qc.cohort.inputs.discovery import Contents, look_into, tell_apart
from rl2qc.cohort.inputs.input import Input, with_unique_names
from rl2qc.cohort.inputs.lists import read_mpp_table, read_slide_list
from rl2qc.errors import UsageError
from rl2qc.images.sources.base import open_images, source_of
from rl2qc.images.sources.files import list_images
from rl2qc.slides.files import dicom_series, real_path, slide_name, slide_place

__all__ = ["find_inputs"]


def find_inputs(
    inputs: str | Path | Sequence[str | Path], *, mpp_csv: str | Path | None = None
) -> tuple[list[Input], list[str]]:
    """Tell slides, patch folders and images apart.

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

    Returns
    -------
    The inputs in the order in which they are named, each once, and warnings about what is left out.

    Raises
    ------
    UsageError
        An input that does not exist, a folder that holds neither slides nor images, or a CSV file
        without the columns that it needs.
    """
    found = _Found()
    inputs = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    for item in inputs:
        if not source_of(item).on_disk:
            found.add_images(Path(item))
    given = list(_expand(item for item in inputs if source_of(item).on_disk))
    patches = _named_patches(path for path in given if not path.is_dir() and not _is_list(path))
    for path in given:
        if _is_list(path):
            found.add_list(path)
        elif path in patches:
            found.loose[path.parent][path] = None
        elif path.is_dir():
            found.add_folder(path)
        else:
            found.add_slide(path)
    named = with_unique_names(found.drafts())
    table = read_mpp_table(mpp_csv) if mpp_csv is not None else {}
    if table:
        found.warnings += _unused(table, named, mpp_csv)
    return [
        replace(item, mpp=item.mpp or _find_mpp(table, item)) if item.kind == "slide" else item
        for item in named
    ], found.warnings


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
        self.slides.setdefault(real_path(path), path)

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
                    self.resolutions[real_path(slide)] = mpp

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
            self.folders.setdefault(real_path(path), path)
        elif not found.slides:
            nothing = f"no slides and no images in folder {path}"
            raise UsageError("; ".join([nothing, *found.warnings]))

    def drafts(self) -> list[Input]:
        """Everything as inputs, whose names may be alike yet."""
        return [
            *_slide_inputs(self.slides.values(), self.resolutions),
            *(_patch_input(path, list_images(path)) for path in self.folders.values()),
            *(_patch_input(folder, images) for folder, images in self.loose.items()),
        ]


def _patch_input(folder: Path, images: Iterable[Path]) -> Input:
    return Input(real_path(folder).name, "patches", folder, tuple(images))


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


def _expand(inputs: Iterable[str | Path]) -> Iterable[Path]:
    for item in inputs:
        if Path(item).exists():
            yield Path(item)
            continue
        # Path.glob takes no absolute pattern.
        matches = sorted(glob.glob(str(item), recursive=True))  # noqa: PTH207
        if not matches:
            raise UsageError(f"no such file or folder: {item}")
        yield from map(Path, matches)


def _slide_inputs(files: Iterable[Path], resolutions: Mapping[Path, float]) -> list[Input]:
    """One input a slide; the files of a DICOM series are one slide."""
    series: defaultdict[tuple[Path, bytes], list[Path]] = defaultdict(list)
    for file in files:
        # An ordinary slide is a series of its own.
        series[real_path(file.parent), dicom_series(file) or os.fsencode(file)].append(file)
    return [
        Input(
            slide_name(first),
            "slide",
            first,
            mpp=next(filter(None, (resolutions.get(real_path(f)) for f in (first, *others))), None),
        )
        for first, *others in series.values()
    ]
