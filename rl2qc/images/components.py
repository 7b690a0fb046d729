"""Connected parts of a mask, and what is measured of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Components",
    "closed",
    "dilated",
    "distances",
    "highest",
    "local_mean",
    "lowest",
    "opened",
]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]
Number = TypeVar("Number", np.uint8, np.float32)


@dataclass(frozen=True, eq=False)
class Components:
    """The parts of a mask; part 0 is what lies outside.

    Attributes
    ----------
    labels : (h, w) int32
    count
        Number of parts, part 0 included.

    Examples
    --------
    >>> parts = Components.of(np.array([[True, True, False, True]]))
    >>> parts.area.tolist(), parts.means(np.array([[1.0, 3.0, 9.0, 5.0]])).tolist()
    ([1, 2, 1], [0.0, 2.0, 5.0])
    """

    labels: NDArray[np.int32]
    count: int

    @classmethod
    def of(cls, mask: Mask, joined: Mask | None = None) -> Components:
        """The parts of ``mask``; those that hang together in ``joined``, which holds it, are one.

        Neighbours share a side or a corner.
        """
        whole = mask if joined is None else joined
        count, labels = cv2.connectedComponents(whole.astype(np.uint8), connectivity=8)
        if joined is not None:
            labels = labels * mask
        return cls(np.asarray(labels, np.int32), int(count))

    @cached_property
    def area(self) -> NDArray[np.int64]:
        """(count,) pixels of each part."""
        return np.bincount(self.labels.ravel(), minlength=self.count)

    @cached_property
    def _inside(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Where pixels of parts are in the flat picture, and whose they are."""
        inside = np.flatnonzero(self.labels)
        return inside, self.labels.ravel()[inside]

    def means(self, values: NDArray[np.generic]) -> Numbers:
        """(count,) mean of ``values`` (h, w) in each part; 0 in part 0, and without pixels."""
        inside, labels = self._inside
        sums = np.bincount(labels, values.ravel()[inside], self.count)
        return np.asarray(sums / np.maximum(self.area, 1), np.float64)

    def variation(self, values: Floats) -> Numbers:
        """(count,) standard deviation of ``values`` in each part, as a share of its mean."""
        mean, square = self.means(values), self.means(values * values)
        return np.sqrt(np.maximum(square - mean**2, 0)) / np.maximum(mean, 1e-6)

    def box_shares(self) -> Numbers:
        """(count,) share of the upright box around each part that it fills."""
        inside, labels = self._inside
        area = np.ones(self.count)
        for places, size in zip(
            np.divmod(inside, self.labels.shape[1]), self.labels.shape, strict=True
        ):
            first, last = np.full(self.count, size), np.full(self.count, -1)
            np.minimum.at(first, labels, places)
            np.maximum.at(last, labels, places)
            area *= np.maximum(last - first + 1, 1)
        return np.asarray(self.area / area, np.float64)

    def radii(self) -> Numbers:
        """(count,) radius in px of the largest disc within each part."""
        away, found = distances(self.labels > 0), np.zeros(self.count, np.float32)
        inside, labels = self._inside
        np.maximum.at(found, labels, away.ravel()[inside])
        return found.astype(np.float64)

    def contact(self, other: Mask) -> Numbers:
        """(count,) share of the pixels next to each part that are ``other``."""
        # Labels are exact in float32 up to 2**24, more than there are pixels.
        grown = cv2.dilate(self.labels.astype(np.float32), np.ones((3, 3), np.uint8))
        around = (grown > 0) & (self.labels == 0)
        owner = grown[around].astype(np.int64)
        total = np.bincount(owner, minlength=self.count)
        shared = np.bincount(owner, other[around], self.count)
        return np.asarray(shared / np.maximum(total, 1), np.float64)

    def pick(self, chosen: Mask) -> Mask:
        """(h, w) the pixels of the parts that ``chosen`` (count,) names; never those of part 0."""
        chosen = chosen.copy()
        chosen[0] = False
        picked: Mask = chosen[self.labels]
        return picked


def distances(mask: Mask) -> Floats:
    """Distance in px to what is not ``mask``; the picture's edge counts as such."""
    padded = np.pad(mask, 1).astype(np.uint8)
    away = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_3)
    return np.asarray(away[1:-1, 1:-1], np.float32)


def closed(mask: Mask, size: int) -> Mask:
    """``mask`` with gaps filled that a disc of ``size`` px does not fit into."""
    return _morphed(mask, cv2.MORPH_CLOSE, size, "constant")


def opened(mask: Mask, size: int) -> Mask:
    """The parts of ``mask`` that a disc of ``size`` px fits into; edges of the picture are open."""
    return _morphed(mask, cv2.MORPH_OPEN, size, "edge")


def dilated(mask: Mask, size: int) -> Mask:
    """All within a square of ``size`` px around ``mask``."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0)


def local_mean(values: Floats, where: Mask, size: int) -> Floats:
    """Mean of ``values`` (h, w) or (h, w, c) over ``where`` in a square of ``size`` px."""
    if where.all():
        return np.asarray(cv2.blur(values, (size, size)), np.float32)
    weight = where.astype(np.float32)
    total = np.maximum(cv2.blur(weight, (size, size)), 1e-6)
    if values.ndim == 3:
        weight, total = weight[..., None], total[..., None]
    return np.asarray(cv2.blur(values * weight, (size, size)) / total, np.float32)


def highest(values: NDArray[Number]) -> NDArray[Number]:
    """Over the channels of (h, w, 3); several times as fast as along an axis."""
    red, green, blue = cv2.split(values)
    return np.asarray(cv2.max(cv2.max(red, green), blue), values.dtype)


def lowest(values: NDArray[Number]) -> NDArray[Number]:
    """Over the channels of (h, w, 3), as :func:`highest`."""
    red, green, blue = cv2.split(values)
    return np.asarray(cv2.min(cv2.min(red, green), blue), values.dtype)


def _morphed(mask: Mask, kind: int, size: int, edges: str) -> Mask:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    padded = np.pad(mask, size, mode=edges).astype(np.uint8)  # type: ignore[call-overload]
    done = cv2.morphologyEx(padded, kind, disc)
    return np.asarray(done[size:-size, size:-size] > 0)
