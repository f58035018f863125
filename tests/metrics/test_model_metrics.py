"""Fisher divergences and grid likelihoods against closed forms, and the truth's own values."""

import math

import pytest
import torch
from scorebench.bench.metrics import metrics
from scorebench.bench.metrics.base import Subject
from scorebench.datasets import UsageError, get_dataset
from scorebench.datasets.mixture import GaussianMixture
from scorebench.methods import methods
from scorebench.methods.model import Model
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP
from scorebench.methods.random import MemberRandom
from scorebench.methods.reference.exact import ExactScore
from scorebench.methods.reference.gaussian_fit import Gaussian


def measure(name, dataset, model, target=0.0):
    samples = dataset.sample(5, torch.Generator().manual_seed(0))
    return metrics.get(name)(dataset, samples).measure(Subject(samples, model, target))


def one_gaussian(dim=2, noise=0.5):
    dataset = get_dataset("gaussian_ring", dim=dim, modes=1, noise=noise)
    return dataset, dataset.centres[0]


def model_gaussian(mean, variance):
    return Gaussian(mean, variance * torch.eye(len(mean), dtype=torch.float64))


@pytest.mark.parametrize(("dim", "tolerance"), [(2, 1e-5), (5, 0.03)])
@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_fisher_divergence_of_gaussians(dim, tolerance, shift):
    dataset, centre = one_gaussian(dim)
    v, w = 0.25, 0.4
    model = model_gaussian(centre + shift, w)
    # s_model - s_data = (x - m)(1/v - 1/w) + shift/w, x - m ~ N(0, v).
    wanted = 0.5 * dim * (v * (1 / v - 1 / w) ** 2 + (shift / w) ** 2)
    assert measure("fisher", dataset, model) == pytest.approx(wanted, rel=tolerance)
    sigma = 0.3
    a, b = v + sigma**2, w + sigma**2
    wanted = 0.5 * dim * (a * (1 / a - 1 / b) ** 2 + (shift / b) ** 2)
    value = measure("fisher_target", dataset, model, sigma)
    assert value == pytest.approx(wanted, rel=tolerance)


@pytest.mark.parametrize(("name", "floor"), [("8gaussians", 7.2146), ("checkerboard", 8.8103)])
def test_loss_of_denoising_is_its_floor_plus_the_divergence(name, floor):
    # Vincent 2011 with the constant: d/2σ² - ½E|∇log p_σ|², here at σ = 0.3.
    dataset, sigma, n = get_dataset(name), 0.3, 400_000
    mlp = MLP(2, "energy", 16, 2, "swish")
    model = NetworkModel(mlp, 2 * mlp.init([torch.Generator().manual_seed(4)]))
    x = dataset.sample(n, torch.Generator().manual_seed(1)).float().unsqueeze(0)
    rng = MemberRandom([torch.Generator().manual_seed(2)])
    loss = methods.get("dsm")().loss(model, x, rng, sigma=sigma).item()
    value = measure("fisher_target", dataset, model, sigma)
    # The loss of a point varies by about 1/σ² = 11.
    assert value > 1
    assert loss - floor == pytest.approx(value, abs=4 * 14 / n**0.5)


@pytest.mark.parametrize(("at", "scale"), [(11.0, 1.0), (-5e3, 1.0), (0.0, 10.0), (3.0, 1e-3)])
def test_divergences_move_and_scale_with_the_data(at, scale):
    v, w, shift = 0.25 * scale**2, 0.3 * scale**2, 0.2 * scale
    centre = torch.tensor([[at, at + scale]], dtype=torch.float64)
    dataset = GaussianMixture(centre, math.sqrt(v))
    model = model_gaussian(centre[0] + shift, w)
    forward = 0.5 * (2 * v / w + 2 * shift**2 / w - 2 + 2 * math.log(w / v))
    reverse = 0.5 * (2 * w / v + 2 * shift**2 / v - 2 + 2 * math.log(v / w))
    # The grid cuts tails of the model off; single precision has seven digits of the coordinates.
    error = 5e-4 + 1e-6 * abs(at) / scale
    assert measure("kl", dataset, model) == pytest.approx(forward, abs=error)
    assert measure("kl_reverse", dataset, model) == pytest.approx(reverse, abs=error)
    entropy = math.log(2 * math.pi * math.e * v)
    assert measure("nll", dataset, model) == pytest.approx(entropy + forward, abs=error)
    fisher = v * (1 / v - 1 / w) ** 2 + (shift / w) ** 2
    assert measure("fisher", dataset, model) == pytest.approx(fisher, rel=10 * error)


def test_an_untrained_network_is_not_at_the_floor_far_away():
    centres = get_dataset("8gaussians").centres + 11
    dataset = GaussianMixture(centres, math.sqrt(1 / 8))
    mlp = MLP(2, "energy", 16, 2, "swish")
    model = NetworkModel(mlp, mlp.init([torch.Generator().manual_seed(4)]))
    # Nearly uniform over the square of half side 6.15.
    wanted = math.log(12.3**2) - dataset.entropy()
    assert measure("kl", dataset, model) == pytest.approx(wanted, abs=1.0)


