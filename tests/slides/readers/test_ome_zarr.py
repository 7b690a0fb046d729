"""OME-Zarr of both versions."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts.reader import check_reader
from numpy.typing import NDArray
from slide_helpers import shrink

from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.errors import SlideError
from rl2qc.slides.readers.base import READERS, open_slide, scenes_of

zarr = pytest.importorskip("zarr", reason="needs the extra ome")

Levels = Sequence[NDArray[np.generic]]


def write_image(
    folder: Path,
    levels: Levels,
    mpp: float | tuple[float, float] | None,
    *,
    version: int = 4,
    axes: str = "cyx",
    omero: dict[str, Any] | None = None,
    names: Sequence[str] = "0123",
) -> Path:
    """An image by the letter of the specification; levels (h, w, 3), or as ``axes`` says."""
    form = 3 if version == 5 else 2
    group = zarr.open_group(str(folder), mode="w", zarr_format=form)
    kinds = {"c": "channel", "z": "space", "t": "time", "y": "space", "x": "space"}
    datasets = []
    for i, level in enumerate(levels):
        data = level.transpose(2, 0, 1) if axes == "cyx" else level
        chunks = tuple(64 if axis in "yx" else 1 for axis in axes)
        array = group.create_array(names[i], shape=data.shape, chunks=chunks, dtype=data.dtype)
        array[...] = data
        x, y = mpp if isinstance(mpp, tuple) else (mpp or 1.0,) * 2
        scale = [{"x": x, "y": y}[axis] * 2**i if axis in "yx" else 1.0 for axis in axes]
        datasets.append(
            {"path": names[i], "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        )
    unit = {} if mpp is None else {"unit": "micrometer"}
    described = [
        {"name": axis, "type": kinds[axis], **(unit if axis in "yx" else {})} for axis in axes
    ]
    about: dict[str, Any] = {"multiscales": [{"axes": described, "datasets": datasets}]}
    if omero is not None:
        about["omero"] = omero
    group.attrs.update({"ome": {"version": "0.5", **about}} if version == 5 else about)
    return folder


@pytest.mark.parametrize("version", [4, 5])
def test_contract(tmp_path: Path, version: int) -> None:
    def make(folder: Path, levels: Levels, mpp: float | None) -> Path:
        return write_image(folder / "slide.ome.zarr", levels, mpp, version=version)

    check_reader(READERS.get("ome-zarr"), tmp_path, make)


@pytest.fixture
def pixels(rng: np.random.Generator) -> NDArray[np.uint8]:
    return rng.integers(0, 255, (130, 200, 3), dtype=np.uint8)


def read(path: Path) -> NDArray[np.uint8]:
    with open_slide(path) as slide:
        return slide.read_region(0, 0, slide.info.dimensions).rgb


def channels(*labels: str) -> dict[str, Any]:
    return {"channels": [{"label": label} for label in labels]}


def test_channels_by_their_names_and_colours(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    turned = np.ascontiguousarray(pixels[..., ::-1])
    named = write_image(tmp_path / "a.zarr", [turned], 0.5, omero=channels("blue", "green", "red"))
    np.testing.assert_array_equal(read(named), pixels)
    colours = [{"label": f"c{i}", "color": c} for i, c in enumerate(["0000FF", "00FF00", "FF0000"])]
    shown = write_image(tmp_path / "b.zarr", [turned], 0.5, omero={"channels": colours})
    np.testing.assert_array_equal(read(shown), pixels)
    dyes = write_image(tmp_path / "c.zarr", [turned], 0.5, omero=channels("DAPI", "CD3", "CD8"))
    with pytest.raises(SlideError, match="DAPI, CD3, CD8"):
        open_slide(dyes)


def test_axes_of_any_order(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    last = write_image(tmp_path / "a.zarr", [pixels], 0.5, axes="yxc")
    np.testing.assert_array_equal(read(last), pixels)
    stack = np.stack([pixels // 4, pixels, pixels // 2]).transpose(3, 0, 1, 2)[None]
    all_five = write_image(tmp_path / "b.zarr", [stack], 0.5, axes="tczyx")
    np.testing.assert_array_equal(read(all_five), pixels)
    assert open_slide(all_five).info.warnings == ("of 3 focal planes the middle one is read",)


def test_sixteen_bits(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    deep = pixels.astype(np.uint16) * 257
    np.testing.assert_array_equal(read(write_image(tmp_path / "a.zarr", [deep], 0.5)), pixels)
    floats = write_image(tmp_path / "b.zarr", [pixels.astype(np.float32)], 0.5)
    with pytest.raises(SlideError, match="float32"):
        open_slide(floats)


def test_several_images_in_a_folder(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    top = tmp_path / "two.zarr"
    zarr.open_group(str(top), mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    for i in range(2):
        write_image(top / str(i), [pixels // (i + 1)], 0.5)
    assert [scene.name for scene in scenes_of(top)] == ["two.zarr@scene1", "two.zarr@scene2"]
    for i, scene in enumerate(scenes_of(top)):
        np.testing.assert_array_equal(read(scene), pixels // (i + 1))
    jobs, _ = find_inputs([tmp_path])
    assert [job.name for job in jobs] == ["two@scene1", "two@scene2"]


def test_what_is_no_image_or_leads_outside(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(SlideError, match="holds no image of OME-Zarr"):
        open_slide(tmp_path / "empty.zarr")
    write_image(tmp_path / "other.zarr", [pixels], 0.5)
    path = write_image(tmp_path / "a.zarr", [pixels], 0.5)
    about = json.loads((path / ".zattrs").read_text())
    about["multiscales"][0]["datasets"][0]["path"] = "../other.zarr/0"
    (path / ".zattrs").write_text(json.dumps(about))
    with pytest.raises(SlideError, match="outside itself"):
        open_slide(path)
    about["multiscales"][0]["datasets"][0]["path"] = "9"
    (path / ".zattrs").write_text(json.dumps(about))
    with pytest.raises(SlideError, match=r"a\.zarr cannot be opened as a slide"):
        open_slide(path)


def test_a_chunk_that_is_damaged_costs_itself(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    large = shrink(np.tile(pixels, (4, 4, 1)), 1)
    path = write_image(tmp_path / "a.zarr", [large], 0.5)
    (path / "0" / "0.0.0").write_bytes(b"none")
    with open_slide(path) as slide:
        with pytest.raises(SlideError, match="cannot be read at x 0, y 0"):
            slide.read_region(0, 0, (8, 8))
        np.testing.assert_array_equal(slide.read_region(64, 64, (8, 8)).rgb, large[64:72, 64:72])


@pytest.mark.parametrize(
    ("file", "keys", "value"),
    [
        ("0/.zarray", ("shape", 2), 2**40),
        ("0/.zarray", ("shape", 2), 2**20),
        ("0/.zarray", ("chunks", 2), 2**40),
        ("1/.zarray", ("shape", 1), 2**20),
        (".zattrs", ("multiscales", 0, "datasets"), []),
        (".zattrs", ("multiscales", 0, "datasets", 0, "path"), 7),
    ],
)
def test_numbers_that_lie_are_told_by_the_name(
    tmp_path: Path, pixels: NDArray[np.uint8], file: str, keys: Sequence[Any], value: Any
) -> None:
    folder = write_image(tmp_path / "a.zarr", [pixels, shrink(pixels, 2)], 0.5)
    root = json.loads((folder / file).read_text())
    node = root
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    (folder / file).write_text(json.dumps(root))
    with pytest.raises(SlideError, match=r"a\.zarr") as raised:
        open_slide(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(("name", "within"), [("a.ozx", ""), ("a.zip", ""), ("a.zip", "a.zarr/")])
def test_an_archive_is_read_as_the_folder(
    tmp_path: Path, pixels: NDArray[np.uint8], version: int, name: str, within: str
) -> None:
    folder = write_image(tmp_path / "a.zarr", [pixels, shrink(pixels, 2)], 0.5, version=version)
    archive = tmp_path / name
    with zipfile.ZipFile(archive, "w") as opened:
        for file in sorted(f for f in folder.rglob("*") if f.is_file()):
            opened.write(file, within + file.relative_to(folder).as_posix())
    np.testing.assert_array_equal(read(archive), pixels)
    with open_slide(archive) as slide, open_slide(folder) as same:
        assert slide.info == same.info
    (tmp_path / "alone").mkdir()
    archive.rename(tmp_path / "alone" / name)
    for given in (tmp_path / "alone", tmp_path / "alone" / name):
        (found,), _ = find_inputs([given])
        assert (found.kind, found.path.name) == ("slide", name)


def test_an_archive_that_is_none(tmp_path: Path) -> None:
    damaged, other = tmp_path / "a.ozx", tmp_path / "b.ozx"
    damaged.write_bytes(b"PK" * 30)
    with zipfile.ZipFile(other, "w") as opened:
        opened.writestr("notes.txt", "nothing")
    for archive in (damaged, other):
        with pytest.raises(SlideError, match=rf"{archive.name}.* holds no image of OME-Zarr"):
            open_slide(archive)


def alter(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what it says of its levels, of either version."""
    file = next(f for name in ("zarr.json", ".zattrs") if (f := folder / name).exists())
    root = json.loads(file.read_text())
    change((root.get("attributes", {}).get("ome") or root)["multiscales"][0])
    file.write_text(json.dumps(root))


