"""Figures of a study by name. To add one, yield its name and the function that draws it."""

from collections.abc import Callable, Iterator
from functools import partial

from matplotlib.figure import Figure

from ...datasets.errors import unknown
from ..ranking.cell_results import CellResults
from ..ranking.evidence import Evidence
from ..ranking.friedman import rank_test
from ..ranking.pareto import points
from ..ranking.split import splits
from ..source import Source
from .budget import budget_curves
from .clouds import cloud, cloud_figure
from .contests import sampler_profile, searcher_curves
from .critical import critical_diagram
from .front import front_figure
from .overview import overview
from .panels import four_panels, gallery_figure
from .slices import parallel_figure, slice_figure
from .split import split_figure
from .style import LIGHT, Theme
from .training import spectrum_figure, training_curves

Maker = Callable[..., Figure]
"""Function that draws a figure; takes the keywords ``width``, in inches, and ``theme``."""


def figures(source: Source) -> dict[str, Maker]:
    """Return the makers of all figures of a run directory, by name."""
    datasets = source.evidence.datasets
    of_datasets = (pair for dataset in datasets for pair in _of_dataset(source, dataset))
    of_cells = (pair for cell in source.evidence.cells for pair in _of_cell(source, cell))
    return dict([*_of_study(source), *of_datasets, *of_cells])


def figure(source: Source, name: str, width: float | None = None) -> Figure:
    """Draw one figure.

    Args:
        source: The run directory.
        name: ``overview``, ``gallery``, ``critical-difference``, ``searchers``, ``samplers``,
            ``budget-DATASET``, ``training-DATASET``, ``spectrum-DATASET``, ``errors-DATASET``,
            ``front-DATASET``,
            ``METHOD-DATASET-SAMPLER`` for the four panels of a cell (outside of the plane a matrix
            of pairs, histograms or images), or with ``slices-`` or ``parallel-`` before it for the
            trials of its search.
        width: Width in inches (default: that of the report).

    Raises:
        UsageError: The name is unknown.
    """
    known = figures(source)
    if name not in known:
        raise unknown("figure", name, known)
    return known[name]() if width is None else known[name](width=width)


def _of_study(source: Source) -> Iterator[tuple[str, Maker]]:
    evidence = source.evidence
    if evidence.compared:
        yield "overview", partial(_overview, evidence)
    if any(not cell.missing and source.portrait(cell) for cell in evidence.cells):
        yield "gallery", partial(gallery_figure, source)
    if test := rank_test(evidence):
        yield "critical-difference", partial(critical_diagram, test)
    if source.contests:
        yield "searchers", partial(searcher_curves, source.contests)
    if source.samplers:
        yield "samplers", partial(sampler_profile, source.samplers.contests)


def _overview(evidence: Evidence, theme: Theme = LIGHT, width: float = 9.6) -> Figure:
    return overview(evidence, theme, 1 if width < 5 else None, width)


def _of_dataset(source: Source, dataset: str) -> Iterator[tuple[str, Maker]]:
    evidence = source.evidence
    if any(len(cell.search) for cell in evidence.on(dataset)):
        yield f"budget-{dataset}", partial(budget_curves, evidence, dataset, source.independent)
    if points(evidence, source.study.costs, dataset):
        yield f"front-{dataset}", partial(front_figure, source, dataset)
    if learned := source.training(dataset):
        yield f"training-{dataset}", partial(training_curves, learned, evidence.objective)
    spectra = {label: arrays.get("spectra") for label, arrays in source.curves(dataset).items()}
    if shown := {label: array for label, array in spectra.items() if array is not None}:
        yield f"spectrum-{dataset}", partial(spectrum_figure, shown)
    if splits(evidence, dataset):
        yield f"errors-{dataset}", partial(split_figure, evidence, dataset)


def _of_cell(source: Source, cell: CellResults) -> Iterator[tuple[str, Maker]]:
    if varied := [s for s in source.slices[cell.cell] if len({*map(str, s.values)}) > 1]:
        yield f"slices-{cell.cell.stem}", partial(slice_figure, varied, cell.objective.upper())
        if len(varied) > 1:
            yield f"parallel-{cell.cell.stem}", partial(parallel_figure, varied)
    if not cell.missing and (portrait := source.portrait(cell)) is not None:
        title = f"{cell.method} on {cell.dataset}, {cell.sampler}"
        yield cell.cell.stem, partial(four_panels, portrait, title)
    elif not cell.missing and (points_of := cloud(source, cell)) is not None:
        title = f"{cell.method} on {cell.dataset}, {cell.sampler}"
        yield cell.cell.stem, partial(cloud_figure, points_of, title)
