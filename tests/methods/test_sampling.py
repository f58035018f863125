"""Samplers against what is known exactly about Langevin dynamics."""

import pytest
import torch
from scorebench.methods import samplers
from scorebench.methods.model import Model, NetworkModel
from scorebench.methods.networks import MLP
from scorebench.methods.random import MemberRandom


class Gaussian(Model):
    """N(0, (variance + sigma²) I), or with a zero score."""

    dim, members = 2, 1

    def __init__(self, variance, *, flat=False):
        self.variance, self.flat = variance, flat
        self.grad_seen = False

    def score(self, x, sigma=0.0):
        self.grad_seen |= torch.is_grad_enabled() or x.requires_grad
        return torch.zeros_like(x) if self.flat else -x / (self.variance + sigma**2)


class Explodes(Model):
    dim, members = 2, 1

    def score(self, x, sigma=0.0):
        return torch.where(x[..., :1] > 0, x * 1e3, -x)


def rng(seed=0, members=1):
    return MemberRandom([torch.Generator().manual_seed(seed + k) for k in range(members)])


@pytest.mark.parametrize("step_size", [0.02, 0.2])
def test_langevin_has_the_stationary_variance_of_its_discretisation(step_size):
    # x' = (1 - ελ/2) x + √ε z has variance 1 / (λ (1 - ελ/4)).
    lam = 4.0
    sampler = samplers.get("langevin")(step_size=step_size, steps=int(8 / step_size / lam))
    points = sampler.sample(Gaussian(1 / lam), 20_000, rng()).points
    expected = 1 / (lam * (1 - step_size * lam / 4))
    assert points.var().item() == pytest.approx(expected, rel=4 * (2 / 40_000) ** 0.5)


def test_langevin_is_unstable_beyond_four_over_lambda():
    sampler = samplers.get("langevin")(step_size=1.1, steps=2000)
    samples = sampler.sample(Gaussian(0.25), 100, rng())
    assert samples.lost.item() == 100
    stable = samplers.get("langevin")(step_size=0.9, steps=2000)
    assert stable.sample(Gaussian(0.25), 100, rng()).lost.item() == 0


def test_annealed_noise_follows_its_own_step_size():
    # With a zero score the variances of all steps add up: levels 2 and 1 give (4 + 1)·ε·T.
    sampler = samplers.get("annealed_langevin")(
        step_size=0.1, steps=7, levels=2, sigma_max=2.0, sigma_min=1.0, box=1e-6
    )
    points = sampler.sample(Gaussian(1.0, flat=True), 50_000, rng()).points
    assert points.var().item() == pytest.approx(5 * 0.1 * 7, rel=0.02)


def test_annealed_reaches_the_smoothed_target():
    sampler = samplers.get("annealed_langevin")(steps=100)
    points = sampler.sample(Gaussian(0.5), 10_000, rng()).points
    assert points.var().item() == pytest.approx(0.5 + 0.1**2, rel=0.05)


@pytest.mark.parametrize("name", samplers.names())
def test_no_graph_no_side_effects_and_every_size(name):
    model = Gaussian(1.0)
    state = torch.get_rng_state()
    for n in (0, 1, 1000, 1001):
        samples = samplers.get(name)().sample(model, n, rng())
        assert samples.points.shape == (1, n, 2)
        assert not samples.points.requires_grad
        assert samples.lost.tolist() == [0]
        assert samples.step.tolist() == [-1]
    assert not model.grad_seen
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", samplers.names())
def test_chains_do_not_depend_on_how_many_follow(name):
    few = samplers.get(name)().sample(Gaussian(1.0), 2500, rng()).points
    many = samplers.get(name)().sample(Gaussian(1.0), 3000, rng()).points
    assert torch.equal(few[:, :2000], many[:, :2000])


def test_lost_chains_are_counted_and_kept():
    samples = samplers.get("langevin")(step_size=0.01, steps=120).sample(Explodes(), 500, rng())
    lost = int(samples.lost)
    assert 150 < lost < 350
    assert samples.points.shape == (1, 500, 2)
    assert int(torch.isnan(samples.points).any(-1).sum()) == lost
    assert samples.step.item() == 50


@pytest.mark.parametrize("name", samplers.names())
def test_members_sample_the_same_to_the_bit_alone(name):
    mlp = MLP(2, "energy", 32, 2, "swish")
    theta = mlp.init([torch.Generator().manual_seed(k) for k in range(3)])
    sampler = samplers.get(name)()
    together = sampler.sample(NetworkModel(mlp, theta), 1100, rng(members=3)).points
    for k in range(3):
        alone = sampler.sample(NetworkModel(mlp, theta[k : k + 1]), 1100, rng(seed=k)).points
        assert torch.equal(together[k], alone[0])
