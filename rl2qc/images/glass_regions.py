"""Even areas of an overview, and what they are: glass, or a frame, a label, a filled area."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["CLEAR", "FILLED", "Regions"]

Floats = NDArray[np.float32]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Exactly one colour, up to what compression does to it: filled, not scanned.
FILLED, _WHITE, _WHITE_SPREAD = 0.06, 253, 0.15
# Blocks of about a 40th of the picture, within these sides in px; neighbours that differ by no
# more than this many grey levels are one region.
_BLOCKS, _BLOCK_SIDES, _STEP = 40, (4, 16), 5.0
# Share of a block's pixels that must be even, and of a region's if its glass is to be relied on.
_BLOCK_SHARE, _SOLID_SHARE = 0.3, 0.7
# A region to be relied on: spread in grey levels, also as a share of that of all that is not
# even; share of its blocks that have its tint; share of the picture, with all regions within so
# many grey levels.
_SOLID_SPREAD, _SOLID_RATIO, _SOLID_TINT, _MAIN_SHARE, _ALIKE = 1.8, 0.5, 0.5, 0.015, 6.0
# Of one tint: the optical densities of the channels differ by this at most, plus a share of them.
_SAME_TINT, _GREY_TINT, _TINT_SHARE = 0.012, 0.02, 0.12
# Dark: no channel above this.
_DARK = 60
# A backdrop of any colour covers this share of the picture, and so many blocks.
_BACKDROP, _BACKDROP_BLOCKS = 0.2, 200
# As even as the main glass: its spread times, plus.
_AS_EVEN = (1.4, 0.15)
# Another glass of a tint that stains have, too: this share of the picture, up to its edge; or so
# close to the main one in optical density.
_OTHER_SHARE, _CLOSE = 0.05, 0.015
# Regions within so many grey levels are of the same glass.
_SAME_GLASS = 4.0
# Planes are fitted to this many blocks at least, so many times, each to those that fit best.
_PLANE_BLOCKS, _PLANE_ROUNDS = 20, 3
# A label: this share of the picture, so many blocks, and their standard deviation in grey levels.
_LABEL_SHARE, _LABEL_BLOCKS, _FLAT = 0.02, 40, 0.8
# No glass is so tinted, as differences between optical densities: by yellow, by anything else.
_STAINED_YELLOW, _STAINED = 0.5, 0.25
# Regions below these shares of the picture say nothing about light, or at all.
_LIGHT_SHARE, _SPECK_SHARE = 0.003, 0.0005
# A surface of so many terms for the light of a lamp, which may leave this share of the differences.
_LAMP_TERMS, _LAMP_LEFT = 6, 0.4

# Kinds of a block: tissue or unknown, empty without being glass, clear glass.
_FRAME, CLEAR = 1, 2


class Regions:
    """Even pixels in blocks, and blocks that hang together as regions."""

    def __init__(
        self, mean: Floats, spread: Floats, even: Mask, counted: Mask, *, drift: bool = False
    ) -> None:
        h, w = even.shape
        self.side = int(np.clip(max(h, w) // _BLOCKS, *_BLOCK_SIDES))
        self.shape, self.rows, self.columns = (h, w), -(-h // self.side), -(-w // self.side)
        weight = even.astype(np.float32)
        self.weight = self._sums(weight)
        whole = self._sums(counted.astype(np.float32))
        total = np.maximum(self.weight, 1)
        self.block_colour = self._sums(mean * weight[..., None]) / total[..., None]
        self.block_spread = self._sums(spread * weight) / total
        good = (self.weight >= _BLOCK_SHARE * whole) & (self.weight >= 4)
        self.labels, blocks = self._joined(good, drift)
        self.count, counted_pixels = len(blocks), max(1, int(counted.sum()))
        if not self.count:
            return
        members = [self.labels == k for k in range(self.count)]
        self.blocks = np.array([m.sum() for m in members])
        self.area = np.array([self.weight[m].sum() for m in members]) / counted_pixels
        self.colour = np.array([_median(self.block_colour[m], self.weight[m]) for m in members])
        self.spread = np.array(
            [np.average(self.block_spread[m], weights=self.weight[m]) for m in members]
        )
        self.kept = self.blocks / np.maximum(blocks, 1)
        self.flatness = np.array([float(self.block_colour[m].std(axis=0).max()) for m in members])
        self.filling = np.array([self.weight[m].sum() / whole[m].sum() for m in members])
        edge = np.ones((self.rows, self.columns), np.bool_)
        edge[1:-1, 1:-1] = False
        self.at_edge = np.array([bool((m & edge).any()) for m in members])

    def _sums(self, values: Floats) -> Numbers:
        """Sum over each block."""
        h, w = self.shape
        extra = ((0, self.rows * self.side - h), (0, self.columns * self.side - w))
        padded = np.pad(values, (*extra, *(((0, 0),) * (values.ndim - 2))))
        means = cv2.resize(padded, (self.columns, self.rows), interpolation=cv2.INTER_AREA)
        return np.asarray(means, np.float64) * self.side**2

    def _joined(self, good: Mask, drift: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Region of each block, -1 for none, and the number of blocks before tints are compared.

        With ``drift``, the tint of a region may change from end to end, evenly."""
        index = np.arange(good.size).reshape(good.shape)
        pairs = []
        for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
            step = np.abs(self.block_colour[one] - self.block_colour[other]).max(axis=2)
            joined = good[one] & good[other] & (step <= _STEP)
            pairs.append(np.stack([index[one][joined], index[other][joined]]))
        rows, columns = np.concatenate(pairs, axis=1)
        graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(good.size, good.size))
        _, found = connected_components(graph, directed=False)
        labels = np.where(good.ravel(), found, -1)
        names, labels[labels >= 0] = np.unique(labels[labels >= 0], return_inverse=True)
        before = np.bincount(labels[labels >= 0], minlength=len(names))
        colours = self.block_colour.reshape(-1, 3)
        for k in range(len(names)):
            # Pale tissue may hang together with glass where its edge is faint; stains tint it.
            blocks = np.flatnonzero(labels == k)
            reference = self._plane(blocks) if drift else _brightest(colours[blocks])
            high, low = _density(reference, colours[blocks])
            # A grey level is more of a dim light.
            same = _SAME_TINT * max(1.0, 240 / max(1.0, float(reference.mean())))
            labels[blocks[high - low > same + _TINT_SHARE * np.maximum(high, 0)]] = -1
        left = np.flatnonzero(np.bincount(labels[labels >= 0], minlength=len(names)))
        renamed = np.full(len(names) + 1, -1)
        renamed[left] = np.arange(len(left))
        return renamed[labels].reshape(good.shape), before[left]

    def _plane(self, blocks: NDArray[np.int64]) -> Numbers:
        """Colours that rise and fall evenly over the picture, fitted to most of the blocks."""
        y, x = np.divmod(blocks, self.columns)
        terms = np.stack([np.ones(len(blocks)), x / self.columns, y / self.rows], axis=1)
        colours, used = self.block_colour.reshape(-1, 3)[blocks], np.ones(len(blocks), np.bool_)
        fitted = colours
        for _ in range(_PLANE_ROUNDS if len(blocks) >= _PLANE_BLOCKS else 0):
            found, *_ = np.linalg.lstsq(terms[used], colours[used], rcond=None)
            fitted = terms @ found
            left = np.abs(colours - fitted).max(axis=1)
            used = left <= np.quantile(left, 0.7)
        return fitted

    def main(self, other_spread: Floats) -> int | None:
        """The region whose glass the light is taken from: the brightest to be relied on."""
        if not self.count:
            return None
        enough = len(other_spread) > 0.05 * self.shape[0] * self.shape[1]
        limit = _SOLID_RATIO * float(np.median(other_spread)) if enough else np.inf
        solid = (self.filling >= _SOLID_SHARE) & (self.kept >= _SOLID_TINT)
        solid &= self.spread < min(_SOLID_SPREAD, limit)
        solid &= self._alike(_ALIKE, solid) >= _MAIN_SHARE
        clear = solid & ~_is_stained(np.full(3, 255.0), self.colour)
        backdrop = solid & self.at_edge & (self.area >= _BACKDROP) & (self.flatness < _FLAT)
        # A drawn stain that is even is no backdrop: nothing is on it. Few blocks are always even.
        backdrop &= enough & (self.blocks >= _BACKDROP_BLOCKS)
        # Common stains absorb green most: a section that fills the picture, smooth from afar.
        backdrop &= self.colour.argmin(axis=1) != 1
        # What is filled says nothing about the glass beside it.
        for candidates in (clear & ~self.filled, clear, backdrop):
            if candidates.any():
                found = np.flatnonzero(candidates)
                return int(found[self.colour[found].mean(axis=1).argmax()])
        return None

    def _alike(self, levels: float, among: Mask | bool = True) -> Numbers:
        """(count,) share of the picture that regions of each one's colour cover, of some."""
        away = np.abs(self.colour[:, None] - self.colour[None]).max(axis=2)
        return np.asarray((away <= levels) @ (self.area * among), np.float64)

    @property
    def filled(self) -> Mask:
        """(count,) regions of exactly one colour, or of the white that compression leaves."""
        white = (self.colour.min(axis=1) >= _WHITE) & (self.spread < _WHITE_SPREAD)
        return np.asarray((self.spread < FILLED / 3) | white)

    def kinds(self, main: int) -> NDArray[np.int64]:
        """(rows, columns) what each block is."""
        high, low = _density(self.colour[main], self.colour)
        stained = _is_stained(self.colour[main], self.colour)
        neutral = high - low <= _GREY_TINT + _TINT_SHARE * np.maximum(high, 0)
        times, plus = _AS_EVEN
        as_even = self.spread <= times * self.spread[main] + plus
        large = self.at_edge & (self._alike(_SAME_GLASS) >= _OTHER_SHARE)
        glass = (high <= 0.01) | (neutral & (as_even | self.at_edge))
        glass |= as_even & (large | (high < _CLOSE))
        glass &= neutral | (self.area >= _SPECK_SHARE)
        glass &= ~stained
        frame = (self.filled & ~stained) | (self.colour.max(axis=1) < _DARK)
        # Labels of any colour, more even from end to end than any stain: few blocks always are.
        label = stained & as_even & self.at_edge & (self.flatness < _FLAT)
        label &= self.blocks >= _LABEL_BLOCKS
        frame |= label & (self.area >= _LABEL_SHARE)
        frame |= glass & (self.area < _LIGHT_SHARE)
        kinds = np.where(frame, _FRAME, np.where(glass, CLEAR, 0))
        kinds[main] = CLEAR
        return np.where(self.labels >= 0, kinds[self.labels], 0)

    def lamp(self, clear: Mask) -> Floats:
        """(h, w) slow fall of light over the picture, near 1: a quadratic surface, if it explains
        how the blocks of ``clear`` glass (rows, columns) differ.

        Between them, glass below a large section would otherwise be taken for as dim as around it.
        """
        h, w = self.shape
        even = np.ones((h, w), np.float32)
        if clear.sum() < 4 * _LAMP_TERMS:
            return even
        rows, columns = (np.linspace(-1, 1, n) for n in (self.rows, self.columns))
        y, x = np.meshgrid(rows, columns, indexing="ij")
        terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
        light = self.block_colour[clear].mean(axis=1)
        found, *_ = np.linalg.lstsq(terms[clear], light, rcond=None)
        fitted = terms @ found
        left = float(np.std(light - fitted[clear]))
        if left > _LAMP_LEFT * max(float(np.std(light)), 1.0):
            return even
        # Beyond what is seen, a surface may rise or fall without end.
        fitted = np.clip(fitted, light.min(), 1.15 * light.max()) / light.mean()
        return np.asarray(cv2.resize(fitted.astype(np.float32), (w, h)), np.float32)

    def picture(self, values: Floats) -> Floats:
        """A value for each block as one for each of its pixels."""
        h, w = self.shape
        return values.repeat(self.side, axis=0)[:h].repeat(self.side, axis=1)[:, :w]