@pytest.mark.parametrize("version", [4, 5])
def test_no_scale_is_no_resolution(tmp_path: Path, pixels: NDArray[np.uint8], version: int) -> None:
    folder = write_image(tmp_path / "a.zarr", [pixels], 0.5, version=version)
    alter(folder, lambda about: about["datasets"][0].pop("coordinateTransformations"))
    with pytest.raises(SlideError, match="has no mpp"):
        open_slide(folder)
    # What is said of all levels counts, alone as well as beside what is said of one.
    whole = [{"type": "scale", "scale": [1, 0.25, 0.25]}]
    alter(folder, lambda about: about.update(coordinateTransformations=whole))
    assert open_slide(folder).info.mpp == 0.25
    relative = [{"type": "scale", "scale": [1, 2, 2]}]
    alter(folder, lambda about: about["datasets"][0].update(coordinateTransformations=relative))
    assert open_slide(folder).info.mpp == 0.5


def test_a_unit_that_is_none_is_no_resolution(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    folder = write_image(tmp_path / "a.zarr", [pixels], 0.5)
    root = json.loads((folder / ".zattrs").read_text())
    for axis in root["multiscales"][0]["axes"]:
        axis["unit"] = -1
    (folder / ".zattrs").write_text(json.dumps(root))
    with pytest.raises(SlideError, match="has no mpp"):
        open_slide(folder)
    with open_slide(folder, mpp_override=0.5) as slide:
        assert slide.info.mpp == 0.5
