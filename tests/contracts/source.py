"""What every image source must hold, whoever wrote it; call :func:`check_source` in a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rl2qc.errors import ImageError, Rl2qcError
from rl2qc.images.sources.base import (
    ImageSource,
    Item,
    as_source,
    image_identity,
    open_images,
    read_named,
    source_of,
)


def check_source(
    source: ImageSource,
    item: Item,
    *,
    damage: Callable[[Item], Item] | None = None,
    change: Callable[[Item], None] | None = None,
    nothing: Item | None = None,
) -> None:
    """Order, names, bounds, identity, damaged members, what is not there.

    Parameters
    ----------
    source
        A registered one.
    item
        At least three images of 64 px or more, of which no two are equal.
    damage
        Makes an item with as many images, of which the second cannot be read.
    change
        Changes the first image and no other.
    nothing
        An item of this source that is not there.
    """
    assert source_of(item) is source
    _check_order(source, item)
    _check_names(source, item)
    _check_bounds(source, item)
    if nothing is not None:
        assert source.takes(nothing)
        with pytest.raises(Rl2qcError):
            open_images(nothing)
    if damage is not None:
        _check_damaged(source, damage(item))
    if change is not None:
        _check_identity(item, change)


def _check_order(source, item):
    """Opened twice it is the same, image by image, from either end."""
    one, two = source.open(item), source.open(item)
    assert one.names == two.names
    n = len(one)
    assert n == len(one.items) == len(one.names) >= 3
    forth = [one.items[i] for i in range(n)]
    back = [two.items[i] for i in reversed(range(n))][::-1]
    for i, (image, again) in enumerate(zip(forth, back, strict=True)):
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        np.testing.assert_array_equal(image, again)
        assert one.shape(i) == image.shape[:2]
        assert one.items.header(i) in (None, image.shape[:2])
        assert one.digest(i) == two.digest(i)
    stored = {one.digest(i) for i in range(n)} - {None}
    assert len(stored) in (0, n), "images that differ have one digest"
    taken = one.take([2, 0])
    assert taken.names == (one.names[2], one.names[0])
    np.testing.assert_array_equal(taken.items[0], forth[2])
    assert taken.digest(1) == one.digest(0)


def _check_names(source, item):
    """A name is one of its own, survives a Path, and finds its image again."""
    opened = source.open(item)
    assert len(set(opened.names)) == len(opened)
    for i, name in enumerate(opened.names):
        assert str(Path(name)) == name
        assert source_of(name) is source
        np.testing.assert_array_equal(read_named(Path(name)), opened.items[i])
    second = opened.names[1]
    both = open_images([second, item])
    assert both.names == (second, *(name for name in opened.names if name != second))


def _check_bounds(source, item):
    """Patches have their size, and what is too small for one is said in good time."""
    patches = as_source(item, 64)
    assert {patches[i].shape for i in range(len(patches))} == {(64, 64, 3)}
    with pytest.raises(ImageError, match="smaller"):
        as_source(item, 10**6)[0]


def _check_damaged(source, item):
    """It is named when it is read; the others are there."""
    opened = source.open(item)
    assert opened.items[0].size and opened.items[2].size
    with pytest.raises(ImageError) as raised:
        opened[1]
    assert opened.names[1] in str(raised.value)


def _check_identity(item, change):
    names = open_images(item).names
    before = [image_identity(name) for name in names]
    assert before == [image_identity(Path(name)) for name in names]
    digests = [open_images(item).digest(i) for i in range(len(names))]
    change(item)
    same = [image_identity(name) == known for name, known in zip(names, before, strict=True)]
    assert same == [False] + [True] * (len(names) - 1)
    if None not in digests:
        assert open_images(item).digest(0) != digests[0]
        assert open_images(item).digest(1) == digests[1]
