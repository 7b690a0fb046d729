"""The files that make up a slide: some formats spread one over many."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from rl2qc.slides.scenes import scene_path, split_scene

__all__ = [
    "dicom_series",
    "group_slides",
    "is_dicom",
    "named_file",
    "slide_files",
    "slide_name",
    "slide_place",
]

# DICOM's Series Instance UID as it stands in a file; the header precedes all pixels.
_DICOM_SERIES = re.compile(rb"\x20\x00\x0e\x00UI(..)([0-9.]{1,64})", re.DOTALL)
_DICOM_HEADER = 2**16
# What DICOM files begin with, whatever their names: 128 bytes of anything, and this.
_DICOM_SUFFIX, _DICOM_MAGIC = ".dcm", b"DICM"
# Folders that are a slide, with a suffix of their own.
_FOLDERS = (".zarr",)
# Hamamatsu's index files name their images as "ImageFile=slide.jpg".
_NAMED = re.compile(rb"=\s*([^\r\n=]+?)\s*$", re.MULTILINE)


def slide_files(path: Path) -> list[Path]:
    """Every file that belongs to a slide, in order.

    The folder beside an MRXS file, the files of the same DICOM series (of a folder: all its
    files), and what a Hamamatsu index (VMS, VMU) names; of any other format the file itself.

    Raises
    ------
    OSError
        A folder that cannot be listed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a.vms", "a.jpg", "b.jpg"):
    ...     _ = (folder / name).write_text("[Slide]\\nImageFile=a.jpg\\n")
    >>> [file.name for file in slide_files(folder / "a.vms")]
    ['a.vms', 'a.jpg']
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    if suffix == ".mrxs" and path.with_suffix("").is_dir():
        beside = path.with_suffix("").rglob("*")
        return [path, *sorted(file for file in beside if file.is_file())]
    if series := dicom_series(path):
        return sorted(file for file in path.parent.iterdir() if dicom_series(file) == series)
    if suffix in (".vms", ".vmu") and path.is_file():
        names = (name.decode("latin-1") for name in _NAMED.findall(path.read_bytes()))
        # The names are bare, and anything else that follows an equals sign is no file.
        named = {path.parent / name for name in names if Path(name).name == name}
        return [path, *sorted(file for file in named if file.is_file() and file != path)]
    return [path]


def slide_place(path: Path) -> Path:
    """What a slide is known by: its file or, of a DICOM series that has a folder to itself, the
    folder."""
    series = dicom_series(path)
    if not series:
        return path
    folder = Path(os.path.realpath(path.parent))
    # A damaged file in it has no series.
    alone = all(dicom_series(file) in (series, b"") for file in folder.iterdir())
    return folder if alone else path


def group_slides(files: Iterable[Path]) -> list[tuple[str, list[Path]]]:
    """The slides that files make up, each with its name and files: those of a DICOM series are one.

    Examples
    --------
    >>> group_slides([Path("a.svs"), Path("b.ndpi")])
    [('a', [PosixPath('a.svs')]), ('b', [PosixPath('b.ndpi')])]
    """
    series: defaultdict[tuple[str, bytes], list[Path]] = defaultdict(list)
    for file in files:
        # An ordinary slide is a series of its own.
        of = dicom_series(file) or os.fsencode(file)
        series[os.path.realpath(file.parent), of].append(file)
    return [(slide_name(first), [first, *others]) for first, *others in series.values()]


def slide_name(path: Path) -> str:
    """The name that a slide goes by: without suffix, or that of the DICOM folder.

    Examples
    --------
    >>> slide_name(Path("cohort/case.ome.tiff")), slide_name(Path("a.tiff@scene2"))
    ('case.ome', 'a@scene2')
    """
    file, scene = split_scene(path)
    if scene is not None:
        return scene_path(Path(slide_name(file)), scene).name
    place = slide_place(path)
    if place.suffix.lower() in _FOLDERS:
        return place.stem
    # DICOM files are often named by their UID, which ends in no suffix.
    whole = place.is_dir() or (is_dicom(place) and place.suffix.lower() != _DICOM_SUFFIX)
    return place.name if whole else place.stem


def named_file(name: str, path: Path) -> str:
    """What the file of a slide is called where the slide goes by ``name``: unlike the file's own
    name, this differs from that of any other slide.

    Examples
    --------
    >>> named_file("case", Path("a/case.svs")), named_file("a__case", Path("a/case.svs"))
    ('case.svs', 'a__case.svs')
    >>> named_file("b__two.ome@scene2", Path("two.ome.tiff@scene2"))
    'b__two.ome.tiff@scene2'
    """
    if name.endswith(path.name):
        return name
    file, _ = split_scene(path)
    scene = path.name[len(file.name) :]
    return f"{name.removesuffix(scene)}{file.suffix}{scene}"


def is_dicom(file: Path) -> bool:
    """Whether a file is DICOM by its name or its first bytes."""
    return file.suffix.lower() == _DICOM_SUFFIX or _read(file, 132)[128:] == _DICOM_MAGIC


def dicom_series(file: Path) -> bytes:
    """The Series Instance UID of a DICOM file; b"" of any other, and of a damaged one."""
    found = _DICOM_SERIES.search(_read(file, _DICOM_HEADER)) if is_dicom(file) else None
    return found[2] if found else b""


def _read(file: Path, count: int) -> bytes:
    """The first bytes of a file; none of one that cannot be read, or that is a pipe."""
    try:
        if not file.is_file():
            return b""
        with file.open("rb") as opened:
            return opened.read(count)
    except OSError:
        return b""
