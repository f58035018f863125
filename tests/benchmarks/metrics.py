"""Metrics at 10⁴ points: ours against straightforward torch, and against POT."""

from collections.abc import Iterator

import numpy as np
import ot
import torch
from scorebench.bench.metrics import metrics
from scorebench.bench.metrics.sliced_wasserstein import directions
from scorebench.bench.process import one_thread
from scorebench.datasets import get_dataset

from . import plain
from .timing import Row, alternate

POINTS = 10_000


def rows() -> Iterator[Row]:
    dataset = get_dataset("8gaussians")
    x, y = (dataset.sample(POINTS, torch.Generator().manual_seed(k)) for k in (1, 2))
    with one_thread():
        metric = metrics.get("mmd")(dataset, y)
        metric(x)
        widths = [float(width) for width in metric.bandwidths]
        single = x.float(), y.float()
        side = alternate(lambda: metric(x), lambda: plain.mmd(*single, widths), rounds=2)
        yield Row(
            f"MMD, 10⁴ against 10⁴, {len(widths)} bandwidths",
            f"{side.ours:.2f} s",
            "≥ 10 × straightforward torch",
            f"{side.ratio:.0f} ×",
        )
        exact = metrics.get("mmd_exact")(dataset, y)
        side = alternate(lambda: exact(x), lambda two=metric: two(x), rounds=3)
        yield Row(
            "exact-reference MMD, 10⁴ points",
            f"{side.ours:.2f} s",
            "≥ 2 × the two-sample MMD above",
            f"{side.ratio:.1f} ×",
        )
        for order in (1, 2):
            metric = metrics.get(f"sw{order}")(dataset, y)
            arrays = x.numpy(), y.numpy()
            projections = directions(2).double().numpy().T

            def pot(p: int = order, arrays=arrays, projections=projections) -> float:
                return ot.sliced_wasserstein_distance(*arrays, projections=projections, p=p)

            side = alternate(lambda metric=metric: metric(x), pot, rounds=5)
            gap = abs(metric(x) - float(np.asarray(pot())))
            yield Row(
                f"SW{order}, 10⁴ points, 64 angles",
                f"{side.ours * 1e3:.1f} ms",
                "≥ 8 × POT, equal to 1e-6",
                f"{side.ratio:.0f} ×, differs by {gap:.0e}",
            )
