"""Precision, recall, density and coverage by loops, as in the formulas of the reference code."""

import pytest
import torch
from scorebench.bench.metrics import metrics
from scorebench.datasets import UsageError, get_dataset
from scorebench.datasets.points import Rows

NAMES = ("precision_loss", "recall_loss", "density_loss", "coverage_loss")


def loops(real, fake, k):
    """The four values, larger is better: each ball and point one by one."""

    def ball(points):
        return [sorted(float((p - q).norm()) for q in points)[k] for p in points]

    def within(point, centres, radius):
        return sum(float((point - c).norm()) < r for c, r in zip(centres, radius, strict=True))

    of_real, of_fake = ball(real), ball(fake)
    counts = [within(point, real, of_real) for point in fake]
    nearest = [min(float((p - q).norm()) for q in fake) for p in real]
    return (
        sum(count > 0 for count in counts) / len(fake),
        sum(within(point, fake, of_fake) > 0 for point in real) / len(real),
        sum(counts) / len(fake) / k,
        sum(near < radius for near, radius in zip(nearest, of_real, strict=True)) / len(real),
    )


@pytest.mark.parametrize(("n", "m", "dim", "k"), [(60, 60, 2, 5), (40, 70, 5, 3), (30, 25, 1, 1)])
def test_all_equal_loops(generator, n, m, dim, k):
    real = torch.randn(m, dim, dtype=torch.float64, generator=generator)
    fake = 0.3 + 1.4 * torch.randn(n, dim, dtype=torch.float64, generator=generator)
    precision, recall, density, coverage = loops(real, fake, k)
    wanted = (1 - precision, 1 - recall, abs(1 - density), 1 - coverage)
    for name, value in zip(NAMES, wanted, strict=True):
        assert metrics.get(name)(Rows(real), real, k=k)(fake) == pytest.approx(value, abs=1e-12)


def test_truth_has_the_expected_coverage_and_density(generator):
    dataset = get_dataset("8gaussians")
    truth, fresh = (dataset.sample(5000, generator) for _ in range(2))
    # A ball of k neighbours misses all of as many new points with probability 2^-k.
    for k in (1, 3, 5):
        missed = metrics.get("coverage_loss")(dataset, truth, k=k)(fresh)
        assert missed == pytest.approx(2**-k, abs=5 * (2**-k / 5000) ** 0.5 + 5e-3)
    assert metrics.get("density_loss")(dataset, truth)(fresh) < 0.03


def test_each_sees_its_half(generator):
    dataset = get_dataset("two_modes")
    truth, fresh = (dataset.sample(1000, generator) for _ in range(2))
    one_mode = fresh[fresh[:, 0] > 0]
    junk = torch.cat([fresh, 4 * torch.rand(500, 2, generator=generator) + torch.tensor([8, -12])])

    def value(name, samples):
        return metrics.get(name)(dataset, truth)(samples)

    for name in ("recall_loss", "coverage_loss"):
        assert value(name, one_mode) > 0.19
        assert value(name, junk) < 0.06
    assert value("precision_loss", junk) == pytest.approx(1 / 3, abs=0.03)
    assert value("precision_loss", one_mode) < 0.06


@pytest.mark.parametrize("k", [0, 1001, 2.0, True, "5"])
def test_impossible_neighbours_are_refused(k, generator):
    dataset = get_dataset("8gaussians")
    with pytest.raises(UsageError, match="must be an integer from 1 to 1000"):
        metrics.get("precision_loss")(dataset, dataset.sample(5, generator), k=k)


def test_more_neighbours_than_points_mean_all(generator):
    dataset = get_dataset("8gaussians")
    truth = dataset.sample(4, generator)
    assert metrics.get("precision_loss")(dataset, truth, k=9)(truth) == 0
