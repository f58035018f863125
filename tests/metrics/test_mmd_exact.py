"""MMD against the truth itself: closed forms, its noise, and its sensitivity."""

import math

import pytest
import torch
from scorebench.bench.metrics import metrics
from scorebench.bench.metrics.embedding import embed, embeddings
from scorebench.bench.metrics.mmd import MMD
from scorebench.bench.metrics.mmd_exact import ExactMMD
from scorebench.bench.metrics.plane import nodes
from scorebench.datasets import UsageError, get_dataset

from .normal import Normal

BANDS = ["mmd_1", "mmd_2", "mmd_4", "mmd_8", "mmd_16", "mmd_32"]


@pytest.mark.parametrize("d", [3, 40, 100])
def test_equals_a_double_loop_with_the_integrals_in_closed_form(generator, d):
    # One Gaussian of variance v: μ(x) = r exp(-|x - m|²/2(ℓ² + v)), r = (ℓ²/(ℓ² + v))^{d/2}.
    dataset = get_dataset("gaussian_ring", dim=d, modes=1, noise=0.5)
    centre, v = dataset.centres[0], 0.25
    x = dataset.sample(40, generator) + 0.3
    metric = ExactMMD(dataset, x)
    wanted = []
    for ell in metric.bandwidths.tolist():
        pairs = [
            math.exp(-float((a - b).square().sum()) / (2 * ell**2))
            for i, a in enumerate(x)
            for j, b in enumerate(x)
            if i != j
        ]
        w = ell**2 + v
        mean = (ell**2 / w) ** (d / 2) * torch.exp(-(x - centre).square().sum(1) / (2 * w)).mean()
        both = (ell**2 / (ell**2 + 2 * v)) ** (d / 2)
        wanted.append(sum(pairs) / (40 * 39) - 2 * float(mean) + both)
    exact = torch.tensor(wanted, dtype=torch.float64)
    # In many dimensions values at narrow bandwidths are tiny, and right to many digits.
    digits = {"atol": 2e-6, "rtol": 0} if d == 3 else {"atol": 0, "rtol": 1e-6}
    torch.testing.assert_close(metric.per_bandwidth(x), exact, **digits)
    assert metric(x) == pytest.approx(sum(wanted) / 6, abs=1e-6)
    for name, value in zip(BANDS, wanted, strict=True):
        assert metrics.get(name)(dataset, x)(x) == pytest.approx(value, abs=2e-6)


@pytest.mark.parametrize("ell", [0.1, 0.5, 4.0])
@pytest.mark.parametrize("dim", [3, 20])
def test_noise_in_more_dimensions_equals_quadrature_in_the_plane(ell, dim):
    # Further coordinates are independent and normal, so each mean is a product.
    weights = [1.0, 2.0, 4.0]
    plane, more = (
        get_dataset("gaussian_ring", dim=d, modes=3, noise=0.5, weights=weights) for d in (2, dim)
    )
    rule, v = nodes(plane, 0.0), 0.25
    s, others = ell**2 + v, (dim - 2) / 2
    square = float((embed(plane, ell).mean(rule.x).square() * rule.mass).sum())
    square *= (ell**2 / s) ** (2 * others) * (s / (s + 2 * v)) ** others
    constant = embed(plane, ell).constant * (ell**2 / (s + v)) ** others
    narrow = ell**2 / 2
    own = embed(plane, ell / math.sqrt(2)).constant * (narrow / (narrow + 2 * v)) ** others
    found = embed(more, ell)
    assert found.constant == pytest.approx(constant, rel=1e-10)
    assert found.spread == pytest.approx(own - 2 * square + constant**2, rel=1e-6)


@pytest.mark.parametrize("ell", [0.1, 0.5, 4.0])
def test_closed_form_and_quadrature_agree(ell):
    dataset = get_dataset("8gaussians")
    rule = nodes(dataset, ell / math.sqrt(2))
    quadrature = 2 * math.pi * ell**2 * float((rule.mass * rule.log_prob.exp()).sum())
    assert embed(dataset, ell).constant == pytest.approx(quadrature, rel=1e-10)


