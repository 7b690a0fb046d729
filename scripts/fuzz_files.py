"""Files that lie: what others altered, given to all that reads it.

    python scripts/fuzz_files.py --count 1000 --seed 0

Results that ``decide``, ``read_results`` and ``KeptTiles`` read, model files with a hash that fits,
coordinates of TRIDENT and CLAM, features, the cache, and lists are altered one at a time, and
read. An altered file must be refused in one line, or change nothing; nothing else must pay for it,
nothing may be written outside the folder, and no error may be foreign. Prints how many of each kind
were refused, harmless and wrong, and each that was wrong; ends with 1 if there is one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
from fuzzing.common import Outcome
from fuzzing.inputs import fuzz_cache, fuzz_coords, fuzz_features, fuzz_lists
from fuzzing.models import fuzz_models
from fuzzing.results import fuzz_results

from rl2qc.model.quality import QualityModel

__all__ = ["fuzz", "table"]

# Of a thousand, by kind.
_SHARES = {
    "results": 350,
    "models": 330,
    "coordinates": 120,
    "features": 80,
    "cache": 40,
    "lists": 80,
}


def fuzz(count: int, seed: int, models: Sequence[Path]) -> list[Outcome]:
    """Alter so many files, and read each.

    Parameters
    ----------
    count
        Of all kinds together.
    seed
    models
        Model files to alter; results are made with the last one, too.
    """
    n = {kind: max(1, count * share // 1000) for kind, share in _SHARES.items()}
    evidence = n["results"] // 3
    return [
        *fuzz_results(n["results"] - evidence, seed),
        *fuzz_results(evidence, seed + 1, QualityModel.load(models[-1], device="cpu")),
        *fuzz_models(list(models), n["models"], seed),
        *fuzz_coords(n["coordinates"], seed),
        *fuzz_features(n["features"], seed),
        *fuzz_cache(n["cache"], seed),
        *fuzz_lists(n["lists"], seed),
    ]


def table(outcomes: Sequence[Outcome]) -> str:
    """How many of each kind were refused, harmless and wrong."""
    verdicts = ("refused", "harmless", "wrong")
    rows: list[tuple[str, ...]] = [("kind", *verdicts, "all")]
    for kind in (*dict.fromkeys(o.kind for o in outcomes), "all"):
        counts = Counter(o.verdict for o in outcomes if kind in (o.kind, "all"))
        rows.append((kind, *(str(counts[v]) for v in verdicts), str(counts.total())))
    return "\n".join(f"{r[0]:<14}" + "".join(f"{cell:>10}" for cell in r[1:]) for r in rows)


def own_models(folder: Path) -> list[Path]:
    """A small model of random patches, and a general one, as files."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    write_toy_general = import_module("toy_general").write_toy_general
    patches = np.random.default_rng(0).integers(0, 256, (120, 64, 64, 3), np.uint8)
    model = QualityModel.fit(patches, backbone="random", epochs=2, device="cpu")
    model.save(folder / "own.safetensors")
    write_toy_general(folder / "own.safetensors", folder / "general.safetensors")
    return [folder / "own.safetensors", folder / "general.safetensors"]


def main() -> None:
    """Alter, read, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = fuzz(chosen.count, chosen.seed, own_models(Path(folder)))
    for outcome in outcomes:
        if outcome.verdict == "wrong":
            print(f"WRONG {outcome.kind}, {outcome.what}: {outcome.why}")
    print(table(outcomes))
    sys.exit(any(outcome.verdict == "wrong" for outcome in outcomes))


if __name__ == "__main__":
    main()
