"""How much scores mind an image's encoding, and whether they still see what is wrong with it.

    python scripts/evaluate_encoding.py ../shared/data --models histology general --cache DIR
    python scripts/evaluate_encoding.py ../shared/data --cache DIR \
        --network fold0.safetensors --branch fold0.safetensors fold0_branch.safetensors

Real tiles (generated/nasdm/real) are encoded again, or get a fault. FID, RL2 and WAD-Div between
them and the real tiles are told as shares of the same score of the generated tiles
(generated/nasdm/fake): 1 says that JPEG looks as far from real as the generator does. Rows are
shipped models, the pooled features of taught networks, and branches (scripts/teach_branch.py). A
model's RL2 is its own; elsewhere a flow is fitted on clean colorectal and prostate tiles.

Faults are set against every third tile. "Half" is the half of the real tiles that comes from
other images, against the first half; "mixed" holds a growing share of damaged tiles. Statistics are
kept in DIR. Equal commands print equal numbers.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import torch
from branch_views import Statistician, flow_tiles, read_branch
from general_network import load_network
from numpy.typing import NDArray
from PIL import Image
from reencoding import ENCODED, FAULTS

from rl2qc.metrics.frechet import fid
from rl2qc.metrics.rl2 import rl2
from rl2qc.metrics.wad_div import wad_div
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.network.backbone import FEATURE_DIM, POOLED
from rl2qc.model.quality import QualityModel
from rl2qc.model.training.flow import fit_density

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = Mapping[str, Floats]
# Faults are drawn on every third tile.
_THIRD = 3
_SHARES = (0.1, 0.25, 0.5, 1.0)
_LADDERS = {
    "blur": ("blur 1", "blur 2", "blur 4"),
    "noise": ("noise .02", "noise .05", "noise .1"),
    "JPEG": ("JPEG 95", "JPEG 85", "JPEG 75", "JPEG 50", "JPEG 20", "JPEG 8"),
    "mixed": tuple(f"mixed {share:.0%}" for share in _SHARES),
}
_SEEN = ("wrong stain", "no nuclei", "16 repeated", "30 distinct")
_COMPONENTS = 128


@dataclass(frozen=True)
class Reading:
    """Features by one network, and the branch they are taken from; None takes the pooled ones."""

    name: str
    network: Statistician
    branch: tuple[Floats, Floats] | None
    density: FeatureDensity | None
    clean: Pixels

    def features(self, images: Pixels) -> Floats:
        """Features (n, 512)."""
        statistics = self.network.of(images)
        if self.branch is None:
            return statistics[:, POOLED]
        weight, bias = self.branch
        return np.asarray(statistics @ weight.T + bias, np.float32)

    @cached_property
    def flow(self) -> FeatureDensity:
        """The model's own, or one fitted on clean tiles, a quarter of them held out."""
        if self.density is not None:
            return self.density
        clean = torch.from_numpy(self.features(self.clean).copy())
        held = torch.arange(len(clean)) % 4 == 3
        density = FeatureDensity(FEATURE_DIM, _COMPONENTS)
        fit_density(density, clean[~held], clean[held])
        return density


