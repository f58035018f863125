"""Exact traces, finite differences, grids, noise levels: against autograd and closed forms."""

import itertools
import math

import pytest
import torch
from scorebench.methods import methods
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP
from scorebench.methods.random import MemberRandom

from . import reference
from .test_objectives import MLPS, assert_same, problem, stream


def loss(name, mlp, theta, x, **options):
    return methods.get(name)().loss(NetworkModel(mlp, theta), x, stream(len(x)), **options)


@pytest.mark.parametrize("mlp", MLPS, ids=str)
def test_implicit_score_matching_has_the_whole_trace(mlp):
    theta, x, _ = problem(mlp)
    y = x.clone().requires_grad_()
    score = reference.score(mlp, theta, y)
    trace = sum(
        torch.autograd.grad(score[..., i].sum(), y, create_graph=True)[0][..., i]
        for i in range(mlp.dim)
    )
    expected = (trace + 0.5 * score.square().sum(-1)).mean(-1)
    assert_same(loss("ism", mlp, theta, x), expected, theta)


@pytest.mark.parametrize("mlp", MLPS, ids=str)
@pytest.mark.parametrize("name", ["ssm", "ssm_vr"])
def test_as_many_orthogonal_slices_as_dimensions_are_exact(mlp, name):
    theta, x, _ = problem(mlp)
    options = {"n_slices": mlp.dim, "slice_kind": "orthogonal"}
    sliced = loss(name, mlp, theta, x, **options)
    exact = loss("ism", mlp, theta, x)
    assert torch.allclose(sliced, exact, rtol=1e-12, atol=1e-12)
    assert_same(sliced, exact, theta)


def test_slices_come_near_the_trace_as_one_over_the_root_of_their_number():
    mlp = MLPS[0]
    theta, x, _ = problem(mlp, members=40, points=20)
    exact = loss("ism", mlp, theta, x)
    errors = []
    for count in (1, 16):
        sliced = loss("ssm", mlp, theta, x, n_slices=count, slice_kind="gaussian")
        errors.append((sliced - exact).square().mean().sqrt().item())
    assert math.log(errors[0] / errors[1]) / math.log(16) == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_orthogonal_slices_are_uniform_and_independent_between_groups(dim):
    x = torch.zeros(1, 4000, dim, dtype=torch.float64)
    v = stream(1).slices("orthogonal", dim + 1, x)
    assert v.shape == (1, dim + 1, 4000, dim)
    gram = torch.einsum("kmbd,knbd->kbmn", v, v)[0]
    wanted = dim * torch.eye(dim, dtype=torch.float64)
    assert torch.allclose(gram[:, :dim, :dim], wanted.expand(4000, -1, -1), atol=1e-12)
    assert gram[:, :dim, dim].abs().max() > 0.5
    for m in range(dim + 1):
        one = v[0, m]
        assert (one.T @ one / 4000 - torch.eye(dim)).abs().max() < 5 * dim / 4000**0.5
        assert (one.mean(0).abs() < 5 / 4000**0.5).all()
        fourth = one[:, 0].pow(4).mean().item()
        # On a sphere of radius √d: E v₁⁴ = 3d/(d + 2).
        assert fourth == pytest.approx(3 * dim / (dim + 2), rel=0.12)


@pytest.mark.parametrize("name", ["ism", "ssm", "ssm_vr", "fd_ssm"])
def test_data_noise_only_moves_the_points(name):
    mlp = MLPS[0]
    theta, x, sigma = problem(mlp)
    options = {"ism": {}, "fd_ssm": {"radius": 0.1}}.get(
        name, {"n_slices": 1, "slice_kind": "rademacher"}
    )
    method, model = methods.get(name)(), NetworkModel(mlp, theta)
    noisy = method.loss(model, x, stream(3), data_noise=sigma, **options)
    rng = stream(3)
    moved = x + sigma * rng.normal_like(x)
    assert torch.equal(noisy, method.loss(model, moved, rng, **options))
    assert method.target({"data_noise": 0.3}) == 0.3
    assert method.target({}) == 0.0


