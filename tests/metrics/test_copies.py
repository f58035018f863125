"""Copies of the training set: where they begin, what the truth itself has, and the gap."""

import math

import pytest
import torch
from scorebench.bench.metrics.copies import Copies, CopyGap
from scorebench.datasets import get_density
from scorebench.datasets.points import Rows
from scorebench.methods.setting import Setting, why_unfit


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def kernels(centres, sigma, n, generator):
    """Points of the kernel density of centres (m, d)."""
    chosen = torch.randint(len(centres), (n,), generator=generator)
    noise = torch.randn(n, centres.shape[1], generator=generator, dtype=torch.float64)
    return centres[chosen] + sigma * noise


@pytest.mark.parametrize("name", ["8gaussians", "moons", "two_modes"])
@pytest.mark.parametrize("n", [100, 1000, pytest.param(3000, marks=pytest.mark.slow)])
def test_half_of_the_points_of_kernels_are_copies_at_a_known_width(name, n):
    # Biroli et al. 2024 for the width where memorisation begins, σ_c = √(e^H / (2πen)).
    dataset = get_density(name)
    critical = math.sqrt(math.exp(dataset.entropy()) / (2 * math.pi * math.e * n))

    def copied(width):
        shares = []
        for seed in range(1 + 1000 // n):
            centres = dataset.sample(n, seeded(seed))
            points = kernels(centres, width * critical, 4000, seeded(seed + 100))
            shares.append(Copies(Rows(centres), centres)(points))
        return sum(shares) / len(shares)

    assert copied(0.50) > 0.5 > copied(0.60)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_new_points_have_the_share_of_the_dimension(dim):
    draw = lambda n, seed: torch.rand(n, dim, generator=seeded(seed), dtype=torch.float64)  # noqa: E731
    share = Copies(Rows(draw(3000, 1)), draw(100, 2))(draw(20_000, 3))
    assert share == pytest.approx(3.0**-dim, abs=0.02)


def test_copies_are_all_copies_even_of_points_that_repeat():
    x = torch.randn(50, 3, generator=seeded(0), dtype=torch.float64)
    twice = torch.cat([x, x])
    assert Copies(Rows(twice), x)(x) == 1.0
    assert CopyGap(Rows(twice), x + 1)(x) == 1.0


def test_the_gap_is_about_zero_for_new_points_and_negative_for_the_truth():
    draws = [torch.randn(500, 4, generator=seeded(i), dtype=torch.float64) for i in range(3)]
    training, truth, new = draws
    assert abs(CopyGap(Rows(training), truth)(new)) < 0.05
    assert CopyGap(Rows(training), truth)(truth) == -1
    part = torch.cat([training[:250], new[:250]])
    # Half of the mean distance is lost: (1 - 1/2)/(1 + 1/2).
    assert CopyGap(Rows(training), truth)(part) == pytest.approx(1 / 3, abs=0.04)


def test_distributions_have_no_training_set():
    for metric in (Copies, CopyGap):
        assert "finite training set" in why_unfit(metric, Setting(get_density("rings")))
        assert why_unfit(metric, Setting(Rows(torch.zeros(5, 2)))) is None
