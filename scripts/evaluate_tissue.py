"""How well tissue is found on drawn backgrounds, beside the rules of two other tools.

    python scripts/evaluate_tissue.py [--seeds 3] [--siblings]

Prints the share of area found (intersection over union) of every background: the worst of the seeds
for ours, the peers' on the same drawing, and the seconds for a picture of the overviews' size.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from tissue_peers import PEERS

from rl2qc.images.tissue import find_tissue
from rl2qc.synthetic.backgrounds import BACKGROUNDS
from rl2qc.synthetic.glass import DrawnOverview
from rl2qc.synthetic.odd_backgrounds import ODD_BACKGROUNDS
from rl2qc.synthetic.sibling_backgrounds import SIBLINGS

Draw = Callable[[np.random.Generator], DrawnOverview]


def overlap(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Intersection over union; where there is no tissue, 1 if at most 0.1 % is found."""
    if not truth.any():
        return float(found.mean() <= 0.001)
    return float((found & truth).sum() / (found | truth).sum())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--siblings", action="store_true")
    options = parser.parse_args()
    names = "ours  " + "  ".join(f"{name:>12}" for name in PEERS)
    print(f"{'background':40} {names}  warning")
    others = {**SIBLINGS, **ODD_BACKGROUNDS}
    table: Mapping[str, Draw] = others if options.siblings else BACKGROUNDS
    for name, draw in table.items():
        print(_row(name, draw, options.seeds))
    _time(table)


def _row(name: str, draw: Draw, seeds: int) -> str:
    worst = None
    for seed in range(seeds):
        drawn = draw(np.random.default_rng(seed))
        found = find_tissue(drawn.rgb)
        ours = overlap(found.mask, drawn.truth)
        peers = [overlap(rule(drawn.rgb), drawn.truth) for rule in PEERS.values()]
        if worst is None or ours < worst[0]:
            worst = (ours, peers, found.warnings)
    assert worst is not None
    ours, peers, warnings = worst
    mark = " " if ours >= max(0.85, max(peers) - 0.03) else "*"
    numbers = "  ".join(f"{p:12.2f}" for p in peers)
    return f"{name:40} {ours:.2f}{mark} {numbers}  {'; '.join(warnings)[:60]}"


def _time(table: Mapping[str, Draw]) -> None:
    seconds = []
    for draw in table.values():
        rgb = draw(np.random.default_rng(0)).rgb
        large = np.ascontiguousarray(rgb.repeat(3, axis=0).repeat(3, axis=1)[:1080, :1440])
        start = time.process_time()
        find_tissue(large)
        seconds.append(time.process_time() - start)
    print(
        f"CPU seconds at 1440 x 1080 px: median {np.median(seconds):.2f}, most {max(seconds):.2f}"
    )


if __name__ == "__main__":
    main()
