"""Metrics of tables of a few hundred points, in 4 to 64 dimensions."""

import pytest
import torch
from scorebench.bench.metrics import metrics
from scorebench.datasets.points import Rows

data = pytest.importorskip("sklearn.datasets")

# Values of other points of the table, on average over splits, and how far they may be from it.
EXPECTED = {
    "mmd": (0.0, 0.002),
    "energy_distance": (0.0, 0.03),
    "c2st": (0.5, 0.03),
    "copy_gap": (0.0, 0.02),
}


@pytest.mark.parametrize("name", ["iris", "wine", pytest.param("digits", marks=pytest.mark.slow)])
def test_metrics_of_tables(name):
    x = torch.from_numpy(getattr(data, f"load_{name}")().data).double()
    spread = x.std(0)
    x = (x - x.mean(0)) / spread.where(spread > 0, 1.0)
    n = len(x) // 3
    values = {metric: [] for metric in (*EXPECTED, "sw1", "sw2", "copies")}
    wrong = {metric: [] for metric in values}
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(x), generator=generator)
        training, truth, new = (x[order[i * n : (i + 1) * n]] for i in range(3))
        # Right in each coordinate's mean and variance, and nothing else; and the training points.
        noise = torch.randn(truth.shape, generator=generator, dtype=torch.float64)
        independent = truth.mean(0) + truth.std(0) * noise
        for metric in values:
            measure = metrics.get(metric)(Rows(training), truth)
            bad = training + 1e-6 if metric.startswith("cop") else independent
            values[metric].append(measure(new))
            wrong[metric].append(measure(bad))
    for metric, found in values.items():
        mean = sum(found) / len(found)
        if metric in EXPECTED:
            wanted, slack = EXPECTED[metric]
            assert abs(mean - wanted) < slack, metric
        error = float(torch.tensor(found).std()) / len(found) ** 0.5
        assert sum(wrong[metric]) / len(found) > mean + 2 * error, metric
