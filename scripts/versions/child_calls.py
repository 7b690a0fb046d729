"""What the command lines do, through Python."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from versions.child_tools import Places, command, find, images, pixels, save, save_json

__all__ = ["calls", "cards", "fit", "kept", "metrics", "models", "tables"]

SHIPPED = ("histology", "colorectal")
CMU = "slides/CMU-1-Small-Region.svs"


def describe(model: Any, patches: Any, arrays: dict[str, Any], prefix: str = "") -> None:
    """All that a model says of patches."""
    for name in model.calibration_:
        arrays[f"{prefix}score/{name}"] = model.score_samples(patches, name)
        arrays[f"{prefix}{name}/p_value"] = model.p_values(patches, name)
        arrays[f"{prefix}calibration/{name}"] = model.calibration_[name]
    arrays[f"{prefix}p_value"] = model.p_values(patches)
    arrays[f"{prefix}log_likelihood"] = model.score_samples(patches)
    arrays[f"{prefix}features"] = model.features(patches)
    arrays[f"{prefix}latents"] = model.latents(patches)


def fit(places: Places) -> None:
    """Fit on an array with groups; what the model says of other patches."""
    everything = images(places.inputs / "own")
    array = pixels(everything)[:, 64:160, 64:160]
    model = find("QualityModel").fit(
        array[:120],
        epochs=15,
        layers=4,
        groups=[str(i // 3) for i in range(120)],
        holdout=0.3,
        seed=2,
        mpp=0.5,
    )
    arrays: dict[str, Any] = {
        "train_loss": model.history_.train,
        "unseen_loss": model.history_.held_out,
    }
    describe(model, array[120:], arrays, "fit/")
    save(places, "fitted", arrays)
    model.save(places.out / "array.safetensors")


def models(places: Places) -> None:
    """Shipped models and those of the old version, loaded."""
    load, arrays = find("QualityModel").load, dict[str, Any]()
    patches = images(places.inputs / "test", 12)
    for name in SHIPPED:
        describe(load(name), patches, arrays, f"{name}/")
    describe(load(places.own_model), images(places.inputs / "own", 12), arrays, "own/")
    joint = load(places.before / "train/joint/joint.safetensors")
    describe(joint, pixels(patches)[:, 64:160, 64:160], arrays, "joint/")
    save(places, "models", arrays)


def _table(table: Any, arrays: dict[str, Any], prefix: str) -> None:
    for name, column in table.columns().items():
        values = np.asarray(column)
        arrays[f"{prefix}/{name}"] = values.astype(str) if values.dtype.kind == "O" else values
    arrays[f"{prefix}/drift"] = table.drift
    arrays[f"{prefix}/kept_share"] = table.kept_share
    arrays[f"{prefix}/rejected_share"] = table.rejected_share
    arrays[f"{prefix}/flags"] = np.array([*table.flags], np.str_)


def tables(places: Places) -> None:
    """A slide and a folder of patches, judged and decided again."""
    filter_slide, filter_patches = find("filter_slide"), find("filter_patches")
    load, arrays = find("QualityModel").load, dict[str, Any]()
    own = load(places.own_model)
    frozen = load(places.frozen_model)
    slide = filter_slide(
        places.data / CMU, own, alpha=0.1, mpp=0.6, any_mpp=True, stride=160, min_tissue=0.3
    )
    plain = filter_slide(places.data / CMU, load("colorectal"), num_workers=1)
    patches = filter_patches(places.inputs / "mixed", frozen, alpha=0.02, max_rejected=0.9)
    decided = patches.decide(0.4, method="bh", max_rejected=0.1)
    for name, table in (
        ("slide", slide),
        ("plain", plain),
        ("patches", patches),
        ("decided", decided),
    ):
        _table(table, arrays, name)
    save(places, "tables", arrays)


def cards(places: Places) -> None:
    """Scores and comparisons of files and of arrays."""
    import_module("rl2qc")
    settings, score, compare = find("ScoreSettings"), find("score"), find("compare")
    model = find("QualityModel").load("histology")
    sets = {name: places.inputs / name for name in ("fake_a", "fake_b", "real_a", "real_b")}
    probabilities = np.load(places.inputs / "probabilities/generated.npy")
    card = score(
        pixels(images(sets["fake_b"])),
        pixels(images(sets["real_a"])),
        model,
        settings(n_resamples=30, seed=4, k=4, metrics=("rl2", "fid", "inception_score", "swd")),
        probabilities=probabilities[: len(images(sets["fake_b"]))],
    )
    save_json(places, "arrays", card.to_dict())
    held = score(
        sets["fake_a"], sets["real_a"], model, settings(n_resamples=20), held_out=sets["real_b"]
    )
    save_json(places, "files", held.to_dict())
    save(places, "values", {name: held[name] for name in held.metrics})
    compared = compare(
        {name: places.data / f"generated/nasdm_guidance/{name}" for name in ("g0", "g15", "g3")},
        places.data / "generated/nasdm_guidance/real",
        model,
        settings(n_resamples=30, distance="cosine", level=0.9),
        paired=True,
    )
    save_json(places, "compared", compared.to_dict())


def metrics(places: Places) -> None:
    """The metrics as functions of arrays."""
    rng = np.random.default_rng(3)
    real, generated = rng.normal(size=(220, 24)), 1.2 * rng.normal(size=(180, 24)) + 0.1
    shares = rng.dirichlet(np.ones(8), 180)
    small = rng.integers(0, 256, (30, 64, 64, 3), np.uint8)
    large = np.repeat(np.repeat(small[:2], 3, 1), 3, 2)
    large[1] = large[0] // 2 + large[1] // 3
    calls: dict[str, Callable[[], Any]] = {
        "rl2": lambda: find("rl2")(real, generated),
        "fid": lambda: find("fid")(real, generated),
        "kid": lambda: find("kid")(real, generated),
        "wad_div": lambda: find("wad_div")(generated, reference=real, k=3),
        "irs": lambda: find("irs")(real, generated),
        "prdc": lambda: find("prdc")(real, generated),
        "swd": lambda: find("swd")(small[:15], small[15:]),
        "inception_score": lambda: find("inception_score")(shares),
        "authenticity": lambda: find("authenticity")(real, generated),
        "ms_ssim": lambda: find("ms_ssim")(large[0], large[1]),
    }
    arrays: dict[str, Any] = {}
    for name, call in calls.items():
        result = call()
        for field, value in getattr(result, "__dict__", {"value": result}).items():
            if isinstance(value, int | float | np.ndarray | np.generic):
                arrays[f"{name}/{field}"] = value
    save(places, "metrics", arrays)


def kept(places: Places) -> None:
    """Kept tiles of the old version's results, read from slide and files."""
    arrays: dict[str, Any] = {}
    for name in ("slides-own", "patches-frozen"):
        tiles = find("KeptTiles")(places.before / f"filter/{name}/results")
        chosen = range(0, len(tiles), max(1, len(tiles) // 12))
        arrays[f"{name}/n"] = len(tiles)
        arrays[f"{name}/source_of"] = tiles.source_of
        arrays[f"{name}/p_value"] = [tiles.tile(i).p_value for i in range(len(tiles))]
        arrays[f"{name}/pixels"] = np.stack([tiles[i].numpy() for i in chosen])
    save(places, "kept", arrays)


def calls(places: Places) -> None:
    """Whole commands as calls, where this version has them; the command where it has not."""
    rl2qc: Any = import_module("rl2qc")
    patches, target = places.inputs / "mixed", places.out / "filter"
    if hasattr(rl2qc, "filter_cohort"):
        rl2qc.filter_cohort([patches], target, model=places.frozen_model, alpha=0.1)
    else:
        command("filter", patches, "-o", target, "-m", places.frozen_model, "--alpha", "0.1")
    shutil.copytree(target, places.out / "decide", copy_function=shutil.copy2)
    if hasattr(rl2qc, "decide"):
        rl2qc.decide(places.out / "decide", 0.3, method="bh")
    else:
        command("decide", places.out / "decide", "--alpha", "0.3", "--method", "bh")
    masks = places.inputs / "masks"
    found = find("dice")(masks / "source", masks / "b", labels=[1, 2])
    save_json(places, "dice", found.to_dict())
    train, out = places.inputs / "own", places.out / "train.safetensors"
    options: dict[str, Any] = {"patch_size": 64, "epochs": 5, "mpp": 0.5}
    if hasattr(rl2qc, "train"):
        rl2qc.train(train, out, **options)
    else:
        command("train", train, "-o", out, "--patch-size", "64", "--epochs", "5", "--mpp", "0.5")
    bench = rl2qc.benchmark(
        images(places.inputs / "test"),
        places.own_model,
        ladders=["noise"],
        n=50,
        n_resamples=20,
        quick=True,
    )
    save_json(places, "benchmark", bench.to_dict())
