"""Masks of tissue that users bring: pictures and outlines, by the names and codes of other tools.

==================  =================================  ==========================================
made by             where, for a slide ``case.svs``    what it holds
==================  =================================  ==========================================
by hand             ``case.png``, ``case.tif``         0, and another value where tissue is
HistoQC             ``case.svs/case.svs_mask_use.png`` 0, and 255 where tissue can be used
GrandQC, tissue     ``tis_det_mask/case.svs_MASK.png`` 1, and 0 where tissue is
GrandQC, artifacts  ``mask_qc/case.svs_mask.png``      codes: 1 to 6 tissue, 7 and 0 none
QuPath              ``case.geojson``                   outlines in px of level 0, classified
TRIDENT             ``contours_geojson/case.geojson``  outlines in px of level 0
==================  =================================  ==========================================
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rl2qc.errors import ImageError, UsageError
from rl2qc.images.outlines import read_outlines

__all__ = ["Frame", "UserMask", "find_mask", "look_up_mask", "read_mask"]

Mask = NDArray[np.bool_]

_PICTURES, _OUTLINES = (".png", ".tif", ".tiff"), (".geojson", ".json")
_USE, _GRANDQC, _CODES = "_mask_use.png", "_MASK.png", "_mask.png"
# GrandQC's codes: 1 tissue, 2 fold, 3 dark spot, 4 pen, 5 edge or bubble, 6 out of focus.
_TISSUE_CODES, _LAST_CODE = range(1, 7), 7
# Larger pictures are not decoded: 1.25x of the largest slides has a tenth of this.
_MOST_PIXELS = 400_000_000
# A mask may be this much longer or shorter than the slide's shape asks for, in px or as a share.
_PIXELS_OFF, _SHARE_OFF = 1.5, 0.01
# Share of the pixels that may lie between 0 and the highest value, where a mask was resized.
_BETWEEN = 0.02


@dataclass(frozen=True)
class Frame:
    """Where the overview that a mask is for lies on its slide.

    Attributes
    ----------
    dimensions
        Width and height of the slide at level 0 in px.
    bounds
        x, y, width, height at level 0 of the part that the overview shows.
    shape
        Height and width of the overview in px.
    """

    dimensions: tuple[int, int]
    bounds: tuple[int, int, int, int]
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class UserMask:
    """A mask as it was read.

    Attributes
    ----------
    mask
        (h, w) bool, on the overview.
    kind
        What it was taken for.
    warnings
        What is odd about it.
    """

    mask: Mask
    kind: str
    warnings: tuple[str, ...] = ()


def find_mask(where: str | Path, names: Sequence[str]) -> Path:
    """The mask of a slide: ``where`` itself, or the one in that folder.

    Parameters
    ----------
    where
        A file, or a folder of masks: one of HistoQC's, GrandQC's or TRIDENT's results as well.
    names
        What the slide is called: its file's name, and that without the suffix.

    Raises
    ------
    UsageError
        There is none, or more than one.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "case_mask.png").touch()
    >>> find_mask(folder, ["case.svs", "case"]).name
    'case_mask.png'
    """
    where = Path(where)
    found = look_up_mask(where, names) if where.is_dir() else where
    if found is None:
        wanted = f"{names[-1]}.png, .tif or .geojson, or HistoQC's, GrandQC's or TRIDENT's names"
        raise UsageError(f"{where} holds no mask of {names[0]}: expected {wanted}")
    if not found.is_file():
        raise UsageError(f"{where}: no such mask, nor a folder of masks")
    return found


def look_up_mask(folder: Path, names: Sequence[str]) -> Path | None:
    """The mask in ``folder`` of a slide with these names; None without one.

    Raises
    ------
    UsageError
        There are several.
    """
    found: dict[Path, Path] = {}
    for place in _places(names):
        file = folder / place
        # A slide's name may be too long for a file with more than it.
        with suppress(OSError):
            # Asked of the listing, too, since a disc may take upper case for lower.
            if file.is_file() and any(other.name == file.name for other in file.parent.iterdir()):
                found.setdefault(Path(os.path.realpath(file)), file)
    masks = list(found.values())
    if [m.parent.name for m in masks] == ["tis_det_mask", "mask_qc"]:
        return masks[0]  # both are GrandQC's, of the same tissue
    if len(masks) > 1:
        several = " and ".join(str(m.relative_to(folder)) for m in masks)
        raise UsageError(f"{folder} holds several masks of {names[0]}, {several}: keep one")
    return masks[0] if masks else None


def _places(names: Sequence[str]) -> list[Path]:
    """Where a mask may be below a folder."""
    places = []
    for name in dict.fromkeys(names):
        suffixes = [*_PICTURES, *_OUTLINES]
        suffixes += [f"_mask{suffix}" for suffix in (*_PICTURES, *_OUTLINES)]
        places += [f"{name}{suffix}" for suffix in (*suffixes, _USE, _GRANDQC)]
        places += [f"{name}/{name}{_USE}", f"contours_geojson/{name}.geojson"]
        places += [f"tis_det_mask/{name}{_GRANDQC}", f"mask_qc/{name}{_CODES}"]
    return [Path(place) for place in places]


def read_mask(path: str | Path, frame: Frame) -> UserMask:
    """Read a mask and lay it on the overview of its slide.

    A picture shows the whole slide, or the scanned part of it, at any scale; an overview's pixel
    is tissue if half of it is. Of outlines, see :func:`rl2qc.images.outlines.read_outlines`.

    Raises
    ------
    ImageError
        A file that cannot be read, that is no mask, or of another slide's shape.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "case.png"
    >>> Image.fromarray(np.eye(4, dtype=np.uint8) * 255).save(path)
    >>> read = read_mask(path, Frame((400, 400), (0, 0, 400, 400), (4, 4)))
    >>> read.kind, bool((read.mask == np.eye(4)).all())
    ('mask', True)
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in _OUTLINES:
        mask, warnings = read_outlines(path, frame.dimensions, frame.bounds, frame.shape)
        return UserMask(mask, "outlines", tuple(warnings))
    if suffix not in _PICTURES:
        raise ImageError(f"{path} is no mask: PNG, TIFF or GeoJSON is read")
    values = _values(path, frame)
    box = _box(path, values.shape, frame)
    tissue, kind = _tissue(path, values)
    shown = Image.fromarray(tissue.astype(np.uint8) * 255)
    small = shown.resize(frame.shape[::-1], Image.Resampling.BOX, box=box)
    return UserMask(np.asarray(small) >= 128, kind)


