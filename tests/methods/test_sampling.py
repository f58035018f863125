"""Samplers against what is known exactly about Langevin dynamics."""

import math
from itertools import pairwise

import pytest
import torch
from scorebench.datasets import get_dataset
from scorebench.methods import samplers
from scorebench.methods.model import Model
from scorebench.methods.random import MemberRandom
from scorebench.methods.reference.exact import ExactScore
from scorebench.methods.sampling.metropolis import look
from scorebench.methods.testing import Normal


class Gaussian(Model):
    """N(0, (variance + sigma²) I), or with a zero score."""

    dim, members = 2, 1

    def __init__(self, variance, *, flat=False):
        self.variance, self.flat = variance, flat

    def score(self, x, sigma=0.0):
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


def test_lost_chains_are_counted_and_kept():
    samples = samplers.get("langevin")(step_size=0.01, steps=120).sample(Explodes(), 500, rng())
    lost = int(samples.lost)
    assert 150 < lost < 350
    assert samples.points.shape == (1, 500, 2)
    assert int(torch.isnan(samples.points).any(-1).sum()) == lost
    assert samples.step.item() == 50


def test_mala_has_no_bias_where_langevin_has():
    # At ε = 2/λ plain Langevin has twice the variance; acceptance corrects all of it.
    lam, n = 4.0, 20_000
    sampler = samplers.get("mala")(step_size=0.5, steps=60, box=1.0)
    samples = sampler.sample(Normal(1 / lam), n, rng())
    assert samples.points.var().item() * lam == pytest.approx(1, abs=4 * (2 / (2 * n)) ** 0.5)
    kurtosis = samples.points.pow(4).mean().item() * lam**2
    assert kurtosis == pytest.approx(3, abs=4 * (96 / (2 * n)) ** 0.5)
    assert 0.3 < samples.acceptance.item() < 0.95


def test_mala_accepts_small_steps_and_refuses_large_ones():
    for step_size, low, high in [(1e-4, 0.99, 1.0), (30.0, 0.0, 0.1)]:
        samples = samplers.get("mala")(step_size=step_size).sample(Normal(0.25), 500, rng())
        assert low <= samples.acceptance.item() <= high
        assert samples.lost.item() == 0


def test_mala_finds_the_weights_of_modes_that_overlap():
    # Two Gaussians of weights 3/4 and 1/4 near enough to cross between.
    class Two(Model):
        dim, members = 2, 1

        def density(self, x):
            centre = torch.tensor([1.2, 0.0])
            parts = [(0.75, centre), (0.25, -centre)]
            return sum(w * torch.exp(-(x - c).square().sum(-1) / 0.5) for w, c in parts)

        def energy(self, x, sigma=0.0):
            return -self.density(x).log()

        def score(self, x, sigma=0.0):
            with torch.enable_grad():
                y = x.detach().requires_grad_()
                return -torch.autograd.grad(self.energy(y).sum(), y)[0]

    points = samplers.get("mala")(step_size=0.3, steps=400, box=2.0).sample(Two(), 4000, rng())
    assert (points.points[..., 0] > 0).float().mean().item() == pytest.approx(0.748, abs=0.03)


def test_grid_draws_from_the_energy_exactly():
    points = samplers.get("grid")().sample(Normal(0.5), 40_000, rng()).points[0].double()
    u = torch.special.ndtr(points.sort(0).values / 0.5**0.5)
    level = (torch.arange(40_000) + 0.5) / 40_000
    # Kolmogorov: the largest gap exceeds 1.95/√n once in a thousand.
    assert (u - level[:, None]).abs().max() < 1.95 / 40_000**0.5
    assert abs(torch.corrcoef(points.T)[0, 1]) < 4 / 40_000**0.5


def test_grid_gives_cells_their_probability():
    class Steps(Model):
        dim, members = 2, 1

        def score(self, x, sigma=0.0):
            return torch.zeros_like(x)

        def energy(self, x, sigma=0.0):
            # Twice as likely at the right, four times as likely above.
            return -((x[..., 0] > 0) * 0.693147 + (x[..., 1] > 0) * 1.386294)

    points = samplers.get("grid")(box=2.0, cells=4).sample(Steps(), 60_000, rng()).points[0]
    right, above = (points[:, 0] > 0).double().mean(), (points[:, 1] > 0).double().mean()
    assert right.item() == pytest.approx(2 / 3, abs=0.008)
    assert above.item() == pytest.approx(4 / 5, abs=0.008)
    inside = points[(points[:, 0] > 0) & (points[:, 1] > 0)]
    # Uniform within and across equally likely cells.
    assert inside.mean(0).tolist() == pytest.approx([1, 1], abs=0.02)
    assert inside.var(0).tolist() == pytest.approx([1 / 3, 1 / 3], abs=0.02)


