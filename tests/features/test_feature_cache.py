"""The feature cache: what it knows images by, what it computes, and what it survives."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl2qc.errors import ImageError, WorkError
from rl2qc.features import cache as feature_cache
from rl2qc.features.cache import FeatureCache, default_folder
from rl2qc.images.sources.base import as_source


class Colours:
    """A cheap extractor that counts the patches it is asked for."""

    name, dim = "colours", 6

    def __init__(self, identity="colours v1"):
        self.identity, self.seen = identity, 0

    def extract(self, source, *, progress=False):
        self.seen += len(source)
        stack = np.stack([source[i] for i in range(len(source))]).astype(np.float32)
        return np.hstack([stack.mean((1, 2)), stack.std((1, 2))])


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "cache")


@pytest.fixture
def source(patch_folder):
    return as_source(patch_folder)


def both(cache, source, extractor=None):
    """Features through the cache, and by the extractor alone."""
    extractor = extractor or Colours()
    return cache.features(extractor, source), Colours().extract(source)


def test_computes_once(cache, source):
    extractor = Colours()
    first, expected = both(cache, source, extractor)
    assert np.array_equal(first, expected)
    assert first.dtype == np.float32
    assert extractor.seen == len(source)
    second = FeatureCache(cache.path.parent).features(extractor, source)
    assert np.array_equal(second, expected)
    assert extractor.seen == len(source)


def test_names_do_not_matter_and_bytes_do(cache, patch_folder, tmp_path):
    folder = tmp_path / "renamed"
    folder.mkdir()
    files = sorted(patch_folder.iterdir())
    for i, file in enumerate(reversed(files)):
        shutil.copy(file, folder / f"{i:03}.png")
    extractor = Colours()
    cache.features(extractor, as_source(patch_folder))
    seen = extractor.seen
    other = as_source(folder)
    assert np.array_equal(cache.features(extractor, other), Colours().extract(other))
    assert extractor.seen == seen
    # The same name, time and size with other pixels is another image.
    target, replacement = folder / "000.png", np.full((64, 64, 3), 9, np.uint8)
    before = target.stat()
    Image.fromarray(replacement).save(target)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    got = cache.features(extractor, as_source(folder))
    assert got[0] == pytest.approx([9, 9, 9, 0, 0, 0])
    assert extractor.seen == seen + 1


def test_only_what_is_missing(cache, source):
    extractor = Colours()
    cache.features(extractor, source.take(range(0, 100, 3)))
    assert extractor.seen == 34
    got, expected = both(cache, source, extractor)
    assert np.array_equal(got, expected)
    assert extractor.seen == len(source)


def test_identity_and_patch_size_are_part_of_the_key(cache, patches, tmp_path):
    a, b = Colours("a"), Colours("b")
    cache.features(a, as_source(patches))
    cache.features(b, as_source(patches))
    assert (a.seen, b.seen) == (len(patches), len(patches))
    Image.fromarray(np.pad(patches[0], ((16, 16), (16, 16), (0, 0)))).save(tmp_path / "large.png")
    array = np.pad(patches[1:2], ((0, 0), (16, 16), (16, 16), (0, 0)))
    for kept in (str(tmp_path / "large.png"), array):
        whole, cropped = as_source(kept), as_source(kept, 64)
        assert np.array_equal(*both(cache, whole))
        assert np.array_equal(*both(cache, cropped))
        assert not np.array_equal(cache.features(a, whole), cache.features(a, cropped))


def test_a_repeated_image_is_computed_once(cache, patches):
    extractor = Colours()
    twice = as_source(np.concatenate([patches[:5], patches[:5]]))
    assert np.array_equal(*both(cache, twice, extractor))
    assert extractor.seen == 5


def test_more_patches_than_a_chunk(cache, stained, monkeypatch):
    monkeypatch.setattr(feature_cache, "_CHUNK", 7)
    source = as_source(stained(45))
    for _ in range(2):
        assert np.array_equal(*both(cache, source))
    assert cache.info().entries == 45


def test_a_dataset_that_draws_anew_keeps_features_and_pixels_together(cache):
    class Noise:
        def __init__(self):
            self.rng, self.drawn = np.random.default_rng(0), []

        def __len__(self):
            return 3

        def __getitem__(self, index):
            if not 0 <= index < 3:
                raise IndexError(index)
            self.drawn.append(self.rng.integers(0, 256, (64, 64, 3), np.uint8))
            return self.drawn[-1]

    noise = Noise()
    source = as_source(noise, 64)
    noise.drawn.clear()
    got = cache.features(Colours(), source)
    pixels = as_source(np.stack(noise.drawn))
    assert len(pixels) == 3
    assert np.array_equal(got, Colours().extract(pixels))
    known = Colours()
    assert np.array_equal(cache.features(known, pixels), got)
    assert known.seen == 0


def test_nothing_to_do(cache, source):
    assert cache.features(Colours(), source.take([])).shape == (0, 6)


def test_an_image_that_went_away_is_named(cache, patch_folder, tmp_path):
    shutil.copytree(patch_folder, tmp_path / "p")
    source = as_source(tmp_path / "p")
    Path(source.names[3]).unlink()
    with pytest.raises(ImageError, match=Path(source.names[3]).name):
        cache.features(Colours(), source)


def test_info_and_clear(cache, source):
    assert (cache.info().entries, cache.info().size, cache.clear()) == (0, 0, 0)
    assert not cache.path.parent.exists()
    cache.features(Colours(), source)
    info = cache.info()
    assert (info.entries, info.size) == (len(source), cache.path.stat().st_size)
    freed = cache.clear()
    assert freed == info.size - cache.path.stat().st_size >= 0
    assert cache.info().entries == 0
    assert np.array_equal(*both(cache, source))


def test_one_compact_file(cache):
    """10,000 vectors of 512 floats take one file, with at most a fifth of overhead."""

    class Wide(Colours):
        dim = 512

        def extract(self, source, *, progress=False):
            return np.ones((len(source), 512), np.float32)

    images = np.zeros((2000, 64, 64, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = np.divmod(np.arange(2000), 256)
    cache.features(Wide(), as_source(images))
    assert cache.info().entries == 2000
    assert [p.name for p in cache.path.parent.iterdir()] == [cache.path.name]
    assert cache.info().size < 1.2 * 2000 * 512 * 4


def test_the_oldest_are_dropped(tmp_path, stained, monkeypatch):
    monkeypatch.setattr(feature_cache, "_CHUNK", 20)
    limit = 300_000
    cache, source = FeatureCache(tmp_path, max_bytes=limit), as_source(stained(400))

    class Wide(Colours):
        dim = 600

        def extract(self, source, *, progress=False):
            return np.repeat(super().extract(source), 100, axis=1)

    extractor = Wide()
    got = cache.features(extractor, source)
    assert np.array_equal(got, Wide().extract(source))
    assert extractor.seen == 400
    assert cache.info().size < 1.5 * limit
    assert 0 < cache.info().entries < 400
    cache.features(extractor, source.take(range(380, 400)))
    assert extractor.seen == 400  # the newest are there
    cache.features(extractor, source.take(range(20)))
    assert extractor.seen == 420  # the oldest are not


def test_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RL2QC_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_folder() == tmp_path / ".cache" / "rl2qc"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == tmp_path / ".cache" / "rl2qc"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "rl2qc"
    monkeypatch.setenv("RL2QC_CACHE", "~/mine")
    assert default_folder() == tmp_path / "mine"
    assert FeatureCache().path.parent == tmp_path / "mine"


# --- what it survives -----------------------------------------------------------------------


def damaged(path, how):
    """Overwrite parts of the file, or all of it."""
    data = bytearray(path.read_bytes())
    if how == "text":
        path.write_text("not a database at all\n" * 1000)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(data[: len(data) // 2 + 7])
    elif how == "header":
        data[16:100] = bytes(84)
        path.write_bytes(data)
    elif how == "foreign":
        path.unlink()
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE other (x)")
        db.close()
    else:
        rng = np.random.default_rng(int(how))
        for place in rng.integers(100, len(data), 60):
            data[place] ^= int(rng.integers(1, 256))
        path.write_bytes(data)


@pytest.mark.parametrize(
    "how", ["text", "empty", "truncated", "header", "foreign", *map(str, range(20))]
)
def test_a_damaged_file_is_computed_again(cache, source, how):
    _, expected = both(cache, source)
    damaged(cache.path, how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for _ in range(2):
            assert np.array_equal(cache.features(Colours(), source), expected)
    extractor = Colours()
    assert np.array_equal(FeatureCache(cache.path.parent).features(extractor, source), expected)
    assert extractor.seen == 0


def test_damage_is_told_of_once(cache, source):
    both(cache, source)
    damaged(cache.path, "text")
    with pytest.warns(RuntimeWarning, match="was damaged and begins anew") as caught:
        both(cache, source)
    assert len(caught) == 1
    assert cache.info().entries == len(source)


def test_a_wrong_value_is_computed_again(cache, source):
    _, expected = both(cache, source)
    with sqlite3.connect(cache.path) as db:  # two entries trade places: valid, and wrong
        rows = db.execute("SELECT rowid, value FROM features LIMIT 2").fetchall()
        for (rowid, _), (_, value) in zip(rows, reversed(rows), strict=True):
            db.execute("UPDATE features SET value = ? WHERE rowid = ?", (value, rowid))
        db.execute("UPDATE features SET value = 'text' WHERE rowid = 5")
    db.close()
    extractor = Colours()
    assert np.array_equal(cache.features(extractor, source), expected)
    assert extractor.seen == 3


def test_a_full_disk_warns_once(cache, source, monkeypatch):
    monkeypatch.setattr(feature_cache, "_CHUNK", 10)
    connect = sqlite3.connect

    def small(*arguments, **options):
        db = connect(*arguments, **options)
        db.execute("PRAGMA max_page_count = 3")
        return db

    monkeypatch.setattr(feature_cache.sqlite3, "connect", small)
    wide = Colours()
    wide.dim = 6000
    wide.extract = lambda source, progress=False: np.repeat(
        Colours.extract(wide, source), 1000, axis=1
    )
    with pytest.warns(RuntimeWarning, match="database or disk is full") as caught:
        got = cache.features(wide, source)
    assert len(caught) == 1
    assert np.array_equal(got[:, ::1000], Colours().extract(source))


def test_a_read_only_cache_is_read_and_warns_once(cache, source, monkeypatch):
    monkeypatch.setattr(feature_cache, "_CHUNK", 10)
    both(cache, source.take(range(50)))
    connect = sqlite3.connect
    monkeypatch.setattr(
        feature_cache.sqlite3,
        "connect",
        lambda path, **options: connect(f"{path.as_uri()}?mode=ro", uri=True, **options),
    )
    extractor = Colours()
    with pytest.warns(RuntimeWarning, match="cannot be written.*readonly") as caught:
        got, expected = both(cache, source, extractor)
    assert len(caught) == 1
    assert np.array_equal(got, expected)
    assert extractor.seen == len(source) - 50


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_folder_that_cannot_be_made_warns_once(tmp_path, source):
    (tmp_path / "file").write_text("in the way")
    cache = FeatureCache(tmp_path / "file" / "cache")
    with pytest.warns(RuntimeWarning, match="cannot be written") as caught:
        got, expected = both(cache, source)
        cache.features(Colours(), source)
    assert len(caught) == 1
    assert np.array_equal(got, expected)


def test_another_process_that_never_lets_go(cache, source, monkeypatch):
    _, expected = both(cache, source)
    monkeypatch.setattr(feature_cache, "_TIMEOUT", 0.05)
    other = sqlite3.connect(cache.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.warns(RuntimeWarning, match="locked") as caught:
        assert np.array_equal(cache.features(Colours(), source), expected)
    assert len(caught) == 1
    with pytest.raises(WorkError, match=r"cannot clear the feature cache .*locked"):
        FeatureCache(cache.path.parent).clear()
    other.close()


WORKER = """
import sys
import numpy as np
from rl2qc.images.sources.base import as_source
from rl2qc.features import cache as feature_cache
from test_feature_cache import Colours

feature_cache._CHUNK = 3
cache = feature_cache.FeatureCache(sys.argv[1])
source = as_source(sys.argv[2])
order = np.random.default_rng(int(sys.argv[3])).permutation(len(source))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(4):
    got = cache.features(Colours(), source.take(order))
    assert np.array_equal(got, Colours().extract(source.take(order)))
assert not cache._said, cache._said
"""


def test_two_processes_at_once(tmp_path, patch_folder, source):
    """Both write the same entries in other orders, from the making of the file onwards."""
    folders = Path(feature_cache.__file__).parents[2], Path(__file__).parent
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", WORKER, tmp_path, patch_folder,
             str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        )
        for seed in range(2)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout.readline() == "ready\n", worker.stderr.read()
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        _, err = worker.communicate(timeout=120)
        assert worker.returncode == 0, err
    cache = FeatureCache(tmp_path)
    assert cache.info().entries == len(source)
    with sqlite3.connect(cache.path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    extractor = Colours()
    assert np.array_equal(*both(cache, source, extractor))
    assert extractor.seen == 0
