"""What we are compared with computes what it says, and the GPU's table can be made."""

import math
import time

import pytest

from . import gpu, in_jax


def test_the_gpu_table_has_a_line_for_each_measurement_and_ends_in_time():
    lines = list(gpu.rows("cpu", math.inf, (16,), (1, 2), steps=2, points=500))
    assert len(lines) == 5
    assert all(line.count("|") == 5 for line in lines)
    assert "out of time" in list(gpu.rows("cpu", time.monotonic() - 1, (16,), (1,), 2, 500))[-1]


@pytest.mark.skipif(not in_jax.INSTALLED, reason="needs JAX")
@pytest.mark.parametrize(("name", "kind"), [("dsm", "energy"), ("ssm", "energy"), ("dsm", "score")])
def test_jax_learns_the_score_of_its_data(name, kind):
    """Normal data: the least loss is 99 (d/σ² - I)/2 of dsm, and -1 of ssm."""
    _, losses = in_jax.trainer(name, 16, 2, 100, 300, kind)()
    least = {"dsm": (2 / 0.1**2 - 2 / 1.01) / 2, "ssm": -1.0}[name]
    start, end = losses[:, :20].mean(), losses[:, -100:].mean()
    assert end < start
    assert end == pytest.approx(least, rel=0.1 if name == "dsm" else 0.5)
