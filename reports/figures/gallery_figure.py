"""What every method makes of every dataset, beside the truth, in one figure."""

from matplotlib.figure import Figure

from ..source import Source
from .panels import PANELS
from .style import LIGHT, Theme, drawing, fitting


def gallery_figure(source: Source, theme: Theme = LIGHT, width: float = 9.6) -> Figure:
    """Histograms of the samples: a row per dataset, a column for the truth and for each method.

    Args:
        source: The run directory, read.
        theme: Colours of the frame.
        width: Of the figure, in inches.
    """
    evidence = source.evidence
    found = {
        (cell.dataset, cell.label): portrait
        for cell in evidence.cells
        if not cell.missing and (portrait := source.portrait(cell)) is not None
    }
    datasets = [name for name in evidence.datasets if any(name == key[0] for key in found)]
    columns = [c.label for c in evidence.contestants if any(c.label == key[1] for key in found)]
    side = width / (len(columns) + 1)
    with drawing(theme, fitting(width)):
        figure = Figure(figsize=(width, side * len(datasets) + 0.4), layout="constrained")
        axes = figure.subplots(len(datasets), len(columns) + 1, squeeze=False)
        for row, dataset in zip(axes, datasets, strict=True):
            row[0].set_ylabel(dataset)
            portraits = [found.get((dataset, label)) for label in columns]
            truth = next(one for one in portraits if one is not None)
            PANELS["truth"](row[0], truth)
            for axis, portrait in zip(row[1:], portraits, strict=True):
                if portrait is None:
                    axis.set_axis_off()
                else:
                    PANELS["samples"](axis, portrait)
            for axis in row:
                axis.set_xticks([])
                axis.set_yticks([])
        for axis, head in zip(axes[0], ["truth", *columns], strict=True):
            axis.set_title(head)
    return figure
