"""Files of many images: zip, tar, arrays, HDF5, Parquet."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import tifffile
from contracts.source import check_source
from PIL import Image

from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources.base import SOURCES, as_source, open_images
from rl2qc.images.sources.files import Files

KINDS = ["zip", "tar", "tar.gz", "npy", "npz", "h5", "parquet"]
NAME = {"tar.gz": "tar", "h5": "hdf5"}


def png(image) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write(path, members: dict[str, bytes] | np.ndarray) -> None:
    """A file of the kind that its name says, of pictures or of an array."""
    kind = path.name.partition(".")[2]
    if isinstance(members, np.ndarray) and kind in ("zip", "tar", "tar.gz", "parquet"):
        members = {f"{i}.png": png(image) for i, image in enumerate(members)}
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    elif kind.startswith("tar"):
        with tarfile.open(path, "w:gz" if kind.endswith("gz") else "w") as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    elif kind == "npy":
        np.save(path, members)
    elif kind == "npz":
        np.savez_compressed(path, images=members, labels=np.arange(len(members)))
    elif kind == "h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file["x"], file["y"] = members, np.arange(len(members))
    else:
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        rows = [{"bytes": content, "path": name} for name, content in members.items()]
        table = pa.table({"image": rows, "label": list(range(len(rows)))})
        pq.write_table(table, path, row_group_size=3)


@pytest.fixture
def pixels(stained):
    return stained(4, 72, seed=5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_contract(kind, pixels, tmp_path):
    def change(item):
        other = pixels.copy()
        other[0] //= 2
        write(item, other)
        os.utime(item, ns=(1, 1))

    source, item = SOURCES.get(NAME.get(kind, kind)), tmp_path / f"set.{kind}"
    write(item, pixels)
    for i, image in enumerate(as_source(item, 72).items[i] for i in range(4)):
        np.testing.assert_array_equal(image, pixels[i])

    def damage(item):
        other = item.with_name(f"damaged.{kind}")
        members = {f"{i}.png": png(image) for i, image in enumerate(pixels)}
        write(other, members | {"1.png": members["1.png"][:150]})
        return other

    pictures = kind in ("zip", "tar", "tar.gz", "parquet")
    check_source(source, item, damage=damage if pictures else None, change=change)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "parquet"])
def test_known_by_content_whatever_it_is_in(kind, pixels, tmp_path):
    write(tmp_path / f"set.{kind}", pixels)
    (tmp_path / "a.png").write_bytes(png(pixels[2]))
    held = open_images(tmp_path / f"set.{kind}").items
    assert held.digest(2) == Files([tmp_path / "a.png"]).digest(0)
    assert held.about(2).format == "PNG"


@pytest.mark.parametrize("kind", KINDS)
def test_read_by_another_process(kind, pixels, tmp_path):
    write(tmp_path / f"set.{kind}", pixels)
    source = as_source(tmp_path / f"set.{kind}", 64)
    source[0]
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[3], source[3])


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_nothing_leaves_the_archive(kind, pixels, tmp_path):
    content = [png(image) for image in pixels]
    names = ["x/b.png", "../out.png", "/etc/a.png", "__MACOSX/._b.png", "x/notes.txt", "a.png"]
    write(tmp_path / f"set.{kind}", {n: content[i % 4] for i, n in enumerate(names)})
    if kind == "tar":
        with tarfile.open(tmp_path / "set.tar", "a") as archive:
            link = tarfile.TarInfo("link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    found = open_images(tmp_path / f"set.{kind}")
    inside = [name.removeprefix(f"{tmp_path}/set.{kind}/") for name in found.names]
    assert inside == (["a.png", "x/b.png"] if kind == "zip" else ["x/b.png", "a.png"])
    said = " ".join(found.warnings)
    assert "2 left out: names that lead out of the archive, such as '../out.png'" in said
    assert "hidden" in said and ("links" in said) == (kind == "tar")
    # A folder in it, and one of its images.
    assert open_images(f"{tmp_path}/set.{kind}/x").names == (f"{tmp_path}/set.{kind}/x/b.png",)
    with pytest.raises(ImageError, match=r"holds no image nothing\.png"):
        open_images(f"{tmp_path}/set.{kind}/nothing.png")


def test_twice_encrypted_and_lying_members(pixels, tmp_path):
    content = png(pixels[0])
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a.png", content)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.png", png(pixels[1]))
    found = open_images(tmp_path / "twice.zip")
    assert len(found) == 1 and "of a name that is there already" in found.warnings[0]
    write(tmp_path / "secret.zip", {"a.png": content})
    raw = bytearray((tmp_path / "secret.zip").read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(raw)
    with pytest.raises(ImageError, match=r"a\.png is encrypted"):
        open_images(tmp_path / "secret.zip").items[0]


def test_bombs_are_not_unpacked(tmp_path, monkeypatch):
    from rl2qc.images.sources import archives

    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bmp", bytes(400_000_000))
    with pytest.raises(ImageError, match="it is not unpacked"):
        open_images(tmp_path / "bomb.zip").items[0]
    monkeypatch.setattr(archives, "_FREE", 1 << 20)
    write(tmp_path / "bomb.tar.gz", {"a.bmp": bytes(30_000_000)})
    with pytest.raises(UsageError, match="unpacks to more than"):
        open_images(tmp_path / "bomb.tar.gz")


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_none(kind, pixels, tmp_path):
    (tmp_path / f"set.{kind}").write_bytes(b"nothing of this kind" * 100)
    with pytest.raises((ImageError, UsageError), match=rf"set\.{kind}") as error:
        open_images(tmp_path / f"set.{kind}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_without_images(kind, tmp_path):
    write(tmp_path / f"set.{kind}", {"notes.txt": b"text"})
    with pytest.raises(UsageError, match="no images in"):
        open_images(tmp_path / f"set.{kind}")


def test_a_tar_that_ends_too_early(pixels, tmp_path):
    write(tmp_path / "set.tar", pixels)
    content = (tmp_path / "set.tar").read_bytes()
    sizes = len(png(pixels[0])) // 512 * 512 + 1024
    (tmp_path / "set.tar").write_bytes(content[: 2 * sizes + 700])
    found = open_images(tmp_path / "set.tar")
    assert 2 <= len(found) < 4 and "what follows is lost" in found.warnings[0]
    found.items[0]
    with pytest.raises(ImageError, match="the archive ends within it"):
        found.items[len(found) - 1]


def test_shards(pixels, tmp_path):
    (tmp_path / "shards").mkdir()
    for n in range(3):
        members = {f"{n}{i}.jpg.png": png(image) for i, image in enumerate(pixels)}
        write(tmp_path / "shards" / f"part-{n:03}.tar", {**members, f"{n}0.cls": b"1"})
    (tmp_path / "shards" / "sizes.json").write_text("{}")
    folder, globbed, braces = (
        open_images(f"{tmp_path}/shards{end}")
        for end in ("", "/part-*.tar", "/part-{000..002}.tar")
    )
    assert len(folder) == 12
    assert folder.names == globbed.names == braces.names == tuple(sorted(folder.names))
    np.testing.assert_array_equal(folder.items[9], pixels[1])
    assert len(open_images(f"{tmp_path}/shards/part-{{001..002}}.tar")) == 8
    with pytest.raises(UsageError, match=r"no such file: .*part-003\.tar"):
        open_images(f"{tmp_path}/shards/part-{{002..003}}.tar")
    with pytest.raises(UsageError, match="counts down"):
        open_images(f"{tmp_path}/shards/part-{{2..0}}.tar")
    # A folder with pictures of its own is one of pictures.
    (tmp_path / "shards" / "a.png").write_bytes(png(pixels[0]))
    assert open_images(tmp_path / "shards").names == (f"{tmp_path}/shards/a.png",)


@pytest.mark.parametrize("kind", ["npy", "npz", "h5"])
def test_arrays_of_other_kinds(kind, pixels, tmp_path):
    write(tmp_path / f"first.{kind}", pixels.transpose(0, 3, 1, 2).copy())
    found = open_images(tmp_path / f"first.{kind}")
    np.testing.assert_array_equal(found.items[1], pixels[1])
    assert found.shape(1) == (72, 72)
    write(tmp_path / f"floats.{kind}", pixels / 255)
    with pytest.raises(UsageError, match="images of float64: save them as uint8"):
        open_images(tmp_path / f"floats.{kind}")
    write(tmp_path / f"flat.{kind}", np.arange(12))
    with pytest.raises(UsageError, match="holds no images"):
        open_images(tmp_path / f"flat.{kind}")


def test_several_arrays_go_by_name(pixels, tmp_path):
    np.savez(tmp_path / "both.npz", train=pixels[:3], test=pixels[3:])
    found = open_images(tmp_path / "both.npz")
    assert [name.removeprefix(f"{tmp_path}/both.npz/") for name in found.names] == [
        "train/0", "train/1", "train/2", "test/0",
    ]  # fmt: skip
    assert len(open_images(tmp_path / "both.npz" / "train")) == 3
    np.save(tmp_path / "one.npy", pixels[0])
    assert len(open_images(tmp_path / "one.npy")) == 1


def test_pickles_in_arrays_are_not_loaded(tmp_path):
    np.save(tmp_path / "bad.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ImageError, match="Python objects"):
        open_images(tmp_path / "bad.npy")


def test_deep_pictures_in_archives(tmp_path):
    deep = (np.arange(72 * 72).reshape(72, 72) * 12).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    write(tmp_path / "set.zip", {"a.png": (tmp_path / "a.png").read_bytes()})
    alone, held = open_images(tmp_path / "a.png"), open_images(tmp_path / "set.zip")
    np.testing.assert_array_equal(held.items[0], alone.items[0])
    assert held.items.about(0) == alone.items.about(0)
    assert held.digest(0) == alone.digest(0)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_what_an_archive_holds_beside_pictures_is_named(kind, pixels, tmp_path):
    content = png(pixels[0])
    others = {"x/b.heic": b"", "x/c": content, "d.svs": b"II*\0" + bytes(20), "e.cls": b"3"}
    others["f.zip"] = others["g.tar.gz"] = b"?"
    unread = {"._c.heic": b"", "notes.txt": b"text"}
    write(tmp_path / f"set.{kind}", {"a.png": content, **others, **unread})
    said = open_images(tmp_path / f"set.{kind}").warnings
    named = [
        line.rpartition("such as ")[2] for line in said if "of a kind that is not read" in line
    ]
    assert named == ["'x/b.heic'", "'x/c'", "'d.svs'"]
    assert any("2 left out: archives within it, such as 'f.zip'" in line for line in said)


@pytest.mark.parametrize("kind", ["zip", "tar", "parquet"])
def test_of_a_stack_in_an_archive_the_first_page_is_read_and_that_is_said(kind, pixels, tmp_path):
    stack = io.BytesIO()
    tifffile.imwrite(stack, pixels, photometric="rgb")
    write(tmp_path / f"set.{kind}", {"a.png": png(pixels[0]), "stack.tif": stack.getvalue()})
    (line,) = as_source(tmp_path / f"set.{kind}").warnings
    name = "1" if kind == "parquet" else "stack.tif"
    assert line.startswith("1 of 2 images holds 4 frames, of which the first is read")
    assert line.endswith(f"set.{kind}/{name}")
    # Those of a file of its own have names of their own, and nothing is lost.
    (tmp_path / "stack.tif").write_bytes(stack.getvalue())
    assert as_source(tmp_path / "stack.tif").warnings == ()


@pytest.mark.parametrize("kind", ["zip", "tar", "parquet"])
def test_pointers_in_an_archive_are_told(kind, pixels, tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    write(tmp_path / f"set.{kind}", {"a.png": png(pixels[0]), "b.png": pointer})
    with pytest.raises(ImageError, match=r"was not fetched: it is a pointer of Git LFS"):
        as_source(tmp_path / f"set.{kind}")


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_arrays_of_another_type_beside_images_are_named(kind, pixels, tmp_path):
    arrays = {"a": pixels, "deep": pixels[:3].astype(np.uint16), "labels": np.arange(4)}
    if kind == "npz":
        np.savez(tmp_path / "set.npz", **arrays)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "set.h5", "w") as file:
            file.update(arrays)
    found = open_images(tmp_path / f"set.{kind}")
    assert len(found) == 4
    (line,) = found.warnings
    assert f"set.{kind}/deep is left out: it holds 3 images of uint16" in line


def test_tables_without_a_column_of_images_are_told_so(tmp_path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"name": ["a"], "label": [1]}), path)
    with pytest.raises(UsageError, match=r"no column of image bytes.*columns: name, label"):
        open_images(path)
    pq.write_table(pa.table({"left": [b"x"], "right": [b"x"]}), path)
    with pytest.raises(UsageError, match=r"several columns of image bytes.*left, right"):
        open_images(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_masks_of_samples_are_no_images(kind, pixels, tmp_path) -> None:
    """As WebDataset keeps samples: KEY.FIELD.png."""
    picture = png(pixels[0])
    fields = ("image.png", "mask.png", "instances.png")
    members = {f"x/{key}.{field}": picture for key in "ab" for field in fields}
    members |= {"y/c.png": picture, "y/c.mask.png": picture, "y/d.1.png": picture}
    members |= {"y/d.2.png": picture, "y/d.png": picture}
    write(tmp_path / f"set.{kind}", members)
    found = open_images(tmp_path / f"set.{kind}")
    inner = sorted(name.split(f"set.{kind}/")[1] for name in found.names)
    kept = ["x/a.image.png", "x/b.image.png", "y/c.png", "y/d.1.png", "y/d.2.png", "y/d.png"]
    assert inner == kept
    (line,) = found.warnings
    assert "5 left out: masks and other pictures of samples" in line
