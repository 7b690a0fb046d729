"""Which resolution tiles are read at."""

from __future__ import annotations

from rl2qc.errors import UsageError
from rl2qc.slides.judging import TileModel
from rl2qc.slides.tiling import MAX_ENLARGEMENT, TOLERANCE

__all__ = ["target_mpp"]

DEFAULT_MPP = 0.5


def target_mpp(
    model: TileModel, mpp: float | None, *, any_mpp: bool = False
) -> tuple[float, list[str]]:
    """The resolution to read at, and what is to be said about it.

    Raises
    ------
    UsageError
        ``mpp`` is far from what the model was trained at, and ``any_mpp`` is False.
    """
    if mpp is None and model.mpp is None:
        return DEFAULT_MPP, [
            f"the model does not record its resolution: tiles are read at {DEFAULT_MPP} um/px "
            "(20x); pass --mpp to choose"
        ]
    if mpp is None or model.mpp is None:
        return mpp or model.mpp or DEFAULT_MPP, []
    ratio = max(mpp / model.mpp, model.mpp / mpp)
    if ratio > MAX_ENLARGEMENT and not any_mpp:
        raise UsageError(
            f"tiles of {mpp:g} um/px are far from the {model.mpp:g} um/px that the model was "
            f"trained at, and their scores would mean little: leave --mpp out, train at {mpp:g} "
            f"(rl2qc train --mpp {mpp:g}), or pass --any-mpp to read them all the same"
        )
    if ratio > 1 + TOLERANCE:
        return mpp, [f"tiles are read at {mpp:g} um/px, but the model was trained at {model.mpp:g}"]
    return mpp, []
