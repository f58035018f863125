"""Control variates, known targets, contrastive divergence, and noise-contrastive estimation."""

import math

import pytest
import torch
from scorebench.datasets import get_dataset
from scorebench.methods import methods
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP
from scorebench.methods.setting import Setting

from . import reference
from .test_further_objectives import loss
from .test_objectives import MLPS, assert_same, problem, stream


@pytest.mark.parametrize("mlp", MLPS, ids=str)
def test_the_control_variate_takes_terms_of_known_mean_off_denoising(mlp):
    theta, x, sigma = problem(mlp)
    mine = loss("dsm_cv", mlp, theta, x, sigma=sigma)
    noise = stream(3).normal_like(x)
    known = 0.5 * (noise.square() / sigma**2).sum(-1)
    known = known + (noise / sigma * reference.score(mlp, theta, x.requires_grad_())).sum(-1)
    expected = loss("dsm", mlp, theta, x, sigma=sigma) - known.mean(-1)
    assert_same(mine, expected + mlp.dim / (2 * sigma.flatten() ** 2), theta)


class Linear:
    """The score -a y."""

    def __init__(self, a):
        self.a = a

    def score(self, y):
        return -self.a * y


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.5])
def test_the_noise_of_both_denoising_losses_on_a_gaussian_in_closed_form(sigma):
    """One term a batch: N(0, I) in the plane and its exact score."""
    n, a = 200_000, 1 / (1 + sigma**2)
    x = torch.randn(n, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    class Rows:
        def normal_like(self, x):
            rng = torch.Generator().manual_seed(1)
            return torch.randn(x.shape, generator=rng, dtype=x.dtype)

    level = torch.full((n, 1, 1), sigma, dtype=torch.float64)
    plain, tamed = (
        methods.get(name)().loss(Linear(a), x, Rows(), sigma=level) for name in ("dsm", "dsm_cv")
    )
    assert float(plain.std()) == pytest.approx(1 / sigma**2 - a, rel=0.02)
    variance = 2 * a**2 * (2.5 - 2 * a * sigma**2)
    assert float(tamed.std()) == pytest.approx(math.sqrt(variance), rel=0.02)
    error = 5 * float((plain - tamed).std()) / math.sqrt(n)
    assert float((plain - tamed).mean()) == pytest.approx(0, abs=error)


@pytest.mark.parametrize(("name", "floor"), [("8gaussians", 0.657), ("rings", 49.7)])
def test_the_floor_of_target_score_matching(name, floor):
    dataset, n = get_dataset(name), 40_000
    generator = torch.Generator().manual_seed(0)
    x = dataset.sample(n, generator)
    noisy = x + 0.1 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    terms = 0.5 * (dataset.score(noisy, 0.1) - dataset.score(x)).square().sum(1)
    least = methods.get("tsm")().least(dataset, {"sigma": 0.1})
    assert least == pytest.approx(float(terms.mean()), abs=4 * float(terms.std()) / math.sqrt(n))
    assert least == pytest.approx(floor, rel=0.002)


@pytest.mark.parametrize("mlp", MLPS, ids=str)
def test_target_score_matching_regresses_the_clean_score(mlp):
    theta, x, sigma = problem(mlp)
    mine = loss("tsm", mlp, theta, x, sigma=sigma, clean_score=lambda x: x.sin())
    y = (x + sigma * stream(3).normal_like(x)).requires_grad_()
    residual = reference.score(mlp, theta, y) - x.sin()
    assert_same(mine, 0.5 * residual.square().sum(-1).mean(-1), theta)


def test_target_score_matching_needs_a_clean_score():
    tsm = methods.get("tsm")
    assert tsm.unfit(Setting(get_dataset("rings"))) is None
    assert "density jumps" in tsm.unfit(Setting(get_dataset("checkerboard")))
    assert tsm.needs_density


class Spread:
    """Instead of normal numbers, points with the same moments up to the third: ±√d along axes."""

    def __init__(self, dim):
        eye = torch.eye(dim, dtype=torch.float64) * math.sqrt(dim)
        self.points = torch.cat([eye, -eye])

    def normal_like(self, x):
        return self.points.repeat(x.shape[1] // len(self.points), 1).expand_as(x)


def test_contrastive_divergence_of_short_steps_descends_implicit_score_matching():
    """Its gradient is ε/2 times that of Hyvärinen's loss, up to O(ε²)."""
    mlp = MLP(2, "energy", 16, 2, "swish")
    theta, x, _ = problem(mlp, points=3)
    (wanted,) = torch.autograd.grad(loss("ism", mlp, theta, x).sum(), theta)
    rows, errors = x.repeat_interleave(4, 1), []
    for step in (4e-3, 2e-3, 1e-3):
        value = methods.get("cd")().loss(
            NetworkModel(mlp, theta), rows, Spread(2), n_steps=1,
            step_size=torch.tensor(step, dtype=torch.float64),
        )  # fmt: skip
        (found,) = torch.autograd.grad(value.sum(), theta)
        errors.append(float((found / (0.5 * step) - wanted).norm() / wanted.norm()))
    assert errors[0] < 0.05
    assert errors[2] == pytest.approx(errors[0] / 4, rel=0.1)


def test_contrastive_divergence_follows_chains_of_langevin():
    theta, x, _ = problem(MLPS[0])
    mine = loss("cd", MLPS[0], theta, x, n_steps=3, step_size=torch.tensor(0.1).double())
    rng, y = stream(3), x
    for _ in range(3):
        drift = 0.05 * reference.score(MLPS[0], theta, y.detach().requires_grad_())
        y = (y + drift + 0.1**0.5 * rng.normal_like(x)).detach()
    ends = [reference.output(MLPS[0], theta, points).mean(-1) for points in (x, y)]
    assert torch.allclose(mine, ends[0] - ends[1], rtol=1e-6, atol=1e-6)


class Bell:
    """E = λ|x|²/2 + c in the plane; at λ = 1 and c = log 2π it is the energy of N(0, I)."""

    has_energy = True

    def __init__(self, lam, constant):
        self.lam, self.constant = lam, constant

    def energies(self, x):
        return self.lam * x.square().sum(-1) / 2 + self.constant


@pytest.mark.parametrize(("name", "option"), [("nce", "spread"), ("cnce", "sigma")])
def test_noise_contrastive_estimation_is_least_at_the_truth(name, option):
    """At the truth the mean gradient is 0, and the curvature is positive: a minimum."""
    n = 40_000
    x = torch.randn(50, n // 50, 2, generator=torch.Generator().manual_seed(5)).double()
    lam = torch.ones(50, 1, dtype=torch.float64, requires_grad=True)
    constant = torch.full((50, 1), math.log(2 * math.pi), dtype=torch.float64, requires_grad=True)
    value = methods.get(name)().loss(
        Bell(lam, constant), x, stream(50, 9), **{option: torch.tensor(1.3, dtype=torch.float64)}
    )
    known = [lam, constant] if name == "nce" else [lam]
    slopes = torch.autograd.grad(value.sum(), known, create_graph=True)
    for parameter, slope in zip(known, slopes, strict=True):
        assert float(slope.detach().mean().abs()) < 4 * float(slope.detach().std()) / math.sqrt(50)
        (bend,) = torch.autograd.grad(slope.sum(), parameter, retain_graph=True)
        assert float(bend.mean()) > 20 * float(slope.detach().std()) / math.sqrt(50)


def test_losses_of_noise_contrastive_estimation_are_those_of_the_papers():
    mlp = MLPS[0]
    theta, x, sigma = problem(mlp)
    noise = stream(3).normal_like(x)
    energy = reference.output(mlp, theta, x)

    def p_data(points):
        normal = torch.distributions.Normal(0.5, sigma)
        log_q = normal.log_prob(points).sum(-1)
        return torch.sigmoid(-reference.output(mlp, theta, points) - log_q)

    y = 0.5 + sigma * noise
    mine = loss("nce", mlp, theta, x, spread=sigma, centre=torch.tensor(0.5, dtype=torch.float64))
    expected = -(p_data(x).log() + (1 - p_data(y)).log()).mean(-1)
    assert_same(mine, expected, theta)

    near = reference.output(mlp, theta, x + sigma * noise)
    expected = 2 * torch.log1p(torch.exp(energy - near)).mean(-1)
    assert_same(loss("cnce", mlp, theta, x, sigma=sigma), expected, theta)


@pytest.mark.parametrize("name", ["cd", "nce", "cnce"])
def test_neighbours_need_an_energy(name):
    setting = Setting(get_dataset("rings"))
    assert methods.get(name).unfit(setting) is None
    assert "fits an energy" in methods.get(name).unfit(setting._replace(energy=False))
