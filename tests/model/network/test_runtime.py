"""Compiled forward passes against the plain backbone, in float32 and float64."""

from __future__ import annotations

import copy
import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from rl2qc.errors import UsageError, WorkError
from rl2qc.model.network import runtime as inference
from rl2qc.model.network.backbone import STATISTICS_DIM, ResNet18Features, load_weights
from rl2qc.model.network.runtime import RUNTIME_VARIABLE, compile_statistics

SHAPE = (64, 64)
# Not importorskip: only the package imports the runtime, with its reports switched off.
needs_onnx = pytest.mark.skipif(
    not inference._has_onnx(), reason="the onnx runtime needs the extra rl2qc[onnx]"
)


@pytest.fixture(params=["torch", pytest.param("onnx", marks=needs_onnx)])
def runtime(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def backbone() -> ResNet18Features:
    """Random weights, and batch norms that do something, unlike those of a fresh network."""
    model = ResNet18Features().eval()
    load_weights(model, "random", seed=1)
    generator = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.7, 1.3),
                (module.bias, -0.2, 0.2),
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 2.0),
            ):
                tensor.data.uniform_(low, high, generator=generator)
    return model


def plainly(backbone: ResNet18Features, images: np.ndarray, dtype=torch.float32) -> np.ndarray:
    """Statistics by the backbone as it is, contiguous and all at once."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(dtype) / 255
    with torch.inference_mode():
        return copy.deepcopy(backbone).to(dtype).statistics(x).numpy()


def test_statistics_are_those_of_the_plain_backbone(backbone, runtime, stained):
    images = stained(7)
    exact = plainly(backbone, images, torch.float64)
    found = compile_statistics(backbone, SHAPE, runtime)(images)
    assert found.dtype == np.float32
    assert found.shape == exact.shape
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())
    # The statistics tell these patches apart by far more than that.
    assert exact.std(0).max() > 1e-2 * np.abs(exact).max()


def test_scores_agree_within_a_thousandth_of_a_nat_per_dimension(tiny_model, runtime, patches):
    plain = tiny_model.measure_statistics(plainly(tiny_model.backbone, patches))
    found = tiny_model.measure_statistics(
        compile_statistics(tiny_model.backbone, SHAPE, runtime)(patches)
    )
    difference = np.abs(found["log_likelihood"] - plain["log_likelihood"])
    assert difference.max() / tiny_model.density.dim < 1e-3
    assert np.ptp(plain["log_likelihood"]) / tiny_model.density.dim > 1e-2
    rank = 1 / (min(map(len, tiny_model.calibration_.values())) + 1)
    np.testing.assert_allclose(found["p_value"], plain["p_value"], atol=1.001 * rank, rtol=0)


@pytest.mark.parametrize("n", [0, 1, 3, 9])
def test_a_patch_has_its_statistics_in_any_batch(backbone, runtime, stained, n, monkeypatch):
    # Four at a time, so that nine are three parts, the last of them smaller.
    monkeypatch.setattr(inference, "_PIXELS_AT_ONCE", 4 * 64 * 64)
    images = stained(9)
    forward = compile_statistics(backbone, SHAPE, runtime)
    whole = forward(images)
    # Batched sums of torch round otherwise in another batch; onnx takes one patch at a time.
    tolerance = 0 if runtime == "onnx" else 1e-4 * np.abs(whole).max()
    assert forward(images[:n]).shape == (n, whole.shape[1])
    np.testing.assert_allclose(forward(images[:n]), whole[:n], rtol=0, atol=tolerance)
    np.testing.assert_allclose(forward(images[::-1])[::-1], whole, rtol=0, atol=tolerance)


def test_runs_and_compilations_agree_to_the_bit(backbone, runtime, stained):
    images = stained(5)
    forward = compile_statistics(backbone, SHAPE, runtime)
    first = forward(images)
    np.testing.assert_array_equal(forward(images), first)
    np.testing.assert_array_equal(compile_statistics(backbone, SHAPE, runtime)(images), first)


@needs_onnx
def test_threads_do_not_change_the_onnx_numbers(backbone, stained):
    images = stained(5)
    forward = compile_statistics(backbone, SHAPE, "onnx")
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(forward(images))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])


def test_weights_are_those_of_the_moment_and_stay(backbone, runtime, stained):
    images = stained(2)
    changing = copy.deepcopy(backbone).train()  # whose running statistics are used all the same
    before = {name: tensor.clone() for name, tensor in changing.state_dict().items()}
    forward = compile_statistics(changing, SHAPE, runtime)
    first = forward(images)
    assert changing.training
    for name, tensor in changing.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    with torch.no_grad():
        changing.trunk.conv1.weight.mul_(2)
    np.testing.assert_array_equal(forward(images), first)
    assert not np.allclose(compile_statistics(changing, SHAPE, runtime)(images), first, rtol=0.1)


def test_other_heights_and_widths(backbone, runtime, rng):
    images = rng.integers(0, 256, (2, 48, 80, 3), dtype=np.uint8)
    forward = compile_statistics(backbone, (48, 80), runtime)
    exact = plainly(backbone, images, torch.float64)
    np.testing.assert_allclose(forward(images), exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


def test_patches_of_another_kind_are_refused(backbone, runtime):
    forward = compile_statistics(backbone, SHAPE, runtime)
    for images in (
        np.zeros((2, 32, 64, 3), np.uint8),
        np.zeros((2, 64, 64, 3), np.float32),
        np.zeros((64, 64, 3), np.uint8),
    ):
        with pytest.raises(ValueError, match=r"patches must be \(n, 64, 64, 3\) uint8"):
            forward(images)


def test_names_say_runtime_and_version(backbone, runtime):
    forward = compile_statistics(backbone, SHAPE, runtime)
    assert forward.runtime == runtime
    package = {"torch": "torch", "onnx": "onnxruntime"}[runtime]
    assert forward.name == f"{package} {sys.modules[package].__version__}"


def test_unknown_runtime(backbone):
    with pytest.raises(UsageError, match="no runtime 'tpu': Choose from auto, onnx, torch"):
        compile_statistics(backbone, SHAPE, "tpu")  # type: ignore[arg-type]


def test_environment_says_the_runtime_where_the_caller_does_not(backbone, monkeypatch):
    monkeypatch.setenv(RUNTIME_VARIABLE, "tpu")
    with pytest.raises(UsageError, match="tpu"):
        compile_statistics(backbone, SHAPE)
    assert compile_statistics(backbone, SHAPE, "torch").runtime == "torch"
    monkeypatch.setenv(RUNTIME_VARIABLE, "torch")
    assert compile_statistics(backbone, SHAPE).runtime == "torch"


def test_the_old_variable_is_understood(backbone, monkeypatch):
    monkeypatch.delenv(RUNTIME_VARIABLE)
    monkeypatch.setenv("RL2QC_FORWARD", "tpu")
    with pytest.raises(UsageError, match="tpu"):
        compile_statistics(backbone, SHAPE)
    monkeypatch.setenv(RUNTIME_VARIABLE, "torch")
    assert compile_statistics(backbone, SHAPE).runtime == "torch"


def test_without_onnx_torch_is_taken(backbone, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compile_statistics(backbone, SHAPE, "auto").runtime == "torch"
    with pytest.raises(UsageError, match=r"pip install 'rl2qc\[onnx\]'"):
        compile_statistics(backbone, SHAPE, "onnx")


@needs_onnx
def test_a_runtime_with_other_numbers_is_not_used(backbone, monkeypatch):
    honest = inference._onnx_run

    def other(session):
        run = honest(session)
        return lambda images: tuple(1.01 * part for part in run(images))

    monkeypatch.setattr(inference, "_onnx_run", other)
    with pytest.raises(WorkError, match="does not give torch's numbers"):
        compile_statistics(backbone, SHAPE, "onnx")
    with pytest.warns(RuntimeWarning, match="torch takes its place"):
        assert compile_statistics(backbone, SHAPE, "auto").runtime == "torch"


@needs_onnx
def test_what_cannot_be_exported_falls_back_with_a_word(backbone, monkeypatch):

    def fail(*_: object) -> bytes:
        raise RuntimeError("no such operator\nin three lines")

    monkeypatch.setattr(inference, "_export", fail)
    with pytest.raises(WorkError, match=r"cannot run this backbone \(no such operator\)$"):
        compile_statistics(backbone, SHAPE, "onnx")
    with pytest.warns(RuntimeWarning, match="torch takes its place"):
        assert compile_statistics(backbone, SHAPE, "auto").runtime == "torch"


@needs_onnx
def test_the_runtime_does_not_report_home(backbone, monkeypatch):
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    compile_statistics(backbone, SHAPE, "onnx")
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu_the_backbone_runs_as_it_is(backbone, stained):
    images = stained(3)
    on_gpu = copy.deepcopy(backbone).cuda()
    found = compile_statistics(on_gpu, SHAPE, "auto")(images)
    np.testing.assert_allclose(found, plainly(backbone, images), rtol=1e-2, atol=1e-2)
    with pytest.raises(UsageError, match="runs on the CPU"):
        compile_statistics(on_gpu, SHAPE, "onnx")


@pytest.mark.parametrize("n", [0, 1, 9])
def test_torch_shares_patches_among_threads(backbone, n):
    images = np.random.default_rng(0).integers(0, 256, (n, *SHAPE, 3)).astype(np.uint8)
    forward = compile_statistics(backbone, SHAPE, "torch")
    before = torch.get_num_threads()
    found = forward(images)
    one_by_one = [forward(images[i : i + 1]) for i in range(n)]
    assert found.shape == (n, STATISTICS_DIM)
    np.testing.assert_allclose(found, np.concatenate([found[:0], *one_by_one]), atol=1e-4)
    # Threads that begin later are not held to one thread.
    later = ThreadPoolExecutor(1).submit(torch.get_num_threads).result()
    assert torch.get_num_threads() == later == before
