"""Progress of a finding: a bar in a terminal, otherwise a line per part."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from .. import text
from .run import PartFinished


class FindingProgress:
    """A listener that shows the progress of a finding, by default on standard error.

    Use it as a context manager.
    """

    def __init__(self, name: str, console: Console | None = None) -> None:
        self._name = name
        self._console = console or Console(stderr=True)
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                       TextColumn("{task.fields[left]}"))  # fmt: skip
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task(f"finding {self._name}", total=None, left="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: PartFinished) -> None:
        """Show that a part is finished."""
        pace = (time.monotonic() - self._started) / event.computed
        left = text.seconds(pace * (event.total - event.done))
        if self._bar is not None:
            self._bar.update(
                self._task, completed=event.done, total=event.total, left=f"{left} left",
                description=escape(f"{self._name}: {event.name}"),
            )  # fmt: skip
        else:
            line = f"[{event.done}/{event.total}] {self._name}: {event.name}, {left} left"
            self._console.print(escape(line), soft_wrap=True, highlight=False)
