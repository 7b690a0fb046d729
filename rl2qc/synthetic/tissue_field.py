"""A field of colonic mucosa: maps of stain concentration, filled from the outside in."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.synthetic.drawing import Canvas, Floats, Mask, Points, smoothstep
from rl2qc.synthetic.stain import ERYTHROCYTE, Stain

__all__ = ["TissueField"]

Indices = NDArray[np.int32]


class TissueField(Canvas):
    """The concentration maps of one field and the steps that fill them, from the outside in."""

    def __init__(self, height: int, width: int, rng: np.random.Generator, mpp: float) -> None:
        # Structures at the edge must look as if they went on: draw beyond it, crop later.
        self.margin = int(np.ceil(40 / mpp))
        super().__init__(height + 2 * self.margin, width + 2 * self.margin, rng, mpp)
        self.hematoxylin = np.zeros(self.shape, np.float32)
        self.eosin = np.zeros(self.shape, np.float32)
        self.erythrocyte = np.zeros(self.shape, np.float32)

    def grow(self, island: bool) -> TissueField:
        edge = self._outline() if island else np.full(self.shape, 1e3, np.float32)
        mucosa = edge < 300 + 50 * self.noise(120) if island else self.noise(220) > -0.7
        inside, depth, crypt = self._crypts(mucosa & (edge > 12))
        fibre = np.float32(np.pi) * self.noise(260)
        loose = self.noise(45) + 0.5 * self.noise(14)
        self._stroma(mucosa, fibre, loose)
        vessel = self._vessels(~mucosa & ~inside & (edge > 60))
        outside = self.distance(~inside)
        self._basement(outside)
        self._epithelium(inside, depth, crypt)
        self._basal_nuclei(depth)
        self._stromal_cells(mucosa, (outside > 4) & (edge > 3) & (vessel < 0.1), fibre, loose)
        if island:
            solid = np.clip(edge / 3 + 0.3 * self.noise(3), 0, 1) * (edge > 0)
            for stain in (self.hematoxylin, self.eosin, self.erythrocyte):
                stain *= solid
        return self

    def _outline(self) -> Floats:
        """Distance to the glass, 0 on the glass."""
        h, w = self.shape
        y = np.linspace(-1, 1, h, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, w, dtype=np.float32)
        ball = 0.90 - (np.abs(x) ** 2.6 + np.abs(y) ** 2.6) ** (1 / 2.6)
        length = min(h, w) * self.mpp
        ball += 0.07 * self.noise(0.2 * length) + 0.012 * self.noise(0.03 * length)
        return self.distance(ball > 0)

    def _crypts(self, allowed: Mask) -> tuple[Mask, Floats, Indices]:
        """Where crypts are, the depth under their basement membrane, and which crypt it is.

        Voronoi cells of strokes on a lattice, eroded by the stroma between them and rounded off.
        """
        rng = self.rng
        length, angle = rng.uniform(20, 80), rng.uniform(0, np.pi)
        centers = self.lattice((86 + 0.8 * length, 86), angle, jitter=0.2)
        n = len(centers)
        if not n:  # the field is smaller than the space between two
            nothing = np.zeros(self.shape, np.bool_)
            return nothing, self.distance(nothing), np.zeros(self.shape, np.int32)
        turn = angle + rng.normal(0, 0.2, n)
        half = 0.5 * length * rng.uniform(0.1, 1.2, (n, 1)) / self.mpp
        step = half * np.stack([np.cos(turn), np.sin(turn)], 1)
        crypt, border, axis = self.voronoi(np.stack([centers - step, centers + step], 1))
        kept = self.at(allowed, centers) & (rng.random(n) < 0.95)
        radius = rng.normal(39, 4, n).astype(np.float32)[crypt] + 4 * self.noise(40)
        gap = np.clip(7 + 4 * self.noise(70), 3, 25)
        signed = np.clip(np.minimum(border - gap, radius - axis), -10, 12)
        signed[~(kept[crypt] & allowed)] = -10
        inside = (self.blur(signed, 6) + 0.6 * self.noise(9) > 0) & (border > 2.5)
        return inside, self.distance(inside), crypt

    def _stroma(self, mucosa: Mask, fibre: Floats, loose: Floats) -> None:
        """Ground substance with clefts, and wavy collagen, coarser below the mucosa."""
        deep = (~mucosa).astype(np.float32)
        ground = 0.40 - 0.06 * deep + 0.10 * loose + 0.07 * self.noise(2) + 0.05 * self.noise(0.8)
        clefts = self.strands(fibre, 0.35 + 0.40 * deep - 0.25 * loose, 6.5, 1.0, 2.2)
        ground = np.clip(ground, 0.03, 1.2) * np.clip(1 - 0.9 * clefts, 0, 1)
        thin = self.strands(fibre, 0.5 + 0.3 * loose, 4.5, 0.55, 0.5)
        coarse = self.strands(fibre, 0.08 + deep * (0.42 + 0.3 * loose), 6.0, 0.80, 1.4)
        self.eosin = np.maximum.reduce([ground, thin, coarse * (1 + 0.12 * self.noise(1.2))])
        blue = 0.2 * self.eosin + 0.08 * (1 - deep) * (1 - clefts) + 0.02 * self.noise(2)
        self.hematoxylin = np.clip(blue, 0, 1)

    def _vessels(self, where: Mask) -> Floats:
        """Thin-walled vessels, some with red cells; the area they take."""
        rng = self.rng
        centers = self.lattice((150, 150), 0.8)
        centers = centers[self.at(where, centers) & (rng.random(len(centers)) < 0.7)]
        n = len(centers)
        axes = np.exp(rng.normal(np.log(16), 0.4, (n, 2)))
        angle = rng.uniform(0, np.pi, n)
        wall = self.blur(self.ellipses(centers, axes + 4, angle, np.ones(n)), 0.7)
        hollow = self.blur(self.ellipses(centers, axes, angle, np.ones(n)), 0.5)
        self.eosin += wall * (0.65 + 0.12 * self.noise(2) - self.eosin)
        self.eosin *= 1 - 0.95 * hollow
        self.hematoxylin *= 1 - 0.95 * hollow
        cells = self.lattice((6, 6), 0.2, jitter=0.3)
        filled = (self.at(hollow, cells) > 0.5) & (self.at(self.noise(60), cells) > 0.2)
        cells = cells[filled]
        m = len(cells)
        size = rng.normal(3.0, 0.3, (m, 2))
        blood = self.ellipses(cells, size, rng.uniform(0, np.pi, m), rng.normal(1, 0.12, m))
        self.erythrocyte += self.blur(blood, 0.3)
        return wall

    def _basement(self, outside: Floats) -> None:
        """A cleft around crypts, where tissue shrank, and the membrane itself."""
        cleft = np.clip(0.5 + 0.7 * self.noise(25), 0, 1) * np.exp(-(((outside - 3) / 2) ** 2))
        membrane = 0.35 * np.exp(-(((outside - 1) / 0.9) ** 2))
        self.eosin *= 1 - 0.75 * cleft
        self.eosin += membrane
        self.hematoxylin *= 1 - 0.75 * cleft
        self.hematoxylin += 0.5 * membrane

    def _epithelium(self, inside: Mask, depth: Floats, crypt: Indices) -> None:
        """Columnar cells, their walls, the mucin of goblet cells, the lumen with its slime."""
        rng = self.rng
        n = int(crypt.max()) + 1
        goblets = np.where(rng.random(n) < 0.15, 0.15, rng.uniform(0.6, 0.98, n))
        tall = rng.uniform(22, 32, n).astype(np.float32)
        # A crypt cut along its wall shows a mosaic of round cells instead of petals.
        mosaic = rng.random(n) < 0.3

        base, inward = self.contour(depth > 8, 8.5, depth)
        crypt_of = self.at(crypt, base)
        reach = tall[crypt_of] * rng.uniform(0.45, 0.6, len(base)) / self.mpp
        reach[mosaic[crypt_of]] = 0
        middle = self.lattice((9.5, 9.5), 0.5, jitter=0.35)
        middle = middle[(self.at(depth, middle) > 13) & mosaic[self.at(crypt, middle)]]
        starts = np.concatenate([base, middle])
        ends = np.concatenate([base + reach[:, None] * inward, middle])
        if not len(starts):
            return
        goblet = rng.random(len(starts)) < goblets[self.at(crypt, starts)]
        shade = rng.normal(0, 0.05, len(starts)).astype(np.float32)
        cells, border, _ = self.voronoi(np.stack([starts, ends], 1))

        # From here on only pixels inside crypts, in one row.
        where = np.flatnonzero(inside)

        def pick(field: NDArray[Any]) -> NDArray[Any]:
            return field.ravel()[where]

        depth, crypt, cell = pick(depth), pick(crypt), pick(cells)
        within = smoothstep(pick(border) + 0.25 * pick(self.noise(2)), 0.3, 1.6)
        mucin = within * smoothstep(depth + 0.8 * pick(self.noise(4)), 7.5, 11.5) * goblet[cell]
        apex = depth - tall[crypt] - 1.5 * pick(self.noise(5))
        lumen = smoothstep(apex, -1, 1.5) * ~mosaic[crypt]
        brush = 0.12 * np.exp(-(((apex + 1) / 1.2) ** 2))
        nuclear = (depth < 8).astype(np.float32)
        grain = 0.5 * pick(self.noise(0.8)) + 0.7 * pick(self.noise(2.5))
        slime = np.clip(1 - 4 * np.abs(pick(self.noise(9))), 0, 1)
        slime *= np.clip(pick(self.noise(20)), 0, 1)
        for stain, cytoplasm, mucus in (
            (self.eosin, 0.54 + 0.07 * grain + brush, 0.10 + 0.03 * grain),
            (self.hematoxylin, 0.34 + 0.06 * grain + 0.20 * nuclear, 0.17 + 0.06 * grain),
        ):
            body = cytoplasm + shade[cell]
            body += mucin * (mucus + 0.6 * shade[cell] - body)
            body += lumen * (0.03 + 0.16 * slime - body)
            stain.ravel()[where] = np.clip(body, 0, 4)

    def _basal_nuclei(self, depth: Floats) -> None:
        """Elongated nuclei that stand on the basement membrane, crowded into two rows."""
        rng = self.rng
        for level, spacing, chance in ((6.5, 4.5, 0.5), (3.9, 3.2, 1.0)):
            at, inward = self.contour(depth > level, spacing, depth)
            kept = rng.random(len(at)) < chance
            at, inward = at[kept], inward[kept]
            n = len(at)
            sway = rng.normal(0, 1.1 / self.mpp, (n, 1)).astype(np.float32)
            at = at + inward * sway
            axes = np.stack([rng.normal(4.3, 0.8, n), rng.normal(1.75, 0.3, n)], 1)
            angle = np.arctan2(inward[:, 1], inward[:, 0]) + rng.normal(0, 0.18, n)
            self._nuclei(at, axes, angle, rng.normal(1.35, 0.28, n))

    def _stromal_cells(self, mucosa: Mask, free: Mask, fibre: Floats, loose: Floats) -> None:
        """Lymphocytes, plasma cells, spindle cells along the fibres, a lymph follicle or two."""
        rng = self.rng
        follicle = mucosa & (self.noise(130) > 1.5)
        crowd = np.clip(0.10 + mucosa * (0.42 + 0.25 * loose), 0.03, 0.9)
        crowd[follicle] = 0.97
        at = self.lattice((6.6, 6.6), 0.3, jitter=0.45)
        at = at[self.at(free, at) & (rng.random(len(at)) < self.at(crowd, at))]
        n = len(at)
        spindle = rng.random(n) < np.where(self.at(mucosa, at), 0.35, 0.75)
        spindle &= ~self.at(follicle, at)
        long = np.where(spindle, rng.normal(6.0, 1.4, n), rng.normal(2.9, 0.55, n))
        short = np.where(spindle, rng.normal(1.35, 0.25, n), rng.normal(2.4, 0.4, n))
        axes = np.stack([long, short], 1)
        along = self.at(fibre, at) + rng.normal(0, 0.3, n)
        angle = np.where(spindle, along, rng.uniform(0, np.pi, n))
        plasma = ~spindle & (rng.random(n) < 0.45)
        aside = (at + rng.normal(0, 1.3 / self.mpp, (n, 2)).astype(np.float32))[plasma]
        body = self.ellipses(aside, axes[plasma] + 1.3, angle[plasma], np.ones(len(aside)))
        body = self.blur(body, 0.5)
        self.eosin = np.maximum(self.eosin, 0.55 * body)
        self.hematoxylin = np.maximum(self.hematoxylin, 0.40 * body)
        self._nuclei(at, axes, angle, rng.normal(np.where(spindle, 1.1, 1.45), 0.35))

    def _nuclei(self, at: Points, axes: Any, angle: Any, amount: Any) -> None:
        """Nuclei with a darker rim and clumped chromatin; they displace what was there."""
        body = self.blur(self.ellipses(at, axes, angle, amount, rim=1.15), 0.15)
        clumps = np.clip(1 + 0.20 * self.noise(0.7) + 0.14 * self.noise(1.8), 0.5, 1.6)
        cover = np.clip(body / 0.8, 0, 1)
        self.hematoxylin += body * clumps - cover * self.hematoxylin
        self.eosin *= 1 - 0.45 * cover

    def render(self, stain: Stain) -> NDArray[np.uint8]:
        """Light through the stains (Beer and Lambert), then optics, sensor noise and JPEG."""
        h = self.hematoxylin * np.float32(stain.hematoxylin_strength)
        e = self.eosin * np.float32(stain.eosin_strength)
        light = np.empty((*self.shape, 3), np.float32)
        for channel, white in enumerate(stain.white):
            density = h * stain.hematoxylin[channel] + e * stain.eosin[channel]
            density += self.erythrocyte * ERYTHROCYTE[channel]
            light[..., channel] = white * np.exp(-density)
        light = self.blur(light, 0.2)
        light += self.rng.normal(0, 1.5, self.shape).astype(np.float32)[..., None]
        m = self.margin
        raw = np.clip(np.rint(light[m:-m, m:-m, ::-1]), 0, 255).astype(np.uint8)
        _, jpeg = cv2.imencode(".jpg", raw, [cv2.IMWRITE_JPEG_QUALITY, 90])
        scanned = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)
        return np.ascontiguousarray(scanned[..., ::-1])
