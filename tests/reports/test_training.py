"""Least losses against Monte Carlo with the exact score, and curves as figures."""

import math

import numpy as np
import pytest
import torch
from scorebench.datasets import get_dataset
from scorebench.reports.evidence import gather
from scorebench.reports.style import encode
from scorebench.reports.training import excess, least_loss, training_curves

from .conftest import study


@pytest.mark.parametrize("name", ["8gaussians", "rings"])
def test_least_loss_is_the_loss_of_the_exact_score(name: str):
    dataset, sigma, n = get_dataset(name), 0.3, 40_000
    generator = torch.Generator().manual_seed(0)
    x = dataset.sample(n, generator)
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    score = dataset.score(x + sigma * noise, sigma)
    dsm = 0.5 * (score + noise / sigma).square().sum(1)
    error = float(dsm.std()) / math.sqrt(n)
    expected = float(dsm.mean())
    assert least_loss("dsm", dataset, {"sigma": sigma}) == pytest.approx(expected, abs=4 * error)
    assert least_loss("deen", dataset, {"sigma": sigma}) == pytest.approx(
        sigma**4 * expected, abs=4 * sigma**4 * error
    )
    implicit = least_loss("ssm", dataset, {"data_noise": sigma})
    assert implicit == pytest.approx(-0.5 * float(score.square().sum(1).mean()), rel=0.05)


def test_where_there_is_no_floor_it_is_nan():
    assert math.isnan(least_loss("ssm", get_dataset("checkerboard"), {}))
    assert math.isnan(least_loss("mine", get_dataset("rings"), {}))


def test_every_seed_is_drawn():
    evidence = gather(study(), "sw1")
    steps = np.arange(1, 101.0)
    curves = {"dsm": np.stack([np.stack([steps, 3 + 5 / steps + s], 1) for s in range(3)])}
    figure = training_curves(evidence, curves, {"dsm": 3.0})
    assert len(figure.axes[0].lines) == 3 * 2 + 1, "each seed twice, and the floor"
    assert encode(figure, "png")
    assert excess(curves["dsm"], 3.0) == pytest.approx(1.0, abs=0.06)