def variance_after(name, steps):
    """Variance that a sampler gives N(0, 1/8) from σ = 10 to .002, step by step in closed form."""
    v, levels = 1 / 8, samplers.get(name)(steps=steps, sigma_max=10.0).levels(0.002)
    factor, variance = 1.0, 100.0
    before = width = None
    for high, low in pairwise(levels):
        slope = high / (v + high**2)
        mean = (1 - high * slope) * factor
        if name == "dpmpp_2m":
            last, width = width, math.log(high / low)
            blend = mean if last is None else mean + (mean - before) * width / last / 2
            factor, before = low / high * factor + (1 - low / high) * blend, mean
        elif name == "heun":
            ahead = 1 + (low - high) * slope
            factor *= 1 + (low - high) * (slope + low / (v + low**2) * ahead) / 2
        elif name == "euler":
            factor *= 1 + (low - high) * slope
        else:
            added = (high**2 - low**2) * (low / high if name == "ancestral" else 1.0) ** 2
            keep = 1 - (high**2 - low**2) / (v + high**2)
            variance = keep**2 * variance + added
    return variance if name in ("reverse_sde", "ancestral") else 100 * factor**2


# Error of the standard deviation in per cent with 16, 32 and 64 levels (Pierret and Galerne 2025).
ERRORS = {
    "euler": (-12.5, -6.3, -3.2),
    "heun": (3.4, 0.70, 0.12),
    "dpmpp_2m": (3.8, 0.75, 0.12),
    "reverse_sde": (29.6, 13.1, 6.2),
    "ancestral": (-22.4, -12.2, -6.4),
}


@pytest.mark.parametrize("name", ERRORS)
def test_solvers_have_the_error_of_their_order_on_a_normal_distribution(name):
    n = 20_000
    start = 10.0 * rng().normal(n, 2)
    for levels, published in zip((16, 32, 64), ERRORS[name], strict=True):
        sampler = samplers.get(name)(steps=levels - 1, sigma_max=10.0, sigma_min=0.002)
        exact = variance_after(name, levels - 1)
        error = 100 * ((exact / (1 / 8 + 0.002**2)) ** 0.5 - 1)
        assert error == pytest.approx(published, abs=0.06 + 0.015 * abs(published))
        points = sampler.sample(Normal(1 / 8), n, rng()).points
        if name in ("reverse_sde", "ancestral"):
            assert points.var().item() == pytest.approx(exact, rel=4 * (2 / (2 * n)) ** 0.5)
        else:
            # Without noise the whole map is known, not only its variance.
            head = points[:, :1000]
            assert torch.allclose(head, start[:, :1000] * exact**0.5 / 10, rtol=1e-3, atol=1e-5)


def test_corrections_keep_what_is_right_and_reduce_what_is_not():
    # Langevin steps pull the too large variance of the predictor towards that of the level.
    errors = []
    for corrections in (0, 1, 4):
        sampler = samplers.get("pc")(
            steps=31, sigma_max=10.0, sigma_min=0.05, corrections=corrections
        )
        variance = sampler.sample(Normal(1 / 8), 20_000, rng()).points.var().item()
        errors.append(variance / (1 / 8 + 0.05**2) - 1)
    assert errors[0] > errors[1] > errors[2] > -0.03


def test_pf_ode_is_the_solver_that_costs_least():
    assert samplers.get("pf_ode") is samplers.get("dpmpp_2m")


@pytest.mark.parametrize(("h", "overdamped"), [(0.5, 1.067), (1.0, 4 / 3), (1.5, 2.286)])
def test_underdamped_dynamics_keep_the_variance_that_langevin_loses(h, overdamped):
    n = 40_000
    slack = 4 * (2 / (2 * n)) ** 0.5
    baoab = samplers.get("baoab")(step_size=h, steps=int(30 / h), box=1.0)
    assert baoab.sample(Normal(1.0), n, rng()).points.var().item() == pytest.approx(1, abs=slack)
    naive = samplers.get("langevin")(step_size=h**2, steps=200, box=1.0)
    points = naive.sample(Normal(1.0), n, rng()).points
    assert points.var().item() == pytest.approx(overdamped, rel=slack)


