"""Each loss against textbook autograd, closed forms, and the identities between methods."""

import math

import optuna
import pytest
import torch
from scorebench.datasets import UsageError, get_dataset
from scorebench.methods import estimator, methods
from scorebench.methods.model import Slices
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP
from scorebench.methods.random import MemberRandom
from scorebench.methods.testing.draws import given

from . import reference

TRAINED = sorted(name for name in methods.builtin if estimator(name) is None)

MLPS = [MLP(2, "energy", 16, 2, "swish"), MLP(3, "score", 8, 2, "softplus")]
SLICED = {"n_slices": 2, "slice_kind": "gaussian"}


def stream(members: int, seed: int = 5) -> MemberRandom:
    generators = [torch.Generator().manual_seed(seed + k) for k in range(members)]
    return MemberRandom(generators, dtype=torch.float64)


def problem(mlp: MLP, members: int = 3, points: int = 6):
    generators = [torch.Generator().manual_seed(k) for k in range(members)]
    theta = mlp.init(generators, torch.float64).requires_grad_()
    x = torch.stack([torch.randn(points, mlp.dim, generator=g).double() for g in generators])
    sigma = torch.linspace(0.1, 0.5, members, dtype=torch.float64).view(-1, 1, 1)
    return theta, x, sigma


def denoising(mlp, theta, x, noise, sigma):
    """Written point by point, straight from the definition."""
    losses = []
    for k in range(len(x)):
        s = float(sigma[k])
        y = (x[k] + s * noise[k]).requires_grad_()
        score = reference.score(mlp, theta[k : k + 1], y.unsqueeze(0))[0]
        terms = [0.5 * (score[i] + noise[k, i] / s) @ (score[i] + noise[k, i] / s)
                 for i in range(len(y))]  # fmt: skip
        losses.append(sum(terms) / len(terms))
    return torch.stack(losses)


def sliced(mlp, theta, x, v, *, reduce_variance):
    x = x.clone().requires_grad_()
    score, second = reference.curvature(mlp, theta, x, v)
    square = (v * score.unsqueeze(1)).sum(-1).square()
    if reduce_variance:
        square = score.square().sum(-1).unsqueeze(1)
    return (second + 0.5 * square).mean((1, 2))


def assert_same(mine, expected, theta):
    assert torch.allclose(mine, expected, rtol=1e-10, atol=1e-10)
    weights = torch.arange(1.0, len(mine) + 1, dtype=mine.dtype)
    (a,) = torch.autograd.grad((mine * weights).sum(), theta)
    (b,) = torch.autograd.grad((expected * weights).sum(), theta)
    assert (a - b).abs().max() <= 1e-10 * (1 + b.abs().max())


@pytest.mark.parametrize("mlp", MLPS, ids=str)
@pytest.mark.parametrize(("name", "power"), [("dsm", 0), ("deen", 4)])
def test_denoising_losses(mlp, name, power):
    theta, x, sigma = problem(mlp)
    mine = methods.get(name)().loss(NetworkModel(mlp, theta), x, stream(3), sigma=sigma)
    noise = stream(3).normal_like(x)
    expected = sigma.flatten() ** power * denoising(mlp, theta, x, noise, sigma)
    assert_same(mine, expected, theta)


