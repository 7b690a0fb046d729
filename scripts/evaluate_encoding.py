"""How much a score minds an image's encoding: FID of real tiles encoded again.

    python scripts/evaluate_encoding.py ../shared/data --networks a.safetensors

The FID between real tiles and the same tiles encoded again, as a share of the FID between real and
generated tiles, for the shipped backbone and for the trunks of taught networks. Small is good: 1
says that JPEG looks as far from real as the generator does. The features are the pooled ones, once
as they are and once without the directions in which encoding moves tissue most: the leading
eigenvectors of the mean square change of colorectal and prostate tiles that are encoded or resized.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from general_network import load_network
from laboratories import ALWAYS
from numpy.typing import NDArray
from PIL import Image

from rl2qc.metrics.frechet import fid
from rl2qc.model.network.backbone import POOLED, ResNet18Features, to_tensor
from rl2qc.model.quality import QualityModel

Images = NDArray[np.uint8]


def read(folder: Path) -> Images:
    paths = sorted(p for p in folder.iterdir() if p.is_file())
    return np.stack([np.asarray(Image.open(p).convert("RGB")) for p in paths])


def jpeg(images: Images, quality: int) -> Images:
    codes = [cv2.imencode(".jpg", im, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for im in images]
    return np.stack([np.asarray(cv2.imdecode(c, cv2.IMREAD_COLOR), np.uint8) for c in codes])


def resized(images: Images, factor: float = 1.1) -> Images:
    """Resized by a factor and brought back."""
    side = images.shape[1]
    other = (round(factor * side),) * 2
    back = [cv2.resize(cv2.resize(im, other), (side, side)) for im in images]
    return np.stack([np.asarray(im, np.uint8) for im in back])


def soft(images: Images, sigma: float) -> Images:
    return np.stack([np.asarray(cv2.GaussianBlur(im, (0, 0), sigma), np.uint8) for im in images])


def tissue(data: Path) -> Images:
    """Tiles (n, 128, 128, 3) of the laboratories that always teach."""
    paths = [p for folder in ALWAYS.values() for p in sorted((data / folder).rglob("*.*"))[::10]]
    images = [np.asarray(Image.open(p).convert("RGB")) for p in paths]
    return np.stack([im[48:176, 48:176] for im in images])


def without_encoding(
    backbone: ResNet18Features, tiles: Images, directions: int
) -> NDArray[np.float32]:
    """Projection (512, 512 - directions) that leaves out how encoding moves features."""
    before = features(backbone, tiles)
    changed = [jpeg(tiles, q) for q in (95, 85, 70)] + [resized(tiles, f) for f in (0.93, 1.07)]
    moves = np.concatenate([features(backbone, images) - before for images in changed])
    _, vectors = np.linalg.eigh(moves.T @ moves)
    return np.asarray(vectors[:, : len(vectors) - directions], np.float32)


def features(backbone: ResNet18Features, images: Images) -> NDArray[np.float32]:
    found = []
    with torch.inference_mode():
        for start in range(0, len(images), 32):
            found.append(backbone.statistics(to_tensor(images[start : start + 32]))[:, POOLED])
    return torch.cat(found).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with clean/ and generated/nasdm/")
    parser.add_argument("--networks", type=Path, nargs="*", default=[])
    parser.add_argument("--directions", type=int, default=32, help="to leave out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    real, fake = (read(options.data / "generated/nasdm" / name) for name in ("real", "fake"))
    tiles = tissue(options.data)
    changed = {"JPEG 95": jpeg(real, 95), "JPEG 75": jpeg(real, 75), "resized": resized(real)}
    changed |= {f"blur {sigma}": soft(real, sigma) for sigma in (1, 2, 4)}
    backbones = {"shipped": QualityModel.load("histology").backbone}
    backbones |= {path.stem: load_network(path).backbone for path in options.networks}
    print(f"{'':26}{'FID of fakes':>14}" + "".join(f"{name:>10}" for name in changed))
    for name, backbone in backbones.items():
        found = [features(backbone.eval(), x) for x in (real, fake, *changed.values())]
        project = without_encoding(backbone, tiles, options.directions)
        for title, rows in (
            (name, found),
            (f"{name}, less encoding", [x @ project for x in found]),
        ):
            reach = fid(rows[0], rows[1]).value
            shares = "".join(f"{fid(rows[0], x).value / reach:10.2f}" for x in rows[2:])
            print(f"{title:26}{reach:14.3f}{shares}", flush=True)


if __name__ == "__main__":
    main()