@pytest.mark.parametrize(
    ("name", "ell", "sd"),
    [
        ("8gaussians", 0.1, 6.8e-6), ("8gaussians", 0.2, 1.3e-5), ("8gaussians", 1.0, 3.8e-5),
        ("rings", 0.1, 7.1e-6), ("rings", 0.2, 1.2e-5), ("rings", 1.0, 3.3e-5),
        ("checkerboard", 0.1, 4.3e-6), ("checkerboard", 0.2, 8.3e-6),
        ("2spirals", 0.2, 1.2e-5), ("2spirals", 1.0, 3.4e-5),
    ],
)  # fmt: skip
def test_noise_equals_independent_values(name, ell, sd):
    assert embed(get_dataset(name), ell).null_sd(10_000) == pytest.approx(sd, rel=0.05)


@pytest.mark.parametrize("name", ["8gaussians", "2spirals"])
def test_unbiased_with_the_stated_noise_and_half_that_of_two_samples(name, generator):
    dataset, n, calls = get_dataset(name), 150, 150
    metric = ExactMMD(dataset, dataset.sample(2, generator))
    ours = torch.stack([metric.per_bandwidth(dataset.sample(n, generator)) for _ in range(calls)])
    sd = torch.tensor([e.null_sd(n) for e in embeddings(dataset)])
    assert (ours.mean(0).abs() < 4.5 * sd / calls**0.5).all()
    # Null distributions are skew: the standard deviation of 150 values is right to a quarter.
    assert ((ours.std(0) / sd - 1).abs() < 0.35).all()
    theirs = torch.stack(
        [MMD(dataset, dataset.sample(n, generator)).per_bandwidth(dataset.sample(n, generator))
         for _ in range(calls)]
    )  # fmt: skip
    ratio = theirs.std(0) / ours.std(0)
    assert (ratio > 1.4).all()
    assert (ratio < 2.8).all()
    z = metrics.get("mmd_z")(dataset, dataset.sample(2, generator))
    values = torch.tensor([z(dataset.sample(n, generator)) for _ in range(40)])
    assert values.mean().abs() < 4 * values.std() / 40**0.5
    assert 0.2 < values.std() < 1.1


def test_smoothed_rings_have_the_value_of_theory(generator):
    # E MMD² = (2πℓ²)[Q(ℓ²/2) + Q(ℓ²/2 + σ²) - 2Q(ℓ²/2 + σ²/2)], Q(v) = ∫ p_√v².
    dataset, sigma, n = get_dataset("rings"), 0.1, 4000

    def q(variance):
        rule = nodes(dataset, math.sqrt(variance))
        return float((rule.mass * rule.log_prob.exp()).sum())

    metric = ExactMMD(dataset, dataset.sample(2, generator))
    for i in (4, 5):
        ell = float(metric.bandwidths[i])
        half = ell**2 / 2
        wanted = q(half) + q(half + sigma**2) - 2 * q(half + sigma**2 / 2)
        wanted *= 2 * math.pi * ell**2
        values = []
        for _ in range(5):
            x = dataset.sample(n, generator)
            noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
            values.append(float(metric.per_bandwidth(x + sigma * noise)[i]))
        error = 4 * embeddings(dataset)[i].null_sd(n)
        assert sum(values) / 5 == pytest.approx(wanted, abs=error)
        assert wanted > error


def test_tables_of_curves_are_exact(generator):
    dataset = get_dataset("2spirals")
    x = torch.cat([dataset.sample(200, generator), 8 * torch.rand(100, 2, generator=generator) - 4])
    x = torch.cat([x, torch.tensor([[9.0, 0.0], [0.0, -30.0]])]).double()
    for embedding in embeddings(dataset)[::2]:
        ell = embedding.bandwidth
        exact = 2 * math.pi * ell**2 * dataset.log_prob(x, ell).exp()
        assert (embedding.mean(x) - exact).abs().max() < 2e-6 * exact.max()


def test_only_where_the_integrals_are_known():
    with pytest.raises(UsageError, match="d = 3"):
        embeddings(Normal(3))
