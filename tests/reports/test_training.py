"""Training curves: quantities, missing values and the excess loss."""

import math

import numpy as np
import pytest
from scorebench.reports.figures.style import encode
from scorebench.reports.figures.training import training_curves
from scorebench.reports.source import Learned

STEPS = np.arange(1, 101.0)


def learned(least: float = 3.0, checkpoints: int = 2) -> Learned:
    curve = np.stack([STEPS, 3.4 + 5 / STEPS, 2 / STEPS], 1)
    measured = np.array([[50.0, 0.3, 0.2], [100.0, 0.2, 0.1]])[:checkpoints]
    shifts = 0.1 * np.arange(3)[:, None, None] * np.array([0.0, 1.0, 0.0])
    curves = curve + shifts
    return Learned(curves, least, ("mmd", "sw1"), np.stack([measured] * 3))


def titles(figure) -> list[str]:
    return [axis.get_title("right").strip() for axis in figure.axes[: len(figure.axes) // 2]]


@pytest.mark.parametrize("width", [3.35, 9.6])
def test_every_quantity_of_every_run_is_drawn(width: float):
    figure = training_curves({"dsm": learned(), "ssm": learned()}, "sw1", width=width)
    assert encode(figure, "png")
    heads = ["loss", "loss − least", "gradient norm", "SW1"]
    assert titles(figure) == (heads if width > 5 else heads[1:])
    lines = [len(axis.lines) for axis in figure.axes]
    floor = [1] if width > 5 else []
    assert lines[: len(lines) // 2] == [3 + extra for extra in [*floor, 0, 0, 0]]
    drawn = figure.axes[-1].lines[0]
    np.testing.assert_allclose(drawn.get_ydata(), [0.2, 0.1])


def test_unknown_quantities_are_named_or_left_out():
    figure = training_curves({"dsm": learned(), "mine": learned(math.nan)}, "sw1")
    words = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert words.count("not known") == 1
    assert titles(training_curves({"mine": learned(math.nan, 0)}, "sw1")) == ["loss"]
    both = training_curves({"a": learned(math.nan, 0), "b": learned(math.nan, 0)}, "sw1")
    assert titles(both) == ["loss", "gradient norm"]


def test_excess_is_the_mean_over_the_last_tenth():
    assert learned().excess == pytest.approx(0.4 + 0.1 + 5 / 95, abs=0.01)
