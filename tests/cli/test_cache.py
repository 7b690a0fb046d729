"""rl2qc cache: info and clear."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from rl2qc.features.cache import FeatureCache
from rl2qc.images.sources.base import as_source


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RL2QC_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


class Brightness:
    name, dim, identity = "brightness", 1, "brightness"

    def extract(self, source, *, progress=False):
        return np.array([[source[i].mean()] for i in range(len(source))], np.float32)


def test_info_of_nothing_makes_nothing(rl2qc, folder):
    done = rl2qc("cache", "info")
    assert done.code == 0, done.err
    assert str(folder) in done.out
    assert "entries  0\n" in done.out
    assert not folder.exists()


def test_info_and_clear(rl2qc, folder, patches):
    FeatureCache().features(Brightness(), as_source(patches))
    done = rl2qc("cache", "info")
    assert f"entries  {len(patches)}\n" in done.out
    cleared = rl2qc("cache", "clear")
    assert cleared.code == 0, cleared.err
    assert str(folder) in cleared.out
    assert "entries  0\n" in rl2qc("cache", "info").out


def test_a_cache_that_cannot_be_read_is_one_line(rl2qc, folder):
    cache = FeatureCache()
    cache.path.mkdir(parents=True)  # a folder where the file should be
    for command in ("info", "clear"):
        done = rl2qc("cache", command)
        assert done.code == 1
        assert "the feature cache" in done.error


@pytest.mark.parametrize("command", ["info", "clear"])
def test_help_has_examples(rl2qc, command):
    done = rl2qc("cache", command, "--help")
    assert done.code == 0
    assert f"rl2qc cache {command}" in done.out
    assert "RL2QC_CACHE" in rl2qc("cache", "--help").out


def test_does_not_wait_for_torch(folder):
    code = (
        "import sys; sys.argv = ['rl2qc', 'cache', 'info']\n"
        "from rl2qc.cli.app import app\n"
        "app(standalone_mode=False)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
