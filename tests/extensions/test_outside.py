"""The package of docs/extending.md, installed outside rl2qc: one toy of each of the seven kinds."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from words import ROOT, blocks, sections

from rl2qc.synthetic.corruptions import CORRUPTIONS

HERE = Path(__file__).parent


def code_of() -> dict[str, str]:
    """The modules of the package, by name: those of CONTRIBUTING, and the metric's own."""
    text = "".join(sections("CONTRIBUTING.md", "Add a").values())
    found = {
        Path(path).stem: code
        for path, name, code in blocks(text)
        if path.startswith("rl2qc/") and not name
    }
    page = "".join(sections("docs/extending.md").values())
    script = next(code for path, _, code in blocks(page) if path == "script.py")
    return found | {"metric": script.split("card = ")[0]}


def project() -> dict[str, dict[str, str]]:
    page = "".join(sections("docs/extending.md").values())
    text = next(code for path, _, code in blocks(page) if path.endswith("pyproject.toml"))
    return tomllib.loads(text)["project"]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder of installed packages, as pip leaves one."""
    site = tmp_path_factory.mktemp("site")
    about, modules = project(), code_of()
    package = site / "rl2qc_toys"
    package.mkdir()
    (package / "__init__.py").touch()
    lines = []
    for group, points in about["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {module}" for name, module in points.items()), ""]
        for module in points.values():
            stem = module.removeprefix("rl2qc_toys.")
            (package / f"{stem}.py").write_text(modules[stem])
    info = site / f"rl2qc_toys-{about['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    )
    (info / "entry_points.txt").write_text("\n".join(lines))
    return site


@pytest.fixture(scope="module")
def used(site, tmp_path_factory) -> Path:
    """The folder in which ``use_all.py`` has used them all."""
    place = tmp_path_factory.mktemp("used")
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:rl2qc.core.registry", HERE / "use_all.py"],
        capture_output=True,
        text=True,
        cwd=place,
        env=environment,
    )
    assert not done.returncode, done.stdout + done.stderr
    (place / "said.txt").write_text(done.stdout)
    return place


def images(place: Path, name: str) -> np.ndarray:
    return np.load(place / f"{name}.stack.npy").astype(np.float64)


def kept(place: Path) -> list[str]:
    with (place / "out" / "case" / "tiles.csv").open(newline="") as file:
        return [f"{row['x']} {row['y']}" for row in csv.DictReader(file) if row["keep"] == "true"]


def test_the_package_has_one_of_each_kind(site):
    (found,) = importlib.metadata.distributions(path=[str(site)])
    groups = {point.group.removeprefix("rl2qc.") for point in found.entry_points}
    kinds = {"metrics", "detectors", "formats", "sources", "extractors", "readers", "corruptions"}
    assert groups == kinds
    # Not in this process, which does not know that place.
    assert "fading" not in CORRUPTIONS


def test_source_metric_and_extractor_in_a_score(used):
    colours = {
        name: np.array([[*p.mean((0, 1)), *p.std((0, 1))] for p in images(used, name)])
        for name in ("real", "generated")
    }
    shift = np.linalg.norm(colours["real"].mean(0) - colours["generated"].mean(0))
    card = json.loads((used / "score.json").read_text())
    found = card["metrics"]["mean_shift"]
    assert found["value"] == pytest.approx(shift, rel=1e-5)
    assert found["low"] <= found["value"] <= found["high"]
    assert found["low"] < found["high"]
    # Not another metric's number.
    assert found["value"] != pytest.approx(card["metrics"]["fid"]["value"], rel=0.01)
    page = (used / "score.html").read_text()
    assert "mean_shift" in page and "distance of the mean features" in page
    assert "mean_shift" in (used / "said.txt").read_text()


def test_detector_in_a_model(used):
    scores = np.load(used / "centroid.npy")
    assert scores.shape == (16,) and (scores < 0).all()


def test_reader_and_format_in_filter_and_decide(used):
    before = (used / "corners_before.txt").read_text().splitlines()
    now = (used / "out" / "case" / "corners.txt").read_text().splitlines()
    assert now == kept(used)
    assert set(now) < set(before)


def test_corruption_and_detector_in_a_benchmark(used):
    result = (used / "benchmark" / "benchmark.json").read_text()
    page = (used / "benchmark" / "benchmark.html").read_text()
    for text in (result, page):
        assert "fading" in text.lower() or "faded" in text.lower()
        assert "centroid" in text


def test_a_script_registers_what_it_needs(tmp_path):
    """The script of docs/extending.md, word for word, on two folders of images."""
    page = "".join(sections("docs/extending.md").values())
    script = next(code for path, _, code in blocks(page) if path == "script.py")
    (tmp_path / "script.py").write_text(script)
    make = (
        "import numpy as np\nfrom pathlib import Path\nfrom PIL import Image\n"
        "from rl2qc.synthetic.tissue import synthetic_patches\n"
        "for seed, name in enumerate(('real', 'generated')):\n"
        "    Path(name).mkdir()\n"
        "    for i, patch in enumerate(synthetic_patches(12, 224, np.random.default_rng(seed))):\n"
        "        Image.fromarray(patch).save(f'{name}/{i}.png')\n"
    )
    for code in (["-c", make], ["script.py"]):
        done = subprocess.run(
            [sys.executable, *code],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert not done.returncode, done.stderr
    assert "mean_shift" in done.stdout
    assert "mean_shift" in (tmp_path / "scores.html").read_text()
