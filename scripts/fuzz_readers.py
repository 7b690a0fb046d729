"""Slides that lie, of the readers that extras bring: CZI, OME-TIFF, OME-Zarr.

    python scripts/fuzz_readers.py --count 150

As ``fuzz_slides.py`` does with OpenSlide's formats: bytes of a slide are altered, of a folder those
of one of its files, numbers of its JSON among them; ``filter`` must judge it or refuse it by name.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from fuzz_slides import MPP, SIDE, TILE, alter, judged, tissue
from fuzzing.command import Outcome, run

from rl2qc.slides.readers.base import READERS

__all__ = ["FORMATS", "fuzz_readers"]

_VALUES: tuple[Any, ...] = (None, -1, 0, 2**40, 1e400, "x", [], {}, [2**31, 2**31, 3], True)


def _ome_tiff(place: Path) -> Path:
    path = place / "ome.ome.tiff"
    sizes = {f"PhysicalSize{axis}": MPP for axis in "XY"}
    about: dict[str, Any] = {"tile": (TILE, TILE), "compression": "deflate", "photometric": "rgb"}
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(tissue(), subifds=1, metadata={"axes": "YXS", **sizes}, **about)
        tiff.write(np.ascontiguousarray(tissue()[::2, ::2]), subfiletype=1, **about)
    return path


def _ome_zarr(place: Path) -> Path:
    import zarr

    path = place / "ome.zarr"
    axes: list[Any] = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    levels: list[Any] = []
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for level in range(2):
        step = 2**level
        pixels = np.ascontiguousarray(tissue()[::step, ::step].transpose(2, 0, 1))
        group.create_array(str(level), data=pixels, chunks=(3, TILE, TILE))
        scale = [{"type": "scale", "scale": [1, MPP * step, MPP * step]}]
        levels.append({"path": str(level), "coordinateTransformations": scale})
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": levels}]
    return path


def _czi(place: Path) -> Path:
    from pylibCZIrw import czi

    path = place / "zeiss.czi"
    with czi.create_czi(str(path)) as document:
        for y, x in np.ndindex(SIDE // 256, SIDE // 256):
            pixels = tissue()[y * 256 : y * 256 + 256, x * 256 : x * 256 + 256, ::-1]
            where = (x * 256, y * 256)
            document.write(data=np.ascontiguousarray(pixels), location=where)
        document.write_metadata("slide", scale_x=MPP * 1e-6, scale_y=MPP * 1e-6)
    return path


FORMATS: Mapping[str, Callable[[Path], Path]] = {
    "ome-tiff": _ome_tiff,
    "ome-zarr": _ome_zarr,
    "czi": _czi,
}
"""Writes a slide for a reader, by the reader's name."""


def _alter_json(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """One value of a file of JSON becomes another."""
    try:
        root = json.loads(content)
    except ValueError:
        return content[: len(content) // 2], "cut"
    places: list[tuple[Any, Any]] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        places += [(node, key) for key in keys]
        waiting += [node[key] for key in keys if isinstance(node[key], dict | list)]
    if not places:
        return b"[]", "emptied"
    node, key = places[rng.integers(len(places))]
    node[key] = _VALUES[rng.integers(len(_VALUES))]
    return json.dumps(root).encode(), f"{key} = {node[key]}"


def _altered(good: Path, target: Path, rng: np.random.Generator) -> str:
    """Write an altered copy; what is altered, in words."""
    if good.is_file():
        content, what = alter(good.read_bytes(), good, rng)
        target.write_bytes(content)
        return what
    shutil.copytree(good, target)
    files = sorted(file for file in target.rglob("*") if file.is_file())
    about = [file for file in files if file.name.startswith(".z") or file.suffix == ".json"]
    of_json = rng.integers(3) > 0
    file = (about if of_json else files)[rng.integers(len(about if of_json else files))]
    content = file.read_bytes()
    if of_json:
        content, what = _alter_json(content, rng)
    else:
        cut = int(rng.integers(len(content)))
        content, what = content[:cut] + rng.bytes(min(16, len(content) - cut)), f"noise at {cut}"
    file.write_bytes(content)
    return f"{file.relative_to(target)}: {what}"


def fuzz_readers(count: int, seed: int = 0) -> list[Outcome]:
    """Alter slides of the readers that are installed in turn so many times, and filter each."""
    rng, outcomes = np.random.default_rng(seed), []
    extras = {name: READERS.get(name).extra for name in FORMATS}
    there = [name for name, extra in extras.items() if extra is None or extra.installed]
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        good = {name: FORMATS[name](place) for name in there}
        for name, file in good.items():
            verdict, why = judged(file)
            if verdict != "judged":
                raise SystemExit(f"{name} is not judged as it is: {why}")
        for number in range(count):
            name = there[number % len(there)]
            ending = "".join(good[name].suffixes)
            target = place / f"{number}{ending}"
            what = _altered(good[name], target, rng)
            outcomes.append(Outcome(f"{name}: {what}", *judged(target)))
            shutil.rmtree(target) if target.is_dir() else target.unlink()
    return outcomes


def main() -> None:
    """Alter, filter, count."""
    run(fuzz_readers, __doc__, 150)


if __name__ == "__main__":
    main()
