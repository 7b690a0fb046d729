"""How a laboratory stains and scans: colours of haematoxylin, eosin and blood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["EOSIN", "ERYTHROCYTE", "HEMATOXYLIN", "Stain"]

# Optical density (base e) of red, green and blue light for a unit of each stain, after
# Ruifrok and Johnston, "Quantification of histochemical staining by color deconvolution",
# Anal. Quant. Cytol. Histol. 23 (2001) 291-299, moved towards what scanners record.
HEMATOXYLIN = (0.57, 0.71, 0.41)
EOSIN = (0.28, 0.87, 0.40)
ERYTHROCYTE = (0.12, 0.78, 0.72)


@dataclass(frozen=True)
class Stain:
    """How a laboratory stains and scans: colours, strengths and the white of the glass.

    Parameters
    ----------
    hematoxylin, eosin
        Optical densities (base e) of red, green and blue light for a unit of stain.
    hematoxylin_strength, eosin_strength
        Factors on the amount of each stain; 1 is typical.
    white
        Red, green and blue of empty glass, 0 to 255.
    """

    hematoxylin: tuple[float, float, float] = HEMATOXYLIN
    eosin: tuple[float, float, float] = EOSIN
    hematoxylin_strength: float = 1.0
    eosin_strength: float = 1.0
    white: tuple[float, float, float] = (243.0, 242.0, 244.0)

    @classmethod
    def sample(cls, rng: np.random.Generator, spread: float = 1.0) -> Stain:
        """Draw another laboratory; ``spread`` scales how far it may be from the typical one.

        Examples
        --------
        >>> Stain.sample(np.random.default_rng(0), spread=0.0) == Stain()
        True
        """

        def near(vector: tuple[float, float, float]) -> tuple[float, float, float]:
            r, g, b = np.maximum(np.array(vector) + spread * rng.normal(0.0, 0.03, 3), 0.02)
            return float(r), float(g), float(b)

        h, e = np.exp(spread * rng.normal(0.0, 0.12, 2))
        return cls(near(HEMATOXYLIN), near(EOSIN), float(h), float(e))
