"""The forward pass behind every score: stage statistics, compiled for the machine at hand.

Of a network with a head the same pass gives the cells of its map.

Two runtimes do it on the CPU. ``torch`` folds batch norm into the convolutions and takes a few
patches at a time, which stay in the cache. ``onnx`` runs the same graph in ONNX Runtime patch by
patch and needs the extra ``rl2qc[onnx]``. Either gives each thread patches of its own. On a GPU the
backbone runs as it is.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rl2qc.core.registry import nearest
from rl2qc.errors import UsageError, WorkError
from rl2qc.model.network.backbone import ResNet18Features, statistics_of_maps, to_tensor
from rl2qc.model.network.head import DamageHead

__all__ = ["RUNTIMES", "RUNTIME_VARIABLE", "Forward", "Passed", "Runtime", "compile_statistics"]

Runtime = Literal["auto", "onnx", "torch"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
# Says the runtime where the caller does not; the second is its old name.
RUNTIME_VARIABLE, _OLD_VARIABLE = "RL2QC_RUNTIME", "RL2QC_FORWARD"
# Of patches that torch takes at a time: four of 256 px, whose largest map is 17 MB. Larger maps
# fall out of the cache, and the allocator asks the system for them anew each time.
_PIXELS_AT_ONCE = 4 * 256 * 256
# Statistics of a compiled graph may differ from torch's by this share of the largest one.
_TOLERANCE = 1e-4

# The outputs of a pass, an array each.
_Arrays: TypeAlias = tuple[NDArray[np.float32], ...]
Pass: TypeAlias = Callable[[NDArray[np.uint8]], _Arrays]


class Passed(NamedTuple):
    """What one pass gives of n patches.

    Attributes
    ----------
    statistics : (n, 2048) float32
        Stage statistics.
    cells : (n, h / 8, w / 8, classes) float32
        Probability of damage of each cell, by class; None without a head.
    """

    statistics: NDArray[np.float32]
    cells: NDArray[np.float32] | None = None


class Forward:
    """Stage statistics of patches: what :func:`compile_statistics` makes.

    It computes with the weights of the moment when it was made: make another after training. It
    is to be called by one thread at a time; equal patches give equal numbers, run after run.

    Attributes
    ----------
    runtime
        "torch" or "onnx".
    name
        Runtime, version and device, for the record.
    shape
        Height and width of the patches that it takes.
    """

    def __init__(self, runtime: Runtime, name: str, shape: tuple[int, int], run: Pass) -> None:
        self.runtime, self.name, self.shape = runtime, name, shape
        self._run = run

    def __repr__(self) -> str:
        return f"Forward({self.name!r}, {self.shape[0]} x {self.shape[1]} px)"

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Statistics (n, 2048) float32 of patches (n, h, w, 3) uint8; errors as :meth:`measure`."""
        return self.measure(images).statistics

    def measure(self, images: NDArray[np.uint8]) -> Passed:
        """Everything that the pass gives of patches (n, h, w, 3) uint8.

        Raises
        ------
        UsageError
            Patches of another shape or type.
        """
        if images.dtype != np.uint8 or images.shape[1:] != (*self.shape, 3):
            raise UsageError(
                f"patches must be (n, {self.shape[0]}, {self.shape[1]}, 3) uint8, "
                f"got {images.shape} {images.dtype}"
            )
        # torch takes no negative strides; numpy counts them as contiguous along an axis of one.
        return Passed(*self._run(images.copy() if min(images.strides) < 0 else images))


class _Network(nn.Module):
    """A backbone, and the head that reads its maps, as one function with one output or two."""

    def __init__(self, backbone: ResNet18Features, head: DamageHead | None) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = self.backbone.maps(images)
        statistics = statistics_of_maps(maps)
        if self.head is None:
            return (statistics,)
        return statistics, self.head(maps).sigmoid().permute(0, 2, 3, 1)


def compile_statistics(
    backbone: ResNet18Features,
    shape: tuple[int, int],
    runtime: Runtime | None = None,
    head: DamageHead | None = None,
) -> Forward:
    """Make :meth:`ResNet18Features.statistics` a fast function of uint8 patches.

    Parameters
    ----------
    backbone
        Copied, not changed; its batch norm uses the running statistics.
    shape
        Height and width of the patches in px.
    runtime
        "torch", "onnx", or "auto": onnx where it is installed, else torch. None takes it from
        the environment variable ``RL2QC_RUNTIME``, "auto" by default.
    head
        Computed in the same pass, where there is one; copied too.

    Raises
    ------
    UsageError
        No such runtime, one that is not installed, or onnx for a model on a GPU.
    WorkError
        The graph cannot be compiled, or its numbers are not torch's; "auto" then warns and takes
        torch.

    Examples
    --------
    >>> forward = compile_statistics(ResNet18Features(), (64, 64), "torch")
    >>> forward(np.zeros((5, 64, 64, 3), np.uint8)).dtype
    dtype('float32')
    """
    chosen = runtime or _of_environment()
    if chosen not in RUNTIMES:
        raise UsageError(
            f"no runtime {chosen!r}{nearest(chosen, RUNTIMES)} Choose from {', '.join(RUNTIMES)}"
        )
    device = next(backbone.parameters()).device
    if device.type != "cpu":
        if chosen == "onnx":
            raise UsageError(f"the onnx runtime runs on the CPU, the model is on {device}")
        name = f"torch {torch.__version__} on {device.type}"
        return Forward("torch", name, shape, _torch_run(_Network(backbone, head), device))
    folded = copy.deepcopy(_Network(backbone, head)).eval()
    _fold_batch_norm(folded)
    if chosen == "onnx" or (chosen == "auto" and _has_onnx()):
        try:
            return _onnx_forward(folded, shape)
        except WorkError as error:
            if chosen == "onnx":
                raise
            warnings.warn(f"{error}; torch takes its place", RuntimeWarning, stacklevel=2)
    run = _torch_run(folded.to(memory_format=torch.channels_last), device)
    return Forward("torch", f"torch {torch.__version__}", shape, run)


