"""Put the general model together: a taught network, its judgement, its branch for scores, a flow.

    python scripts/teach_general.py ../shared/data --out network.safetensors --fold all
    python scripts/evaluate_general.py measure ../shared/data --fold all \
        --network network.safetensors --out DIR
    python scripts/calibrate_general.py DIR/networkall.npz --out prior.safetensors \
        --folds DIR/network0.npz DIR/network1.npz DIR/network2.npz
    python scripts/teach_branch.py ../shared/data --network network.safetensors \
        --out branch.safetensors
    python scripts/build_general.py ../shared/data network.safetensors --prior prior.safetensors \
        --branch branch.safetensors --out checkpoints/general.safetensors

The flow is fitted to the features of the clean colorectal and prostate training images, as that of
``histology`` is (scripts/training_images.py). The model has no reference of its own: slides are
judged by the evidence, beside what is usual in them.

A new judgement of the same network leaves features, likelihoods and scores what they are::

    python scripts/build_general.py ../shared/data --again checkpoints/general.safetensors \
        --prior prior.safetensors --out checkpoints/general.safetensors
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from general_network import GeneralNetwork, load_network
from numpy.typing import NDArray
from safetensors.numpy import load_file
from taught_images import taught_by
from training_images import split_images

from rl2qc.images.quantities import measure_quantities
from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.images.sources.base import as_source
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.detectors.base import DETECTORS, Reference, fit_detector
from rl2qc.model.detectors.book import Calibration, DetectorSet
from rl2qc.model.detectors.evidence import EvidenceDetector
from rl2qc.model.detectors.folds import calibration_scores
from rl2qc.model.network.backbone import (
    FEATURE_DIM,
    POOLED,
    STATISTICS_DIM,
    ResNet18Features,
    round_to_half,
)
from rl2qc.model.network.branch import ScoreBranch
from rl2qc.model.network.head import DamageHead
from rl2qc.model.network.statistics import StatisticsExtractor
from rl2qc.model.parts import ModelParts
from rl2qc.model.storage import read_model, write_model
from rl2qc.model.training.flow import fit_flow
from rl2qc.stats.prior import GeneralPrior
from rl2qc.synthetic.teaching import CLASSES

MPP, COMPONENTS = 0.5, 128


def head_of(network: GeneralNetwork) -> DamageHead:
    """The dense head of a taught network, in the precision of model files."""
    head = DamageHead(CLASSES)
    own = {k: v for k, v in network.state_dict().items() if not k.startswith("backbone.")}
    head.load_state_dict(own)
    round_to_half(head)
    return head.eval()


def branch_of(path: Path) -> ScoreBranch:
    """The branch for scores, in the precision of model files."""
    state = {k: v.astype(np.float16).astype(np.float32) for k, v in load_file(path).items()}
    return ScoreBranch(state["weight"], state["bias"])


def evidence_of(prior: GeneralPrior) -> EvidenceDetector:
    """The prior as a detector: its raw log-odds, higher for more normal patches."""
    detector = EvidenceDetector()
    detector.prior, detector.standard_ = prior, np.array([0.0, 1.0])
    return detector


def detectors_of(
    rows: NDArray[np.float32], held: NDArray[np.int64], density: FeatureDensity, prior: GeneralPrior
) -> tuple[DetectorSet, Calibration]:
    """The detectors that rest on the flow, and the evidence; held-out patches calibrate."""
    reference = Reference(rows, np.zeros(len(rows), np.int64), held=held, density=density)
    specs = [s for s in DETECTORS if s.detector is not None and s.calibration == "held_out"]
    specs.append(DETECTORS.get("knn"))
    fitted = {spec.name: fit_detector(spec, reference) for spec in specs}
    calibration = {
        spec.name: calibration_scores(spec, fitted[spec.name], reference)
        for spec in specs
        if spec.calibration == "held_out"
    }
    calibration["knn"] = fitted["knn"].scores(rows[held][:, :STATISTICS_DIM])
    calibration["evidence"] = calibrating(prior, rows[held])
    return DetectorSet(fitted | {"evidence": evidence_of(prior)}, density), Calibration(calibration)


def calibrating(prior: GeneralPrior, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Raw scores (n,) of clean patches by the evidence, as files keep them."""
    raw = -prior.scores(rows[:, STATISTICS_DIM:])
    return np.asarray(raw, np.float32).astype(np.float64)


