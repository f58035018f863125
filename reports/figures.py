"""The figures of a study by name. To add one, decorate a function that makes it."""

from collections.abc import Callable, Iterator
from functools import partial

from matplotlib.figure import Figure

from ..datasets.errors import unknown
from .overview import overview
from .panels import four_panels
from .source import Source

Maker = Callable[[], Figure]
_families: list[Callable[[Source], Iterator[tuple[str, Maker]]]] = []


def family(
    find: Callable[[Source], Iterator[tuple[str, Maker]]],
) -> Callable[[Source], Iterator[tuple[str, Maker]]]:
    """Decorate a function that names the figures of one kind and says how each is made."""
    _families.append(find)
    return find


def figures(source: Source) -> dict[str, Maker]:
    """Every figure that a run directory has, by name; calling one makes it.

    Args:
        source: The directory, read.
    """
    return {name: make for find in _families for name, make in find(source)}


def figure(source: Source, name: str) -> Figure:
    """One figure.

    Args:
        source: The directory, read.
        name: ``overview``, or ``METHOD-DATASET-SAMPLER`` for the four panels of a cell.

    Raises:
        UsageError: There is no such figure.
    """
    known = figures(source)
    if name not in known:
        raise unknown("figure", name, known)
    return known[name]()


@family
def _overview(source: Source) -> Iterator[tuple[str, Maker]]:
    if source.evidence.compared:
        yield "overview", lambda: overview(source.evidence)


@family
def _cells(source: Source) -> Iterator[tuple[str, Maker]]:
    for cell in source.evidence.cells:
        portrait = None if cell.missing else source.portrait(cell)
        if portrait is not None:
            title = f"{cell.method} on {cell.dataset}, {cell.sampler}"
            yield "-".join(cell.place), partial(four_panels, portrait, title)
