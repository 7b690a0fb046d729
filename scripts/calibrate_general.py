"""Fit the general model's judgement to what was measured of its network, and of its folds'.

    for f in 0 1 2; do
        python scripts/evaluate_general.py measure ../shared/data --fold $f \
            --network fold$f.safetensors --out DIR
    done
    python scripts/evaluate_general.py measure ../shared/data --fold all \
        --network general.safetensors --out DIR
    python scripts/calibrate_general.py DIR/networkall.npz --out prior.safetensors \
        --folds DIR/network0.npz DIR/network1.npz DIR/network2.npz

The regressions are taught on the laboratories that taught the network. Its thresholds come from
the laboratories that each fold's network never saw, each by the regression of its own fold: they
tell what a new laboratory is like. OUT holds the state of :class:`rl2qc.stats.prior.GeneralPrior`,
with the classes in its header.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from evaluate_general import read
from general_fold import Fold, cells_of, laboratories, labs_of
from general_judge import fit_prior, with_tail_of
from numpy.typing import NDArray
from safetensors.numpy import save_file

from rl2qc.core.files import atomic_path
from rl2qc.stats.prior import GeneralPrior
from rl2qc.synthetic.teaching import CLASSES

Apart = list[tuple[GeneralPrior, NDArray[np.float64], NDArray[np.float64]]]


def apart(path: Path) -> Apart:
    """Of each laboratory that a fold left out: the fold's prior, evidence of clean tiles, cells."""
    fold = Fold(read(path))
    names = [f"out:{lab}:clean" for lab in labs_of(fold.evidence, "out")]
    return [(fold.prior, fold.evidence[name], cells_of(fold.found, name)) for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measured", type=Path, help="what evaluate_general.py kept of the network")
    parser.add_argument("--folds", type=Path, nargs="*", default=[], help="the same of each fold")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    found = read(options.measured)
    prior = fit_prior(laboratories(found), CLASSES)
    unknown = [lab for path in options.folds for lab in apart(path)]
    if unknown:
        prior = with_tail_of(prior, unknown)
    state = {k: np.asarray(v, np.float32) for k, v in prior.state().items()}
    record = {
        "script": "scripts/calibrate_general.py",
        "classes": json.dumps(CLASSES),
        "names": json.dumps(prior.names),
        "laboratories": json.dumps(labs_of(found, "teach")),
        "apart": str(len(unknown)),
    }
    with atomic_path(options.out) as path:
        save_file(state, path, record)
    print(f"location {prior.location}, scale {prior.scale}, shape {prior.shape:.3f}")


if __name__ == "__main__":
    main()
