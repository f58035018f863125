"""Figures of a study by name. To add one, decorate a function that yields its name and maker."""

from collections.abc import Callable, Iterator
from functools import partial

from matplotlib.figure import Figure

from ...datasets.errors import unknown
from ..ranking.friedman import rank_test
from ..ranking.pareto import points
from ..ranking.sensitivity import slices
from ..ranking.split import splits
from ..source import Source
from .budget import budget_curves
from .critical import critical_diagram
from .front import front_figure
from .overview import overview
from .panels import four_panels, gallery_figure
from .slices import slice_figure
from .split import split_figure
from .style import LIGHT, Theme
from .training import training_curves

Maker = Callable[..., Figure]
"""Function that draws a figure; takes the keywords ``width``, in inches, and ``theme``."""

Family = Callable[[Source], Iterator[tuple[str, Maker]]]
"""Function that yields the name and the maker of every figure of one kind."""

_families: list[Family] = []


def family(named: Family) -> Family:
    """Decorate a function that yields the figures of one kind."""
    _families.append(named)
    return named


def figures(source: Source) -> dict[str, Maker]:
    """Return the makers of all figures of a run directory, by name."""
    return {name: make for named in _families for name, make in named(source)}


def figure(source: Source, name: str, width: float | None = None) -> Figure:
    """Draw one figure.

    Args:
        source: The run directory.
        name: ``overview``, ``gallery``, ``critical-difference``, ``budget-DATASET``,
            ``training-DATASET``, ``errors-DATASET``, ``front-DATASET``,
            ``METHOD-DATASET-SAMPLER`` for the four panels of a cell, or
            ``slices-METHOD-DATASET-SAMPLER``.
        width: Width in inches (default: that of the report).

    Raises:
        UsageError: The name is unknown.
    """
    known = figures(source)
    if name not in known:
        raise unknown("figure", name, known)
    return known[name]() if width is None else known[name](width=width)


@family
def _overview(source: Source) -> Iterator[tuple[str, Maker]]:
    if not source.evidence.compared:
        return

    def fitted(theme: Theme = LIGHT, width: float = 9.6) -> Figure:
        columns = 1 if width < 5 else None
        return overview(source.evidence, theme, columns, width)

    yield "overview", fitted


@family
def _gallery(source: Source) -> Iterator[tuple[str, Maker]]:
    if any(not cell.missing and source.portrait(cell) for cell in source.evidence.cells):
        yield "gallery", partial(gallery_figure, source)


@family
def _critical(source: Source) -> Iterator[tuple[str, Maker]]:
    test = rank_test(source.evidence)
    if test is not None:
        yield "critical-difference", partial(critical_diagram, test)


@family
def _budgets(source: Source) -> Iterator[tuple[str, Maker]]:
    for dataset in source.evidence.datasets:
        if any(len(cell.search) for cell in source.evidence.on(dataset)):
            make = partial(budget_curves, source.evidence, dataset, source.independent)
            yield f"budget-{dataset}", make


@family
def _fronts(source: Source) -> Iterator[tuple[str, Maker]]:
    for dataset in source.evidence.datasets:
        if points(source.evidence, source.study.costs, dataset):
            yield f"front-{dataset}", partial(front_figure, source, dataset)


@family
def _training(source: Source) -> Iterator[tuple[str, Maker]]:
    for dataset in source.evidence.datasets:
        learned = source.training(dataset)
        if learned:
            make = partial(training_curves, learned, source.study.objective)
            yield f"training-{dataset}", make


@family
def _splits(source: Source) -> Iterator[tuple[str, Maker]]:
    for dataset in source.evidence.datasets:
        if splits(source.evidence, dataset):
            yield f"errors-{dataset}", partial(split_figure, source.evidence, dataset)


@family
def _slices(source: Source) -> Iterator[tuple[str, Maker]]:
    for cell in source.evidence.cells:
        varied = [s for s in slices(source.study, cell) if len({*map(str, s.values)}) > 1]
        if varied:
            make = partial(slice_figure, varied, cell.objective.upper())
            yield "slices-" + cell.cell.stem, make


@family
def _cells(source: Source) -> Iterator[tuple[str, Maker]]:
    for cell in source.evidence.cells:
        portrait = None if cell.missing else source.portrait(cell)
        if portrait is not None:
            title = f"{cell.method} on {cell.dataset}, {cell.sampler}"
            yield cell.cell.stem, partial(four_panels, portrait, title)
