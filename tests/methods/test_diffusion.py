"""One regression at all noise levels: what networks predict, weights, levels, shared targets."""

import itertools
import math
from typing import get_args

import pytest
import torch
from scorebench.datasets import get_dataset
from scorebench.methods import methods
from scorebench.methods.network_model import DATA_SCALE, NetworkModel, Preconditioning
from scorebench.methods.networks import MLP, Prediction
from scorebench.methods.objectives.diffusion import clean_means
from scorebench.methods.score_module import ScoreModule

from . import reference
from .test_objectives import assert_same, problem, stream

PREDICTIONS = get_args(Prediction)
BOUNDS = {"sigma_min": 0.05, "sigma_max": 8.0}


def doubles(**options):
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in options.items()}


UNIFORM = doubles(log_level=0.0, log_spread=100.0)
EDM = doubles(log_level=-0.5, log_spread=1.3)


def coefficients(predicts, sigma):
    """c_skip and c_out of Karras et al. 2022, from what the network is said to predict."""
    r = sigma / DATA_SCALE
    if predicts == "noise":  # D = y - σ ε
        return torch.ones_like(r), -sigma
    if predicts == "data":
        return torch.zeros_like(r), torch.full_like(r, DATA_SCALE)
    if predicts == "velocity":  # v = α ε - σ' x, in the plane's units of δ, α = 1/√(1 + r²)
        return 1 / (1 + r**2), -sigma / (1 + r**2).sqrt()
    # With x_t = (1 - t) x/δ + t ε, u = ε - x/δ and t = r/(1 + r): x/δ = x_t - t u.
    return 1 / (1 + r), -sigma / (1 + r)


