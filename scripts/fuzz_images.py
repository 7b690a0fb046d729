"""Images that lie: images of all formats that somebody altered, read one by one.

    python scripts/fuzz_images.py --count 1000

Each time bytes of an image are altered, and everything that reads images reads it: its header, its
pixels, as a mask and as a cut-out. It must be read or refused by its name, without a foreign error;
and this process must live, with a bound on its memory that its helpers have as well. Prints how
many were read, refused and killed their helper, and each that was wrong.
"""

from __future__ import annotations

import io
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from fuzz_slides import tissue
from fuzzing.command import Outcome, run
from PIL import Image, features

from rl2qc.errors import ImageError
from rl2qc.images.sources.base import open_images
from rl2qc.images.sources.decode import read_cutout, read_mask
from rl2qc.images.sources.files import image_size

__all__ = ["FORMATS", "alter", "fuzz_images"]

SIDE = 96
_NUMBERS = (0, 1, 2, 255, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def _saved(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    held = io.BytesIO()
    Image.fromarray(tissue(SIDE)).convert(mode).save(held, kind, **options)
    return held.getvalue()


def _deep_tiff() -> bytes:
    held = io.BytesIO()
    pixels = tissue(SIDE).astype(np.uint16) * 16
    tifffile.imwrite(held, pixels, tile=(48, 48), photometric="rgb", compression="deflate")
    return held.getvalue()


def _deep_png() -> bytes:
    held = io.BytesIO()
    Image.fromarray(tissue(SIDE)[..., 0].astype(np.uint16) * 16).save(held, "PNG")
    return held.getvalue()


def _stack() -> bytes:
    held = io.BytesIO()
    pages = [Image.fromarray(tissue(SIDE, seed)) for seed in range(3)]
    pages[0].save(held, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    return held.getvalue()


FORMATS: Mapping[str, Callable[[], bytes]] = {
    "png": lambda: _saved("PNG"),
    "alpha.png": lambda: _saved("PNG", "RGBA"),
    "palette.png": lambda: _saved("PNG", "P"),
    "deep.png": _deep_png,
    "jpg": lambda: _saved("JPEG"),
    "progressive.jpg": lambda: _saved("JPEG", progressive=True),
    "tif": lambda: _saved("TIFF"),
    "jpeg.tif": lambda: _saved("TIFF", compression="jpeg"),
    "deflate.tif": lambda: _saved("TIFF", compression="tiff_adobe_deflate"),
    "deep.tif": _deep_tiff,
    "stack.tif": _stack,
    "bmp": lambda: _saved("BMP"),
    "gif": lambda: _saved("GIF"),
    "ppm": lambda: _saved("PPM"),
    "webp": lambda: _saved("WEBP"),
    "jp2": lambda: _saved("JPEG2000"),
    "avif": lambda: _saved("AVIF"),
}
"""Makes an image, by the end of its name."""
_NEEDS = {"webp": "webp", "jp2": "jpg_2000", "avif": "avif"}


def alter(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Alter an image in one of many ways; which, in words. Checksums of PNG are made anew."""
    data = bytearray(content)
    # Most of what matters stands in front.
    at = int(rng.integers(min(len(data), 256) if rng.random() < 0.6 else len(data)))
    way = ("number", "number", "noise", "byte", "cut", "zeros")[rng.integers(6)]
    if way == "cut":
        return bytes(data[:at]), f"cut at {at} bytes"
    if way == "number":
        size, order = (2, 4)[rng.integers(2)], ("little", "big")[rng.integers(2)]
        value = _NUMBERS[rng.integers(len(_NUMBERS))] % 256**size
        data[at : at + size] = value.to_bytes(size, "little" if order == "little" else "big")
        what = f"{value} of {size} bytes, {order} end first, at {at}"
    else:
        count = {"noise": 16, "byte": 1, "zeros": 64}[way]
        data[at : at + count] = bytes(count) if way == "zeros" else rng.bytes(count)
        what = f"{count} bytes of {way} at {at}"
    return _checked(bytes(data)), what


def _checked(data: bytes) -> bytes:
    """A PNG whose checksums fit again, so that its decoder reads on; others as they are."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        count = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + count]
        out += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + count
    return bytes(out)


def _verdict(path: Path) -> tuple[str, str]:
    start, said = time.monotonic(), list[str]()
    reads: tuple[Callable[[Path], Any], ...] = (
        image_size,
        lambda file: [open_images(file).items.read(i) for i in range(len(open_images(file)))],
        read_mask,
        read_cutout,
    )
    for read in reads:
        try:
            read(path)
        except ImageError as error:
            said.append(str(error))
            if path.name not in said[-1] or "\n" in said[-1]:
                return "wrong", f"it is not named in one line: {said[-1]}"
        # What is foreign is what is looked for.
        except Exception as error:
            return "wrong", f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - start
    if seconds > 30:
        return "wrong", f"{seconds:.0f} s"
    killed = next((line for line in said if "killed the process" in line), "")
    # That it is no cut-out is said of most.
    refused = next((line for line in said if "is no cut-out" not in line), "")
    return ("killed", killed) if killed else ("refused", refused) if refused else ("read", "")


def fuzz_images(count: int, seed: int = 0) -> list[Outcome]:
    """Alter images of all formats in turn so many times, and read each."""
    rng, outcomes = np.random.default_rng(seed), []
    names = [n for n in FORMATS if n not in _NEEDS or _NEEDS[n] in features.get_supported()]
    whole = {name: FORMATS[name]() for name in names}
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(count):
            name = names[number % len(names)]
            content, what = alter(whole[name], rng)
            file = Path(temporary) / f"{number}.{name}"
            file.write_bytes(content)
            outcomes.append(Outcome(f"{name}: {what}", *_verdict(file)))
            file.unlink()
    return outcomes


def main() -> None:
    """Alter, read, count."""
    run(fuzz_images, __doc__, 1000)


if __name__ == "__main__":
    main()