@pytest.mark.parametrize("mlp", MLPS, ids=str)
def test_finite_differences_of_slices_have_an_error_of_second_order(mlp):
    theta, x, _ = problem(mlp, points=30)
    exact = loss("ssm" if mlp.kind == "energy" else "ssm_vr", mlp, theta, x, n_slices=1,
                 slice_kind="sphere")  # fmt: skip
    errors = [
        (loss("fd_ssm", mlp, theta, x, radius=radius) - exact).abs().max().item()
        for radius in (0.2, 0.1, 0.05)
    ]
    slopes = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert slopes == pytest.approx([2, 2], abs=0.15)


@pytest.mark.parametrize("mlp", MLPS, ids=str)
def test_finite_differences_of_denoising_are_its_slices_to_second_order(mlp):
    theta, x, sigma = problem(mlp, points=30)
    rng = stream(3)
    noise = rng.normal_like(x)
    u = rng.slices("sphere", 1, x)[:, 0] / mlp.dim**0.5
    score = NetworkModel(mlp, theta).score(x + sigma * noise)
    along = (u * (score + noise / sigma)).sum(-1)
    exact = 0.5 * mlp.dim * along.square().mean(-1)
    errors = [
        (loss("fd_dsm", mlp, theta, x, radius=radius, sigma=sigma) - exact).abs().max().item()
        for radius in (0.2, 0.1, 0.05)
    ]
    slopes = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert slopes == pytest.approx([2, 2], abs=0.15)


def test_single_precision_sets_a_wall_to_small_radii():
    mlp = MLP(2, "energy", 32, 2, "swish")
    theta = mlp.init([torch.Generator().manual_seed(0)])
    x = torch.randn(1, 500, 2, generator=torch.Generator().manual_seed(1))

    def error(radius):
        single = MemberRandom([torch.Generator().manual_seed(2)], dtype=torch.float64)
        double = MemberRandom([torch.Generator().manual_seed(2)], dtype=torch.float64)

        u = single.slices("sphere", 1, x.double())
        rng = MemberRandom([torch.Generator()])
        rng.slices = lambda *_: u.float()
        method = methods.get("fd_ssm")()
        rough = method.loss(NetworkModel(mlp, theta), x, rng, radius=radius)
        fine = method.loss(NetworkModel(mlp, theta.double()), x.double(), double, radius=radius)
        return abs(rough.item() - fine.item())

    assert error(0.1) < 2e-4
    assert error(0.001) > 20 * error(0.1)


class Bowl:
    """E = λ|x|²/2 with its normaliser known: log Z = log(2π/λ)."""

    has_energy = True

    def __init__(self, lam):
        self.lam = lam

    def energies(self, x):
        return self.lam * x.square().sum(-1) / 2