@pytest.mark.parametrize("predicts", PREDICTIONS)
def test_scales_are_those_of_the_mean_of_the_clean_point(predicts):
    sigma = torch.logspace(-2, 1, 7, dtype=torch.float64).view(-1, 1)
    x, raw = (torch.randn(7, 2, dtype=torch.float64) for _ in range(2))
    scaling = Preconditioning.of(predicts, sigma)
    score = raw * DATA_SCALE / (sigma * scaling.reach) - x / scaling.own.square()
    skip, out = coefficients(predicts, sigma)
    sign = -1 if predicts in ("noise", "velocity", "flow") else 1
    assert torch.allclose(x + sigma**2 * score, skip * x + sign * out * raw, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("predicts", PREDICTIONS)
@pytest.mark.parametrize("kind", ["energy", "score"])
def test_networks_of_all_predictions_are_modules_too_and_energies_have_their_score(predicts, kind):
    mlp = MLP(2, kind, 16, 2, "swish", conditional=True, predicts=predicts)
    theta, x, _ = problem(mlp if kind == "energy" else MLP(2), members=1)
    theta = mlp.init([torch.Generator().manual_seed(1)], torch.float64)
    x = x[:1]
    model = NetworkModel(mlp, theta, 0.05)
    for level in (0.05, 0.7, 6.0):
        score = model.score(x, level)[0]
        module = ScoreModule(model)
        assert torch.allclose(module(x[0], level), score, rtol=1e-10, atol=1e-10)
        if kind == "energy":
            y = x.clone().requires_grad_()
            energy = module.energy(y[0], level)
            assert torch.allclose(energy, model.energy(x, level)[0], rtol=1e-10)
            (slope,) = torch.autograd.grad(energy.sum(), y)
            assert torch.allclose(-slope[0], score, rtol=1e-9, atol=1e-9)


def levels_of(rng, count, level, spread):
    """What the loss draws, by inverting the distribution function."""
    noise = rng.normal(count, 2)
    normal = torch.distributions.Normal(level, spread)
    ends = [normal.cdf(torch.tensor(math.log(b), dtype=torch.float64)) for b in BOUNDS.values()]
    rank = ends[0] + (ends[1] - ends[0]) * rng.uniform(count, 1)
    return noise, normal.icdf(rank).exp()


@pytest.mark.parametrize(
    ("predicts", "weight"), list(itertools.product(PREDICTIONS, ["own", "noise"]))
)
def test_the_loss_is_the_error_of_what_the_network_predicts(predicts, weight):
    """Written for the network's output itself, as papers do; flow matching among them."""
    weight = predicts if weight == "own" else weight
    mlp = MLP(2, "score", 16, 2, "swish", conditional=True, predicts=predicts)
    theta = mlp.init([torch.Generator().manual_seed(k) for k in range(2)], torch.float64)
    theta.requires_grad_()
    x = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mine = methods.get("diffusion")().loss(
        NetworkModel(mlp, theta), x, stream(2), predicts=predicts, weight=weight, share=1,
        **EDM, **doubles(**BOUNDS),
    )  # fmt: skip
    noise, sigma = levels_of(stream(2), 6, EDM["log_level"], EDM["log_spread"])
    assert (sigma > 0.05).all()
    assert (sigma < 8).all()
    y = x + sigma * noise
    inputs = torch.cat([y / (sigma**2 + 4).sqrt(), sigma.log() / 4], -1)
    raw = reference.output(mlp, theta, inputs)
    sign = 1 if predicts == "data" else -1
    clean, t = x / DATA_SCALE, sigma / (sigma + DATA_SCALE)
    wanted = {
        "noise": noise,
        "data": clean,
        "velocity": (noise - sigma / DATA_SCALE * clean) / (1 + (sigma / DATA_SCALE) ** 2).sqrt(),
        "flow": noise - clean,
    }
    own = sign * raw - wanted[predicts]
    # Errors of two predictions differ by the ratio of their scales of the clean point.
    ratio = coefficients(predicts, sigma)[1] / coefficients(weight, sigma)[1]
    assert_same(mine, 0.5 * (own * ratio).square().sum(-1).mean(-1), theta)
    if predicts == weight == "flow":
        x_t = (1 - t) * clean + t * noise
        # The derivative along the path is what flow matching regresses.
        later = (1 - t - 1e-6) * clean + (t + 1e-6) * noise
        assert torch.allclose((later - x_t) / 1e-6, wanted["flow"], atol=1e-8)


@pytest.mark.parametrize(("weight", "power"), [("noise", 2), ("data", 4)])
def test_weights_are_those_of_known_methods(weight, power):
    """`ncsn` weighs denoising score matching by σ², `deen` by σ⁴."""
    mlp = MLP(2, "score", 16, 2, "swish", conditional=True)
    theta, x, _ = problem(mlp, members=2)
    x = x[..., :2]
    mine = methods.get("diffusion")().loss(
        NetworkModel(mlp, theta), x, stream(2), predicts="velocity", weight=weight, share=1,
        **UNIFORM, **doubles(**BOUNDS),
    )  # fmt: skip
    noise, sigma = levels_of(stream(2), 6, UNIFORM["log_level"], UNIFORM["log_spread"])
    residual = NetworkModel(mlp, theta).score(x + sigma * noise, sigma) + noise / sigma
    factor = sigma.squeeze(-1) ** power / DATA_SCALE ** (power - 2)
    assert_same(mine, (factor * 0.5 * residual.square().sum(-1)).mean(-1), theta)


def test_a_wide_normal_of_levels_is_uniform_and_a_logistic_one_nearly_a_flow():
    _, sigma = levels_of(stream(1), 20_000, UNIFORM["log_level"], UNIFORM["log_spread"])
    share = (sigma.log() - math.log(0.05)) / math.log(160)
    assert (share.flatten().sort().values - torch.linspace(0, 1, 20_000)).abs().max() < 0.015
    z = torch.linspace(-6, 6, 1000, dtype=torch.float64)
    normal = torch.distributions.Normal(0, 1.7).cdf(z)
    assert (torch.sigmoid(z) - normal).abs().max() < 0.0101


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_means_of_clean_points_are_weighted_means(dtype):
    rng = torch.Generator().manual_seed(2)
    x = torch.randn(2, 300, 3, generator=rng, dtype=dtype)
    sigma = torch.rand(2, 40, 1, generator=rng, dtype=dtype) + 0.05
    noisy = x[:, :40] + sigma * torch.randn(2, 40, 3, generator=rng, dtype=dtype)
    squares = (noisy.double().unsqueeze(2) - x.double().unsqueeze(1)).square().sum(-1)
    weights = torch.softmax(-squares / (2 * sigma.double().square()), -1)
    expected = weights @ x.double()
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    assert (clean_means(x, noisy, sigma) - expected).abs().max() < tolerance
    assert (clean_means(x.to("meta"), noisy.to("meta"), sigma.to("meta"))).shape == expected.shape


def test_targets_that_points_share_have_the_mean_of_the_others_and_less_noise():
    """Both are unbiased: their mean is the exact score, near which only noise remains."""
    dataset, rng = get_dataset("8gaussians"), torch.Generator().manual_seed(3)
    draws, count, sigma = 4000, 4, torch.full((4000, 1, 1), 0.6, dtype=torch.float64)
    x = dataset.sample(draws * count, rng).view(draws, count, 2)
    noise = torch.randn(draws, 1, 2, generator=rng, dtype=torch.float64)
    noisy = x[:, :1] + sigma * noise
    plain = (x[:, :1] - noisy)[:, 0] / 0.36
    shared = (clean_means(x, noisy, sigma) - noisy)[:, 0] / 0.36
    score = dataset.score(noisy[:, 0], 0.6)
    errors = [target - score for target in (plain, shared)]
    # Against any function of the noisy point; these are directions in which a bias would show.
    for test in (score, noisy[:, 0], torch.ones_like(score)):
        for error in errors:
            products = (error * test).sum(1)
            assert products.mean().abs() < 4 * products.std() / draws**0.5
    assert errors[1].square().mean() < 0.75 * errors[0].square().mean()
