"""Style of the figures: colours for colour-blind readers, themes, axes and file formats."""

import io
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ..ranking.statistics import Array, Estimate

COLUMN = 3.35
"""Column width of a two-column paper, in inches."""

MARKERS = ("o", "s", "D", "^", "v", "P", "X")


@dataclass(frozen=True)
class Theme:
    """Colours of a figure.

    Attributes:
        ink: Text and axes.
        faint: Grid lines and side notes.
        paper: Background.
        shade: Filled bands.
        palette: Data. Okabe and Ito 2008, "Color Universal Design", without the yellow, which is
            invisible on white; lighter on a dark background.
    """

    ink: str
    faint: str
    paper: str
    shade: str
    palette: tuple[str, ...]


LIGHT = Theme(
    ink="#1d2430",
    faint="#667085",
    paper="#ffffff",
    shade="#e4e7ec",
    palette=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777"),
)
DARK = Theme(
    ink="#e6e9ef",
    faint="#98a2b3",
    paper="#171b22",
    shade="#333b48",
    palette=("#4da3dc", "#f0762e", "#2bb78b", "#e08fbb", "#e69f00", "#9ad4f5", "#a8a8a8"),
)


def colours(labels: Iterable[str], theme: Theme) -> dict[str, tuple[str, str]]:
    """Assign a colour and a marker to each label, in alphabetical order.

    With more labels than colours, a colour repeats with another marker.
    """
    palette = theme.palette
    return {
        label: (palette[i % len(palette)], MARKERS[(i + i // len(palette)) % len(MARKERS)])
        for i, label in enumerate(sorted(labels))
    }


def fitting(width: float) -> float:
    """Return the font size in points for a figure of this width in inches."""
    return 9.0 if width > 5 else 7.5


def short(value: float, _: float) -> str:
    """Format a tick without exponent or trailing zeros where possible."""
    return f"{value:g}"


def error_bar(value: Estimate) -> list[list[float]] | None:
    """Return both half-widths of the 95 % interval for ``errorbar``; ``None`` if unknown."""
    half = value.half_width()
    return None if math.isnan(half) else [[half], [half]]


def fit(
    axis: Axes,
    values: Array,
    *,
    above: float,
    pad: float,
    below: float = 1.3,
    ratio: float = 8,
    along: Literal["x", "y"] = "y",
) -> bool:
    """Fit an axis to values; make it logarithmic where positive values span a wide range.

    Args:
        axis: Axes to change.
        values: Values of any shape; non-finite ones are ignored.
        above: Factor of free space above the largest value on a logarithmic axis.
        pad: Free space at each end of a linear axis, as a share of the range.
        below: Factor of free space below the smallest value on a logarithmic axis.
        ratio: The axis is logarithmic if the largest value exceeds this multiple of the smallest.
        along: Which axis.

    Returns:
        Whether the axis is logarithmic.
    """
    values = values[np.isfinite(values)]
    if not values.size:
        return False
    low, high = float(values.min()), float(values.max())
    logarithmic = low > 0 and high > ratio * low
    if logarithmic:
        axis.set(**{f"{along}scale": "log"})
        limits = low / below, high * above
    else:
        margin = pad * (high - low or abs(high) or 1.0)
        limits = low - margin, high + margin
    axis.set(**{f"{along}lim": limits})
    return logarithmic


def decades(line: XAxis | YAxis, *, fine: bool, ticks: int | None = None) -> None:
    """Label a logarithmic axis at powers of ten; if ``fine``, at twice and five times these, too.

    There are at most ``ticks`` labels.
    """
    line.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if fine else (1.0,), numticks=ticks))
    line.set_major_formatter(short)
    line.set_minor_locator(NullLocator())


def grid_lines(axis: Axes, theme: Theme) -> None:
    """Draw horizontal grid lines behind the data."""
    axis.grid(axis="y", color=theme.shade, linewidth=0.6)
    axis.set_axisbelow(True)


@contextmanager
def _defaults(settings: dict[Any, Any]) -> Iterator[None]:
    """Let settings and Matplotlib's own defaults hold for a while, not those of the user."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        yield


@contextmanager
def drawing(theme: Theme, size: float = 9.0) -> Iterator[None]:
    """Style what is drawn meanwhile; ``size`` is that of the font in points."""
    settings: dict[Any, Any] = {
        "font.family": ["DejaVu Sans"],
        "font.size": size,
        "axes.titlesize": size + 0.5,
        "axes.labelsize": size,
        "xtick.labelsize": size - 1,
        "ytick.labelsize": size,
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.edgecolor": theme.faint,
        "axes.facecolor": theme.paper,
        "figure.facecolor": theme.paper,
        "xtick.color": theme.faint,
        "xtick.labelcolor": theme.faint,
        "ytick.color": theme.faint,
        "ytick.labelcolor": theme.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
        "legend.frameon": False,
    }
    with _defaults(settings):
        yield


def arrange(figure: Figure, like: Figure) -> None:
    """Give a figure the layout of a drawn one that differs in nothing but its colours.

    To compute a layout takes longer than to draw.
    """
    figure.set_layout_engine("none")
    for axis, drawn in zip(figure.axes, like.axes, strict=True):
        axis.set_position(drawn.get_position(original=True))
    for words, placed in zip(figure.texts, like.texts, strict=True):
        words.set_position(placed.get_position())


def picture(figure: Figure, dpi: int = 144) -> bytes:
    """Encode a figure as a PNG with a palette: a third of the size of true colour."""
    from PIL import Image

    # Not by ``savefig``, which draws twice if there is a layout, and compresses true colour first.
    canvas: Any = FigureCanvasAgg(figure)
    figure.set_dpi(dpi)
    with _defaults({}):
        canvas.draw()
    buffer = io.BytesIO()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def encode(figure: Figure, kind: Literal["png", "svg", "pdf"], dpi: int = 144) -> bytes:
    """Encode a figure as a file; equal figures give equal bytes. ``dpi`` is for PNG."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    with _defaults({"svg.hashsalt": "scorebench", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=undated[kind])
    return buffer.getvalue()
