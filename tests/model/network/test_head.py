"""The dense head and the branch for scores: one pass, and the numbers of the plain network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy_general import CLASSES, toy_head

from rl2qc.model.network import runtime as inference
from rl2qc.model.network.backbone import POOLED, STATISTICS_DIM, ResNet18Features, load_weights
from rl2qc.model.network.branch import ScoreBranch
from rl2qc.model.network.head import DamageHead, by_row
from rl2qc.model.network.runtime import compile_statistics
from rl2qc.model.network.statistics import StatisticsExtractor
from rl2qc.stats.prior import map_evidence

needs_onnx = pytest.mark.skipif(
    not inference._has_onnx(), reason="the onnx runtime needs the extra rl2qc[onnx]"
)


@pytest.fixture(scope="module")
def network() -> tuple[ResNet18Features, DamageHead]:
    backbone = ResNet18Features().eval()
    load_weights(backbone, "random", seed=1)
    return backbone, toy_head()


@pytest.mark.parametrize("runtime", ["torch", pytest.param("onnx", marks=needs_onnx)])
@pytest.mark.parametrize("size", [64, 72, 90])
def test_cells_are_those_of_the_plain_network(network, runtime, size):
    backbone, head = network
    images = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    forward = compile_statistics(backbone, (size, size), runtime, head)
    passed = forward.measure(images)
    with torch.inference_mode():
        x = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255
        plain, double = ResNet18Features().double().eval(), DamageHead(CLASSES, 16).double().eval()
        plain.load_state_dict(backbone.state_dict())
        double.load_state_dict(head.state_dict())
        expected = double(plain.maps(x)).sigmoid().permute(0, 2, 3, 1).numpy()
    cells = -(-size // 8)
    assert passed.cells.shape == (3, cells, cells, 3)
    np.testing.assert_allclose(passed.cells, expected, atol=2e-5)
    # The head changes nothing of the statistics.
    alone = compile_statistics(backbone, (size, size), runtime)
    np.testing.assert_allclose(passed.statistics, alone(images), rtol=1e-5, atol=1e-5)
    assert alone.measure(images).cells is None
    # A pass after the first gives the same: compiling leaves no module in another mode.
    np.testing.assert_array_equal(forward.measure(images).cells, passed.cells)


@needs_onnx
def test_compiling_for_onnx_does_not_warn(network, recwarn):
    compile_statistics(network[0], (64, 64), "auto", network[1])
    assert not [w for w in recwarn if "torch takes its place" in str(w.message)]


def test_the_whole_patch_by_its_statistics(network):
    _, head = network
    statistics = np.random.default_rng(0).random((4, STATISTICS_DIM), np.float32)
    with torch.inference_mode():
        # The stem's 128 are left out.
        logits = head.whole(torch.from_numpy(statistics[:, 128:]))
    np.testing.assert_allclose(
        head.of_statistics(statistics), logits.sigmoid().numpy(), rtol=1e-4, atol=1e-6
    )


def test_rows_do_not_depend_on_those_beside_them():
    rng = np.random.default_rng(0)
    rows, weight = rng.random((9, 2048), np.float32), rng.random((512, 2048), np.float32)
    together = by_row(rows, weight)
    np.testing.assert_array_equal(by_row(rows[4:5], weight)[0], together[4])
    np.testing.assert_allclose(together, rows @ weight.T, rtol=1e-5)


def test_rows_of_a_network_with_all_parts(network):
    backbone, head = network
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(512, STATISTICS_DIM)).astype(np.float32)
    branch = ScoreBranch(weight, np.arange(512, dtype=np.float32))
    images = rng.integers(0, 256, (5, 64, 64, 3), np.uint8)

    def extractor(**parts):
        return StatisticsExtractor(backbone, device="cpu", runtime="torch", **parts)

    plain = extractor().of_batch(images)
    rows, cells = extractor(head=head, branch=branch).with_cells(images)
    assert rows.shape == (5, STATISTICS_DIM + 5 * len(CLASSES))
    assert cells is not None
    np.testing.assert_allclose(
        rows[:, POOLED], plain @ weight.T + branch.bias, rtol=1e-3, atol=0.05
    )
    others = np.setdiff1d(np.arange(STATISTICS_DIM), np.arange(STATISTICS_DIM)[POOLED])
    np.testing.assert_allclose(rows[:, others], plain[:, others], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        rows[:, STATISTICS_DIM:], map_evidence(cells, head.of_statistics(plain))
    )
