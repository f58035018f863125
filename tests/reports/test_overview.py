"""The overview: scales of its axes, and its legend."""

import pandas as pd
import pytest
from scorebench.reports.figures.overview import overview
from scorebench.reports.figures.style import encode
from scorebench.reports.ranking.evidence import gather

from .conftest import study


def shifted(results: pd.DataFrame) -> pd.DataFrame:
    """Return the study with a metric whose floor scatters around zero, like unbiased MMD."""
    return results.assign(sw1=results.sw1 - 0.04)


def test_a_floor_at_zero_gets_a_linear_axis_and_the_untrained_a_note():
    axes = overview(gather(shifted(study()), "sw1")).axes
    for axis in axes:
        assert axis.get_xscale() == "linear"
        assert axis.get_xlim()[1] < 1.0, "the untrained network at 1.36 is not on the axis"
        assert [text.get_text() for text in axis.texts if "untrained" in text.get_text()]


def test_methods_that_span_decades_keep_a_symlog_axis():
    levels = {"good": 0.05, "bad": 40.0}
    axes = overview(gather(shifted(study(methods=levels, spread=0.001)), "sw1")).axes
    assert {axis.get_xscale() for axis in axes} == {"symlog"}


def test_a_positive_floor_has_a_logarithmic_axis():
    axes = overview(gather(study(), "sw1")).axes
    assert {axis.get_xscale() for axis in axes} == {"log"}


@pytest.mark.parametrize("width", [3.35, 9.6])
def test_the_legend_fits(width: float):
    columns = 1 if width < 5 else None
    figure = overview(gather(study(), "sw1"), columns=columns, width=width)
    encode(figure, "png")
    legend = figure.legends[0].get_window_extent()
    assert legend.x1 <= figure.bbox.x1


def test_the_legend_names_what_is_drawn():
    """Data that can only be drawn from have no exact score."""
    whole = study()
    for table, named in ((whole, True), (whole[whole.method != "exact"], False)):
        legend = overview(gather(table, "sw1")).legends[0]
        assert ("exact score" in [text.get_text() for text in legend.get_texts()]) == named
