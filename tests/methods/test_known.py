"""Reference models against brute force."""

import math

import pytest
import torch
from scorebench.datasets import UsageError, get_dataset
from scorebench.methods import references
from scorebench.methods.estimators.kde import KernelDensity
from scorebench.methods.reference.gaussian_fit import Gaussian

from ..metrics.normal import Normal


def model(name, dataset, data=None, **options):
    return references.get(name)(**options).model(dataset, None, lambda: data)


def by_autograd(energy, x):
    y = x.clone().requires_grad_()
    return -torch.autograd.grad(energy(y).sum(), y)[0]


def test_kernel_density_equals_a_sum_over_points():
    data = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).double()
    x = torch.randn(1, 700, 2, generator=torch.Generator().manual_seed(1)).double()
    known = KernelDensity(data, 0.3)

    def energy(y, sigma=0.3):
        return (
            -torch.stack([torch.exp(-(y - c).square().sum(-1) / (2 * sigma**2)) for c in data])
            .sum(0)
            .log()
        )

    assert torch.allclose(known.energy(x), energy(x), rtol=1e-10)
    assert torch.allclose(known.score(x), by_autograd(energy, x), rtol=1e-8, atol=1e-8)
    wide = by_autograd(lambda y: energy(y, 1.0), x)
    assert torch.allclose(known.score(x, 1.0), wide, rtol=1e-8, atol=1e-8)
    assert torch.equal(known.score(x, 0.1), known.score(x))
    assert known.noise(0.1) == known.level == 0.3


def test_kernel_density_is_the_minimiser_of_denoising():
    # Over all functions the mean of -ε/σ given the noisy point is least; it is the kernels' score.
    data = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    y = torch.tensor([[[0.3, 0.2]]])
    weight = [math.exp(-float((y[0, 0] - c).square().sum()) / (2 * 0.25)) for c in data]
    mean = sum(w * (c - y[0, 0]) / 0.25 for w, c in zip(weight, data, strict=True)) / sum(weight)
    assert torch.allclose(KernelDensity(data, 0.5).score(y)[0, 0], mean)


def test_kernel_density_takes_the_first_points_of_the_training_set():
    dataset = get_dataset("rings")
    data = dataset.sample(30, torch.Generator().manual_seed(0)).float()
    known = model("kde", dataset, data, points=10, sigma=0.2)
    assert torch.equal(known.centres, data[:10])
    assert references.get("kde")(sigma=0.2).target(dataset) == 0.2


def test_gaussian_fit_has_the_moments_of_the_training_set():
    dataset = get_dataset("gaussian_ring", dim=3)
    data = dataset.sample(5000, torch.Generator().manual_seed(0)).float()
    known = model("gaussian_fit", dataset, data)
    x = torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(1)).double()
    law = torch.distributions.MultivariateNormal(data.double().mean(0), data.double().T.cov())
    gap = known.energy(x) + law.log_prob(x)
    assert (gap - gap[0, 0]).abs().max() < 1e-9
    assert torch.allclose(known.score(x), by_autograd(known.energy, x), atol=1e-10)


def test_gaussians_widen_with_the_level():
    known = Gaussian(torch.zeros(2).double(), torch.eye(2).double())
    x = torch.ones(1, 1, 2)
    assert torch.allclose(known.score(x, 2.0), -x / 5)


def test_exact_scores_know_their_level():
    board, ring = get_dataset("checkerboard"), get_dataset("rings")
    x = torch.randn(1, 50, 2, generator=torch.Generator().manual_seed(1))
    smooth = model("exact_smoothed", ring, sigma=0.2)
    assert torch.allclose(smooth.score(x)[0].double(), ring.score(x[0], 0.2), rtol=1e-5, atol=1e-5)
    assert torch.equal(smooth.score(x, 0.1), smooth.score(x))
    assert torch.allclose(smooth.energy(x)[0].double(), -ring.log_prob(x[0], 0.2), rtol=1e-5)
    assert not smooth.is_truth
    assert model("exact", ring).is_truth
    assert not model("exact", board).is_truth
    assert model("exact", board).level == board.reference_sigma
    assert references.get("exact_smoothed")(sigma=0.3).target(board) == 0.3


@pytest.mark.parametrize("options", [{"sigma": 0.0}, {"sigma": -1.0}, {"sigma": math.nan}])
@pytest.mark.parametrize("name", ["kde", "exact_smoothed"])
def test_impossible_options(name, options):
    with pytest.raises(UsageError, match="above 0"):
        references.get(name)(**options)


@pytest.mark.parametrize("name", ["constant", "few", "single", "equal", "line", "twins"])
def test_gaussian_fit_of_singular_data(name):
    normal = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    data = {
        "constant": torch.cat([2 * normal[:, :2], torch.full((500, 1), 0.1)], 1),
        "few": normal.repeat(1, 20)[:5] + torch.arange(60) / 60,
        "single": normal[:1],
        "equal": normal[:1].expand(9, 3),
        "line": normal[:1, :1],
        "twins": normal[:, :1].expand(500, 3),
    }[name]
    dim = data.shape[1]
    known = references.get("gaussian_fit")().model(Normal(dim), None, lambda: data)
    x = data[None, :1].double() + torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None] / 9
    assert known.score(x).isfinite().all()
    assert torch.allclose(known.score(x), by_autograd(known.energy, x), rtol=1e-6)
    if name == "constant":
        # The other coordinates are those of the fit without the constant one.
        plain = references.get("gaussian_fit")().model(Normal(2), None, lambda: data[:, :2])
        assert torch.allclose(known.score(x)[..., :2], plain.score(x[..., :2]), rtol=1e-6)
        assert (known.score(x)[..., 2] * (x[..., 2] - 0.1) <= 0).all()


def test_gaussian_fit_that_can_be_inverted_keeps_its_bits():
    data = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1e3, 0.1]
    )
    known = model("gaussian_fit", get_dataset("rings"), data)
    assert torch.equal(known.covariance, data.double().T.cov())