def _brightest(colours: Numbers) -> Numbers:
    """The median of the brightest quarter of colours (n, 3)."""
    bright = colours.mean(axis=1)
    return np.asarray(np.median(colours[bright >= np.quantile(bright, 0.75)], axis=0), np.float64)


def _density(light: Numbers, colours: Numbers) -> tuple[Numbers, Numbers]:
    """Highest and lowest optical density over the channels of each colour (n, 3)."""
    density = np.log(np.maximum(light, 1) / np.maximum(colours, 1))
    return density.max(axis=1), density.min(axis=1)


def _is_stained(light: Numbers, colours: Numbers) -> Mask:
    """Which of the colours (n, 3) no glass has; what is dark has none."""
    density = np.log(np.maximum(light, 1) / np.maximum(colours, 1))
    red, green, blue = density.T
    stained = (np.abs(red - green) > _STAINED) | (np.maximum(red, green) - blue > _STAINED)
    # Blue is what yellowed glass absorbs.
    stained |= blue - np.minimum(red, green) > _STAINED_YELLOW
    return np.asarray(stained & (colours.max(axis=1) >= _DARK))


def _median(colours: Numbers, weights: Numbers) -> Numbers:
    """Weighted median of each channel."""
    order = np.argsort(colours, axis=0)
    shares = np.cumsum(weights[order], axis=0) / weights.sum()
    at = (shares >= 0.5).argmax(axis=0)
    ordered = np.take_along_axis(colours, order, 0)
    return np.asarray(np.take_along_axis(ordered, at[None], 0)[0], np.float64)
