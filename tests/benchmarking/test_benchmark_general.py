"""The benchmark of a general model: its filter's score comes first, whatever that is."""

from __future__ import annotations

from pathlib import Path

import rl2qc


def test_the_evidence_of_a_general_model_comes_first(
    general_file: Path, patch_folder: Path
) -> None:
    found = rl2qc.benchmark(patch_folder, general_file, corruptions=("noise",), n=50, quick=True)
    assert found.provenance["detectors"][0] == "evidence"
    assert "combined" not in found.provenance["detectors"]
