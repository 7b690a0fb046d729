"""A sample of what scripts/fuzz_files.py tries."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from fuzz_files import fuzz, table


def test_altered_files_are_refused_or_harmless(tiny_model_file, general_file):
    outcomes = fuzz(70, 1, [tiny_model_file, general_file])
    assert [outcome for outcome in outcomes if outcome.verdict == "wrong"] == []
    assert sum(outcome.verdict == "refused" for outcome in outcomes) > 30
    assert table(outcomes).splitlines()[-1].split()[0] == "all"
