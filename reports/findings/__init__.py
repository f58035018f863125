"""Findings as people read them: a figure each, registered by the finding's name, and a page."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...datasets.registry import Registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A figure is a function of the finding's table; it takes the keywords ``theme`` and ``width``.
drawings: "Registry[Callable[..., Figure]]" = Registry("drawing", __name__)

__all__ = ["drawings"]
