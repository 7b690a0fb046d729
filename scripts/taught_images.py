"""Digests of the images that taught the general model, so that a benchmark knows them again.

python scripts/taught_images.py ../shared/data --out checkpoints/general.taught.npy
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from laboratories import lab_folders
from numpy.typing import NDArray

from rl2qc.images.digest import pixel_digest
from rl2qc.images.sources.base import as_source

__all__ = ["taught_by"]


def taught_by(data: Path, size: int) -> NDArray[np.uint8]:
    """Digests (n, 8) of the middle, ``size`` px a side, of every image that taught the network."""
    digests = set()
    for folder in lab_folders(data).values():
        source = as_source(folder, size)
        digests |= {pixel_digest(source[i]) for i in range(len(source))}
    return np.array([list(digest) for digest in sorted(digests)], np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with clean/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patch-size", type=int, default=224)
    options = parser.parse_args()
    digests = taught_by(options.data, options.patch_size)
    np.save(options.out, digests, allow_pickle=False)
    print(f"{options.out}: {len(digests)} images")


if __name__ == "__main__":
    main()
