"""Energy distance, mode weights, the classifier test and Stein's discrepancy."""

import math

import pytest
import torch
from scipy import stats
from scorebench.bench.metrics import metrics
from scorebench.bench.metrics.base import Measure
from scorebench.bench.metrics.c2st import C2ST
from scorebench.bench.metrics.energy_distance import EnergyDistance
from scorebench.bench.metrics.ksd import KSD, stein_kernel
from scorebench.bench.metrics.modes import JunkMass, MissedMass, ModeError
from scorebench.datasets import get_dataset
from scorebench.datasets.errors import UsageError
from scorebench.datasets.mixture import GaussianMixture
from scorebench.methods.setting import Setting

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
    assert {n for n in metrics.names() if metrics.get(n).diagnostic} == {
        "ksd", "edge_mass", "copies", "copy_gap",
        "precision_loss", "recall_loss", "density_loss", "coverage_loss",
    }  # fmt: skip


PLACES = [(1e6, 1.0), (-20.0, 1.0), (0.0, 1e-6), (0.0, 1e6), (1e6, 1e-3), (0.0, 1e30)]
LENGTHS = ("sw1", "sw2", "w2", "energy_distance")


@pytest.mark.parametrize(("at", "scale"), PLACES)
def test_metrics_move_and_scale_with_the_data(generator, at, scale):
    known = get_dataset("8gaussians")
    moved = GaussianMixture(scale * known.centres + at, scale * known.noise)
    reference, x = known.sample(90, generator), 1.02 * known.sample(80, generator)
    for name in metrics.names():
        metric = metrics.get(name)
        # Stein's discrepancy has a kernel of a width of its own.
        unfit = metric.unfit(Setting(moved)) is not None or metric.needs != "samples"
        if unfit or (name == "ksd" and scale != 1):
            continue
        wanted = metric(known, reference)(x) * (scale if name in LENGTHS else 1)
        value = metric(moved, scale * reference + at)(scale * x + at)
        assert value == pytest.approx(wanted, rel=1e-4, abs=1e-6 * min(scale, 1)), name


def test_steins_discrepancy_keeps_its_digits_on_wide_data(generator):
    # Beyond its width the kernel is 1/r: three scales more make it 1000³ times smaller.
    values = []
    for scale in (1e4, 1e7):
        dataset = Normal(2, scale)
        x = 1.3 * dataset.sample(200, torch.Generator().manual_seed(0))
        values.append(KSD(dataset, x)(x))
    assert values[0] == pytest.approx(values[1], rel=0.05)
    assert values[0] > 0.01


class Constant(Normal):
    """Normal, but for a last coordinate that is always 0.1."""

    def draw(self, n, generator):
        x = super().draw(n, generator)
        x[:, -1] = 0.1
        return x


class Atoms(Normal):
    """Three points, (0.1, 0.1), (0.2, 0.2) and (0.3, 0.3), equally likely."""

    def draw(self, n, generator):
        return 0.1 * torch.randint(1, 4, (n, 1), generator=generator).double().expand(n, 2)


@pytest.mark.parametrize("dataset", [Constant(3), Constant(9), Constant(2), Atoms(2)])
@pytest.mark.parametrize("name", ["c2st", "sw1", "sw2", "energy_distance", "mmd"])
def test_constant_coordinates_and_duplicates(generator, dataset, name):
    metric = metrics.get(name)(dataset, dataset.sample(300, generator))
    # Samples come in single precision, which has no 0.1.
    truth = metric(dataset.sample(300, generator).float())
    wrong = metric(dataset.sample(300, generator).float() + 0.5)
    # A third of the atoms lies on each place: neighbours beyond k vote by chance.
    assert truth < (0.6 if name == "c2st" else 0.25)
    assert wrong > truth + (0.02 if name == "mmd" else 0.1)


@pytest.mark.parametrize("dim", [8, 16, 40, 200])
@pytest.mark.parametrize("spread", [0.7, 1.4])
def test_classifier_sees_another_spread_in_many_dimensions(generator, dim, spread):
    # The best classifier compares |x|² with a threshold between two gamma distributions.
    dataset, n = Normal(dim), 500
    truth, samples = dataset.sample(n, generator), spread * dataset.sample(n, generator)
    limit = dim * math.log(spread**2) / (1 - spread**-2)
    best = 0.5 + 0.5 * abs(stats.chi2.cdf(limit, dim) - stats.chi2.cdf(limit / spread**2, dim))
    value = C2ST(dataset, truth)(samples)
    assert best - 0.1 < value < best + 0.04


UNBIASED = ("mmd", "mmd_exact", "mmd_z", "energy_distance", "ksd", "mmd_1", "mmd_2", "mmd_4",
            "mmd_8", "mmd_16", "mmd_32")  # fmt: skip


def ring(dim):
    """Eight Gaussians in the first two of ``dim`` dimensions."""
    centres = torch.zeros(8, dim, dtype=torch.float64)
    known = get_dataset("8gaussians").centres
    centres[:, : min(dim, 2)] = known[:, : min(dim, 2)]
    return GaussianMixture(centres, math.sqrt(1 / 8))


@pytest.mark.parametrize(
    ("dim", "n", "calls"),
    [(1, 2, 15), (1, 2000, 2), (2, 2, 15), (2, 3, 15), (2, 200, 12), (2, 2000, 3), (3, 20, 10),
     (16, 2, 15), (16, 200, 8), (40, 2, 15), (40, 20, 10), (40, 500, 3), (100, 2, 15),
     (100, 50, 10), (100, 500, 2)],
)  # fmt: skip
def test_the_truth_lies_within_its_own_floor(generator, dim, n, calls):
    dataset = ring(dim)
    reference = dataset.sample(n, generator)
    others = [dataset.sample(n, generator) for _ in range(calls)]
    for name in metrics.names():
        if metrics.get(name).needs != "samples" or metrics.get(name).unfit(Setting(dataset)):
            continue
        fresh = name in ("mmd", "energy_distance", "c2st")
        shared = metrics.get(name)(dataset, reference)
        values = torch.tensor([
            (metrics.get(name)(dataset, dataset.sample(n, generator)) if fresh else shared)(x)
            for x in others
        ], dtype=torch.float64)  # fmt: skip
        assert values.isfinite().all(), name
        error = float(values.square().mean().sqrt())
        if name == "mmd_z":
            error = 1.0
        elif hasattr(shared, "embeddings"):
            # In many dimensions the sample's own deviation is far smaller than the true one.
            error = sum(e.null_sd(n) for e in shared.embeddings) / len(shared.embeddings)
        if name in UNBIASED:
            # Null distributions are skew.
            assert values.mean().abs() <= 6 * error / math.sqrt(calls), (name, values)
        elif name == "c2st" and n > 3:
            # Half of the points of a fold are the truth: every guess is right half of the time.
            assert (values.mean() - 0.5).abs() < 4 * 0.5 / math.sqrt(2 * n * calls) + 0.25 / n, name
        elif name == "junk_mass":
            assert values.mean() < 1e-3 + 5 * math.sqrt(1e-3 / (n * calls)) + 1e-3, name
        elif name == "mode_error":
            assert values.max() < 2 * math.sqrt(len(dataset.weights) / n), name
