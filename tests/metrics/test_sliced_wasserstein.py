"""Sliced Wasserstein distances against POT, SciPy, quadrature and closed forms."""

import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from scorebench.bench.metrics import metrics
from scorebench.bench.metrics import sliced_wasserstein as sliced
from scorebench.bench.metrics.base import Metric
from scorebench.bench.metrics.sliced_wasserstein import SW1, SW2, directions, quantile_coupling
from torch import Tensor

from .normal import SAMPLES, Normal

BOTH = pytest.mark.parametrize(("kind", "p"), [(SW1, 1), (SW2, 2)])


@BOTH
@pytest.mark.parametrize("dim", [1, 2, 3, 7])
@pytest.mark.parametrize(("n", "m"), [(400, 400), (300, 470), (2, 31)])
def test_equals_pot(
    generator: torch.Generator, kind: type[Metric], p: int, dim: int, n: int, m: int
) -> None:
    dataset = Normal(dim)
    x, y = 1.5 * dataset.sample(n, generator) + 0.3, dataset.sample(m, generator)
    wanted = ot.sliced_wasserstein_distance(
        x.numpy(), y.numpy(), projections=directions(dim).T.numpy(), p=p
    )
    assert kind(dataset, y)(x) == pytest.approx(float(wanted), abs=1e-6)


def test_order_one_equals_scipy_direction_by_direction(generator: torch.Generator) -> None:
    dataset = Normal(2)
    x, y = dataset.sample(50, generator) + 1, dataset.sample(73, generator)
    angles = np.pi * (np.arange(64) + 0.5) / 64
    distances = [
        wasserstein_distance(*(math.cos(a) * z[:, 0] + math.sin(a) * z[:, 1] for z in (x, y)))
        for a in angles
    ]
    assert SW1(dataset, y)(x) == pytest.approx(np.mean(distances), abs=1e-6)


@pytest.mark.parametrize(("n", "m"), [(7, 7), (4, 6), (5, 8), (1, 9), (12, 3)])
def test_coupling_is_the_integral_over_quantiles(
    generator: torch.Generator, n: int, m: int
) -> None:
    a = torch.randn(n, generator=generator, dtype=torch.float64).sort().values
    b = torch.randn(m, generator=generator, dtype=torch.float64).sort().values
    i, j, weight = quantile_coupling(n, m)
    # Quantile functions are constant between multiples of 1/(n m): midpoints are exact.
    level = (np.arange(n * m) + 0.5) / (n * m)
    gap = a[np.floor(level * n).astype(int)] - b[np.floor(level * m).astype(int)]
    for p in (1, 2):
        integral = float((a[i] - b[j]).abs().pow(p) @ weight)
        assert integral == pytest.approx(float(gap.abs().pow(p).mean()), rel=1e-12)
    assert float(weight.sum()) == pytest.approx(1, rel=1e-12)
    assert len(weight) < n + m


@BOTH
def test_translated_copy(generator: torch.Generator, kind: type[Metric], p: int) -> None:
    dataset = Normal(2)
    x = dataset.sample(100, generator)
    shift = torch.tensor([0.6, -1.1], dtype=torch.float64)
    # Every projection moves by |shift| cos(angle): the mean of |cos| is 2/π, of cos² 1/2.
    mean = 2 / math.pi if p == 1 else math.sqrt(1 / 2)
    exact = float(shift.norm()) * mean
    # Trapezoids on a circle: exact for cos², second order in 1/64 at the corners of |cos|.
    assert kind(dataset, x)(x + shift) == pytest.approx(exact, rel=3e-4 if p == 1 else 1e-6)


@BOTH
def test_translated_copy_in_many_dimensions(
    generator: torch.Generator, kind: type[Metric], p: int
) -> None:
    dataset = Normal(16)
    x = dataset.sample(40, generator)
    shift = torch.randn(16, generator=generator, dtype=torch.float64)
    distance = kind(dataset, x)(x + shift)
    if p == 2:
        # Orthogonal bases make the mean of (direction · shift)² exact.
        assert distance == pytest.approx(float(shift.norm()) / 4, rel=1e-5)
    else:
        mean = math.gamma(8) / (math.sqrt(math.pi) * math.gamma(8.5))
        assert distance == pytest.approx(float(shift.norm()) * mean, rel=0.1)


def test_directions_are_units_and_always_the_same() -> None:
    for dim in (1, 2, 3, 5, 300):
        vectors = directions(dim)
        norms = vectors.norm(dim=1)
        torch.testing.assert_close(norms, torch.ones_like(norms))
        assert torch.equal(vectors, directions(dim))
        assert len(vectors) >= {1: 1, 2: 64}.get(dim, 256)
    angle = torch.atan2(directions(2)[:, 1], directions(2)[:, 0])
    torch.testing.assert_close(angle.diff(), torch.full((63,), math.pi / 64, dtype=torch.float64))
    assert float(angle[0]) == pytest.approx(math.pi / 128)


@BOTH
def test_blocks_of_directions_do_not_matter(
    generator: torch.Generator,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Metric],
    p: int,
) -> None:
    dataset = Normal(2)
    x, y = dataset.sample(90, generator), dataset.sample(60, generator)
    wanted = kind(dataset, y)(x)
    monkeypatch.setattr(sliced, "_BLOCK", 100)
    assert kind(dataset, y)(x) == pytest.approx(wanted, rel=1e-6)


def test_samples_are_left_alone(generator: torch.Generator) -> None:
    for dim in (1, 2):
        dataset = Normal(dim)
        x = dataset.sample(20, generator).float()
        before = x.clone()
        for name in SAMPLES:
            metrics.get(name)(dataset, x)(x)
        assert torch.equal(x, before)


def test_far_but_finite_points(generator: torch.Generator) -> None:
    dataset = Normal(2)
    x = dataset.sample(20, generator)
    shift = torch.tensor([1e30, 0.0], dtype=torch.float64)
    assert SW2(dataset, x)(x + shift) == pytest.approx(1e30 * math.sqrt(1 / 2), rel=1e-6)


numbers = st.floats(-8, 8, allow_subnormal=False)
points = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64)
)


PLANE = Normal(2)


@BOTH
@settings(max_examples=60, deadline=None)
@given(x=points, y=points, shift=st.tuples(numbers, numbers), factor=st.floats(0.1, 10))
def test_moves_and_scales_like_a_distance(
    kind: type[Metric],
    p: int,
    x: Tensor,
    y: Tensor,
    shift: tuple[float, float],
    factor: float,
) -> None:
    distance = kind(PLANE, y)(x)
    by = torch.tensor(shift, dtype=torch.float64)
    assert distance >= 0
    assert kind(PLANE, x)(y) == pytest.approx(distance, abs=1e-6)
    assert kind(PLANE, x)(x) == 0
    assert kind(PLANE, y + by)(x + by) == pytest.approx(distance, abs=5e-6)
    assert kind(PLANE, factor * y)(factor * x) == pytest.approx(factor * distance, abs=5e-5)
    # Order 1 is never more than order 2, and neither than the largest move there can be.
    assert SW1(PLANE, y)(x) <= SW2(PLANE, y)(x) + 1e-6
    assert distance <= float(torch.cdist(x, y).max()) + 1e-6