@pytest.mark.parametrize("name", ["kl", "nll", "kl_reverse", "edge_mass", "fisher"])
def test_data_off_the_grid_are_refused(name):
    dataset = GaussianMixture(torch.tensor([[11.0, 11.0]]), 1.0)
    dataset.extent = 3.0
    model = model_gaussian(dataset.centres[0], 1.0)
    with pytest.raises(UsageError, match="of GaussianMixture at sigma = 0 has the mass"):
        measure(name, dataset, model)


def test_a_grid_too_small_for_wide_data_is_refused():
    # Quadrature over noise reaches far beyond a box that is too small; the grid does not.
    dataset = GaussianMixture(torch.zeros(1, 2), 10.0)
    dataset.extent = 4.0
    with pytest.raises(UsageError, match=r"has the mass 0\.2\d+ instead of 1"):
        measure("kl", dataset, model_gaussian(dataset.centres[0], 100.0))


def test_divergences_of_density_models_in_closed_form():
    dataset, centre = one_gaussian()
    v, w, shift = 0.25, 0.4, 0.3
    model = model_gaussian(centre + shift, w)
    forward = 0.5 * (2 * v / w + 2 * shift**2 / w - 2 + 2 * math.log(w / v))
    reverse = 0.5 * (2 * w / v + 2 * shift**2 / v - 2 + 2 * math.log(v / w))
    assert measure("kl", dataset, model) == pytest.approx(forward, abs=1e-5)
    assert measure("kl_reverse", dataset, model) == pytest.approx(reverse, abs=1e-5)
    entropy = math.log(2 * math.pi * math.e * v)
    assert measure("nll", dataset, model) == pytest.approx(entropy + forward, abs=1e-5)
    assert measure("edge_mass", dataset, model) < 1e-6


@pytest.mark.parametrize(
    ("name", "sigma", "wanted"),
    [
        ("8gaussians", 0.1, 0.00285), ("8gaussians", 0.2, 0.03468), ("8gaussians", 0.3, 0.12118),
        ("checkerboard", 0.1, 0.09378), ("checkerboard", 0.2, 0.18412),
    ],
)  # fmt: skip
def test_divergence_of_smoothed_data_equals_independent_values(name, sigma, wanted):
    dataset = get_dataset(name)
    value = measure("kl", dataset, ExactScore(dataset, sigma))
    assert value == pytest.approx(wanted, abs=3e-5)


@pytest.mark.parametrize("name", ["kl", "kl_reverse", "fisher", "fisher_target", "nll"])
def test_the_truth_has_the_value_of_the_truth(name):
    dataset = get_dataset("8gaussians")
    floor = 2.83158 if name == "nll" else 0.0
    assert measure(name, dataset, None) == pytest.approx(floor, abs=1e-5)
    assert measure(name, dataset, ExactScore(dataset)) == pytest.approx(floor, abs=1e-5)

    class Disguised(ExactScore):
        is_truth = False

        def __init__(self):
            super().__init__(dataset)
            self.is_truth = False

    # The value comes from the integral, not from is_truth.
    assert measure(name, dataset, Disguised()) == pytest.approx(floor, abs=1e-5)


class Flat(Model):
    dim, members = 2, 1

    def score(self, x, sigma=0.0):
        return torch.zeros_like(x)

    def energy(self, x, sigma=0.0):
        return torch.zeros(x.shape[:-1])


class OnlyScore(Flat):
    def energy(self, x, sigma=0.0):
        return None


def test_a_flat_energy_is_uniform_and_shows_at_the_edge():
    dataset = get_dataset("8gaussians")
    assert measure("edge_mass", dataset, Flat()) == pytest.approx(1 - (598 / 600) ** 2)
    assert measure("nll", dataset, Flat()) == pytest.approx(math.log(144), abs=1e-6)


def test_a_model_without_energy_or_with_nan_gets_the_worst_value():
    dataset = get_dataset("8gaussians")

    class Broken(Flat):
        def score(self, x, sigma=0.0):
            return x * math.nan

    assert measure("kl", dataset, OnlyScore()) == math.inf
    assert measure("fisher", dataset, Broken()) == math.inf


def test_measuring_a_model_is_no_sampling_cost():
    dataset = get_dataset("8gaussians")
    mlp = MLP(2, "energy", 8, 1, "swish")
    model = NetworkModel(mlp, mlp.init([torch.Generator().manual_seed(0)]))
    for name in ("fisher", "kl"):
        measure(name, dataset, model)
    assert model.evaluations == 0


def test_mass_where_the_data_cannot_be_counts_up_to_a_limit():
    dataset, centre = one_gaussian(noise=0.1)
    far = model_gaussian(centre - torch.tensor([5.6, 0.0]).double(), 0.04)
    # Everything of the model is more than e^-600 away, so log p counts as -600.
    entropy = math.log(2 * math.pi * math.e * 0.04)
    assert measure("kl_reverse", dataset, far) == pytest.approx(600 - entropy, rel=1e-4)
