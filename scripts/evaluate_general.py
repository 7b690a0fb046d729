"""Judge taught networks on laboratories that were left out, against the shipped model.

    python scripts/evaluate_general.py measure ../shared/data --fold 0 --out DIR
    python scripts/evaluate_general.py measure ../shared/data --network fold0.safetensors \
        --fold 0 --out DIR
    python scripts/evaluate_general.py report DIR --json figures.json

``measure`` keeps what the shipped model, or a network, says of every tile in DIR, ``report``
prints the tables. The evidence of a tile and class: mean, top 5 %, top 1 % and maximum of the
class's map, and the head on the statistics of the whole tile; beside these the tile's longest
lines, and the share of its area that has no stain's hue. The judgement is taught on views of the
teaching laboratories only (scripts/general_judge.py).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from general_network import GeneralNetwork, load_network
from general_sets import SIZE, damages, lab_tiles, real_damage
from general_tables import print_tables
from laboratories import ALWAYS, left_out, read_laboratories
from numpy.typing import NDArray
from teaching_views import STRIDE, Lessons, read_cutouts
from tqdm import tqdm

from rl2qc.images.lines import line_responses
from rl2qc.images.quantities import measure_quantities, odd_hue_cells
from rl2qc.images.quantity_names import QUANTITIES
from rl2qc.model.detectors.base import FILTER_SCORE
from rl2qc.model.network.backbone import to_tensor
from rl2qc.model.quality import QualityModel
from rl2qc.slides.readers.openslide import OpenSlideReader

Image = NDArray[np.uint8]
Arrays = dict[str, NDArray[Any]]
# Clean tiles of a laboratory, those that are damaged in each kind, views of a teaching laboratory.
A_CLEAN, A_KIND, A_LAB = 60, 32, 60
# A cell counts as damaged where the mask covers this share of it.
_HALF = 0.5


def evidence_of(network: GeneralNetwork, images: Image) -> Arrays:
    """What a network says of images (n, s, s, 3), as float16.

    "map" (n, classes, h, w) and "head" (n, classes), logits.
    """
    found: dict[str, list[NDArray[Any]]] = {"map": [], "head": []}
    with torch.inference_mode():
        for start in range(0, len(images), 8):
            parts = network(to_tensor(images[start : start + 8]))
            for name, part in zip(found, parts, strict=True):
                found[name].append(part.numpy().astype(np.float16))
    return {name: np.concatenate(parts) for name, parts in found.items()}


class Measure:
    """Collects what a network, or the shipped model, says of named stacks of tiles."""

    def __init__(self, judge: GeneralNetwork | QualityModel, share: float = 1.0) -> None:
        self.judge = judge
        self.a_clean, self.a_kind, self.a_lab = (round(share * n) for n in (A_CLEAN, A_KIND, A_LAB))
        self.found: Arrays = {}

    def add(self, name: str, images: list[Image]) -> None:
        stack = np.stack(images)
        if isinstance(self.judge, GeneralNetwork):
            hue = measure_quantities(images)[:, QUANTITIES.index("odd_hue")]
            cells = odd_hue_cells(stack, (stack.shape[1] // STRIDE, stack.shape[2] // STRIDE))
            found = evidence_of(self.judge, stack) | {"lines": line_responses(stack)}
            found |= {"hue": hue, "hue_cells": cells}
            self.found |= {f"{name}|{part}": values for part, values in found.items()}
            return
        statistics = self.judge.extractor.of_batch(stack)
        scores = self.judge.detectors_(statistics, [FILTER_SCORE])[FILTER_SCORE]
        self.found[f"{name}|shipped"] = scores


def judge_lab(measure: Measure, data: Path, lab: str, folder: str) -> None:
    """Clean and damaged tiles of a laboratory, under FOLDER:LAB:KIND."""
    tiles = lab_tiles(data, lab, most=measure.a_clean)
    rng = np.random.default_rng(0)
    measure.add(f"{folder}:{lab}:clean", tiles)
    rows = np.sort(rng.permutation(len(tiles))[: measure.a_kind])
    for number, damage in enumerate(damages(data / "artifacts/cutouts")):
        made = [damage.apply(tiles[i], np.random.default_rng((7, number, i))) for i in rows]
        name = f"{folder}:{lab}:{damage.kind}"
        measure.add(name, [image for image, _, _ in made])
        measure.found[f"{name}|piece"] = np.array([piece for _, _, piece in made])
        if made[0][1] is not None:
            masks = np.stack([mask for _, mask, _ in made if mask is not None])
            cells = masks.reshape(len(masks), SIZE // STRIDE, STRIDE, -1, STRIDE).mean((2, 4))
            measure.found[f"{name}|mask"] = cells >= _HALF


class AsTheyAre(Lessons):
    """Damage on tiles without changes that are no damage."""

    def clean(self, rng: np.random.Generator) -> tuple[Image, float]:
        (stack,) = self.images.values()
        image = np.rot90(stack[int(rng.integers(len(stack)))], int(rng.integers(4)))
        return np.ascontiguousarray(image), 1.0


def teach_judge(measure: Measure, data: Path, away: tuple[str, ...]) -> None:
    """Of each teaching laboratory, under teach:LAB: plain tiles, drawn on, and views."""
    images = read_laboratories(data, away)
    cutouts = read_cutouts(data / "artifacts/cutouts")
    for number, (lab, stack) in enumerate(tqdm(images.items(), desc="teaching laboratories")):
        large = [im for im in stack if min(im.shape[:2]) >= SIZE]
        plain = lab_tiles(data, lab, most=measure.a_lab)
        rng = np.random.default_rng((8, number))
        measure.add(f"teach:{lab}:plain", plain)
        add_views(measure, f"teach:{lab}:drawn", AsTheyAre({lab: plain}, cutouts, SIZE, 1), rng)
        views = Lessons({lab: large}, cutouts, SIZE, most=1)
        clean = add_views(measure, f"teach:{lab}:damaged", views, rng)
        measure.add(f"teach:{lab}:clean", clean[: measure.a_lab])


def add_views(
    measure: Measure, name: str, lessons: Lessons, rng: np.random.Generator
) -> list[Image]:
    """Add damaged views, with the class of the damage; gives the clean ones that were drawn."""
    clean: list[Image] = []
    damaged: list[Image] = []
    kinds: list[int] = []
    while len(damaged) < measure.a_lab or (len(clean) < measure.a_lab // 2):
        view = lessons.view(rng)
        if not view.level.any():
            clean.append(view.image)
        elif len(damaged) < 2 * measure.a_lab:
            damaged.append(view.image)
            kinds.append(int(view.level.sum((1, 2)).argmax()))
    measure.add(name, damaged)
    measure.found[f"{name}|kind"] = np.array(kinds)
    return clean


def judge_slide(measure: Measure, data: Path) -> None:
    """The tiles of the inked slide, under slide, with the share of ink in each."""
    path = data / "slides/colorectal_ink_a.tiff"
    table = np.genfromtxt(path.with_suffix(".csv"), delimiter=",", names=True)
    with OpenSlideReader(path) as slide:
        tiles = [
            slide.read_region(int(x), int(y), (256, 256)).rgb
            for x, y in zip(table["x"], table["y"], strict=True)
        ]
    measure.add("slide", tiles)
    measure.found["slide|ink"] = table["green_ink_fraction"]
    measure.found["slide|tissue"] = table["tissue_fraction"]


def run_measure(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    away = left_out(options.fold)
    if options.network is None:
        measure = Measure(QualityModel.load("histology"), options.share)
    else:
        measure = Measure(load_network(options.network), options.share)
    for lab in tqdm(away, desc="left out", mininterval=30):
        judge_lab(measure, options.data, lab, "out")
    if options.share == 1:
        judge_slide(measure, options.data)
    for name, images in real_damage(options.data).items():
        for i, image in enumerate(images):
            measure.add(f"real:{name}:{i:03}", [image])
    if options.network is not None:
        teach_judge(measure, options.data, away)
    if options.always:
        for lab in ALWAYS:
            judge_lab(measure, options.data, lab, "always")
    options.out.mkdir(parents=True, exist_ok=True)
    kind = "shipped" if options.network is None else "network"
    found: dict[str, Any] = measure.found
    np.savez(options.out / f"{kind}{options.fold}.npz", **found)


def read(path: Path) -> Arrays:
    with np.load(path) as stored:
        return dict(stored)


def run_report(options: argparse.Namespace) -> None:
    folds = {}
    for path in sorted(options.folder.glob("network*.npz")):
        fold = path.stem.removeprefix("network")
        folds[fold] = read(path)
        shipped = options.folder / f"shipped{fold}.npz"
        if shipped.exists():
            folds[fold] |= {k: v for k, v in read(shipped).items() if k.endswith("|shipped")}
    figures = print_tables(folds)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    measure = commands.add_parser("measure")
    measure.add_argument("data", type=Path)
    measure.add_argument("--network", type=Path, help="a taught one; else the shipped model")
    measure.add_argument("--fold", choices=["base", "0", "1", "2", "all"], required=True)
    measure.add_argument("--out", type=Path, required=True)
    measure.add_argument("--share", type=float, default=1, help="of the tiles; 1: the slide too")
    measure.add_argument("--always", action="store_true", help="colorectal and prostate too")
    measure.set_defaults(run=run_measure)
    report = commands.add_parser("report")
    report.add_argument("folder", type=Path)
    report.add_argument("--json", type=Path)
    report.set_defaults(run=run_report)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