@cache
def read(folder: Path, size: int | None = None) -> tuple[Pixels, tuple[str, ...]]:
    """Images of a folder, their middle if a size is given, and the images they were cut from."""
    if not folder.is_dir():
        raise SystemExit(f"no folder {folder}")
    paths = sorted(p for p in folder.iterdir() if p.is_file())
    images = [np.asarray(Image.open(p).convert("RGB")) for p in paths]
    if size is not None:
        starts = [[(n - size) // 2 for n in im.shape[:2]] for im in images]
        images = [im[y : y + size, x : x + size] for im, (y, x) in zip(images, starts, strict=True)]
    return np.stack(images), tuple(p.stem.split("__")[0] for p in paths)


def rows_of(reading: Reading, data: Path) -> dict[str, Floats]:
    """Features of every set, by its name."""
    folder = data / "generated"
    real, _ = read(folder / "nasdm/real")
    fake, _ = read(folder / "nasdm/fake")
    found = {"real": reading.features(real), "fake": reading.features(fake)}
    found |= {k: reading.features(np.stack([f(x) for x in real])) for k, f in ENCODED.items()}
    third = real[::_THIRD]
    found |= {k: reading.features(np.stack([f(x) for x in third])) for k, f in FAULTS.items()}
    found["fake JPEG 50"] = reading.features(np.stack([FAULTS["JPEG 50"](x) for x in fake]))
    for omega in ("0.0", "3.0"):
        images, _ = read(folder / f"diffinfinite/omega{omega}", 224)
        found[f"omega {omega}"] = reading.features(images)
    return found | mixtures(found["real"][::_THIRD], found["damaged"])


def mixtures(clean: Floats, damaged: Floats) -> dict[str, Floats]:
    """Rows of which a growing share is damaged, and rows that repeat a few."""
    order = np.random.default_rng(0).permutation(len(clean))
    found = {}
    for share in _SHARES:
        worse = np.isin(np.arange(len(clean)), order[: round(share * len(clean))])
        found[f"mixed {share:.0%}"] = np.where(worse[:, None], damaged, clean)
    for name, count in (("16 repeated", 16), ("30 distinct", 30)):
        found[name] = clean[order[np.arange(len(clean)) % count]]
    return found


@dataclass(frozen=True)
class Scores:
    """FID and RL2 of the sets of one reading, and what stands behind a share."""

    rows: Rows
    latents: Rows
    images: NDArray[np.str_]

    def of(self, metric: str, name: str, real: str | None = None) -> float:
        """A score of a set against the real tiles that it was made of, or those of a name."""
        rows = self.rows if metric == "FID" else self.latents
        reference = rows[real or "real"]
        if real is None and len(rows[name]) * _THIRD == len(reference):
            reference = reference[::_THIRD]
        score = fid if metric == "FID" else rl2
        return float(score(reference, rows[name]))

    def share(self, metric: str, name: str) -> float:
        return self.of(metric, name) / self.of(metric, "fake")

    def diversity(self, name: str) -> float:
        """WAD-Div of a set as a share of that of the real tiles."""
        found = wad_div(self.rows[name], self.rows["real"], k=1).ratio
        return float("nan") if found is None else found


def scores_of(reading: Reading, data: Path) -> Scores:
    rows = rows_of(reading, data)
    images = np.array(read(data / "generated/nasdm/real")[1])
    first = np.isin(images, np.unique(images)[::2])
    rows |= {"first": rows["real"][first], "half": rows["real"][~first]}
    latents = {name: reading.flow.latents_of(x) for name, x in rows.items()}
    return Scores(rows, latents, images)


def print_shares(found: Mapping[str, Scores], metric: str) -> None:
    names = [*ENCODED, *(n for n in FAULTS if n.startswith(("blur", "noise"))), *_SEEN[:3]]
    print(f"\n{metric} as a share of the fakes'")
    print(f"{'':24}{'fakes':>9}" + "".join(f"{name:>12}" for name in names))
    for title, scores in found.items():
        shares = "".join(f"{scores.share(metric, name):12.2f}" for name in names)
        print(f"{title:24}{scores.of(metric, 'fake'):9.2f}{shares}")


def print_checks(found: Mapping[str, Scores], metric: str) -> None:
    """Ladders that rise, and ranks that are right; a dash and the step where they are not."""
    print(f"\n{metric}: does it rise with the fault, are the ranks right (values)")
    for title, scores in found.items():
        parts = []
        for name, ladder in _LADDERS.items():
            values = [scores.of(metric, step) for step in ladder]
            falls = [b for (b, x), (_, y) in pairwise(zip(ladder, values, strict=True)) if y <= x]
            parts.append(f"{name} {'falls after ' + ', '.join(falls) if falls else 'yes'}")
        ranks = [scores.of(metric, n, "first") for n in ("half", "fake", "fake JPEG 50")]
        omega = [scores.of(metric, f"omega {o}") for o in ("3.0", "0.0")]
        for name, values in (("half < fakes < JPEG 50 fakes", ranks), ("omega 3 < 0", omega)):
            told = " ".join(f"{v:.2f}" for v in values)
            parts.append(f"{name} {'yes' if values == sorted(values) else 'NO'} ({told})")
        print(f"{title:24}" + "; ".join(parts))


def print_diversity(found: Mapping[str, Scores]) -> None:
    names = (
        "half",
        "fake",
        *_SEEN[2:],
        *list(ENCODED)[:3],
        "resized .75",
        "omega 3.0",
        "omega 0.0",
    )
    print("\nWAD-Div (k = 1) as a share of the real tiles'")
    print(f"{'':24}" + "".join(f"{name:>12}" for name in names))
    for title, scores in found.items():
        print(f"{title:24}" + "".join(f"{scores.diversity(name):12.2f}" for name in names))


def readings(options: argparse.Namespace) -> list[Reading]:
    clean = flow_tiles(options.data)
    found = []
    for name in options.models:
        model = QualityModel.load(name)
        network = Statistician(model.backbone, options.cache)
        own = model.extractor.branch
        branch = None if own is None else (own.weight, own.bias)
        found.append(Reading(name, network, branch, model.density, clean))
    for path in options.network:
        network = Statistician(load_network(path).backbone, options.cache)
        found.append(Reading(f"{path.stem} pooled", network, None, None, clean))
    for path, branch in options.branch:
        network = Statistician(load_network(path).backbone, options.cache)
        weights = read_branch(branch, network.identity.hexdigest())
        found.append(Reading(branch.stem, network, weights, None, clean))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with clean/ and generated/")
    parser.add_argument("--models", nargs="*", default=["histology"], help="names or files")
    parser.add_argument("--network", type=Path, action="append", default=[])
    parser.add_argument(
        "--branch",
        type=Path,
        nargs=2,
        action="append",
        default=[],
        metavar=("NETWORK", "BRANCH"),
    )
    parser.add_argument("--cache", type=Path, help="folder of statistics")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    found = {}
    for reading in readings(options):
        found[reading.name] = scores_of(reading, options.data)
    for metric in ("FID", "RL2"):
        print_shares(found, metric)
        print_checks(found, metric)
    print_diversity(found)


if __name__ == "__main__":
    main()
