"""Pairs of images by name or number, never by their places in a list."""

from __future__ import annotations

import pytest

from rl2qc.errors import UsageError
from rl2qc.images.pairs import match_images, natural_order

ONE_TO_12 = sorted(f"first/{i}.png" for i in range(1, 13))


@pytest.mark.parametrize(
    "others",
    [
        [f"second/{i:03d}.png" for i in range(1, 13)],
        [f"second/{i}.jpg" for i in range(1, 13)],
        [f"second/epoch40_seed7_{i:05d}.png" for i in range(1, 13)],
        [f"second/stack.tif@page{i}" for i in range(1, 13)],
    ],
)
def test_numbers_tell(others):
    rows = match_images({"a": ONE_TO_12, "b": others})
    first = [int(ONE_TO_12[row].split("/")[1].split(".")[0]) for row in rows["a"]]
    second = [others.index(others[row]) + 1 for row in rows["b"]]
    assert first == second


def test_places_below_the_sets_tell():
    a = ["a/x/1.png", "a/x/2.png", "a/y/1.png"]
    b = ["else/b/x/1.jpg", "else/b/y/1.jpg", "else/b/x/2.jpg"]
    assert match_images({"a": a, "b": b})["b"] == [0, 2, 1]


def test_arrays_stay_in_their_order():
    names = [str(i) for i in range(12)]
    assert match_images({"a": names, "b": names})["b"] == list(range(12))


@pytest.mark.parametrize(
    "others",
    [
        [f"b/{i}.png" for i in range(12)],  # counted from 0
        [f"b/{chr(97 + i)}.png" for i in range(12)],
        [f"b/{i % 6}_{i}.png" for i in range(12)],
        ["b/1.png"] * 12,
    ],
)
def test_what_cannot_be_told_is_refused(others):
    with pytest.raises(UsageError, match="cannot tell which images are pairs"):
        match_images({"a": ONE_TO_12, "b": others})


def test_people_count_otherwise_than_text():
    names = ["s10_2", "s2_10", "s2_9", "x"]
    assert [names[row] for row in natural_order(names)] == ["s2_9", "s2_10", "s10_2", "x"]


def test_digits_that_are_no_numbers_and_numbers_without_end():
    assert natural_order(["1²2.png", "²", "10.png", "9.png"]) == [0, 3, 2, 1]
    long = ["9" * 5000 + f"_{i}.png" for i in (10, 2)]
    assert natural_order(long) == [1, 0]
    assert match_images({"a": long, "b": ["02.png", "10.png"]})["b"] == [1, 0]