@pytest.mark.parametrize("mlp", MLPS, ids=str)
@pytest.mark.parametrize("kind", ["gaussian", "rademacher", "sphere"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ["ssm", "ssm_vr"])
def test_sliced_losses(mlp, name, kind, count):
    theta, x, _ = problem(mlp)
    options = {"n_slices": count, "slice_kind": kind}
    mine = methods.get(name)().loss(NetworkModel(mlp, theta), x, stream(3), **options)
    v = stream(3).slices(kind, count, x)
    expected = sliced(mlp, theta, x, v, reduce_variance=name == "ssm_vr")
    assert_same(mine, expected, theta)


def test_deen_is_sigma_to_the_fourth_times_dsm():
    mlp = MLP(2, "energy", 32, 2, "swish")
    theta, x, sigma = problem(mlp, points=50)
    model = NetworkModel(mlp, theta)
    dsm = methods.get("dsm")().loss(model, x, stream(3), sigma=sigma)
    deen = methods.get("deen")().loss(model, x, stream(3), sigma=sigma)
    assert torch.allclose(deen, sigma.flatten() ** 4 * dsm, rtol=1e-12, atol=0)


class Quadratic:
    """E = λ|x|²/2, whose losses are parabolas in λ with minimisers known in closed form."""

    def __init__(self, lam):
        self.lam = lam

    def score(self, x):
        return -self.lam * x

    def along(self, x, v):
        return Slices((v * self.score(x).unsqueeze(1)).sum(-1), -self.lam * v.square().sum(-1))

    def score_and_curvature(self, x, v):
        return self.score(x), -self.lam * v.square().sum(-1)


@pytest.mark.parametrize("name", ["dsm", "deen", "ssm", "ssm_vr"])
def test_minimiser_on_a_gaussian_family_in_closed_form(name):
    x = torch.randn(1, 400, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    noisy = name in ("dsm", "deen")
    options = {"sigma": 0.4} if noisy else SLICED
    lam = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(
        methods.get(name)().loss(Quadratic(lam), x, stream(1), **options).sum(), lam,
        create_graph=True,
    )  # fmt: skip
    (bend,) = torch.autograd.grad(slope, lam)
    minimiser = (lam - slope / bend).item()

    if noisy:
        noise = stream(1).normal_like(x)
        y = x + 0.4 * noise
        expected = (y * noise).sum() / 0.4 / y.square().sum()
    else:
        v = stream(1).slices("gaussian", 2, x)
        along = (v * x.unsqueeze(1)).sum(-1).square().sum()
        expected = v.square().sum() / (along if name == "ssm" else 2 * x.square().sum())
    assert minimiser == pytest.approx(float(expected), rel=1e-10)


def test_two_orthogonal_slices_in_the_plane_are_the_exact_trace():
    mlp = MLP(2, "energy", 16, 2, "swish")
    theta, x, _ = problem(mlp)
    model = NetworkModel(mlp, theta)
    e = torch.eye(2, dtype=torch.float64).view(1, 2, 1, 2).expand(3, 2, x.shape[1], 2)
    v = stream(3).slices("sphere", 1, x)[:, 0]
    pair = torch.stack([v, torch.stack([-v[..., 1], v[..., 0]], -1)], 1)
    trace = model.along(x, e.contiguous()).second.sum(1)
    first, second = model.along(x, pair)
    assert torch.allclose(second.mean(1), trace, atol=1e-12)
    score = model.score(x)
    assert torch.allclose(first.square().mean(1), score.square().sum(-1), atol=1e-12)


@pytest.mark.parametrize("kind", ["gaussian", "rademacher", "sphere"])
def test_slices_have_unit_covariance(kind):
    x = torch.zeros(1, 20_000, 3, dtype=torch.float64)
    v = stream(1).slices(kind, 2, x).reshape(-1, 3)
    covariance = v.T @ v / len(v)
    assert (covariance - torch.eye(3)).abs().max() < 5 * 3 / len(v) ** 0.5
    lengths = v.square().sum(-1)
    if kind != "gaussian":
        assert torch.allclose(lengths, torch.full_like(lengths, 3.0))


@pytest.mark.parametrize("name", TRAINED)
def test_spaces_suggest_what_losses_take(name):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    method = methods.get(name)()
    mlp = MLP(2, "energy", 8, 1, "swish")
    theta, x, _ = problem(mlp)
    for _ in range(5):
        trial = study.ask()
        options = method.space(trial)
        assert set(options) == set(trial.params)
        assert set(options).isdisjoint({"learning_rate"})
        if name in ("dsm", "deen"):
            assert not any("slice" in option for option in options)
        loss = method.loss(NetworkModel(mlp, theta), x, stream(3), **options, **given(method))
        assert loss.shape == (3,)
        assert torch.isfinite(loss).all()


@pytest.mark.parametrize("name", ["8gaussians", "rings"])
def test_the_least_loss_is_the_loss_of_the_exact_score(name):
    dataset, sigma, n = get_dataset(name), 0.3, 40_000
    generator = torch.Generator().manual_seed(0)
    x = dataset.sample(n, generator)
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    score = dataset.score(x + sigma * noise, sigma)
    dsm = 0.5 * (score + noise / sigma).square().sum(1)
    error, expected = float(dsm.std()) / math.sqrt(n), float(dsm.mean())

    def least(method, **options):
        return methods.get(method)().least(dataset, options)

    assert least("dsm", sigma=sigma) == pytest.approx(expected, abs=4 * error)
    assert least("deen", sigma=sigma) == pytest.approx(
        sigma**4 * expected, abs=4 * sigma**4 * error
    )
    for implicit in ("ism", "ssm", "ssm_vr"):
        fisher = float(score.square().sum(1).mean())
        assert least(implicit, data_noise=sigma) == pytest.approx(-0.5 * fisher, rel=0.05)
    entropy = -float(dataset.log_prob(dataset.sample(n, generator)).mean())
    assert least("mle_grid") == pytest.approx(entropy, abs=0.02)


def test_where_the_least_loss_is_not_known_it_is_nan():
    for method in ("fd_ssm", "fd_dsm", "ncsn"):
        assert math.isnan(methods.get(method)().least(get_dataset("rings"), {}))
    with pytest.raises(UsageError, match="has no score"):
        methods.get("ssm")().least(get_dataset("checkerboard"), {})
