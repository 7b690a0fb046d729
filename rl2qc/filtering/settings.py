"""How tiles are cut and judged: the settings of a run."""

from __future__ import annotations

from dataclasses import dataclass

from rl2qc.errors import UsageError
from rl2qc.images.resolution import PLAUSIBLE_MPP, is_plausible_mpp

__all__ = ["FilterSettings"]


@dataclass(frozen=True)
class FilterSettings:
    """How tiles are cut and judged; the defaults are those of :func:`filter_slide`.

    Raises
    ------
    UsageError
        A value that is out of range.
    """

    alpha: float = 0.05
    mpp: float | None = None
    mpp_override: float | None = None
    min_tissue: float = 0.1
    stride: int | None = None
    batch_size: int = 32
    num_workers: int = 2
    icc: bool = False
    any_mpp: bool = False
    max_rejected: float = 0.5
    coords: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1:
            raise UsageError(f"alpha must lie in [0, 1), got {self.alpha}")
        for name in ("min_tissue", "max_rejected"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("mpp", "mpp_override"):
            value = getattr(self, name)
            if value is not None and not is_plausible_mpp(value):
                raise UsageError(
                    f"{name} must be microns per pixel, {PLAUSIBLE_MPP[0]:g} to "
                    f"{PLAUSIBLE_MPP[1]:g}, got {value:g}"
                )
        for name in ("stride", "batch_size", "num_workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
