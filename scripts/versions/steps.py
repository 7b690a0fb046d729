"""What is run in each version: command lines, and the same through Python."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PARTS", "QUICK", "STEPS", "Step"]


@dataclass(frozen=True)
class Step:
    """One command of one version.

    ``{inputs}``, ``{data}``, ``{out}`` (the step's own folder), ``{side}`` (all outputs of this
    version) and ``{before}`` (all outputs of the old one) stand for folders.

    Attributes
    ----------
    part, name
    arguments
        Of ``rl2qc``; of the program of Python calls if they begin with "call".
    seconds
        What it takes on two cores, for the time left.
    codes
        Exit codes that are right; 3 says that a slide is flagged, where a version says so.
    copies
        A folder that is copied into ``{out}/results`` before.
    needs
        A file without which the step is left out.
    """

    part: str
    name: str
    arguments: tuple[str, ...]
    seconds: int = 10
    codes: tuple[int, ...] = (0, 3)
    copies: str = ""
    needs: str = ""

    @property
    def key(self) -> str:
        """Part and name."""
        return f"{self.part}/{self.name}"


OWN = "{before}/train/own/own.safetensors"
FROZEN = "{before}/train/frozen/frozen.safetensors"
HERE = "{side}/train/frozen/frozen.safetensors"
GROUPS = "{before}/train/groups/groups.safetensors"
CMU, INK = "{data}/slides/CMU-1-Small-Region.svs", "{data}/slides/colorectal_ink_a.tiff"
NASDM, GUIDANCE = "{data}/generated/nasdm", "{data}/generated/nasdm_guidance"
COLON = "{data}/clean/colorectal"
FAKE, REAL = f"{NASDM}/fake", f"{NASDM}/real"
SLIDE_OF = r"^(.+?)__"
ALL_FORMATS = "csv,parquet,geojson,overlay,trident,clam,wsinfer,histoqc,tiles"
EVERY_METRIC = (
    "rl2,wad_div_zero,wad_div_exponential,wad_div_empirical,wad_div_normalized,wad_div_ratio,"
    "irs_alpha,irs_inf,irs_adjusted,fid,r_fid,kid,swd,precision,recall,density,coverage,"
    "authenticity,nearer_train,ms_ssim,mean_log_likelihood_real,mean_log_likelihood_generated,"
    "median_log_likelihood_real,median_log_likelihood_generated,kept_fraction_real,"
    "kept_fraction_generated"
)


def _step(
    part: str,
    name: str,
    line: str,
    seconds: int,
    *,
    codes: tuple[int, ...] = (0, 3),
    copies: str = "",
    needs: str = "",
) -> Step:
    return Step(part, name, tuple(line.split()), seconds, codes, copies, needs)


def _train(name: str, line: str, seconds: int) -> Step:
    return _step("train", name, f"train {line} -o {{out}}/{name}.safetensors", seconds)


def _filter(name: str, line: str, seconds: int, codes: tuple[int, ...] = (0, 3)) -> Step:
    return _step("filter", name, f"filter {line} -o {{out}}/results", seconds, codes=codes)


def _score(name: str, line: str, seconds: int) -> Step:
    written = "--json {out}/card.json --csv {out}/card.csv"
    return _step("score", name, f"score {line} {written}", seconds)


def _compare(name: str, line: str, seconds: int) -> Step:
    return _step("compare", name, f"compare {line} --json {{out}}/compared.json", seconds)


def _decide(name: str, source: str, options: str) -> Step:
    copied = f"{{before}}/filter/{source}/results"
    return _step("decide", name, f"decide {{out}}/results {options}", 10, copies=copied)


def _call(part: str, job: str, seconds: int, options: str = "") -> Step:
    return _step(part, job, f"call {job} {options}", seconds)


TRAIN = (
    _train("own", "{inputs}/own --mpp 0.5", 60),
    _train("frozen", "{inputs}/colorectal --patch-size 160 --mpp 0.5 --epochs 30 --layers 6", 80),
    _train(
        "groups",
        "{inputs}/prostate --patch-size 128 --slide-pattern ^(.+?)_ --components 64 --seed 3 "
        "--review --epochs 25",
        60,
    ),
    _train(
        "tiles",
        "{inputs}/large --tile --max-patches 110 --patch-size 96 "
        "--backbone colorectal --learning-rate 5e-4 --epochs 20 --mpp 0.5 --any-mpp",
        50,
    ),
    _train(
        "joint",
        "{inputs}/colorectal --held-out {inputs}/held --mode joint --max-patches 80 "
        "--patch-size 96 --epochs 1",
        60,
    ),
)

FILTER = (
    _filter("slides-shipped", f"{CMU} {INK} -m histology --stride 400 --format {ALL_FORMATS}", 25),
    _filter("slides-own", f"{CMU} {INK} -m {OWN} --alpha 0.1 --format {ALL_FORMATS}", 55),
    _filter(
        "unknown-mpp",
        f"{{data}}/slides/TCGA-CR-7395-01A-01-TS1.svs -m {OWN} --mpp-override 0.25 --stride 300 "
        "--min-tissue 0.4 --max-rejected 0.9 --icc --format csv,geojson,overlay,trident",
        15,
    ),
    _filter("patches-shipped", "{inputs}/mixed -m histology --format csv,parquet", 15),
    _filter(
        "patches-frozen", f"{{inputs}}/mixed -m {FROZEN} --batch-size 7 --max-rejected 0.2", 15
    ),
    _filter(
        "odd",
        "{data}/slides/broken {data}/slides/CMU-1-dicom {data}/artifacts/fold {inputs}/held "
        "-m colorectal --mpp 1 --any-mpp --alpha 0.01",
        20,
        codes=(1,),
    ),
    _filter("coords", f"{CMU} -m histology --coords {{inputs}}/coords --format trident,clam", 12),
    # A model that this version trained, where it did.
    _step(
        "filter",
        "trained-here",
        f"filter {{inputs}}/mixed -m {HERE} -o {{out}}/results",
        15,
        needs=HERE,
    ),
)

DECIDE = (
    _decide("alpha", "slides-own", "--alpha 0.01"),
    _decide("bh", "slides-own", "--alpha 0.3 --method bh --max-rejected 0.3"),
    _decide("formats", "unknown-mpp", "--format parquet,clam,wsinfer,histoqc"),
    _decide("patches", "patches-frozen", "--alpha 0.2"),
    _call("decide", "resume-slides", 12, "--old {before}/filter/slides-own/results"),
    _call("decide", "resume-patches", 10, "--old {before}/filter/patches-frozen/results"),
)

SCORE = (
    _score("plain", f"{FAKE} -r {REAL} -m histology --curve --html {{out}}/card.html", 65),
    _score("groups", f"{FAKE} -r {REAL} --group-pattern {SLIDE_OF} --n-resamples 60", 30),
    _score(
        "unseen",
        "{inputs}/fake_a -r {inputs}/real_a --held-out {inputs}/real_b --n-resamples 60 "
        "--distance cosine --prdc-convention kynkaanniemi -k 5 --prdc-k 4 --seed 7",
        20,
    ),
    _score(
        "all-metrics",
        f"{{inputs}}/test -r {{inputs}}/prostate --metrics {EVERY_METRIC} --n-resamples 40 "
        "--alpha 0.2 --curve",
        50,
    ),
    _score("own-model", f"{{inputs}}/test -r {{inputs}}/held -m {GROUPS} --n-resamples 40", 20),
    _score("latents", "{inputs}/fake_a -r {inputs}/real_a --features latents --no-cache", 25),
    _score(
        "weights",
        f"{{inputs}}/fake_a -r {{inputs}}/real_b --features {GROUPS} "
        "--metrics rl2,fid,kid,precision,irs_alpha,wad_div_ratio",
        20,
    ),
    _score(
        "elsewhere",
        f"{FAKE} -r {REAL} --features {{inputs}}/features --n-resamples 60 --metrics "
        "fid,r_fid,kid,wad_div_empirical,irs_inf,density,coverage,inception_score "
        "--probabilities {inputs}/probabilities/generated.npy "
        "--real-probabilities {inputs}/probabilities/real.npy",
        20,
    ),
    _score(
        "many",
        f"{COLON}/train/AC {COLON}/train/H {COLON}/train/S -r {COLON}/train/T "
        f"-r {COLON}/train/V -r {COLON}/test --features {{inputs}}/features_many "
        "--metrics fid,kid,recall,irs_adjusted,authenticity --n-resamples 20",
        30,
    ),
    _score("values", "{inputs}/fake_a -r {inputs}/real_a --n-resamples 0 --curve", 12),
    # Weights drawn at random (inputs.py): what is compared is how images reach a network.
    *(
        _score(
            name,
            f"{{inputs}}/fake_b -r {{inputs}}/real_b --features {features} --n-resamples 20",
            30,
        )
        for name, features in (("imagenet", "imagenet-resnet18"), ("inception", "inception"))
    ),
)

COMPARE = (
    _compare(
        "paired",
        f"{GUIDANCE}/g0 {GUIDANCE}/g1 {GUIDANCE}/g3 -r {GUIDANCE}/real --paired "
        "--n-resamples 100 --also {inputs}/readers.csv --source-masks {inputs}/masks/source "
        "--masks {inputs}/masks/a --masks {inputs}/masks/b --masks {inputs}/masks/c",
        25,
    ),
    _compare(
        "sizes",
        f"{{inputs}}/fake_a {{inputs}}/fake_b -r {{inputs}}/real_a --group-pattern {SLIDE_OF} "
        "--n-resamples 60 --agreement",
        25,
    ),
    _compare(
        "optional",
        "{inputs}/fake_a {inputs}/real_b -r {inputs}/real_a --features latents "
        "--metrics rl2,fid,kid,swd,ms_ssim,authenticity,recall --n-resamples 40 --seed 5",
        25,
    ),
    _compare("values", f"{GUIDANCE}/g0 {GUIDANCE}/g2 -r {GUIDANCE}/real --n-resamples 0", 10),
)

OTHERS = (
    _step(
        "dice",
        "labels",
        "dice {inputs}/masks/source {inputs}/masks/b --labels 1,2,3 --json {out}/dice.json",
        4,
    ),
    _step(
        "dice",
        "groups",
        "dice {inputs}/masks/source {inputs}/masks/c --group-pattern ^(.) --json {out}/dice.json",
        4,
    ),
    _step(
        "benchmark",
        "artifacts",
        "benchmark --clean {inputs}/test --artifacts {data}/artifacts -n 50 --quick -m histology "
        "--n-resamples 100 --ladders blur,fold --cutouts odd --out {out}/results",
        60,
    ),
    _step(
        "benchmark",
        "sizes",
        f"benchmark --clean {{inputs}}/test -m {OWN} --ladders jpeg -n 50 --n-resamples 50 "
        "--seed 2 --alpha 0.1 --out {out}/results",
        50,
    ),
)

PYTHON = (
    _call("python", "fit", 50),
    _call("python", "models", 40),
    _call("python", "tables", 25),
    _call("python", "cards", 35),
    _call("python", "metrics", 10),
    _call("python", "kept", 8),
    _call("python", "calls", 30),
)

# What the old version got wrong.
FAULTS = (
    _step(
        "faults",
        "train-copies",
        "train {inputs}/copies --patch-size 96 --epochs 15 -o {out}/model.safetensors",
        20,
    ),
    _call("faults", "fit-copies", 20),
    _call("faults", "hidden", 20),
    _step(
        "faults",
        "score-small",
        "score {inputs}/fake_b -r {inputs}/real_b --json {out}/card.json --n-resamples 10",
        10,
    ),
    _call("faults", "small", 12),
    _step(
        "faults",
        "coords",
        f"filter {CMU} -m histology --alpha 0 --coords {{inputs}}/coords_large "
        "--format csv,tiles,trident -o {out}/results",
        12,
    ),
    _call("faults", "pixels", 6),
)

STEPS = (*TRAIN, *FILTER, *DECIDE, *SCORE, *COMPARE, *OTHERS, *PYTHON, *FAULTS)
PARTS = tuple(dict.fromkeys(step.part for step in STEPS))
# Every command but train and benchmark, in about three minutes.
QUICK = (
    "dice",
    "decide",
    "filter/patches-frozen",
    "filter/coords",
    "score/values",
    "score/unseen",
    "score/elsewhere",
    "compare/values",
    "compare/sizes",
    "python/metrics",
    "python/kept",
)