def _values(path: Path, frame: Frame) -> NDArray[np.generic]:
    """The picture (h, w), of a pyramid the level next above the overview's size."""
    try:
        with Image.open(path, formats=("PNG", "TIFF")) as image:
            _seek(path, image, frame)
            if image.width * image.height > _MOST_PIXELS:
                size = f"{image.width} x {image.height} px"
                raise ImageError(f"{path} has {size}: save it at a tenth of that, or smaller")
            coloured = image.mode in ("P", "PA", "RGBA", "LA", "CMYK", "YCbCr")
            values = np.asarray(image.convert("RGBA") if coloured else image)
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is neither PNG nor TIFF") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path} is too large for a mask: save it smaller") from error
    except (OSError, EOFError, SyntaxError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise ImageError(f"{path} cannot be read as a mask: {reason}") from error
    if values.ndim == 3:
        if values.shape[2] == 4 and (values[..., 3] < 255).any():
            raise ImageError(f"{path} is partly transparent: save the mask without transparency")
        if (values[..., :3] != values[..., :1]).any():
            raise ImageError(f"{path} is a picture in colours: a mask has one channel")
        values = values[..., 0]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ImageError(f"{path} holds values that are no numbers")
    return values


def _seek(path: Path, image: Image.Image, frame: Frame) -> None:
    """Turn to the smallest page that is no smaller than the overview."""
    pages = getattr(image, "n_frames", 1)
    if pages == 1:
        return
    sizes = []
    for page in range(pages):
        image.seek(page)
        sizes.append(image.size)
    if len(set(sizes)) < len(sizes):
        raise ImageError(f"{path} has {pages} pages: a mask has one, or is a pyramid")
    height, width = frame.shape
    enough = [i for i, (w, h) in enumerate(sizes) if w >= width and h >= height]
    image.seek(min(enough or [int(np.argmax([w for w, _ in sizes]))], key=lambda i: sizes[i]))


def _box(path: Path, shape: tuple[int, ...], frame: Frame) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the overview on a mask, in its px."""
    height, width = shape
    x, y, w, h = frame.bounds
    whole_width, whole_height = frame.dimensions
    if _alike(width, height, whole_width, whole_height):
        across, down = width / whole_width, height / whole_height
        right, bottom = min(width, (x + w) * across), min(height, (y + h) * down)
        return (max(0, x * across), max(0, y * down), right, bottom)
    if _alike(width, height, w, h):
        return (0, 0, width, height)
    turned = _alike(height, width, whole_width, whole_height)
    asked = "is it turned?" if turned else "is it another slide's, or cropped?"
    raise ImageError(
        f"{path} has {width} x {height} px, and the slide, of {whole_width} x {whole_height} px, "
        f"another shape: {asked}"
    )


def _alike(width: int, height: int, whole_width: int, whole_height: int) -> bool:
    """Whether a mask has a slide's shape, but for rounding."""
    scale = max(width / whole_width, height / whole_height)
    across, down = abs(whole_width * scale - width), abs(whole_height * scale - height)
    return across <= max(_PIXELS_OFF, _SHARE_OFF * width) and down <= max(
        _PIXELS_OFF, _SHARE_OFF * height
    )


def _tissue(path: Path, values: NDArray[np.generic]) -> tuple[Mask, str]:
    """Where tissue is by the codes of the tool that made the mask, and what it was taken for."""
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    numbers = np.unique(values)
    integer = values.dtype.kind in "iu"
    if path.name.endswith(_GRANDQC) and integer and set(numbers.tolist()) <= {0, 1}:
        return np.asarray(values == 0), "GrandQC's tissue detection"
    if integer and numbers[0] >= 0 and 2 <= numbers[-1] <= _LAST_CODE:
        return np.isin(values, list(_TISSUE_CODES)), "GrandQC's artifacts"
    kind = "HistoQC's mask" if path.name.endswith(_USE) else "mask"
    if len(numbers) == 1:
        return np.asarray(values != 0), kind
    between = np.mean((values != 0) & (values != numbers[-1]))
    if numbers[0] != 0 or between > _BETWEEN:
        seen = ", ".join(f"{n:g}" for n in numbers[:3].tolist())
        more = f"{len(numbers)} values ({seen} ...)" if len(numbers) > 3 else f"the values {seen}"
        raise ImageError(
            f"{path} is no mask: it holds {more}, and not 0 and one other (or GrandQC's codes)"
        )
    return np.asarray(values > numbers[-1] / 2), kind
