"""Pictures as a page embeds them; of many, some are drawn by other processes meanwhile."""

import base64
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...studies.execution.pools import Processes, StartError
from ..figures.panels import panel
from ..figures.style import DARK, LIGHT, arrange, encode, picture
from ..session import cores
from ..source import Portrait

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..progress import Steps

Maker = Callable[..., "Figure"]
Images = dict[str, str]

MANY = 16
"""Drawings of a page from which on they are worth the start of a process: two seconds."""

_MOST_WORKERS = 3


@dataclass
class Drawing:
    """Pictures that a page needs.

    Attributes:
        draw: Draws them, by name; can be pickled.
        into: Variables of the template, to which they are added.
        elsewhere: The same in another process, if it has been asked.
    """

    draw: Callable[[], Images]
    into: Images
    elsewhere: "Future[Images] | None" = None

    def finish(self) -> None:
        """Put the pictures into their places."""
        self.into.update(self._drawn())

    def _drawn(self) -> Images:
        if self.elsewhere is not None and not self.elsewhere.cancel():
            # What another process cannot do is tried here, where an error says what is wrong.
            with suppress(Exception):
                return self.elsewhere.result()
        return self.draw()


@contextmanager
def drawn_together(
    drawings: Sequence[Drawing], progress: "Steps" = lambda *_: None
) -> Iterator[None]:
    """Let other processes draw during a block, where there are cores for it; finish at its end."""
    workers = min(cores() - 1, _MOST_WORKERS) if len(drawings) >= MANY else 0
    with ExitStack() as stack:
        if workers:
            with suppress(StartError):
                pool = stack.enter_context(Processes(workers))
                for drawing in drawings:
                    drawing.elsewhere = pool.submit(drawing.draw)
        yield
        # The others began with the first.
        for number, drawing in enumerate(reversed(drawings)):
            progress("drawing", number, len(drawings))
            drawing.finish()


def by_theme(make: Maker, dpi: int = 190) -> Images:
    """Embed a figure in light and dark as PNG: lines of many runs take more space as SVG.

    ``make`` draws the figure and takes the keyword ``theme``.
    """
    return _themed(make, lambda figure: embedded(picture(figure, dpi), "png"))


def as_vectors(make: Maker) -> Images:
    """Embed a figure in light and dark as SVG; see ``by_theme``."""
    return _themed(make, lambda figure: embedded(encode(figure, "svg"), "svg+xml"))


def panels(portrait: Portrait, kinds: Sequence[str]) -> Images:
    """Embed panels of a cell; see ``figures.panels``."""
    return {kind: embedded(picture(panel(portrait, kind)), "png") for kind in kinds}


def _themed(make: Maker, embed: "Callable[[Figure], str]") -> Images:
    light, dark = make(theme=LIGHT), make(theme=DARK)
    pictures = {"light": embed(light)}
    arrange(dark, light)
    return pictures | {"dark": embed(dark)}


def embedded(data: bytes, kind: str) -> str:
    """Return a data URI that holds an image."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
