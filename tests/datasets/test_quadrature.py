import math

import numpy as np
import pytest
import torch
from scorebench.datasets import UsageError, get_dataset
from scorebench.datasets.mixture import GaussianMixture
from scorebench.datasets.quadrature import monte_carlo, panels


def test_panels_integrate_polynomials():
    edges = torch.tensor([-1.0, 0.5, 0.7, 2.0], dtype=torch.float64)
    node, weight = panels(edges, 4)
    assert len(node) == len(weight) == 12
    for power in range(8):
        exact = (2 ** (power + 1) - (-1) ** (power + 1)) / (power + 1)
        assert (weight * node**power).sum().item() == pytest.approx(exact, rel=1e-13)


def test_random_points_give_what_a_gaussian_has():
    one = GaussianMixture(torch.ones(1, 3), 0.5)
    for sigma in (0.0, 0.5):
        variance = 0.25 + sigma**2
        entropy, fisher = monte_carlo(one, sigma)
        exact = 1.5 * math.log(2 * math.pi * math.e * variance)
        assert entropy == pytest.approx(exact, abs=5e-3 * (1 + abs(exact)))
        assert fisher == pytest.approx(3 / variance, abs=5e-3 * (1 + 3 / variance))
        assert (one.entropy(sigma), one.fisher_information(sigma)) == (entropy, fisher)


def test_random_points_that_vary_too_much_are_refused(monkeypatch):
    """At sigma = 0 the funnel's squared score has a mean of 91 and a variance of 10^16."""
    monkeypatch.setattr("scorebench.datasets.quadrature._MOST_BLOCKS", 3)
    with pytest.raises(UsageError, match=r"Funnel at sigma = 0 .* after 49152 random"):
        monte_carlo(get_dataset("funnel"), 0.0)


@pytest.mark.parametrize("sigma", [0.001, 0.01, 0.08])
def test_sharp_checkerboard(sigma):
    """Every edge by itself.

    Across an edge p falls from 1/32 to 0 like Φ(t/sigma)/32, so E|s|² is 1/32 of the length of
    all edges, 64, times ∫ φ²/Φ dt / sigma, but for the corners, whose share is of the order of 1.
    """
    t = np.linspace(-12, 12, 200_001)
    cdf = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in t])
    density = np.exp(-(t**2)) / (2 * math.pi)
    integral = np.trapezoid(density / np.maximum(cdf, 1e-300), t)
    fisher = get_dataset("checkerboard").fisher_information(sigma)
    assert fisher == pytest.approx(2 * integral / sigma, abs=2)


def test_fisher_information_of_edges_is_refused():
    with pytest.raises(UsageError, match="Checkerboard has no score at sigma = 0"):
        get_dataset("checkerboard").fisher_information()
    assert get_dataset("checkerboard").entropy() == pytest.approx(math.log(32), rel=1e-12)


def test_wrong_levels_are_refused():
    with pytest.raises(UsageError, match="not a noise level"):
        get_dataset("rings").entropy(-1.0)
    with pytest.raises(UsageError, match="not a noise level"):
        get_dataset("rings").fisher_information(math.nan)