def test_underdamped_dynamics_follow_friction():
    # Without friction and force a chain keeps its velocity: N(0, I) times the time.
    free = samplers.get("baoab")(step_size=0.5, steps=20, friction=0.0, box=1e-6)
    points = free.sample(Gaussian(1.0, flat=True), 20_000, rng()).points
    assert points.var().item() == pytest.approx(10.0**2, rel=0.04)
    # With much friction velocities are new at every step: one half step either side of each.
    slow = samplers.get("baoab")(step_size=0.5, steps=20, friction=1e3, box=1e-6)
    points = slow.sample(Gaussian(1.0, flat=True), 20_000, rng()).points
    assert points.var().item() == pytest.approx(0.5**2 * (19 + 2 / 4), rel=0.04)


@pytest.mark.parametrize("h", [0.5, 1.0, 1.5, 1.9])
def test_hmc_has_no_bias_at_any_step_size(h):
    n = 20_000
    sampler = samplers.get("hmc")(step_size=h, steps=25, leapfrogs=4, box=1.0)
    samples = sampler.sample(Normal(1.0), n, rng())
    assert samples.points.var().item() == pytest.approx(1, abs=4 * (2 / (2 * n)) ** 0.5)
    kurtosis = samples.points.pow(4).mean().item()
    assert kurtosis == pytest.approx(3, abs=4 * (96 / (2 * n)) ** 0.5)
    assert 0.2 < samples.acceptance.item() < 0.999


def test_trajectories_with_small_steps_keep_their_energy():
    sampler = samplers.get("hmc")(step_size=0.01, leapfrogs=3, steps=10)
    assert sampler.sample(Normal(0.5), 500, rng()).acceptance.item() > 0.999


@pytest.mark.slow
def test_parallel_tempering_weighs_far_modes():
    # .8 at (5, 5), .2 at (-5, -5); naive chains from a box give the masses of the basins, .5.
    model, n = ExactScore(get_dataset("two_modes")), 500
    sampler = samplers.get("parallel_tempering")(step_size=0.5, steps=1500, box=8.0)
    weight = (sampler.sample(model, n, rng()).points[0].sum(1) > 0).double().mean().item()
    assert weight == pytest.approx(0.8, abs=3.5 * (0.8 * 0.2 / n) ** 0.5)
    assert model.evaluations == sampler.evaluations * n == 6 * 1501 * n


def test_replicas_keep_the_densities_of_their_temperatures():
    sampler = samplers.get("parallel_tempering")(
        step_size=0.8, steps=40, temperatures=3, hottest=16.0, box=1.0
    )
    model, stream = Normal(1.0), rng()
    state = look(model, sampler._spread(torch.zeros(1, 20_000, 2)))
    for _ in range(40):
        state, _ = sampler.move(model, state, stream)
    variances = state.x.unflatten(1, (3, 20_000)).var(dim=(0, 2, 3))
    assert variances.tolist() == pytest.approx([1, 4, 16], rel=0.04)
    assert torch.equal(state.energy, model.energy(state.x))


def test_denoising_is_the_mean_of_the_clean_point():
    # For N(0, v) seen at level σ the clean point's mean is x·v/(v + σ²), whatever the sampler.
    for name, options in [("langevin", {}), ("mala", {}), ("annealed_langevin", {"steps": 3})]:
        noisy = samplers.get(name)(**options).sample(Normal(0.5, level=0.3), 100, rng()).points
        clean = samplers.get(name)(denoise=True, **options)
        points = clean.sample(Normal(0.5, level=0.3), 100, rng()).points
        assert torch.allclose(points, noisy * 0.5 / (0.5 + 0.3**2), atol=1e-6)
    # Models of the data themselves have no noise to take out.
    plain = samplers.get("langevin")(steps=5)
    denoised = samplers.get("langevin")(steps=5, denoise=True)
    model = Gaussian(1.0)
    assert torch.equal(
        plain.sample(model, 50, rng()).points, denoised.sample(model, 50, rng()).points
    )


@pytest.mark.parametrize("name", ["langevin", "mala", "baoab", "hmc", "parallel_tempering"])
def test_chains_from_the_data_start_there(name):
    start = torch.randn(1, 2500, 2, generator=torch.Generator().manual_seed(3))
    sampler = samplers.get(name)(start="data", steps=0)
    assert torch.equal(sampler.sample_from(Normal(1.0), start, rng()).points, start)
    # The law that a chain keeps is the one that it started from.
    moved = samplers.get(name)(start="data", steps=50, step_size=0.05)
    points = moved.sample_from(Normal(1.0), start, rng()).points
    assert not torch.equal(points, start)
    assert points.var().item() == pytest.approx(1, abs=0.08)
    with pytest.raises(ValueError, match="leave it out"):
        samplers.get(name)(start="here")
