"""Progress of a finding: a bar in a terminal, otherwise a line per part."""

import time
from typing import Self

from .. import text
from ..progress import ProgressBar
from .run import PartFinished


class FindingProgress(ProgressBar):
    """A listener that shows the progress of a finding, by its name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __enter__(self) -> Self:
        self._open(f"finding {self._name}", 0, None)
        return self

    def __call__(self, event: PartFinished) -> None:
        """Show that a part is finished."""
        pace = (time.monotonic() - self._started) / event.computed
        left = f"{text.seconds(pace * (event.total - event.done))} left"
        doing = f"{self._name}: {event.name}"
        if self._bar is not None:
            self._update(doing, event.done, event.total, left)
        else:
            self._say(f"[{event.done}/{event.total}] {doing}, {left}")
