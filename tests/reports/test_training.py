"""Training curves as figures."""

import numpy as np
import pytest
from scorebench.reports.evidence import gather
from scorebench.reports.style import encode
from scorebench.reports.training import excess, training_curves

from .conftest import study


def test_every_seed_is_drawn():
    evidence = gather(study(), "sw1")
    steps = np.arange(1, 101.0)
    curves = {"dsm": np.stack([np.stack([steps, 3 + 5 / steps + s], 1) for s in range(3)])}
    figure = training_curves(evidence, curves, {"dsm": 3.0})
    assert len(figure.axes[0].lines) == 3 * 2 + 1, "each seed twice, and the floor"
    assert encode(figure, "png")
    assert excess(curves["dsm"], 3.0) == pytest.approx(1.0, abs=0.06)
