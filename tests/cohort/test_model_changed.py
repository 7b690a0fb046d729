"""What a folder of results says to another model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rl2qc.cohort.changes import advice, differences


def key(name: str, sha256: str) -> dict[str, Any]:
    return {"model": {"name": name, "sha256": sha256}, "settings": {"alpha": 0.05}}


@pytest.mark.parametrize(
    ("old", "said"),
    [
        (key("histology", "a" * 12), "pass --model histology to go on with theirs, "),
        # The shipped file of that name is another by now: to name it would change nothing.
        (key("general", "b" * 12), "rl2qc decide out decides anew on what is there, "),
    ],
)
def test_the_way_on_is_one_that_helps(old: dict[str, Any], said: str) -> None:
    new = key("general", "c" * 12)
    assert advice(Path("out"), old, new, differences(old, new)) == said
