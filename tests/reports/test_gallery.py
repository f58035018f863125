"""The gallery figure."""

from scorebench.reports.figures.panels import gallery_figure
from scorebench.reports.pages import pictures
from scorebench.reports.pages.page import page
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


def test_a_page_holds_the_pictures_of_the_best_cells_and_says_so(directory, monkeypatch):
    source = load(directory)
    contestants = len(source.evidence.contestants)
    monkeypatch.setattr(pictures, "MOST_CELLS", 0)
    monkeypatch.setattr(pictures, "FEWEST_CELLS", 1)
    written = page(source)
    assert f"Pictures of the best 1 of {contestants} cells" in written
    best = source.evidence.on("rings")[0]
    assert written.count('alt="' + f"{best.method} on rings: energy map") == 1
    others = [cell.method for cell in source.evidence.on("rings")[1:]]
    assert not any(f"{method} on rings: energy map" in written for method in others)
