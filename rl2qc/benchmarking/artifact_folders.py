"""What a folder of artifacts holds: cut-outs to paste, and sets of real damaged images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rl2qc.errors import UsageError
from rl2qc.images.sources.files import find_files, is_hidden, is_image
from rl2qc.images.sources.listing import is_bin
from rl2qc.synthetic.cutouts import Positions, at_positions

__all__ = ["ArtifactFolders", "find_artifacts"]

CUTOUTS = "cutouts"


@dataclass(frozen=True)
class ArtifactFolders:
    """Files by set.

    Attributes
    ----------
    cutouts
        Pictures with transparency, at the positions asked for.
    real
        Images of real artifacts.
    warnings
        Folders that gave nothing.
    """

    cutouts: dict[str, list[Path]] = field(default_factory=dict)
    real: dict[str, list[Path]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def find_artifacts(folder: str | Path, positions: Positions = "all") -> ArtifactFolders:
    """Sort the images below ``folder``.

    Every sub-folder with images is a set of its own, images in the folder itself one more. The
    sub-folder ``cutouts`` (or ``folder`` itself, if that is its name) holds cut-outs instead.

    Parameters
    ----------
    folder
    positions
        Which cut-outs of each set to take (:func:`~rl2qc.synthetic.cutouts.at_positions`).

    Raises
    ------
    UsageError
        No such folder, or no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"no such folder: {folder}")
    warnings: list[str] = []
    if folder.resolve().name == CUTOUTS:
        of_cutouts, of_real = _sets(folder, warnings), {}
    else:
        below = folder / CUTOUTS
        of_cutouts = _sets(below, warnings) if below.is_dir() else {}
        of_real = _sets(folder, warnings)
    if not of_cutouts and not of_real:
        raise UsageError(f"no images in folder {folder}")
    chosen = {name: at_positions(paths, positions) for name, paths in of_cutouts.items()}
    warnings += [
        f"cut-outs {name}: none at {positions} positions of {len(of_cutouts[name])}"
        for name, paths in chosen.items()
        if not paths
    ]
    return ArtifactFolders({n: p for n, p in chosen.items() if p}, of_real, tuple(warnings))


def _sets(folder: Path, warnings: list[str]) -> dict[str, list[Path]]:
    """Images of each sub-folder except cut-outs, and those of the folder itself."""
    children = sorted(p for p in folder.iterdir() if not is_hidden(p.name))
    own = [p for p in children if is_image(p)]
    sets = {folder.resolve().name: own} if own else {}
    for child in children:
        if not child.is_dir() or child.name == CUTOUTS or is_bin(child.name):
            continue
        try:
            listed = find_files(child)
        except UsageError as error:
            warnings.append(str(error))
            continue
        warnings += listed.warnings
        images = [p for p in listed.files if CUTOUTS not in p.relative_to(child).parts]
        if images:
            sets[child.name] = images
    return sets
