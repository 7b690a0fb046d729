"""What ``record.json`` and ``run.json`` may hold: types, ranges and bounds of every field.

Both come with results that others made, on other days or with other intentions. What is wrong is
named by its place; what a later version added is kept; what an earlier one lacked has its default.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from rl2qc.core.names import stays_inside
from rl2qc.core.opening import read_file_text
from rl2qc.errors import WorkError
from rl2qc.filtering.verdict import VerdictRules

__all__ = ["ManifestFile", "RecordFile", "RowFile", "TableFile", "read_file"]

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Pixels = Annotated[int, Field(ge=1, le=2**31)]
Place = Annotated[int, Field(ge=-(2**40), le=2**40)]
Mpp = Annotated[float, Field(gt=0, le=1e4)]
Times = Annotated[float, Field(ge=1, le=100)]
Number = Annotated[float, Field(allow_inf_nan=False)]
# JSON has no NaN: null stands for it.
Maybe = Number | None
Text = str
Lines = Annotated[list[Text], BeforeValidator(lambda value: [] if value is None else value)]
Words = dict[str, Text]
# Characters of a file's name: no file system takes more.
_LONGEST = 255


def _short(name: str) -> str:
    """The name itself: a limit of pydantic's own would refuse what is no UTF-8."""
    if len(name) > _LONGEST:
        raise ValueError("longer than any file's name")
    return name


FileName = Annotated[str, AfterValidator(_short)]

M = TypeVar("M", bound="_File")


class _File(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class ModelFile(_File):
    """What a record says of the model."""

    name: Text | None = None
    sha256: Text | None = None
    patch_size: Annotated[int, Field(ge=1, le=2**16)] | None = None
    mpp: Mpp | None = None


class SettingsFile(_File):
    """The settings that a decision is made of; of all others, that they are plain data."""

    alpha: Annotated[float, Field(ge=0, lt=1)] | None = None
    method: Literal["threshold", "bh"] | None = None
    adapt: Text | None = None
    max_rejected: Share | None = None
    use_from: Share | None = None
    drop_below: Share | None = None
    drop_area: Share | None = None
    formats: list[Text] = []


class KeyFile(_File):
    """What a result was made with."""

    input: dict[str, Any] = {}
    model: ModelFile
    settings: SettingsFile


class RowFile(_File):
    """A row of ``summary.csv``."""

    name: Text
    kind: Literal["slide", "patches"]
    status: Literal["done", "partial", "failed"]
    tiles: Count = 0
    kept: Count = 0
    kept_share: Share | None = None
    median_log_likelihood: Maybe = None
    drift: Maybe = None
    flags: Lines = []
    reasons: dict[str, Count] = {}
    mpp: Mpp | None = None
    level: Annotated[int, Field(ge=0, le=64)] | None = None
    scale: Annotated[float, Field(gt=0, le=1e6)] | None = None
    tissue_share: Share | None = None
    tissue_threshold: Maybe = None
    scanner: Text = ""
    unreadable: Count = 0
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    error: Text = ""
    warnings: Lines = []
    path: Text = ""
    areas: dict[str, Share] = {}
    area_um2: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}

    @model_validator(mode="after")
    def _fits(self) -> RowFile:
        if self.kept > self.tiles:
            raise ValueError(f"{self.kept} of {self.tiles} tiles cannot be kept")
        return self


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# JSON has lists alone.
Size = Annotated[tuple[Pixels, Pixels], BeforeValidator(_tuple)]
Stretch = Annotated[tuple[Times, Times], BeforeValidator(_tuple)]
Box = Annotated[tuple[Place, Place, Pixels, Pixels], BeforeValidator(_tuple)]


class AdaptationFile(_File):
    """What is usual in a group of tiles (:class:`rl2qc.stats.adaptation.Adaptation`)."""

    usual: list[Number]
    location: Number
    spread: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    scales: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    weights: list[Share]
    high: list[Number]
    damaged: Share = 0.0
    tiles: Count = 0
    limited: bool = False

    @model_validator(mode="after")
    def _fits(self) -> AdaptationFile:
        if not 0 < len(self.scales) == len(self.weights):
            raise ValueError(f"{len(self.scales)} scales have {len(self.weights)} weights")
        return self


