"""Put the general model together: a taught network, its judgement, its branch for scores, a flow.

    python scripts/teach_general.py ../shared/data --out network.safetensors --fold all
    python scripts/calibrate_general.py network.safetensors ../shared/data --out prior.safetensors
    python scripts/teach_branch.py network.safetensors ../shared/data --out branch.safetensors
    python scripts/build_general.py ../shared/data network.safetensors --prior prior.safetensors \
        --branch branch.safetensors --out checkpoints/general.safetensors

The flow is fitted to the features of the clean colorectal and prostate training images, as that of
``histology`` is (scripts/training_images.py); what it does not hold is a reference of its own:
slides are judged by the evidence, beside what is usual in them.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from general_network import GeneralNetwork, load_network
from safetensors.numpy import load_file
from training_images import split_images

from rl2qc.model.detectors.book import Calibration, DetectorSet
from rl2qc.model.detectors.evidence import EvidenceDetector
from rl2qc.model.network.backbone import round_to_half
from rl2qc.model.network.branch import ScoreBranch
from rl2qc.model.network.head import DamageHead
from rl2qc.model.parts import ModelParts
from rl2qc.model.quality import QualityModel
from rl2qc.model.storage import read_model, write_model
from rl2qc.model.zoo import find_checkpoint
from rl2qc.stats.prior import GeneralPrior
from rl2qc.synthetic.teaching import CLASSES

# Detectors of a reference, which the general model does without.
OF_REFERENCE = ("stages", "probe", "combined")
MPP = 0.5


def head_of(network: GeneralNetwork) -> DamageHead:
    """The dense head of a taught network, in the precision of model files."""
    head = DamageHead(CLASSES)
    own = {k: v for k, v in network.state_dict().items() if not k.startswith("backbone.")}
    head.load_state_dict(own)
    round_to_half(head)
    return head.eval()


def evidence_of(prior: GeneralPrior) -> EvidenceDetector:
    """The prior as a detector: its raw log-odds, higher for more normal patches."""
    detector = EvidenceDetector()
    detector.prior, detector.standard_ = prior, np.array([0.0, 1.0])
    return detector


def seed_model(network: Path, prior: Path, branch: Path | None, place: Path) -> Path:
    """A model file whose network is the taught one: what training starts from."""
    taught = load_network(network)
    round_to_half(taught.backbone)
    known, _ = read_model(find_checkpoint("histology"))
    made = GeneralPrior.from_state(load_file(prior), CLASSES)
    detectors = {
        name: known.detectors[name] for name in known.detectors.names if name != "combined"
    }
    parts = replace(
        known,
        backbone=taught.backbone,
        head=head_of(taught),
        branch=None if branch is None else branch_of(branch),
        detectors=DetectorSet(detectors | {"evidence": evidence_of(made)}, known.density),
        calibration=Calibration(known.calibration | {"evidence": np.zeros(1)}),
        mpp=MPP,
    )
    path = place / "seed.safetensors"
    write_model(parts, path)
    return path


def branch_of(path: Path) -> ScoreBranch:
    """The branch for scores, in the precision of model files."""
    state = {k: v.astype(np.float16).astype(np.float32) for k, v in load_file(path).items()}
    return ScoreBranch(state["weight"], state["bias"])


def general_parts(model: QualityModel, prior: GeneralPrior) -> ModelParts:
    """The parts of a fitted model without what only a reference of its own calls for."""
    kept = [name for name in model.detectors_.names if name not in OF_REFERENCE]
    detectors = {name: model.detectors_[name] for name in kept}
    evidence = evidence_of(prior)
    fitted = detectors["evidence"]
    assert isinstance(fitted, EvidenceDetector)
    raw = model.calibration_["evidence"] * fitted.standard_[1] + fitted.standard_[0]
    calibration = {name: model.calibration_[name] for name in kept} | {"evidence": raw}
    return ModelParts(
        backbone=model.backbone,
        density=model.density,
        patch_size=model.patch_size,
        mpp=model.mpp,
        detectors=DetectorSet(detectors | {"evidence": evidence}, model.density),
        calibration=Calibration(calibration),
        reference_latent_mean=model.reference_latent_mean_,
        quantities=model.quantities_,
        history=model.history_,
        provenance=model.provenance,
        head=model.extractor.head,
        branch=model.extractor.branch,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with clean/")
    parser.add_argument("network", type=Path)
    parser.add_argument("--prior", type=Path, required=True)
    parser.add_argument("--branch", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patch-size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", type=int, help="of the training images, this many: for a try")
    options = parser.parse_args()

    prior = GeneralPrior.from_state(load_file(options.prior), CLASSES)
    train, held_out = split_images(options.data / "clean")
    if options.quick:
        step = max(1, len(train) // options.quick)
        train, held_out = train[::step], held_out[::step]
    with tempfile.TemporaryDirectory() as place:
        model = QualityModel.fit(
            train,
            held_out=held_out,
            backbone=seed_model(options.network, options.prior, options.branch, Path(place)),
            patch_size=options.patch_size,
            mpp=MPP,
            seed=options.seed,
            progress=True,
        )
    digest = write_model(general_parts(model, prior), options.out)
    print(
        f"{options.out.stem}: {len(train)} training, {len(held_out)} held-out patches, held-out "
        f"NLL {model.history_.best:.3f} nats per dimension, "
        f"{options.out.stat().st_size / 1e6:.1f} MB, sha256 {digest}"
    )


if __name__ == "__main__":
    main()
