"""Old results in a new version, and what the old version got wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from versions.child_tools import Places, command, find, images, save, save_json, times_of

__all__ = ["coords_pixels", "fit_copies", "hidden", "resume", "small"]


def resume(places: Places) -> None:
    """The same command on a copy of a finished folder: how many inputs are judged again."""
    if places.old is None:
        raise SystemExit("resume needs --old")
    target = places.out / "results"
    shutil.copytree(places.old, target, copy_function=shutil.copy2)
    run = json.loads((target / "run.json").read_text(encoding="utf-8"))
    line = [str(part) for part in run["command"][1:]]
    where = 1 + next(i for i, part in enumerate(line) if part in ("-o", "--out"))
    line[where] = str(target)
    _take_times(target)
    before = times_of(target)
    code = command(*line)
    again = sum(times_of(target)[path] != time for path, time in before.items())
    save_json(places, "again", {"again": again, "inputs": len(before), "code": code in (0, 3)})
    copied = places.out / "decided"
    shutil.copytree(target, copied, copy_function=shutil.copy2)
    save_json(places, "decided", {"code": command("decide", copied, "--alpha", "0.25") in (0, 3)})


def _take_times(target: Path) -> None:
    """Let results know when their slides were written: shared data that was fetched anew since
    counts as changed, in every version."""
    for file in target.glob("*/record.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        slide = Path(content["row"]["path"])
        if slide.is_file():
            content["key"]["input"]["mtime_ns"] = slide.stat().st_mtime_ns
            file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def fit_copies(places: Places) -> None:
    """Near-duplicates in a folder: ``QualityModel.fit`` must do what rl2qc train does."""
    model = find("QualityModel").fit(places.inputs / "copies", patch_size=96, epochs=15)
    model.save(places.out / "model.safetensors")


def hidden(places: Places) -> None:
    """A hidden file that comes to a patch set: is it judged again?"""
    patches, target = places.out / "patches", places.out / "results"
    shutil.copytree(places.inputs / "few", patches, copy_function=shutil.copy2)
    line = ("filter", patches, "-o", target, "-m", "colorectal")
    command(*line)
    before = times_of(target)
    first = images(patches)[0]
    shutil.copyfile(first, patches / "._0.png")
    code = command(*line)
    again = sum(times_of(target)[path] != time for path, time in before.items())
    save_json(places, "again", {"again": again, "code": code})
    shutil.rmtree(patches)
    shutil.rmtree(target)


def small(places: Places) -> None:
    """Images smaller than the model's patches, and no model named."""
    score, settings = find("score"), find("ScoreSettings")
    model = find("QualityModel").load("histology")
    few = places.inputs / "fake_b"
    arrays: dict[str, Any] = {"source": model.features(find("as_source")(few))}
    try:
        arrays["folder"] = model.features(few)
    except Exception as error:
        print(f"features: {type(error).__name__}: {error}")
    save(places, "features", arrays)
    try:
        card = score(few, places.inputs / "real_b", settings=settings(n_resamples=10))
    except TypeError as error:
        print(f"score: {error}")
    else:
        save_json(places, "card", card.to_dict())


def coords_pixels(places: Places) -> None:
    """Tiles of imported coordinates twice as large as the model's, as the dataset gives them."""
    tiles = find("KeptTiles")(places.side / "faults/coords/results")
    chosen = np.stack([tiles[i].numpy() for i in range(4)])
    save(places, "kept", {"n": len(tiles), "shape": chosen.shape, "pixels": chosen})
