"""What the header of a model file may hold: types, ranges and bounds of every field.

Model files come from others, too. What is wrong is named by its place; what a later version added
is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from rl2qc.errors import CheckpointError
from rl2qc.model.network.backbone import FEATURE_DIM

__all__ = ["ConfigFile", "HeadFile", "SharedFile", "check_config"]

Number = Annotated[float, Field(allow_inf_nan=False)]
Losses = Annotated[list[Number], Field(max_length=10**6)]


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Mean = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(ge=1e-3, le=10)]
# JSON has lists alone.
Means = Annotated[tuple[Mean, Mean, Mean], BeforeValidator(_tuple)]
Deviations = Annotated[tuple[Deviation, Deviation, Deviation], BeforeValidator(_tuple)]


class _File(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class SharedFile(_File):
    """The shipped model whose network a model shares."""

    # A name, and no path: nobody's file is opened because a model says so.
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class HeadFile(_File):
    """The head of a general model."""

    classes: Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(
        min_length=1, max_length=127
    )]  # fmt: skip
    width: Annotated[int, Field(ge=1, le=4096)]

    @model_validator(mode="after")
    def _fits(self) -> HeadFile:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes have one name")
        return self


class HistoryFile(BaseModel):
    """Loss after every epoch."""

    model_config = ConfigDict(extra="forbid", strict=True)

    train: Losses
    held_out: Losses

    @model_validator(mode="after")
    def _fits(self) -> HistoryFile:
        if len(self.train) != len(self.held_out):
            raise ValueError(f"{len(self.train)} epochs of training, {len(self.held_out)} held out")
        return self


class ConfigFile(_File):
    """All that a model file says beside its tensors."""

    backbone_of: SharedFile | None
    patch_size: Annotated[int, Field(ge=32, le=2**16)]
    mpp: Annotated[float, Field(ge=0.01, le=100)] | None
    mean: Means
    std: Deviations
    n_components: Annotated[int, Field(ge=2, le=FEATURE_DIM)]
    layers: Annotated[int, Field(ge=1, le=1000)]
    hidden: Annotated[int, Field(ge=1, le=2**16)]
    median_log_likelihood: Annotated[float, Field(ge=-1e9, le=1e9)]
    history: HistoryFile
    provenance: dict[str, Any]
    head: HeadFile | None = None


def check_config(config: Any) -> ConfigFile:
    """The header of a model, checked.

    Raises
    ------
    CheckpointError
        A field is missing or cannot be: in one line, with its place.

    Examples
    --------
    >>> check_config({"patch_size": "64"})
    Traceback (most recent call last):
    rl2qc.errors.CheckpointError: it lacks a part of the model: backbone_of
    """
    # A header that is read has lists, one that is about to be written tuples.
    given = dict(config) if isinstance(config, Mapping) else config
    try:
        return ConfigFile.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the header"
        if first["type"] == "missing":
            raise CheckpointError(f"it lacks a part of the model: {place}") from error
        said = first["msg"].removeprefix("Value error, ")
        raise CheckpointError(f"{place}: {said}") from error
