"""Annealed sequential Monte Carlo: modes get their mass, unlike with chains from a box."""

import math

import pytest
import torch
from scorebench.datasets import get_dataset
from scorebench.methods import samplers
from scorebench.methods.model import Model
from scorebench.methods.random import MemberRandom
from scorebench.methods.reference.exact import ExactScore
from scorebench.methods.sampling.smc_langevin import SMCLangevin
from scorebench.methods.testing import Normal


def rng(*seeds):
    return MemberRandom([torch.Generator().manual_seed(seed) for seed in seeds])


class Mixture(Model):
    """A mixture of three distant normals of variance 0.04; its members are identical."""

    dim = 2
    weights = torch.tensor([0.5, 0.3, 0.2])
    centres = torch.tensor([[-4.0, 0.0], [3.0, 3.0], [2.0, -4.0]])

    def __init__(self, members=1):
        self.members = members

    def energy(self, x, sigma=0.0):
        self.evaluations += x.shape[1]
        distance = (x[..., None, :] - self.centres).square().sum(-1)
        return -torch.logsumexp(self.weights.log() - distance / 0.08, -1)

    def score(self, x, sigma=0.0):
        with torch.enable_grad():
            y = x.detach().requires_grad_()
            return -torch.autograd.grad(self.energy(y).sum(), y)[0]


def test_modes_between_which_no_chain_crosses_get_their_mass():
    n = 4000
    points = samplers.get("smc_langevin")().sample(Mixture(), n, rng(0)).points[0]
    nearest = torch.cdist(points, Mixture.centres).argmin(1)
    shares = torch.bincount(nearest, minlength=3) / n
    # Shares of weighted points have about three times the variance of independent ones.
    error = (3 * Mixture.weights * (1 - Mixture.weights) / n).sqrt()
    assert ((shares - Mixture.weights).abs() < 4 * error).all()
    spread = (points - Mixture.centres[nearest]).var().item()
    assert spread == pytest.approx(0.04, rel=0.1)
    # Plain chains from the same box, with as many evaluations, give the mass of the basins.
    plain = samplers.get("langevin")(box=8.0).sample(Mixture(), n, rng(0)).points[0]
    basins = torch.bincount(torch.cdist(plain, Mixture.centres).argmin(1), minlength=3) / n
    assert (basins - Mixture.weights).abs().max() > 0.1


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_a_normal_in_any_dimension(dim):
    model = Normal(0.25)
    model.dim = dim
    samples = SMCLangevin(steps=200).sample(model, 4000, rng(1))
    points = samples.points[0].double()
    assert points.var(0).mean().item() == pytest.approx(0.25, rel=0.08)
    assert points.mean(0).abs().max() < 0.05
    assert 0.3 < samples.acceptance.item() < 0.9
    assert samples.lost.item() == 0


@pytest.mark.parametrize("variance", [0.25, 2.0])
def test_the_mass_of_the_density_is_estimated(variance):
    # exp(-|x|²/2v) of Normal has the mass (2πv)^(d/2).
    samples = SMCLangevin(steps=200).sample(Normal(variance), 4000, rng(4))
    assert samples.log_z.item() == pytest.approx(math.log(2 * math.pi * variance), abs=0.1)


def test_rings_get_equal_shares():
    dataset = get_dataset("rings")
    points = SMCLangevin().sample(ExactScore(dataset), 4000, rng(2)).points[0]
    shares = torch.bincount(dataset.assign(points.double()), minlength=4) / 4000
    assert (shares - 0.25).abs().max() < 4 * math.sqrt(3 * 0.1875 / 4000)


@pytest.mark.parametrize("steps", [2, 7, 30, 100])
def test_the_cost_is_bounded_by_the_number_of_steps(steps):
    model = ExactScore(get_dataset("8gaussians"))
    SMCLangevin(steps=steps).sample(model, 50, rng(0))
    # A forward and a backward pass for the start and for each proposal.
    assert model.evaluations <= 50 * 2 * (steps + 1)


def test_a_member_does_not_depend_on_the_others():
    together = SMCLangevin().sample(Mixture(members=3), 300, rng(5, 6, 7)).points
    for k, seed in enumerate((5, 6, 7)):
        alone = SMCLangevin().sample(Mixture(), 300, rng(seed)).points
        assert torch.equal(alone[0], together[k])


def test_points_without_a_finite_energy_are_lost_and_counted():
    class Broken(Mixture):
        def energy(self, x, sigma=0.0):
            return torch.full(x.shape[:-1], torch.nan)

        def score(self, x, sigma=0.0):
            return torch.zeros_like(x)

    samples = SMCLangevin().sample(Broken(), 20, rng(0))
    assert samples.lost.item() == 20
    assert samples.points.isnan().all()


def test_half_of_the_plane_without_an_energy_gets_no_points():
    class Half(Mixture):
        def energy(self, x, sigma=0.0):
            return super().energy(x).where(x[..., 0] > 0, torch.nan)

    points = SMCLangevin().sample(Half(), 500, rng(0)).points[0]
    assert (points[:, 0] > 0).all()


def test_paths_begin_in_the_box_and_end_at_modes():
    paths = SMCLangevin().paths(Mixture(), 8, rng(3))
    assert paths.shape[0] == 1
    assert paths.shape[2:] == (8, 2)
    assert (paths.abs() <= 8).all()
    ends = torch.cdist(paths[0, -1], Mixture.centres).amin(1)
    assert (ends < 1.2).all()
    steps = (paths[0, 1:] - paths[0, :-1]).norm(dim=-1)
    assert steps[-5:].max() < 2


def test_zero_points():
    assert SMCLangevin().sample(Mixture(), 0, rng(0)).points.shape == (1, 0, 2)
