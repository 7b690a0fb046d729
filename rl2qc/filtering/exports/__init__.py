"""Write a table of tiles in the formats that other tools read."""

from __future__ import annotations

from rl2qc.filtering.exports.dissolve import dissolve
from rl2qc.filtering.exports.histoqc import RESULTS, has_results
from rl2qc.filtering.exports.overlay import overlay
from rl2qc.filtering.exports.qupath import geojson_features
from rl2qc.filtering.exports.registry import (
    DEFAULT_FORMATS,
    FORMATS,
    RECORD_FORMATS,
    ExportFormat,
    check_formats,
    export,
    finish_exports,
    parse_formats,
    remove_exports,
)

__all__ = [
    "DEFAULT_FORMATS",
    "FORMATS",
    "RECORD_FORMATS",
    "RESULTS",
    "ExportFormat",
    "check_formats",
    "dissolve",
    "export",
    "finish_exports",
    "geojson_features",
    "has_results",
    "overlay",
    "parse_formats",
    "remove_exports",
]
