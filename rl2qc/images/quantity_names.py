"""Names of what is measured of a patch without a model, apart from what it takes to measure it."""

from __future__ import annotations

__all__ = ["QUANTITIES"]

QUANTITIES = ("focus", "noise", "blockiness", "odd_hue", "density", "darkness", "white")
"""Names, in the order of the columns of :func:`rl2qc.images.quantities.measure_quantities`."""
