"""Energy distance, mode weights, the classifier test and Stein's discrepancy."""

import math

import pytest
import torch
from scorebench.bench.metrics import metrics
from scorebench.bench.metrics.base import Measure
from scorebench.bench.metrics.c2st import C2ST
from scorebench.bench.metrics.energy_distance import EnergyDistance
from scorebench.bench.metrics.ksd import KSD, stein_kernel
from scorebench.bench.metrics.modes import JunkMass, MissedMass, ModeError
from scorebench.datasets import get_dataset
from scorebench.datasets.errors import UsageError

from .normal import Normal


@pytest.mark.parametrize(("n", "m", "dim"), [(30, 20, 2), (300, 270, 1)])
def test_energy_distance_equals_loops(generator, n, m, dim):
    dataset = Normal(dim)
    x, y = 1.5 * dataset.sample(n, generator), dataset.sample(m, generator)

    def mean(a, b, pairs):
        return sum(float((p - q).norm()) for p in a for q in b) / pairs

    wanted = 2 * mean(x, y, n * m) - mean(x, x, n * (n - 1)) - mean(y, y, m * (m - 1))
    assert EnergyDistance(dataset, y)(x) == pytest.approx(wanted, abs=1e-10)


def test_energy_distance_is_zero_on_average_at_the_truth(generator):
    dataset = Normal(2)
    values = torch.tensor([
        EnergyDistance(dataset, dataset.sample(50, generator))(dataset.sample(70, generator))
        for _ in range(200)
    ])  # fmt: skip
    assert values.mean().abs() < 4 * values.std() / 200**0.5
    assert (values < 0).any()


def test_modes_are_counted(generator):
    dataset = get_dataset("two_modes")
    right, left = torch.full((70, 2), 5.0), torch.full((30, 2), -5.0)
    x = torch.cat([right, left])
    assert ModeError(dataset, x)(x) == pytest.approx(0.1)
    assert MissedMass(dataset, x)(x) == 0
    # Less than a quarter of 20 of 100 points: the mode counts as missed with its true mass.
    few = torch.cat([torch.full((96, 2), 5.0), torch.full((4, 2), -5.0)])
    assert MissedMass(dataset, x)(few) == pytest.approx(0.2)
    assert ModeError(dataset, x)(few) == pytest.approx(0.16)
    assert MissedMass(dataset, x)(left) == pytest.approx(0.8)


def test_junk_is_mass_outside_the_truth(generator):
    dataset = get_dataset("rings")
    truth = dataset.sample(20_000, generator)
    metric = JunkMass(dataset, truth)
    assert metric(truth) == pytest.approx(1e-3, abs=6e-4)
    between = torch.tensor([[1.875, 0.0], [0.0, 0.0], [7.0, 7.0]])
    mixed = torch.cat([truth[:997], between.double()])
    assert metric(mixed) == pytest.approx(metric(truth[:997]) * 0.997 + 0.003, abs=1e-9)


def test_classifier_cannot_distinguish_the_truth_from_itself(generator):
    dataset = get_dataset("8gaussians")
    values = [
        C2ST(dataset, dataset.sample(500, generator))(dataset.sample(500, generator))
        for _ in range(20)
    ]
    # Folds share their neighbours: a little more than the binomial .5/√1000.
    assert sum(values) / 20 == pytest.approx(0.5, abs=4 * 0.02 / 20**0.5)
    assert all(0.4 < value < 0.6 for value in values)


def test_classifier_reaches_the_bayes_rate_of_two_normals(generator):
    dataset = Normal(2)
    x, y = dataset.sample(4000, generator), dataset.sample(4000, generator)
    # Means apart by 2 in one direction: the best accuracy is Φ(1).
    best = 0.5 * (1 + math.erf(1 / 2**0.5))
    shifted = x + torch.tensor([2.0, 0.0])
    assert C2ST(dataset, y)(shifted) == pytest.approx(best, abs=0.02)
    assert C2ST(dataset, y)(x + 50) == 1.0
    # Sizes may differ; the accuracy of guessing stays a half.
    assert C2ST(dataset, y)(x[:700]) == pytest.approx(0.5, abs=0.06)


def test_stein_kernel_equals_its_definition_by_autograd(generator):
    dataset = get_dataset("8gaussians")
    x, y = dataset.sample(4, generator), dataset.sample(3, generator)
    wanted = torch.zeros(4, 3, dtype=torch.float64)
    for i in range(4):
        for j in range(3):
            a, b = x[i].clone().requires_grad_(), y[j].clone().requires_grad_()
            k = (1 + (a - b).square().sum()) ** -0.5
            ga, gb = torch.autograd.grad(k, (a, b), create_graph=True)
            trace = sum(torch.autograd.grad(ga[c], b, retain_graph=True)[0][c] for c in range(2))
            sa, sb = dataset.score(x[i : i + 1])[0], dataset.score(y[j : j + 1])[0]
            wanted[i, j] = (k * (sa @ sb) + sa @ gb + sb @ ga + trace).detach()
    kernel = stein_kernel(x, dataset.score(x), y, dataset.score(y))
    torch.testing.assert_close(kernel, wanted, rtol=1e-10, atol=1e-10)


def test_stein_discrepancy_is_blind_to_weights_and_not_to_shape(generator):
    dataset = get_dataset("two_modes")
    n = 800
    x = dataset.sample(4 * n, generator)
    right, left = x[x[:, 0] > 0], x[x[:, 0] < 0]
    metric = KSD(dataset, x)
    assert metric.diagnostic
    for share in (0.8, 0.5, 1.0):
        count = round(share * n)
        mixed = torch.cat([right[:count], left[: n - count]])
        assert abs(metric(mixed)) < 0.006
    assert metric(x[:n] * 1.2) > 0.03


def test_a_metric_with_larger_is_better_is_refused_with_the_fix():
    with pytest.raises(UsageError, match=r"metrics are losses.* return the negative value"):

        class Accuracy(Measure):
            direction = "max"

    class Loss(Measure):
        direction = "min"


def test_every_metric_has_a_cost_and_a_summary():
    for name in metrics.names():
        metric = metrics.get(name)
        assert metric.cost
        assert metrics.summary(name).endswith(".")
    assert {n for n in metrics.names() if metrics.get(n).diagnostic} == {"ksd", "edge_mass"}
