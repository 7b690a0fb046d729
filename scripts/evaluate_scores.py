"""Whether a card's answer is right about sets whose faults are known.

    python scripts/evaluate_scores.py ../shared/data

Sets are made of generated/nasdm: a half of the real tiles by other images, the fakes, the fakes as
JPEG 50 and resized, 16 fakes repeated, 30 distinct of 300, and 150 copied real tiles among fakes.
Each is scored against the other half of the real tiles; the paired scenes of nasdm_guidance and
both series of diffinfinite against their own. A line a set says the answers, RL2 and FID; then the
orders and faults that are wanted, each with "yes" or "no". Then all pairs of encodings of real
tiles kept back. Ends with 1 where one is not met.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from itertools import permutations
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from rl2qc import QualityModel, Scorecard, ScoreSettings, score

Save: TypeAlias = Callable[[Image.Image, Path], None]
METRICS = ("rl2", "wad_div_ratio", "irs_adjusted", "fid", "kid", "coverage", "authenticity")


def as_png(image: Image.Image, path: Path) -> None:
    """Lossless."""
    image.save(path.with_suffix(".png"))


def as_jpeg(quality: int) -> Save:
    """JPEG of a quality."""
    return lambda image, path: image.save(path.with_suffix(".jpg"), quality=quality)


def as_webp(image: Image.Image, path: Path) -> None:
    """WebP of quality 80."""
    image.save(path.with_suffix(".webp"), quality=80)


def resized(image: Image.Image, path: Path) -> None:
    """Three quarters of the size and back, lossless."""
    small = [round(0.75 * side) for side in image.size]
    image.resize((small[0], small[1]), Image.Resampling.BICUBIC).resize(
        image.size, Image.Resampling.BICUBIC
    ).save(path.with_suffix(".png"))


ENCODINGS: Mapping[str, Save] = {
    "PNG": as_png,
    "JPEG 95": as_jpeg(95),
    "JPEG 85": as_jpeg(85),
    "JPEG 75": as_jpeg(75),
    "WebP 80": as_webp,
    "resized": resized,
}


def write(files: list[Path], folder: Path, save: Save = as_png, names: bool = False) -> Path:
    """The images of files in a folder, numbered or by their names."""
    folder.mkdir(parents=True)
    for i, file in enumerate(files):
        with Image.open(file) as image:
            save(image.convert("RGB"), folder / (file.stem if names else f"{i:04}"))
    return folder


def make_sets(data: Path, out: Path) -> tuple[Path, dict[str, Path]]:
    """The real half, and the sets to be scored."""
    real = sorted((data / "generated/nasdm/real").glob("*.png"))
    fake = sorted((data / "generated/nasdm/fake").glob("*.png"))
    stems = sorted({file.stem.split("__")[0] for file in real})
    first = [f for f in real if stems.index(f.stem.split("__")[0]) % 2 == 0]
    other = [f for f in real if f not in set(first)]
    against = write(first, out / "real", names=True)
    sets = {
        "half": write(other, out / "half", names=True),
        "fakes": write(fake, out / "fakes"),
        "fakes JPEG 50": write(fake, out / "jpeg50", as_jpeg(50)),
        "fakes resized": write(fake, out / "resized", resized),
        "16 repeated": write(fake[:16] * 20, out / "repeated"),
        "30 distinct": write(fake[:30] * 10, out / "distinct"),
        "copies": write(first[:150] + fake[:150], out / "copies"),
    }
    return against, sets


def line(name: str, card: Scorecard) -> str:
    """A set with its scores and answers."""
    values = "  ".join(f"{m} {card[m]:.4g}" for m in ("rl2", "fid", "wad_div_ratio"))
    answers = "\n".join(f"    {a.question}: {a.answer}" for a in card.headline)
    return f"{name}: {values}\n{answers}"


def answer(card: Scorecard, question: str) -> str:
    """The answer to a question, "" where there is none."""
    return next((a.answer for a in card.headline if a.question == question), "")


def wanted(cards: Mapping[str, Scorecard]) -> dict[str, bool]:
    """What must hold of the sets of nasdm."""
    encoded = ("fakes JPEG 50", "fakes resized")
    repeated = ("16 repeated", "30 distinct")

    def named(name: str) -> bool:
        return any("encoded differently" in w for w in cards[name].warnings)

    found = {}
    for metric in ("rl2", "fid"):
        order = [cards[n][metric] for n in ("half", "fakes", "fakes JPEG 50")]
        found[f"realism by {metric}: half > fakes > JPEG 50"] = order == sorted(order)
    distinct = [cards[n].provenance["n_distinct"] for n in ("fakes", "30 distinct", "16 repeated")]
    found["distinct: fakes > 30 > 16"] = distinct == sorted(distinct, reverse=True)
    found["fakes are judged"] = "farther" in answer(cards["fakes"], "Realism")
    # Nine other slides, of which nine slides tell little: "cannot be told" is right as well.
    found["the half is not called farther"] = answer(cards["half"], "Realism").startswith(
        ("not told apart", "cannot be told")
    )
    for name in cards:
        found[f"{name}: encoding named"] = named(name) == (name in encoded)
        found[f"{name}: repetition named"] = (
            "repeats itself" in answer(cards[name], "Diversity")
        ) == (name in repeated)
        copied = "are real ones" in answer(cards[name], "Memorisation")
        found[f"{name}: copies named"] = copied == (name == "copies")
    for name in encoded:
        found[f"{name}: no verdict on realism"] = "not judged" in answer(cards[name], "Realism")
    return found


def others(data: Path, judge: Callable[[Path, Path], Scorecard]) -> dict[str, bool]:
    """Paired scenes are no copies; omega 3 is nearer to real lung than omega 0."""
    found = {}
    folder = data / "generated/nasdm_guidance"
    for series in sorted(p for p in folder.iterdir() if p.name != "real"):
        said = answer(judge(series, folder / "real"), "Memorisation")
        found[f"guidance {series.name}: no memorisation"] = "memorised" not in said
    return found


def encodings(data: Path, out: Path, judge: Callable[[Path, Path], Scorecard]) -> dict[str, bool]:
    """All pairs of encodings of real tiles: named, and no verdict."""
    files = sorted((data / "generated/nasdm/real").glob("*.png"))
    halves = {"a": files[::6], "b": files[3::6]}
    folders = {
        (half, name): write(some, out / f"{half} {name}", save)
        for half, some in halves.items()
        for name, save in ENCODINGS.items()
    }
    found = {}
    for real, generated in permutations(ENCODINGS, 2):
        card = judge(folders["b", generated], folders["a", real])
        said = answer(card, "Realism")
        named = any("encoded differently" in w for w in card.warnings)
        found[f"{real} / {generated}"] = named and "not judged" in said
    return found


def main() -> int:
    """Print the lines; 1 where one is not met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="general")
    parser.add_argument("--n-resamples", type=int, default=60)
    parser.add_argument("--skip-pairs", action="store_true", help="leave out pairs of encodings")
    given = parser.parse_args()
    model = QualityModel.load(given.model)
    settings = ScoreSettings(metrics=METRICS, n_resamples=given.n_resamples)

    def judge(generated: Path, real: Path) -> Scorecard:
        return score(str(generated), str(real), model, settings)

    with tempfile.TemporaryDirectory() as folder:
        real, sets = make_sets(given.data, Path(folder) / "sets")
        cards = {}
        for name, path in sets.items():
            cards[name] = judge(path, real)
            print(line(name, cards[name]), flush=True)
        found = wanted(cards) | others(given.data, judge)
        if not given.skip_pairs:
            found |= encodings(given.data, Path(folder) / "pairs", judge)
    for name, met in found.items():
        print(f"{'yes' if met else 'no ':3}  {name}")
    print(f"{sum(found.values())} of {len(found)}")
    return int(not all(found.values()))


if __name__ == "__main__":
    sys.exit(main())