def test_likelihood_of_a_bowl_in_closed_form():
    x = torch.randn(1, 300, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    lam = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    value = methods.get("mle_grid")().loss(Bowl(lam), x, stream(1), box=8.0, cells=64).sum()
    square = x.square().sum(-1).mean()
    expected = 0.5 * lam * square + math.log(2 * math.pi) - lam.log()
    assert value.item() == pytest.approx(expected.item(), abs=1e-9)
    (slope,) = torch.autograd.grad(value, lam)
    # The maximum of the likelihood is at λ = 2/mean|x|².
    assert slope.item() == pytest.approx((0.5 * square - 1 / lam).item(), abs=1e-9)


def test_the_grid_errs_as_poisson_summation_says():
    lam = torch.tensor(1.0, dtype=torch.float64)
    x, side = torch.zeros(200, 1, 2, dtype=torch.float64), 2.0
    value = methods.get("mle_grid")().loss(Bowl(lam), x, stream(200), box=12.0, cells=12)
    error = value - math.log(2 * math.pi)
    # Σ_n exp(-(n + u)²h²/2) = √(2π)/h (1 + 2exp(-2π²/h²) cos 2πu + …) along either axis.
    amplitude = 2 * math.exp(-2 * math.pi**2 / side**2)
    assert error.abs().max().item() == pytest.approx(2 * amplitude, rel=0.1)
    assert error.mean().item() == pytest.approx(0, abs=4 * amplitude / math.sqrt(200))


def test_gradient_of_the_likelihood_is_that_of_autograd():
    mlp = MLPS[0]
    theta, x, _ = problem(mlp, members=2)
    mine = loss("mle_grid", mlp, theta, x, box=3.0, cells=9)
    shift = stream(2).uniform(1, 2)
    ticks = torch.arange(9, dtype=torch.float64)
    grid = (torch.cartesian_prod(ticks, ticks) + shift) * (6 / 9) - 3
    z = torch.exp(-reference.output(mlp, theta, grid)).sum(1) * (6 / 9) ** 2
    assert_same(mine, reference.output(mlp, theta, x).mean(1) + z.log(), theta)


@pytest.mark.parametrize("kind", ["energy", "score"])
def test_conditional_networks_are_what_the_formula_says(kind):
    mlp = MLP(2, kind, 16, 2, "swish", conditional=True)
    theta = mlp.init([torch.Generator().manual_seed(k) for k in range(3)], torch.float64)
    theta.requires_grad_()
    x = torch.randn(3, 6, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sigma = torch.linspace(0.05, 6, 18, dtype=torch.float64).view(3, 6, 1)
    y = x.clone().requires_grad_()
    spread = (sigma**2 + 4).sqrt()
    inputs = torch.cat([y / spread, sigma.log() / 4], -1)
    raw = reference.output(mlp, theta, inputs)
    if kind == "energy":
        energy = y.square().sum(-1) / (2 * spread.squeeze(-1) ** 2) + 2 / sigma.squeeze(-1) * raw
        (grad,) = torch.autograd.grad(energy.sum(), y, create_graph=True)
        expected = -grad
        assert torch.allclose(NetworkModel(mlp, theta).energy(x, sigma), energy, rtol=1e-10)
    else:
        expected = 2 / (sigma * spread) * raw - y / spread**2
    mine = NetworkModel(mlp, theta).score(x, sigma)
    assert torch.allclose(mine, expected, rtol=1e-9, atol=1e-9)
    (a,) = torch.autograd.grad(mine.square().sum(), theta)
    (b,) = torch.autograd.grad(expected.square().sum(), theta)
    assert (a - b).abs().max() <= 1e-9 * (1 + b.abs().max())
    with torch.no_grad():
        level = float(sigma[0, 3])
        assert torch.allclose(NetworkModel(mlp, theta).score(x, level)[0, 3], expected[0, 3])
        # Nothing below the lowest level is ever asked of the network.
        lowest = NetworkModel(mlp, theta, level)
        assert torch.equal(lowest.score(x), lowest.score(x, level))
        assert lowest.noise(0.0) == level
        assert lowest.noise(9.0) == 9.0


def test_loss_over_noise_levels_weighs_each_by_its_variance():
    mlp = MLP(2, "score", 16, 2, "swish", conditional=True)
    theta, x, _ = problem(mlp, members=2)
    mine = loss("ncsn", mlp, theta, x, sigma_min=0.1, sigma_max=5.0)
    rng = stream(2)
    noise = rng.normal_like(x)
    sigma = torch.exp(math.log(0.1) + rng.uniform(x.shape[1], 1) * math.log(50))
    assert 0.1 <= sigma.min() < 1 < sigma.max() <= 5
    model = NetworkModel(mlp, theta)
    residual = model.score(x + sigma * noise, sigma) + noise / sigma
    expected = (sigma.squeeze(-1) ** 2 * 0.5 * residual.square().sum(-1)).mean(-1)
    assert_same(mine, expected, theta)