def _of_environment() -> str:
    return os.environ.get(RUNTIME_VARIABLE) or os.environ.get(_OLD_VARIABLE) or "auto"


def _fold_batch_norm(module: nn.Module) -> None:
    """Fold every batch norm into the convolution before it, in place.

    torchvision's ResNet registers each right after its convolution.
    """
    for (conv_name, conv), (norm_name, norm) in pairwise(list(module.named_children())):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
            setattr(module, norm_name, nn.Identity())
    for child in module.children():
        _fold_batch_norm(child)


# --- torch ---------------------------------------------------------------------------------


def _torch_run(network: _Network, device: torch.device) -> Pass:
    def measure(images: NDArray[np.uint8]) -> _Arrays:
        with torch.inference_mode():
            found = network(to_tensor(images).to(device))
        return tuple(np.asarray(part.cpu().numpy(), np.float32) for part in found)

    def run(images: NDArray[np.uint8]) -> _Arrays:
        threads = torch.get_num_threads()
        most = _PIXELS_AT_ONCE // (images.shape[1] * images.shape[2])
        at_once = max(1, min(most, -(-len(images) // threads)))
        parts = [images[i : i + at_once] for i in range(0, len(images), at_once)]
        found = _by_threads(measure, parts or [images], threads)
        return tuple(np.concatenate(outputs) for outputs in zip(*found, strict=True))

    return measure if device.type != "cpu" else run


def _by_threads(function: Pass, parts: list[NDArray[np.uint8]], threads: int) -> list[Any]:
    """Map with one thread a part: threads that share one wait for each other by spinning, and
    beside threads that read they wait for long.
    """
    with ThreadPoolExecutor(
        threads, "rl2qc-forward", initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        found = list(pool.map(function, parts))
    # What threads set for themselves is also what later ones begin with.
    torch.set_num_threads(threads)
    return found


# --- ONNX Runtime --------------------------------------------------------------------------


class _Graph(nn.Module):
    """What is exported: the pass over images (n, h, w, 3) uint8."""

    def __init__(self, network: _Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = self.network(images.permute(0, 3, 1, 2).float() / 255)
        return found


def _has_onnx() -> bool:
    # onnx writes the graph, onnxruntime runs it.
    return all(find_spec(package) for package in ("onnx", "onnxruntime"))


def _onnx_forward(network: _Network, shape: tuple[int, int]) -> Forward:
    if not _has_onnx():
        raise UsageError("the onnx runtime is not installed: pip install 'rl2qc[onnx]'")
    # The exporter leaves a network in the mode that it finds it in.
    graph = _Graph(network).eval()
    probe = np.random.default_rng(0).integers(0, 256, (1, *shape, 3), dtype=np.uint8)
    try:
        onnxruntime = _import_onnxruntime()
        session = _open_session(onnxruntime, _export(graph, probe))
        run = _onnx_run(session)
        found = run(probe)
    # Whatever the exporter and the runtime of any version may raise.
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WorkError(f"the onnx runtime cannot run this backbone ({reason})") from error
    with torch.inference_mode():
        expected = tuple(part.numpy() for part in graph(torch.from_numpy(probe)))
    if not all(_agree(*pair) for pair in zip(found, expected, strict=True)):
        raise WorkError("the onnx runtime does not give torch's numbers here")
    return Forward("onnx", f"onnxruntime {onnxruntime.__version__}", shape, run)


def _agree(found: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    if found.shape != expected.shape:
        return False
    return bool(np.abs(found - expected).max() <= _TOLERANCE * np.abs(expected).max())


def _import_onnxruntime() -> Any:
    # Its official builds report each session to their maker unless told not to; who looks at
    # patients' slides must be asked first. The variable counts only before the first import.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    runtime = import_module("onnxruntime")
    runtime.disable_telemetry_events()
    return runtime


def _export(graph: _Graph, example: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    export: Any = torch.onnx.export
    with warnings.catch_warnings(), torch.no_grad():
        # Of tracing: the batch of one and the shape are constants, as they are meant to be.
        warnings.simplefilter("ignore")
        # The exporter by tracing takes half a second, the one by torch.export several.
        export(graph, (torch.from_numpy(example),), buffer, input_names=["images"], dynamo=False)
    return buffer.getvalue()


def _open_session(runtime: Any, model: bytes) -> Any:
    options = runtime.SessionOptions()
    # A patch is one thread's work: no pool of its own that would spin beside reading threads.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _onnx_run(session: Any) -> Pass:
    shapes = [output.shape[1:] for output in session.get_outputs()]

    def run(images: NDArray[np.uint8]) -> _Arrays:
        found = tuple(np.empty((len(images), *shape), np.float32) for shape in shapes)

        def fill(i: int) -> None:
            outputs = session.run(None, {"images": np.ascontiguousarray(images[i : i + 1])})
            for array, output in zip(found, outputs, strict=True):
                array[i : i + 1] = output

        threads = max(1, min(torch.get_num_threads(), len(images)))
        # A pool for each batch: it costs microseconds, and none is left behind by a fork.
        with ThreadPoolExecutor(threads, thread_name_prefix="rl2qc-forward") as pool:
            for _ in pool.map(fill, range(len(images))):
                pass
        return found

    return run
