import math
from typing import ClassVar

import pytest
import torch
from scorebench.datasets.base import Density
from scorebench.datasets.curve import BlurredCurve
from scorebench.datasets.quadrature import grid
from scorebench.datasets.rings import Circles
from scorebench.datasets.tabulate import fast_score
from scorebench.datasets.testing import DatasetConformance


class Circle(BlurredCurve):
    """The plug-in of the documentation: one arm, no box."""

    length: ClassVar[float] = 4 * math.pi

    def __init__(self) -> None:
        super().__init__(noise=0.2)

    def curve(self, u):
        angle = 2 * math.pi * u
        return 2 * torch.stack((angle.cos(), angle.sin()), -1)[None]


CIRCLE = Circle()


class TestCircle(DatasetConformance):
    @pytest.fixture
    def dataset(self) -> Density:
        return CIRCLE


@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_circle_is_the_bessel_formula(sigma):
    circle, exact = CIRCLE, Circles((2.0,), noise=0.2)
    x = 5 * torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    torch.testing.assert_close(
        circle.log_prob(x, sigma), exact.log_prob(x, sigma), rtol=0, atol=1e-9
    )
    torch.testing.assert_close(
        fast_score(circle, sigma)(x), exact.score(x, sigma), rtol=1e-6, atol=1e-6 / 0.2
    )


@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_separable_integrals_are_those_of_the_exact_density(sigma):
    """Entropy and Fisher information, with the box as well, point by point."""
    boxed = Circle()
    boxed.width = 0.5
    for curve in (CIRCLE, boxed):
        whole = grid(curve, sigma)
        assert curve.entropy(sigma) == pytest.approx(whole.entropy, rel=1e-11)
        assert curve.fisher_information(sigma) == pytest.approx(whole.fisher, rel=1e-11)


class Autograd(Circles):
    """Without a gradient of its own, a dataset has autograd's."""

    gradient = Density.gradient


def test_default_score():
    x = torch.rand(9, 2, dtype=torch.float64)
    score = Autograd((1.0,), noise=0.3).score(x, 0.1)
    torch.testing.assert_close(score, Circles((1.0,), noise=0.3).score(x, 0.1))
    assert not score.requires_grad
