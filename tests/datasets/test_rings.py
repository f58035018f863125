import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from scorebench.datasets import get_dataset
from scorebench.datasets.base import Dataset
from scorebench.datasets.mixture import GaussianMixture
from scorebench.datasets.testing import DatasetConformance, fits

RADII = (0.75, 1.5, 2.25, 3.0)
ENTROPY = {0.0: 2.623183, 0.05: 2.787501, 0.1: 3.084649, 0.2: 3.445818, 0.3: 3.551250}
FISHER = {0.0: 155.9040, 0.05: 111.7378, 0.1: 56.46439, 0.2: 8.978278, 0.3: 2.224088}
KL = {0.05: 0.0243696, 0.1: 0.1650869, 0.2: 0.5484214, 0.3: 0.7868087}


def dots(sigma: float = 0.0, count: int = 1200) -> GaussianMixture:
    """The rings as Gaussians on a fine grid of angles, by the trapezoidal rule exact to 1e-15."""
    angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    circle = torch.stack((angle.cos(), angle.sin()), -1)
    centres = torch.cat([radius * circle for radius in RADII])
    return GaussianMixture(centres, noise=math.hypot(0.08, sigma))


class TestRings(DatasetConformance):
    # test_constants finds them again without this density's Bessel functions.
    entropy: ClassVar = ENTROPY
    fisher: ClassVar = FISHER
    kl: ClassVar = KL
    digits = 3e-6

    @pytest.fixture
    def dataset(self) -> Dataset:
        return get_dataset("rings")


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.3, 2.0])
def test_formula_with_gaussians_along_the_circles(sigma):
    rings, reference = get_dataset("rings"), dots(sigma)
    generator = torch.Generator().manual_seed(0)
    x = torch.cat((rings.sample(50, generator), 0.1 * rings.sample(20, generator)))
    x = torch.cat((x, torch.tensor([[0.0, 0.0], [1e-9, 0.0], [0.0, -1e-5], [6.0, 5.0]])))
    torch.testing.assert_close(
        rings.log_prob(x, sigma), reference.log_prob(x), rtol=1e-11, atol=1e-10
    )
    torch.testing.assert_close(rings.score(x, sigma), reference.score(x), rtol=1e-9, atol=1e-9)


def test_score_near_the_origin_is_linear():
    """There log p = const + |x|² (E[R² | x = 0]/(2t⁴) - 1/t²)/2: the Bessel quotient is 0/0."""
    t2 = 0.08**2 + 1.0
    squares = np.square(RADII)
    share = np.exp(-squares / (2 * t2))
    bend = (share * squares).sum() / share.sum() / (2 * t2**2) - 1 / t2
    for size in (0.0, 1e-300, 1e-12, 1e-6):
        x = torch.tensor([[size, -2 * size]], dtype=torch.float64)
        expected = float(bend) * x
        score = get_dataset("rings").score(x, 1.0)
        torch.testing.assert_close(score, expected, rtol=1e-10, atol=0)


def test_recipe():
    """Circles of radius 3(k/4), independent angles, noise 0.08, drawn with numpy."""
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, 2 * np.pi, 100_000)
    radius = 3 * rng.integers(1, 5, 100_000) / 4
    x = radius[:, None] * np.stack((np.cos(angle), np.sin(angle)), 1)
    x += rng.normal(0, 0.08, x.shape)
    assert fits(get_dataset("rings"), torch.from_numpy(x), 0.0) > 1e-5


def test_constants():
    """The published constants, by radial quadrature of the dots: no Bessel function anywhere."""
    step = 0.004
    r = (torch.arange(1000, dtype=torch.float64) + 0.5) * step
    on_axis = torch.stack((r, torch.zeros_like(r)), -1)
    for sigma, known in FISHER.items():
        if sigma > 0.1:
            continue
        reference = dots(sigma)
        log_prob = reference.log_prob(on_axis)
        p = log_prob.exp() * 2 * math.pi * r * step
        assert p.sum().item() == pytest.approx(1, abs=1e-6)
        assert -(p * log_prob).sum().item() == pytest.approx(ENTROPY[sigma], abs=3e-6)
        squared = reference.score(on_axis).square().sum(1)
        assert (p * squared).sum().item() == pytest.approx(known, rel=3e-6)
