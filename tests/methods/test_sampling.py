"""Samplers against what is known exactly about Langevin dynamics."""

import pytest
import torch
from scorebench.methods import samplers
from scorebench.methods.model import Model
from scorebench.methods.random import MemberRandom
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


def test_probability_flow_scales_normal_points_exactly():
    # For N(0, v) the flow is x(σ) = x(σ_max) √((v + σ²)/(v + σ_max²)): linear, in closed form.
    sampler = samplers.get("pf_ode")(steps=200, sigma_max=5.0, sigma_min=0.1)
    start = 5.0 * rng().normal(500, 2)
    points = sampler.sample(Normal(0.3), 500, rng()).points
    expected = start * ((0.3 + 0.1**2) / (0.3 + 5.0**2)) ** 0.5
    assert torch.allclose(points, expected, rtol=2e-3, atol=1e-6)


def test_probability_flow_is_of_second_order():
    exact = ((0.3 + 0.1**2) / (0.3 + 25.0)) ** 0.5 * 5.0 * rng().normal(50, 2).double()
    errors = []
    for steps in (10, 20, 40):
        sampler = samplers.get("pf_ode")(steps=steps, sigma_max=5.0, sigma_min=0.1)
        points = sampler.sample(Normal(0.3), 50, rng()).points
        errors.append((points - exact).abs().max().item())
    assert errors[0] / errors[1] > 3
    assert errors[1] / errors[2] > 3


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


@pytest.mark.parametrize("name", ["langevin", "mala"])
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
