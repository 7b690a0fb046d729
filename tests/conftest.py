"""Fixtures that every test folder shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import hypothesis
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from slide_helpers import FakeHandle

from rl2qc.errors import UsageError
from rl2qc.images.sources.base import SOURCES, ImageSource, PatchSource, register_source

# A busy machine is slow, not wrong.
hypothesis.settings.register_profile("rl2qc", deadline=None)
hypothesis.settings.load_profile("rl2qc")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real images are absent: no ../shared/data beside the project")
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def _one_runtime() -> Iterator[None]:
    """Many small models would each be compiled; tests of other runtimes name theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RL2QC_RUNTIME", "torch")
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's feature cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RL2QC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _stained(n: int, size: int = 64, seed: int = 0) -> np.ndarray:
    """Pink and violet textures (n, size, size, 3) uint8: no tissue, but as varied."""
    rng = np.random.default_rng(seed)
    fields = gaussian_filter(rng.normal(size=(n, size, size, 2)), (0, 1.5, 1.5, 0))
    density = np.abs(fields / fields.std()) * rng.uniform(0.2, 0.6, (n, 1, 1, 2))
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    return (255 * np.exp(-density @ stains)).round().astype(np.uint8)


@pytest.fixture(scope="session")
def stained() -> Callable[..., np.ndarray]:
    """Makes textured patches: ``stained(n, size=64, seed=0)``."""
    return _stained


@pytest.fixture(scope="session")
def patches() -> np.ndarray:
    return _stained(120)


@pytest.fixture(scope="session")
def tiny_model(patches):
    """A model of 64 px patches on a random backbone: quick, and as complete as any."""
    from rl2qc.model.quality import QualityModel

    return QualityModel.fit(patches, backbone="random", epochs=20, device="cpu")


@pytest.fixture(scope="session")
def tiny_model_file(tiny_model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    tiny_model.save(path)
    return path


@pytest.fixture(scope="session")
def general_file(tiny_model_file, tmp_path_factory) -> Path:
    """A general model in small, of 64 px patches: with a map, without a reference of its own."""
    from toy_general import write_toy_general

    path = tmp_path_factory.mktemp("general") / "toy.safetensors"
    write_toy_general(tiny_model_file, path)
    return path


@pytest.fixture(scope="session")
def patch_folder(patches, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("patches")
    for i, patch in enumerate(patches):
        Image.fromarray(patch).save(folder / f"s{i // 12}_{i % 12}.png")
    return folder


@pytest.fixture
def memory(stained) -> Iterator[ImageSource]:
    """A source from outside: "memory:four" is four images of 72 px; ``keep`` puts others there."""
    held = {"four": stained(4, 72, seed=5)}

    def open_memory(item: str | Path) -> PatchSource:
        name, _, row = str(item).partition(":")[2].partition("/")
        if name not in held:
            raise UsageError(f"nothing is kept as {item}")
        rows = [int(row)] if row else range(len(held[name]))
        return PatchSource(
            [held[name][i] for i in rows], 0, tuple(f"memory:{name}/{i}" for i in rows)
        )

    class Memory(ImageSource):
        def keep(self, name: str, images: NDArray[np.uint8]) -> None:
            held[name] = images

    yield register_source(Memory("memory", open_memory, prefix="memory:"))
    SOURCES.unregister("memory")


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that the user reads; fails if there are more, or a traceback."""
        lines = [line for line in self.err.splitlines() if "error" in line.lower()]
        assert "Traceback" not in self.err
        assert len(lines) == 1, self.err
        return lines[0]


@pytest.fixture
def rl2qc(monkeypatch, capsys) -> Callable[..., Outcome]:
    """Run the command line in this process."""

    def run(*arguments: object) -> Outcome:
        from rl2qc.cli import main

        monkeypatch.setattr("sys.argv", ["rl2qc", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


class RedModel:
    """The p-value of a tile is its mean share of red light."""

    patch_size, mpp, name, sha256 = 64, 0.5, "red", "cd" * 32

    def measure(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        red = images[..., 0].mean(axis=(1, 2)) / 255
        return {"log_likelihood": red, "p_value": red}


@pytest.fixture
def red_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model that is loaded is a :class:`RedModel`."""
    from rl2qc.model.quality import QualityModel

    monkeypatch.setattr(QualityModel, "load", lambda name: RedModel())


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """Six tiles of tissue, their p-values under :class:`RedModel` 0.2, 0.3, ... 0.7."""
    # Squares of two shades, since what is even is no tissue.
    y, x = np.mgrid[:128, :192] // 8
    pixels = np.repeat(100 + 40 * ((x + y) % 2)[..., None], 3, axis=2).astype(np.uint8)
    for i in range(6):
        y, x = 64 * (i // 3), 64 * (i % 3)
        pixels[y : y + 64, x : x + 64, 0] = round(25.5 * (i + 2))
    path = tmp_path / "case.tif"
    tifffile.imwrite(
        path,
        pixels,
        tile=(64, 64),
        compression="deflate",
        photometric="rgb",
        resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )
    return path


@pytest.fixture
def fake_slide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Make the reader open a :class:`FakeHandle`."""

    def make(
        pixels: NDArray[np.uint8],
        properties: dict[str, str] | None = None,
        bad: Callable[[int, int], bool] = lambda x, y: False,
    ) -> Path:
        if pixels.shape[2] == 3:
            alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
            pixels = np.concatenate([pixels, alpha], axis=2)
        known = {"openslide.mpp-x": "0.5", "openslide.mpp-y": "0.5", **(properties or {})}
        # What is changed here is changed in this process alone.
        monkeypatch.setenv("RL2QC_ISOLATION", "off")
        monkeypatch.setattr(
            "rl2qc.slides.readers.openslide._open", lambda file: FakeHandle(pixels, known, bad)
        )
        path = tmp_path / "fake.svs"
        path.write_bytes(b"")
        return path

    return make
