"""Parts of a run that processes on several machines share."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from rl2qc.errors import UsageError

__all__ = ["parse_shard"]


def parse_shard(text: str | None, environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """Which part of how many, counted from 0.

    Parameters
    ----------
    text
        "i/n" with i from 1 to n; None takes the array task of SLURM, if there is one.
    environment
        Variables that SLURM sets; those of the process by default.

    Raises
    ------
    UsageError
        Neither "i/n" nor a SLURM array that counts upwards in ones.

    Examples
    --------
    >>> parse_shard("2/5"), parse_shard(None, {})
    ((1, 5), (0, 1))
    >>> parse_shard(None, {"SLURM_ARRAY_TASK_ID": "12", "SLURM_ARRAY_TASK_COUNT": "4",
    ...                    "SLURM_ARRAY_TASK_MIN": "10"})
    (2, 4)
    """
    if text is None:
        variables = os.environ if environment is None else environment
        task = variables.get("SLURM_ARRAY_TASK_ID")
        if task is None:
            return 0, 1
        count = variables.get("SLURM_ARRAY_TASK_COUNT", "")
        # Arrays begin anywhere: --array=0-9 and --array=1-10 are the same ten parts.
        first = variables.get("SLURM_ARRAY_TASK_MIN", "0")
        if task.isdigit() and count.isdigit() and first.isdigit():
            index, parts = int(task) - int(first), int(count)
            if 0 <= index < parts:
                return index, parts
        raise UsageError(
            f"cannot tell which part SLURM's array task {task} of {count or '?'} from {first} is: "
            "submit the array with steps of 1, or pass --shard i/n"
        )
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"--shard must be i/n with i from 1 to n, such as 1/4, got {text!r}")
    return int(found[1]) - 1, int(found[2])
