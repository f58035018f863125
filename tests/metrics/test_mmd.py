"""MMD against a double loop, closed forms and its own symmetries."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from scorebench.bench.metrics import metrics, mmd
from scorebench.bench.metrics.mmd import MMD
from scorebench.datasets import UsageError
from torch import Tensor

from .normal import SAMPLES, Normal


def brute_force(x: Tensor, y: Tensor, bandwidth: float) -> float:
    """Unbiased MMD² by two loops in double precision."""

    def k(a: Tensor, b: Tensor) -> float:
        return math.exp(-float((a - b).square().sum()) / (2 * bandwidth**2))

    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    xy = sum(k(x[i], y[j]) for i in range(n) for j in range(m)) / (n * m)
    return xx + yy - 2 * xy


@pytest.mark.parametrize("dim", [1, 2, 3, 10])
def test_equals_a_double_loop(generator: torch.Generator, dim: int) -> None:
    dataset = Normal(dim, scale=1.5, mean=40.0)
    reference = dataset.sample(33, generator)
    samples = 0.8 * dataset.sample(27, generator) + 8.1
    metric = MMD(dataset, reference)
    wanted = [brute_force(samples, reference, float(ell)) for ell in metric.bandwidths]
    # Widest kernel 1e-7 relative to values up to 1, narrowest 4^5 times that: see kernel_sums.
    torch.testing.assert_close(
        metric.per_bandwidth(samples), torch.tensor(wanted, dtype=torch.float64), atol=2e-6, rtol=0
    )
    assert metric(samples) == pytest.approx(np.mean(wanted), abs=1e-6)


def test_bandwidths_are_halvings_of_the_median_distance() -> None:
    dataset = Normal(2, scale=3.0)
    metric = MMD(dataset, dataset.sample(10, torch.Generator()))
    # The distance of two points of N(0, s² I) in the plane is Rayleigh with scale s √2.
    median = 3.0 * math.sqrt(2) * math.sqrt(2 * math.log(2))
    wanted = [median / 2**k for k in range(6)]
    np.testing.assert_allclose(metric.bandwidths.numpy(), wanted, rtol=0.03)


def test_bandwidths_depend_on_the_dataset_alone(generator: torch.Generator) -> None:
    dataset = Normal(2)
    metric = MMD(dataset, dataset.sample(50, generator))
    before = metric.bandwidths.clone()
    metric(1000 * dataset.sample(50, generator))
    other = MMD(dataset, 1000 * dataset.sample(70, generator))
    assert torch.equal(metric.bandwidths, before)
    assert torch.equal(other.bandwidths, before)


def test_unbiased_between_samples_of_one_distribution(generator: torch.Generator) -> None:
    dataset = Normal(2)
    values = torch.stack([
        MMD(dataset, dataset.sample(40, generator)).per_bandwidth(dataset.sample(60, generator))
        for _ in range(200)
    ])  # fmt: skip
    error = values.std(0) / math.sqrt(len(values))
    assert (values.mean(0).abs() < 4 * error).all()
    # The biased estimate would be off by E(1 - k)(1/n + 1/m), many standard errors.
    assert (4 * error < 0.2 * (1 / 40 + 1 / 60)).all()
    assert (values < 0).any()


@pytest.mark.parametrize("dim", [2, 5])
def test_expectation_for_normal_distributions(generator: torch.Generator, dim: int) -> None:
    truth, model = Normal(dim), Normal(dim, scale=1.3, mean=0.5)
    values = []
    for _ in range(40):
        metric = MMD(truth, truth.sample(150, generator))
        values.append(metric.per_bandwidth(model.sample(130, generator)))
    ell2 = metric.bandwidths.square()

    def expected_kernel(variances: float, shift: float) -> Tensor:
        width = ell2 + variances
        return (ell2 / width) ** (dim / 2) * torch.exp(-(shift**2) * dim / (2 * width))

    wanted = expected_kernel(2, 0) + expected_kernel(2 * 1.3**2, 0)
    wanted -= 2 * expected_kernel(1 + 1.3**2, 0.5)
    measured = torch.stack(values)
    error = measured.std(0) / math.sqrt(len(measured))
    assert ((measured.mean(0) - wanted).abs() < 4 * error).all()
    assert (wanted[:3] > 10 * error[:3]).all()


def test_same_in_both_directions(generator: torch.Generator) -> None:
    dataset = Normal(2)
    x, y = dataset.sample(300, generator), dataset.sample(211, generator)
    assert MMD(dataset, y)(x) == pytest.approx(MMD(dataset, x)(y), abs=2e-7)


def test_order_of_points_does_not_matter(generator: torch.Generator) -> None:
    dataset = Normal(2)
    x, y = dataset.sample(700, generator), dataset.sample(500, generator)
    shuffled = x[torch.randperm(700, generator=generator)]
    assert MMD(dataset, y)(shuffled) == pytest.approx(MMD(dataset, y)(x), abs=1e-7)


@pytest.mark.parametrize(("tile", "columns"), [(1, 1), (64, 7), (1000, 40), (1 << 20, 1 << 20)])
def test_size_of_tiles_does_not_matter(
    generator: torch.Generator,
    monkeypatch: pytest.MonkeyPatch,
    tile: int,
    columns: int,
) -> None:
    dataset = Normal(2)
    x, y = dataset.sample(83, generator), dataset.sample(51, generator)
    wanted = MMD(dataset, y).per_bandwidth(x)
    monkeypatch.setattr(mmd, "_TILE", tile)
    monkeypatch.setattr(mmd, "_COLUMNS", columns)
    torch.testing.assert_close(MMD(dataset, y).per_bandwidth(x), wanted, atol=1e-7, rtol=0)


def test_every_pair_is_counted_once(generator: torch.Generator) -> None:
    # Sizes on both sides of the tiles' edges, with all points equal: every kernel value is 1.
    for n, m in [(2, 2), (64, 2048), (65, 2049), (2500, 3), (363, 363), (4200, 2)]:
        x, y = torch.zeros(2, n), torch.zeros(2, m)
        assert mmd.kernel_sums(x, y, 3).tolist() == [n * m] * 3
        assert mmd.pair_sums(x, 3).tolist() == [n * (n - 1) / 2] * 3


def test_the_same_bits_again(generator: torch.Generator) -> None:
    dataset = Normal(2)
    x, y = dataset.sample(700, generator), dataset.sample(700, generator)
    value = MMD(dataset, y)(x)
    assert MMD(dataset, y.clone())(x.clone()) == value
    threads = torch.get_num_threads()
    try:
        for count, flush in [(1, True), (2, False)]:
            torch.set_num_threads(count)
            torch.set_flush_denormal(flush)
            assert MMD(dataset, y)(x) == value
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e39])
def test_one_point_that_is_not_finite_gives_the_worst_value(bad: float) -> None:
    dataset = Normal(2)
    samples = dataset.sample(9, torch.Generator())
    samples[4, 1] = bad
    for name in SAMPLES:
        metric = metrics.get(name)(dataset, dataset.sample(8, torch.Generator()))
        assert metric(samples) == math.inf


def test_far_points_are_far_from_everything(generator: torch.Generator) -> None:
    dataset = Normal(2)
    reference = dataset.sample(200, generator)
    metric = MMD(dataset, reference)
    far = 1e25 * dataset.sample(200, generator)
    # With no kernel value left but those among the reference, MMD² is their mean.
    apart = 1e4 * torch.arange(1, 201)[:, None].repeat(1, 2)
    assert metric(far) > 0
    torch.testing.assert_close(
        metric.per_bandwidth(far), metric.per_bandwidth(apart), atol=1e-15, rtol=0
    )


def test_wrong_shapes_are_refused() -> None:
    dataset = Normal(2)
    metric = MMD(dataset, dataset.sample(5, torch.Generator()))
    for shape in [(1, 2), (5, 3), (5,)]:
        with pytest.raises(UsageError, match="at least 2 points of dimension 2"):
            metric(torch.zeros(shape))
    with pytest.raises(UsageError, match="the reference"):
        MMD(dataset, torch.zeros(5, 3))


def test_a_dataset_without_spread() -> None:
    with pytest.raises(UsageError, match="median distance between points of Normal is 0"):
        MMD(Normal(2, scale=0.0), torch.zeros(5, 2))


MEMORY = """
import resource, torch
from scorebench.bench.metrics.mmd import kernel_sums, pair_sums
torch.set_num_threads(1)
x = torch.randn(2, 10_000)
kernel_sums(x[:, :3000].contiguous(), x[:, :3000].contiguous(), 7)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kernel_sums(x, x + 0.1, 7), pair_sums(x, 7)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in kilobytes on Linux only")
def test_memory_does_not_grow_with_the_sample() -> None:
    process = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    # One matrix of all distances would be 400 MB.
    assert int(process.stdout) < 20_000
