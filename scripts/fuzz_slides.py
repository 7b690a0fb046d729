"""Slides that lie: slides of five formats that somebody altered, filtered one by one.

    python scripts/fuzz_slides.py --count 300

Each time bytes of a slide are altered: numbers of its header, its tables or its pixels, or it is
cut. ``filter`` must judge it or refuse it by its name, without a foreign error; and this process
must live, with a bound on its memory that its helpers have as well. Prints how many were judged
(some of them otherwise, since their pixels are others), refused and killed their helper, and each
that was wrong.
"""

from __future__ import annotations

import io
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from fuzzing.command import Outcome, run
from numpy.typing import NDArray
from PIL import Image

from rl2qc.errors import Rl2qcError
from rl2qc.filtering.slide import filter_slide

__all__ = [
    "FORMATS",
    "alter",
    "fuzz_slides",
    "judged",
    "write_slides",
]

SIDE, TILE, MPP = 512, 128, 0.5
_NUMBERS = (0, 1, 2, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 1_375_731_840)


class Even:
    """A model that takes what it is given."""

    patch_size, mpp, name = 128, 0.5, "even"

    def measure(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        return {"p_value": 1 / (1 + images.std(axis=(1, 2, 3)))}


def tissue(side: int = SIDE, seed: int = 0) -> NDArray[np.uint8]:
    """Violet noise, (side, side, 3) uint8."""
    noise = np.random.default_rng(seed).integers(-30, 30, (side // 8, side // 8, 3)).repeat(8, 0)
    return (np.array([170, 90, 150]) + noise.repeat(8, 1)).astype(np.uint8)


# ------------------------------------------------------------ slides of five formats


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "JPEG", quality=90, subsampling=1)
    return held.getvalue()


def _tiles(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    height, width = pixels.shape[:2]
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            yield np.ascontiguousarray(pixels[y : y + TILE, x : x + TILE])


def _write_tiff(path: Path, *, about: str = "", bigtiff: bool = False, software: str = "") -> Path:
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as tiff:
        for level in range(2):
            pixels = np.ascontiguousarray(tissue()[:: 2**level, :: 2**level])
            tiff.write(
                pixels,
                compression="deflate",
                tile=(TILE, TILE),
                photometric="rgb",
                description=about or None,
                software=software or None,
                metadata=None,
                subfiletype=1 if level and not about else 0,
                resolution=(1e4 / MPP / 2**level,) * 2,
                resolutionunit="CENTIMETER",
            )
    return path


def _svs(place: Path) -> Path:
    about = f"Aperio Image Library v10.0.51\r\n{SIDE}x{SIDE} (128x128)|MPP = {MPP}"
    return _write_tiff(place / "aperio.svs", about=about)


def _scn(place: Path) -> Path:
    size = round(SIDE * MPP * 1000)
    pixels = "".join(
        f'<dimension sizeX="{SIDE >> r}" sizeY="{SIDE >> r}" r="{r}" ifd="{r}"/>' for r in range(2)
    )
    about = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection name="c" sizeX="{2 * size}" sizeY="{2 * size}"><barcode>MQ==</barcode>'
        '<image name="i"><creationDate>2020-01-01T00:00:00Z</creationDate>'
        '<device model="Leica SCN400;Leica SCN" version="1.4"/>'
        f'<pixels sizeX="{SIDE}" sizeY="{SIDE}">{pixels}</pixels>'
        f'<view sizeX="{size}" sizeY="{size}" offsetX="0" offsetY="0" spacingZ="0"/>'
        "<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings>"
        "<illuminationSettings><numericalAperture>0.4</numericalAperture>"
        "<illuminationSource>brightfield</illuminationSource></illuminationSettings>"
        "</scanSettings></image></collection></scn>"
    )
    return _write_tiff(place / "leica.scn", about=about, bigtiff=True)


def _trestle(place: Path) -> Path:
    about = "Objective Magnification=20;Background Color=e6e6e6;OverlapsXY= 0 0 0 0"
    return _write_tiff(place / "trestle.tif", about=about, software="MedScan 1.0")


def _generic(place: Path) -> Path:
    return _write_tiff(place / "generic.tiff")


def _element(group: int, number: int, kind: str, value: bytes | str | int) -> bytes:
    """An element of a DICOM file, in little endian with its kind."""
    if isinstance(value, int):
        value = struct.pack("<H" if kind == "US" else "<I", value)
    if isinstance(value, str):
        value = value.encode()
    if len(value) % 2:
        value += b"\0" if kind == "UI" else b" "
    head = struct.pack("<HH", group, number) + kind.encode()
    if kind in ("OB", "SQ", "UT", "OW"):
        return head + b"\0\0" + struct.pack("<I", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def _item(value: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value


def _dicom(place: Path) -> Path:
    frames = [_jpeg(tile) for tile in _tiles(tissue())]
    frames = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    starts = np.cumsum([0, *(len(frame) + 8 for frame in frames[:-1])])
    pixels = _item(struct.pack(f"<{len(frames)}I", *starts.tolist()))
    pixels += b"".join(map(_item, frames)) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    spacing = _element(0x0028, 0x0030, "DS", f"{MPP / 1000}\\{MPP / 1000}")
    measures = _element(0x0028, 0x9110, "SQ", _item(spacing))
    optical = _item(_element(0x0048, 0x0112, "DS", "20") + _element(0x0048, 0x0106, "SH", "1"))
    kind, uid = "1.2.840.10008.5.1.4.1.1.77.1.6", "1.2.826.0.1.3680043.2"
    meta = b"".join(
        (
            _element(0x0002, 0x0001, "OB", b"\0\1"),
            _element(0x0002, 0x0002, "UI", kind),
            _element(0x0002, 0x0003, "UI", f"{uid}.1"),
            _element(0x0002, 0x0010, "UI", "1.2.840.10008.1.2.4.50"),
            _element(0x0002, 0x0012, "UI", uid),
        )
    )
    values = (
        (0x0008, 0x0008, "CS", "ORIGINAL\\PRIMARY\\VOLUME\\NONE"),
        (0x0008, 0x0016, "UI", kind),
        (0x0008, 0x0018, "UI", f"{uid}.1"),
        (0x0008, 0x0060, "CS", "SM"),
        (0x0020, 0x000D, "UI", f"{uid}.2"),
        (0x0020, 0x000E, "UI", f"{uid}.3"),
        (0x0020, 0x0052, "UI", f"{uid}.4"),
        (0x0020, 0x9311, "CS", "TILED_FULL"),
        (0x0028, 0x0002, "US", 3),
        (0x0028, 0x0004, "CS", "YBR_FULL_422"),
        (0x0028, 0x0006, "US", 0),
        (0x0028, 0x0008, "IS", str(len(frames))),
        (0x0028, 0x0010, "US", TILE),
        (0x0028, 0x0011, "US", TILE),
        (0x0028, 0x0100, "US", 8),
        (0x0028, 0x0101, "US", 8),
        (0x0028, 0x0102, "US", 7),
        (0x0028, 0x0103, "US", 0),
        (0x0048, 0x0006, "UL", SIDE),
        (0x0048, 0x0007, "UL", SIDE),
        (0x0048, 0x0105, "SQ", optical),
        (0x5200, 0x9229, "SQ", _item(measures)),
    )
    data = b"".join(_element(*value) for value in values)
    data += struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0" + struct.pack("<I", 2**32 - 1) + pixels
    path = place / "dicom.dcm"
    length = _element(0x0002, 0x0000, "UL", len(meta))
    path.write_bytes(b"\0" * 128 + b"DICM" + length + meta + data)
    return path


FORMATS: Mapping[str, Callable[[Path], Path]] = {
    "generic": _generic,
    "aperio": _svs,
    "leica": _scn,
    "trestle": _trestle,
    "dicom": _dicom,
}
"""Writes a slide of a format, by OpenSlide's name for it."""


def write_slides(place: Path) -> dict[str, Path]:
    """A slide of each format, by its name."""
    return {name: write(place) for name, write in FORMATS.items()}


# ------------------------------------------------------------ altering


def alter(content: bytes, file: Path, rng: np.random.Generator) -> tuple[bytes, str]:
    """Alter the content of a slide in one of many ways; which, in words."""
    data = bytearray(content)
    ways = [_number, _number, _number, _noise, _cut, _zeros]
    return ways[rng.integers(len(ways))](data, file, rng)


def _places(file: Path) -> list[tuple[str, int, int]]:
    """The numbers of a header: what each is, where, and of how many bytes."""
    found = []
    if file.suffix in (".dcm", ".czi"):
        return [("a number of the header", at, (2, 4)[at % 2]) for at in range(132, 1100)]
    with tifffile.TiffFile(file) as tiff:
        wide = tiff.is_bigtiff
        for page in tiff.pages:
            for tag in page.aspage().tags:
                name = f"tag {tag.code} of page {page.index}"
                found.append((f"type of {name}", tag.offset + 2, 2))
                found.append((f"count of {name}", tag.offset + 4, 8 if wide else 4))
                size = {3: 2, 4: 4, 5: 4, 16: 8}.get(int(tag.dtype), 1)
                found += [(name, tag.valueoffset, size)] * 3
                if size == 2:  # as a number of four bytes
                    found.append((f"wide {name}", tag.offset + 2, -1))
    return found


def _number(data: bytearray, file: Path, rng: np.random.Generator) -> tuple[bytes, str]:
    places = _places(file)
    what, at, size = places[rng.integers(len(places))]
    value = _NUMBERS[rng.integers(len(_NUMBERS))]
    if size < 0:
        counts = (
            struct.pack("<HQQ", 4, 1, value) if data[2] == 43 else struct.pack("<HII", 4, 1, value)
        )
        data[at : at + len(counts)] = counts
    else:
        data[at : at + size] = (value % 256**size).to_bytes(size, "little")
    return bytes(data), f"{what} = {value}"


def _noise(data: bytearray, file: Path, rng: np.random.Generator) -> tuple[bytes, str]:
    at, count = int(rng.integers(len(data))), int(rng.integers(1, 64))
    data[at : at + count] = rng.bytes(min(count, len(data) - at))
    return bytes(data), f"{count} bytes of noise at {at}"


def _cut(data: bytearray, file: Path, rng: np.random.Generator) -> tuple[bytes, str]:
    at = int(rng.integers(len(data)))
    return bytes(data[:at]), f"cut at {at} bytes"


def _zeros(data: bytearray, file: Path, rng: np.random.Generator) -> tuple[bytes, str]:
    at, count = int(rng.integers(len(data))), int(rng.integers(1, 4096))
    data[at : at + count] = bytes(min(count, len(data) - at))
    return bytes(data), f"{count} zeros at {at}"


# ------------------------------------------------------------ the trial


def judged(path: Path) -> tuple[str, str]:
    """What becomes of a slide, and what is said of it."""
    start = time.monotonic()
    try:
        model: Any = Even()
        table = filter_slide(path, model, mpp_override=MPP)
        found = "judged", f"{len(table)} tiles, {len(table.failures)} unread"
    except Rl2qcError as error:
        said = str(error)
        found = "killed" if "killed the process" in said else "refused", said
        if path.name not in said or "\n" in said:
            found = "wrong", f"it is not named in one line: {said}"
    # What is foreign is what is looked for.
    except Exception as error:
        found = "wrong", f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - start
    return found if seconds < 60 else ("wrong", f"{seconds:.0f} s")


def fuzz_slides(count: int, seed: int = 0) -> list[Outcome]:
    """Alter slides of all formats in turn so many times, and filter each."""
    rng, outcomes = np.random.default_rng(seed), []
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        good = write_slides(place)
        whole = {name: file.read_bytes() for name, file in good.items()}
        for name, file in good.items():
            verdict, why = judged(file)
            if verdict != "judged":
                raise SystemExit(f"{name} is not judged as it is: {why}")
        for number in range(count):
            name = list(good)[number % len(good)]
            content, what = alter(whole[name], good[name], rng)
            altered = place / f"{number}{good[name].suffix}"
            altered.write_bytes(content)
            outcomes.append(Outcome(f"{name}: {what}", *judged(altered)))
            altered.unlink()
    return outcomes


def main() -> None:
    """Alter, filter, count."""
    run(fuzz_slides, __doc__, 300)


if __name__ == "__main__":
    main()
