"""How figures look: colours that colour-blind readers can tell apart, light, dark and on paper."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLUMN = 3.35
"""Width of a column of a two-column paper, in inches."""

MARKERS = ("o", "s", "D", "^", "v", "P", "X")


@dataclass(frozen=True)
class Theme:
    """Colours of everything but the data.

    Attributes:
        ink: Text and axes.
        faint: Grid lines and side notes.
        paper: Background.
        shade: Filled bands.
        palette: Colours of the data. Okabe and Ito 2008, "Color Universal Design", without the
            yellow that vanishes on white; lighter on dark paper.
    """

    ink: str
    faint: str
    paper: str
    shade: str
    palette: tuple[str, ...]


LIGHT = Theme(
    ink="#1d2430", faint="#667085", paper="#ffffff", shade="#e4e7ec",
    palette=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777"),
)  # fmt: skip
DARK = Theme(
    ink="#e6e9ef", faint="#98a2b3", paper="#171b22", shade="#333b48",
    palette=("#4da3dc", "#f0762e", "#2bb78b", "#e08fbb", "#e69f00", "#9ad4f5", "#a8a8a8"),
)  # fmt: skip


def colours(labels: Sequence[str], theme: Theme) -> dict[str, tuple[str, str]]:
    """Colour and marker of every label; more labels than colours repeat with other markers."""
    palette = theme.palette
    return {
        label: (palette[i % len(palette)], MARKERS[(i + i // len(palette)) % len(MARKERS)])
        for i, label in enumerate(labels)
    }


def fitting(width: float) -> float:
    """Font size for a figure of that many inches: smaller where it is set in a column."""
    return 9.0 if width > 5 else 7.5


@contextmanager
def drawing(theme: Theme, size: float = 9.0) -> Iterator[None]:
    """Matplotlib settings while a figure is made.

    Args:
        theme: Its colours.
        size: Font size in points.
    """
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
    with mpl.rc_context(settings):
        yield


def picture(figure: Figure, dpi: int = 144) -> bytes:
    """The figure as PNG with a palette: a third of the size, where millions of colours are idle.

    Args:
        figure: Any figure of this package.
        dpi: Dots per inch.
    """
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.open(io.BytesIO(encode(figure, "png", dpi))).convert("RGB")
    image.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def encode(figure: Figure, kind: Literal["png", "svg", "pdf"], dpi: int = 144) -> bytes:
    """The figure as a file; the same figure gives the same bytes.

    Args:
        figure: Any figure of this package.
        kind: File format.
        dpi: Dots per inch of PNG.
    """
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    with mpl.rc_context({"svg.hashsalt": "scorebench", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=undated[kind])
    return buffer.getvalue()
