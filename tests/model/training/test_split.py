"""Which patches train and which are held out."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.errors import UsageError
from rl2qc.model.training.split import split_patches, split_rows


def test_slides_stay_on_one_side():
    groups = [f"s{i}" for i in np.random.default_rng(0).integers(0, 20, 500)]
    train, held = split_rows(500, 0.2, groups, seed=1)
    assert sorted([*train, *held]) == list(range(500))
    assert not {groups[i] for i in train} & {groups[i] for i in held}
    assert 100 <= len(held) <= 160


def test_groups_that_cannot_be_split_are_refused():
    with pytest.raises(UsageError, match=r"one slide \(one\): leave the groups out"):
        split_rows(100, 0.2, ["one"] * 100, seed=0)
    with pytest.raises(UsageError, match="3 groups for 100 patches"):
        split_rows(100, 0.2, ["a", "b", "c"], seed=0)


def test_the_last_patches_are_a_hold_out_that_was_given():
    split = split_patches(130, 30, None, 0.2, 0)
    assert split.train.tolist() == list(range(100))
    assert split.held.tolist() == list(range(100, 130))
    assert split.groups is None


def repeated(n: int, copies: int) -> np.ndarray:
    """Groups (n + copies,) of near-duplicates, the last of which repeat the first."""
    return np.r_[np.arange(n), np.arange(copies)]


@pytest.mark.parametrize("seed", range(5))
def test_near_duplicates_stay_on_one_side(seed):
    names = [f"{i}.png" for i in range(120)]
    split = split_patches(120, None, None, 0.2, seed, duplicates=repeated(100, 20), names=names)
    held = set(split.held.tolist())
    assert all((i in held) == (100 + i in held) for i in range(20))
    assert len(set(split.groups)) == 100
    (warning,) = split.warnings
    assert warning.startswith("40 of 120 reference patches are near-duplicates of another (20 g")
    assert "0.png and 100.png" in warning and "are not split by the hold-out" in warning


def test_without_near_duplicates_nothing_changes():
    split = split_patches(100, None, None, 0.2, 3, duplicates=repeated(100, 0), names=["x"] * 100)
    train, held = split_rows(100, 0.2, None, 3)
    assert np.array_equal(split.train, train) and np.array_equal(split.held, held)
    assert split.groups is None and split.warnings == ()


def test_near_duplicates_join_slides_which_stay_whole():
    groups = [f"s{i % 10}" for i in range(120)]
    groups[100:] = [f"copy{i}" for i in range(20)]
    names = [f"{i}.png" for i in range(120)]
    split = split_patches(120, None, groups, 0.2, 0, duplicates=repeated(100, 20), names=names)
    assert len(set(split.groups)) == 10
    assert {split.groups[i] for i in range(100, 120)} <= set(split.groups[:100])


def test_too_many_near_duplicates_are_told_and_left():
    names = [f"{i}.png" for i in range(150)]
    many = np.r_[np.arange(100), np.zeros(50, int)]
    split = split_patches(150, None, None, 0.2, 0, duplicates=many, names=names)
    assert split.groups is None
    assert "51 of 150 " in split.warnings[0]
    assert "too many to be kept on one side" in split.warnings[0]


def test_near_duplicates_across_a_hold_out_that_was_given_are_told():
    names = [f"{i}.png" for i in range(120)]
    split = split_patches(120, 20, None, 0.2, 0, duplicates=repeated(100, 20), names=names)
    assert split.groups is None
    assert "20 of the held-out patches have one that trains" in split.warnings[0]


@pytest.mark.parametrize("seed", range(5))
def test_a_group_that_is_nearly_all_is_learnt_from(seed: int) -> None:
    """Before, what was left was refused, or trained on the few others, as chance had it."""
    groups = ["large"] * 460 + ["small"] * 40
    train, held = split_rows(500, 0.2, groups, seed)
    assert (len(train), held.tolist()) == (460, list(range(460, 500)))
    with pytest.raises(UsageError, match="others are too few to be held out"):
        split_rows(500, 0.2, ["large"] * 490 + ["small"] * 10, seed)
