"""Mass where there are no data."""

import numpy as np
import torch
from scorebench.datasets import get_dataset
from scorebench.methods.networks import GaussianBase
from scorebench.methods.objectives.dsm import DSM
from scorebench.reports.findings import tools


def test_bases_start_from_the_same_networks_and_data():
    plain, based = (
        tools.train(
            DSM(), {"sigma": 0.1}, get_dataset("rings"), seed=0, seeds=2, steps=1, width=4,
            points=50, base=base,
        )
        for base in (None, GaussianBase.fitted)
    )  # fmt: skip
    assert torch.equal(plain.data, based.data)
    both = zip(plain.models, based.models, strict=True)
    assert all(np.isclose(a.theta, b.theta, atol=3e-3).all() for a, b in both)
