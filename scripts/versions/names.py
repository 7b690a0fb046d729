"""What the two versions call things, what is not compared, and what is meant to differ.

Every output becomes arrays by key, such as ``score/plain/card.json/metrics/fid/floor_low``: part,
step, file and the names inside the file. To teach this script a new name, add a line to
``ALIASES``; a word inside a value goes to ``WORDS``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "BECOMES",
    "INTENDED",
    "REQUIRED",
    "Intended",
    "canonical",
    "group_of",
    "is_ignored",
    "reword",
]

# Old name and new name, as regular expressions. Without "/" the old name is one whole piece of a
# key, with "/" it is any stretch of a key. Both versions' keys are renamed, so that names which
# were there before may stay.
ALIASES: tuple[tuple[str, str], ...] = (
    # scorecards, comparisons
    (r"floor(_low|_high|_std)?", r"baseline\1"),
    (r"null_percentile", "percentile"),
    (r"null_n_(real|generated)", r"baseline_n_\1"),
    (r"n_held_out", "n_unseen"),
    (r"held[-_]out", "unseen"),
    (r"held_out_value", "unseen_value"),
    (r"run", "provenance"),
    (r"(?<=/)provenance/settings/", "provenance/"),
    # benchmark
    (r"ladders", "corruptions"),
    (r"filter_score", "filter_detector"),
    (r"benchmark\.csv/score", "benchmark.csv/detector"),
    (r"scores", "detectors"),
    # model files
    (r"detector", "combined"),
    # folders of results
    (r"forward(_name)?", "runtime"),
    (r"engine", "runtime"),
)

# Key, old words and new words: in values that are text.
WORDS: tuple[tuple[str, str, str], ...] = (
    (r".*", r"unlike the reference", "out of distribution"),
    (r".*", r"colours look wrong", "wrong colours"),
    (r".*/features", r"^rl2$", "model"),
    (r".*/(filter_detector|detectors|benchmark\.csv/combined)", r"^detector$", "combined"),
)

# Pieces of keys below which nothing is compared: times, places, versions, hashes, text and colours
# for people.
IGNORED = re.compile(
    r"(.*seconds|.*mtime.*|started|ended|finished_at|versions|schema_version|format|.*sha256"
    r"|.*identity|command|argv|.*path|paths|savetodir|save_path|device|dtype|runtime"
    r"|warnings?|notes?|meaning|description|title|unit|error|comments|verdict_text|files"
    r"|checkpoint|outdir|colou?r)"
)

# A file is compared by its content where it is read, and by its being there; not these.
IGNORED_FILES = re.compile(r"(^|/)\.|\.lock$|(^|/)failed/.*\.txt$")

# What a verdict says, by how it begins; of others, whether it lies below or above real.
VERDICTS: tuple[tuple[str, str], ...] = (
    (r"$", "none"),
    (r"like real", "like real"),
    (r"not told apart", "too few"),
    (r"not computed", "not computed"),
    (r"copies", "copies"),
    (r"none is kept", "none is kept"),
    (r"at least as dispersed", "as dispersed"),
)

GROUPS: tuple[tuple[str, str], ...] = (
    (r"\.safetensors/", "tensors"),
    (r"\.png$|/pixels$", "pictures"),
    (r"/files$|/exit$", "files, exits"),
    (r"/(direction|verdict|significant)$", "verdicts"),
    (r"p_values?(_\w+)?$", "p-values"),
    (r"/(keep|kept\w*)$|all/keep|kept_fraction\w*/value$", "kept"),
    (r"reasons?(/|$)|/flags|classification", "reasons, flags"),
    (r"/(low|high|\w+_low|\w+_high|std)$", "intervals"),
    (r"/baseline|/observed$|/percentile$", "baselines"),
)


@dataclass(frozen=True)
class Intended:
    """A difference that is meant: keys, the fault of the old version, what changes."""

    keys: str
    fault: int
    why: str


INTENDED: tuple[Intended, ...] = (
    Intended(
        r"faults/fit-copies/.*",
        2,
        "QualityModel.fit(folder) keeps near-duplicates together, as rl2qc train does",
    ),
    Intended(
        r"faults/hidden/again\.json/again",
        4,
        "a hidden image is no part of a patch set: nothing is judged again",
    ),
    Intended(
        r"faults/small/.*",
        5,
        "model.features of a folder of small images, and score() without a model, work as "
        "rl2qc score does",
    ),
    Intended(
        r"faults/coords/.*(/tiles(/|$)|pixels|shape).*",
        6,
        "pixels of an imported tile are those that the model saw, wherever they are shown",
    ),
    Intended(
        r"faults/coords/.*/record\.json/slide/patch_size",
        6,
        "patch_size is the model's; the side of an imported tile is tile_size",
    ),
)

# What the new version gives (by key) must be what the old version's command line gave.
BECOMES: tuple[tuple[str, str], ...] = (
    ("faults/fit-copies/model.safetensors", "faults/train-copies/model.safetensors"),
    ("faults/small/card.json/metrics", "faults/score-small/card.json/metrics"),
    ("faults/small/features.npz/folder", "faults/small/features.npz/source"),
)

# What the new version must give, whatever the old one gave.
REQUIRED: tuple[tuple[str, float], ...] = (
    ("faults/hidden/again.json/again", 0),
    ("decide/resume-slides/again.json/again", 0),
    ("decide/resume-patches/again.json/again", 0),
)


def canonical(key: str) -> str:
    """A key in the new version's names."""
    for old, new in ALIASES:
        if "/" in old:
            key = re.sub(old, new, key)
        else:
            key = re.sub(f"(?<![^/])(?:{old})(?![^/])", new, key)
    return key


def reword(key: str, text: str) -> str:
    """A text in the new version's words."""
    for keys, old, new in WORDS:
        if re.fullmatch(keys, key):
            text = re.sub(old, new, text)
    return text


def is_ignored(key: str) -> bool:
    """Whether nothing is compared under this key."""
    return any(IGNORED.fullmatch(piece) for piece in key.split("/"))


def group_of(key: str) -> str:
    """What kind of number a key holds, for the table."""
    return next((name for pattern, name in GROUPS if re.search(pattern, key)), "values")
