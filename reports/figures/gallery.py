"""The pictures of a report: one panel at a time, in files small enough to put many in a page."""

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import text
from ..ranking.cell_results import CellResults
from ..source import Portrait, Source
from .panels import panel
from .style import DARK, LIGHT, Theme, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEADS = {
    "truth": "truth", "samples": "samples", "error": "samples − truth", "energy": "energy",
    "score": "score", "paths": "paths of eight chains",
}  # fmt: skip


def embedded(data: bytes, kind: str) -> str:
    """A file as an address that holds it.

    Args:
        data: Of the file.
        kind: Of picture, as MIME has it.
    """
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def by_theme(make: "Callable[..., Figure]", dpi: int = 190, **settings: Any) -> dict[str, str]:
    """A figure light and dark; as pixels, for the lines of many runs take more room as SVG.

    Args:
        make: Makes it; takes ``theme`` and the settings.
        dpi: Dots per inch.
        settings: What else it takes.
    """

    def address(theme: Theme) -> str:
        return embedded(picture(make(theme=theme, **settings), dpi), "png")

    return {"light": address(LIGHT), "dark": address(DARK)}


def gallery(source: Source, cells: list[CellResults]) -> list[dict[str, Any]]:
    """What each method makes of a dataset, beside its truth.

    Args:
        source: The run directory, read.
        cells: Of one dataset.
    """
    shown = [
        (cell, portrait)
        for cell in cells
        if not cell.missing and (portrait := source.portrait(cell)) is not None
    ]
    if not shown:
        return []
    several = len({cell.sampler for cell in source.evidence.cells}) > 1
    return [_portrait(cell, seen, several) for cell, seen in shown]


def _portrait(cell: CellResults, portrait: Portrait, several: bool) -> dict[str, Any]:
    alts = {
        "truth": "histogram of the true distribution",
        "samples": f"histogram of {portrait.census}",
        "error": "map of samples minus truth, red where there are too many, blue where too few",
        "energy": "no energy" if portrait.energy is None else "energy map, bright where low",
        "score": "arrows of the score field",
        "paths": "ways of a few chains of the sampler over the truth, from ring to dot",
    }
    view = f"{portrait.census}; view ±{portrait.extent:g}"
    value = (
        f"{cell.failed} of {len(cell.losses)} failed"
        if cell.failed
        else text.measured(cell.mean, cell.loss.half_width())
    )
    return {
        "label": f"{cell.method} · {cell.sampler}" if several else cell.method,
        "dataset": cell.dataset,
        "caption": f"{cell.objective.upper()} {value}; {view}",
        "panels": [
            _panel(portrait, kind, title, f"{cell.method} on {cell.dataset}: {alts[kind]}")
            for kind, title in _HEADS.items()
        ],
    }


def _panel(portrait: Portrait, kind: str, title: str, alt: str) -> dict[str, str]:
    return {"title": title, "image": embedded(picture(panel(portrait, kind)), "png"), "alt": alt}
