"""Image files: found, and read as RGB."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rl2qc.errors import ImageError, UsageError

__all__ = ["IMAGE_SUFFIXES", "image_size", "list_images", "read_image"]


IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".ppm"}
)


def list_images(inputs: str | Path | Sequence[str | Path]) -> list[Path]:
    """Image files of folders (searched recursively), files and globs, sorted within each input.

    Raises
    ------
    UsageError
        An input that does not exist, or holds no image.
    """
    inputs = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    if not inputs:
        raise UsageError("no images given: name a folder, files or a glob")
    found: dict[Path, None] = {}  # a dict keeps the order and drops files named twice
    for item in inputs:
        if not str(item).strip():  # Path("") is the current folder
            raise UsageError("an input name is empty (an unset variable?): name a folder or files")
        path = Path(item)
        if path.is_dir():
            files = _walk(path)
            if not files:
                raise UsageError(f"no images in folder {path}")
        elif path.exists():
            files = [path]
        else:
            # Path.glob refuses absolute patterns.
            matches = sorted(glob.glob(str(item), recursive=True))  # noqa: PTH207
            if not matches:
                raise UsageError(f"no such file or folder: {item}")
            files = [
                p
                for match in map(Path, matches)
                for p in (_walk(match) if match.is_dir() else [match])
                if p.suffix.lower() in IMAGE_SUFFIXES
            ]
            if not files:
                raise UsageError(f"no images match {item}")
        found.update(dict.fromkeys(files))
    return list(found)


def _walk(folder: Path) -> list[Path]:
    # rglob does not follow links to folders, so a link loop ends here.
    return sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and p.is_file()
    )


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file as (h, w, 3) uint8 RGB.

    Transparency is laid on white, as glass is; grey is repeated over the channels; 16 bits are
    scaled to 8.

    Raises
    ------
    ImageError
        A file that is no image, or a damaged one.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return _to_rgb(image)
    except FileNotFoundError as error:
        raise ImageError(f"no such image: {path}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is not an image") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} cannot be read: {error}") from error


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image, dtype=np.float64)
        # Pillow shows 16-bit greys as "I;16" or "I"; 8-bit values in them stay as they are.
        scale = 257.0 if grey.max(initial=0) > 255 else 1.0
        return np.repeat((grey / scale).clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        glass = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(glass, layer)
    return np.array(image.convert("RGB"))


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width in px, from the header alone.

    Raises
    ------
    ImageError
        A file that is no image.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} is not an image") from error