def rows_of(
    options: argparse.Namespace, paths: list[Path], extractor: StatisticsExtractor
) -> NDArray[np.float32]:
    """Statistics and evidence of patches; kept where the options say so."""
    if options.rows is not None and options.rows.exists():
        return np.array(np.load(options.rows, allow_pickle=False))
    rows = extractor.of_source(as_source(paths, options.patch_size), progress=True)
    if options.rows is not None:
        np.save(options.rows, rows)
    return rows


def quantities_of(paths: list[Path], size: int) -> ReferenceQuantities:
    """What every fourth patch is usually like."""
    source = as_source(paths[::4], size)
    return ReferenceQuantities.fit(measure_quantities(source[i] for i in range(len(source))))


def provenance_of(n_train: int, n_held_out: int, seed: int) -> dict[str, Any]:
    """How the model was made."""
    return {
        "backbone": "taught by scripts/teach_general.py",
        "mode": "general",
        "n_train": n_train,
        "n_held_out": n_held_out,
        "seed": seed,
        "torch": torch.__version__,
    }


def judged_anew(options: argparse.Namespace, prior: GeneralPrior) -> str:
    """Write a model that differs from another in its judgement alone; its hash."""
    parts, _ = read_model(options.again)
    states = parts.detectors.states() | {"evidence": evidence_of(prior).state()}
    detectors = DetectorSet.from_states(states, parts.detectors.names, parts.density)
    extractor = StatisticsExtractor(
        parts.backbone, device="cpu", head=parts.head, branch=parts.branch, lines=prior.lines
    )
    _, held_out = split_images(options.data / "clean")
    rows = extractor.of_source(as_source(held_out, parts.patch_size), progress=True)
    calibration = Calibration(parts.calibration | {"evidence": calibrating(prior, rows)})
    # Digests of the images that taught it lie beside a shipped file.
    parts = replace(parts, detectors=detectors, calibration=calibration, taught=None)
    return write_model(parts, options.out)


def parser_of_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with clean/")
    parser.add_argument("network", type=Path, nargs="?")
    parser.add_argument("--prior", type=Path, required=True)
    parser.add_argument("--branch", type=Path)
    parser.add_argument("--again", type=Path, help="a model that is given a new judgement alone")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patch-size", type=int, default=224)
    parser.add_argument("--rows", type=Path, help=".npy that keeps what the network finds")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main() -> None:
    parser = parser_of_options()
    options = parser.parse_args()

    prior = GeneralPrior.from_state(load_file(options.prior), CLASSES)
    if options.again is not None:
        print(f"{options.out.stem}: judged anew, sha256 {judged_anew(options, prior)}")
        return
    if options.network is None or options.branch is None:
        parser.error("give NETWORK and --branch, or --again MODEL")
    network = load_network(options.network)
    backbone = ResNet18Features()
    backbone.load_state_dict(network.backbone.state_dict())
    round_to_half(backbone)
    head, branch = head_of(network), branch_of(options.branch)
    extractor = StatisticsExtractor(backbone, device="cpu", head=head, lines=prior.lines)
    train, held_out = split_images(options.data / "clean")
    rows = rows_of(options, [*train, *held_out], extractor)
    rows[:, POOLED] = branch(rows)
    held = np.arange(len(train), len(rows))
    density = FeatureDensity(FEATURE_DIM, COMPONENTS, seed=options.seed)
    features = torch.from_numpy(rows[:, POOLED].copy())
    history = fit_flow(
        density,
        features[: len(train)],
        features[held],
        changes={},
        seed=options.seed,
        progress=True,
    )
    density.eval()
    detectors, calibration = detectors_of(rows, held, density, prior)
    mean = density.latents_of(rows[: len(train), POOLED].copy()).mean(0)
    parts = ModelParts(
        backbone=backbone,
        density=density,
        patch_size=options.patch_size,
        mpp=MPP,
        detectors=detectors,
        calibration=calibration,
        reference_latent_mean=mean,
        quantities=quantities_of([*train, *held_out], options.patch_size),
        history=history,
        provenance=provenance_of(len(train), len(held), options.seed),
        head=head,
        branch=branch,
        taught=taught_by(options.data, options.patch_size),
    )
    digest = write_model(parts, options.out)
    print(
        f"{options.out.stem}: {len(train)} training, {len(held)} held-out patches, held-out "
        f"NLL {history.best:.3f} nats per dimension, "
        f"{options.out.stat().st_size / 1e6:.1f} MB, sha256 {digest}"
    )


if __name__ == "__main__":
    main()
