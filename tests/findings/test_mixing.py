"""Weights of far modes."""

import pytest
from scorebench.reports.findings.mixing import basins


def test_basins_of_the_box_fill_it():
    rings = basins("rings")
    assert rings == pytest.approx([0.662, 0.166, 0.110, 0.062], abs=5e-4)
    assert sum(rings) == pytest.approx(1)
    assert sum(basins("8gaussians")) == pytest.approx(1)
    assert basins("8gaussians")[:2] == pytest.approx([0.1036, 0.1464], abs=1e-4)
