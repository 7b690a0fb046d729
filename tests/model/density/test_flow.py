"""The flow against autograd's Jacobian, its own inverse and a closed form."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import multivariate_normal

from rl2qc.model.density.flow import LOG_SCALE_BOUND, BoundedAffineCoupling, realnvp


def trained_like(dim: int, layers: int, seed: int = 0):
    """A flow whose networks are far from their zero start."""
    flow = realnvp(dim, layers=layers, hidden=16, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in flow.parameters():
            scale = parameter.shape[-1] ** -0.5  # of the fan-in
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return flow.eval()


@pytest.mark.parametrize(("dim", "layers"), [(2, 1), (5, 3), (64, 8)])
def test_inverse_returns_the_input(dim, layers):
    flow = trained_like(dim, layers).double()
    x = torch.randn(50, dim, generator=torch.Generator().manual_seed(1)).double()
    z, log_det = flow._transform(x)
    back, log_det_back = flow._transform.inverse(z)
    assert not torch.allclose(z, x, atol=0.1)
    assert torch.allclose(back, x, atol=1e-6)
    assert torch.allclose(log_det_back, -log_det, atol=1e-6)


def test_inverse_in_float32_at_full_size():
    flow = realnvp(64)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape))
    x = torch.randn(200, 64)
    z, _ = flow._transform(x)
    assert (flow._transform.inverse(z)[0] - x).abs().max() < 1e-4


def test_log_determinant_is_autograds():
    flow = trained_like(6, 4).double()
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(2)).double()
    _, log_det = flow._transform(x)
    for row, value in zip(x, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: flow._transform(v[None])[0][0], row)
        assert torch.linalg.slogdet(jacobian).logabsdet.item() == pytest.approx(
            value.item(), abs=1e-9
        )


def test_density_integrates_to_one():
    flow = trained_like(2, 2, seed=3).double()
    axis = torch.linspace(-40, 40, 1601, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        mass = flow.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=0.02)


def test_starts_as_the_standard_normal():
    x = torch.randn(20, 7)
    expected = multivariate_normal(torch.zeros(7).numpy()).logpdf(x.numpy())
    assert realnvp(7).log_prob(x).detach().numpy() == pytest.approx(expected, abs=1e-4)


def test_log_scale_is_bounded_for_any_network_output():
    layer = BoundedAffineCoupling(torch.tensor([0, 1]), lambda i, o: torch.nn.Linear(i, o))
    scale, _ = layer._scale_and_shift(torch.tensor([[0.0, 1e9], [0.0, -1e9]]))
    assert scale.log().abs().max().item() == pytest.approx(LOG_SCALE_BOUND)


def test_can_expand_volume():
    """nflows' own layer cannot: its scales stop at 1.001."""
    flow = trained_like(4, 4)
    _, log_det = flow._transform(torch.randn(500, 4))
    assert log_det.max() > math.log(1.1)


def test_seed_decides_weights_and_permutations():
    same, again, other = realnvp(8, seed=1), realnvp(8, seed=1), realnvp(8, seed=2)
    for (name, a), b in zip(same.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    keys = [k for k in same.state_dict() if "permutation" in k]
    assert keys
    assert any(not torch.equal(same.state_dict()[k], other.state_dict()[k]) for k in keys)


def test_global_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    realnvp(8, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_one_variable_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        realnvp(1)