class ReferenceFile(_File):
    """The usual range of measured quantities (:mod:`rl2qc.images.reasons`)."""

    low: list[Number]
    median: list[Number]
    high: list[Number]

    @model_validator(mode="after")
    def _fits(self) -> ReferenceFile:
        for low, median, high in zip(self.low, self.median, self.high, strict=True):
            if not low <= median <= high:
                raise ValueError(f"a median of {median} lies outside {low} to {high}")
        return self


class CorrectedFile(_File):
    """What a person said of tiles (:class:`rl2qc.filtering.corrected.Corrected`)."""

    clean: list[Count]
    bad: list[Count]
    weights: list[Number] = []

    @model_validator(mode="after")
    def _fits(self) -> CorrectedFile:
        if set(self.clean) & set(self.bad):
            raise ValueError("a tile is called clean and bad")
        return self


class SlideFile(_File):
    """What a record says of a table beside its columns."""

    name: Text
    path: Text
    kind: Literal["slide", "patches"]
    alpha: Annotated[float, Field(ge=0, lt=1)]
    method: Literal["threshold", "bh"] = "threshold"
    mpp: Mpp | None = None
    slide_mpp: Mpp | None = None
    mpp_source: Text | None = None
    level: Annotated[int, Field(ge=0, le=64)] | None = None
    scale: Annotated[float, Field(gt=0, le=1e6)] | None = None
    dimensions: Size | None = None
    bounds: Box | None = None
    level_dimensions: Size | None = None
    tissue_threshold: Maybe = None
    tissue_coverage: Share | None = None
    tissue_source: Text = "otsu"
    warnings: Lines = []
    scanner: Text = ""
    icc: bool = False
    max_rejected: Share = 0.5
    patch_size: Annotated[int, Field(ge=1, le=2**16)] | None = None
    tile_size: Annotated[int, Field(ge=1, le=2**20)] | None = None
    overlap: Annotated[int, Field(ge=-(2**20), le=2**20)] = 0
    step: Pixels | None = None
    stretch: Stretch = (1.0, 1.0)
    covered: bool = False
    reader: Text | None = None
    coords: dict[str, Any] | None = None
    odd_colours: Text = ""
    reference: ReferenceFile | None = None
    adapt: Text = "none"
    adaptation: AdaptationFile | None = None
    cohort: AdaptationFile | None = None
    corrected: CorrectedFile | None = None
    apart: bool = False
    use_from: Share = VerdictRules.use_from
    drop_below: Share = VerdictRules.drop_below
    drop_area: Share = VerdictRules.drop_area


class TableFile(_File):
    """How a table was when it was written."""

    rows: Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class RecordFile(_File):
    """A record of one result."""

    key: KeyFile
    row: RowFile
    slide: SlideFile
    files: list[FileName]
    tables: dict[str, TableFile] = {}
    paths: Literal["run", ""] = ""

    @model_validator(mode="after")
    def _fits(self) -> RecordFile:
        outside = next((n for n in self.files if not stays_inside(Path("result", n))), None)
        if outside is not None:
            raise ValueError(f"{outside!r} leads out of the folder")
        if self.row.kind != self.slide.kind:
            raise ValueError(f"it is of {self.row.kind} and of {self.slide.kind}")
        return self


class ManifestFile(_File):
    """A manifest of a folder of results."""

    settings: SettingsFile = SettingsFile()
    model: ModelFile = ModelFile()
    versions: Words = {}
    warnings: Lines = []
    started: Text = ""
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    finished: bool = False
    runs: list[dict[str, Any]] = []


def read_file(path: Path, kind: type[M]) -> M:
    """What a file holds, checked.

    Raises
    ------
    FileNotFoundError
        There is none.
    WorkError
        It is none of ours, was cut short, or holds what cannot be: in one line, with the place.
    """
    try:
        # Names of files need not be valid text: JSON keeps their bytes as single surrogates.
        text = read_file_text(path)
        content = json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)
        return kind.model_validate(content)
    except FileNotFoundError:
        raise
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise WorkError(f"{path.name} is damaged ({place}{': ' if place else ''}{said})") from error
    except RecursionError as error:
        raise WorkError(f"{path.name} is damaged (nested too deep)") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WorkError(f"{path.name} is damaged ({reason})") from error


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of a name that is there twice, others may take the first."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is there twice")
    return found
