"""The gallery figure."""

from scorebench.reports.figures.panels import gallery_figure
from scorebench.reports.source import load


def test_a_row_per_dataset_and_a_column_per_method(directory):
    source = load(directory)
    figure = gallery_figure(source)
    rows, columns = len(source.evidence.datasets), len(source.evidence.contestants) + 1
    assert len(figure.axes) == rows * columns
    heads = [axis.get_title() for axis in figure.axes[:columns]]
    assert heads == ["truth", *(c.label for c in source.evidence.contestants)]
    names = [axis.get_ylabel() for axis in figure.axes[::columns]]
    assert names == list(source.evidence.datasets)
    # Every panel shows a histogram within the same limits.
    assert all(len(axis.images) == 1 for axis in figure.axes)
    assert len({axis.get_xlim() for axis in figure.axes}) == 1
