"""Folds and looks: sizes, groups kept whole, what looks alike kept together."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from rl2qc.errors import UsageError
from rl2qc.images.groups import slide_ids
from rl2qc.model.detectors.folds import fold_rows, groups_by_look


@pytest.mark.parametrize("n", [100, 103])
def test_folds_are_about_equal(n):
    sizes = np.bincount(fold_rows(n, None, 0))
    assert len(sizes) == 10 and sizes.max() - sizes.min() <= 1


def test_a_group_lies_in_one_fold(rng):
    groups = [f"slide {g}" for g in rng.integers(0, 37, 400)]
    fold = fold_rows(400, groups, 1)
    for group in set(groups):
        assert len(set(fold[[g == group for g in groups]])) == 1
    sizes = np.bincount(fold)
    assert len(sizes) == 10 and sizes.min() > 20


def test_fewer_groups_than_folds():
    assert set(fold_rows(9, list("aaabbbccc"), 0)) == {0, 1, 2}


def test_what_looks_alike_is_kept_together(rng):
    slides = np.repeat(np.arange(12), 30)
    features = 20 * rng.normal(size=(12, 64))[slides] + rng.normal(size=(360, 64))
    looks = np.array(groups_by_look(features.astype(np.float32), 0))
    # Nearly every pair of one slide has one look.
    same = slides[:, None] == slides
    assert (looks[:, None] == looks)[same].mean() > 0.8
    assert len(set(looks)) == 12


def test_copies_raise_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        looks = groups_by_look(np.repeat(np.eye(4, 32, dtype=np.float32), 30, axis=0), 0)
    assert len(looks) == 120


class TestSlideIds:
    def test_a_group_that_takes_no_part_is_a_miss(self):
        """An optional group gives None in Python, which nothing downstream can sort."""
        names = ["consep_1_a.png", "crag_1_b.png", "consep_2_c.png"]
        with pytest.raises(UsageError, match=r"1 of 3 .*such as consep_2_c\.png"):
            slide_ids(names, "(consep_1|crag_1)|^c")

    def test_folders_of_patients(self, tmp_path):
        names = [str(tmp_path / f) for f in ("ann/x.png", "ann/y.png", "bob/deep/x.png")]
        assert slide_ids(names, "^([^/]+)/") == ["ann", "ann", "bob"]

    def test_relative_and_absolute_names_are_seen_alike(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        relative = ["real/ann/x.png", "real/bob/x.png"]
        absolute = [str(tmp_path / name) for name in relative]
        for names in (relative, absolute):
            assert slide_ids(names, "^(.+)/") == ["ann", "bob"]

    def test_a_pattern_of_file_names_ignores_folders(self):
        """Anchored at the start, or met by a folder's name as well: the file's name decides."""
        names = ["real/a/s1_10.png", "real/s9_b/s2_11.png"]
        for pattern in ("^(s[0-9])_", "(s[0-9])_", "s[0-9]"):
            assert slide_ids(names, pattern) == ["s1", "s2"]

    def test_a_miss_shows_what_was_looked_at(self):
        with pytest.raises(UsageError, match=r"--by 'q' .*2 of 2 .*such as ann/x\.png"):
            slide_ids(["real/ann/x.png", "real/bob/x.png"], "q", option="--by")
