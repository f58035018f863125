"""Progress of a running study: a bar in a terminal, and a line per finished cell."""

import math
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from ..studies.cell import Cell
from ..studies.execution.events import (
    CellFinished,
    Event,
    RunsFinished,
    StudyFinished,
    StudyStarted,
)
from . import text
from .pace import Pace


class ProgressListener:
    """Listener that shows the progress of a study, by default on standard error.

    Use it as a context manager, so that the terminal is always restored.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._started = time.monotonic()
        self._pace = Pace({}, ())
        self._cells = 0
        self._objective = ""
        self._best: dict[Cell, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case StudyStarted():
                self._start(event)
            case RunsFinished():
                self._runs(event)
            case CellFinished():
                self._cell(event)
            case StudyFinished():
                self.close()
                self._say(
                    f"{text.plural(event.rows, 'run')} in {escape(str(event.directory))}, "
                    f"{event.ran} of them now in {text.seconds(event.seconds)}; "
                    f"{event.failures} failed"
                )

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @property
    def time_left(self) -> float:
        """Estimated remaining seconds; ``nan`` before the first run of a kind has finished."""
        return self._pace.seconds(time.monotonic() - self._started)

    def _start(self, event: StudyStarted) -> None:
        self._started = time.monotonic()
        self._pace = Pace(event.left, event.trained)
        self._cells = event.cells
        self._objective = event.study.objective
        already = f", {event.done} already there" if event.done else ""
        workers = text.plural(event.workers, "worker")
        self._say(
            f"study {escape(event.study.name)}: {text.plural(event.total, 'run')}{already}; "
            f"{workers}; {escape(str(event.directory))}"
        )
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.fields[doing]}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task(
                "", total=event.total, completed=event.done, doing="starting", left=""
            )
            self._bar.start()

    def _runs(self, event: RunsFinished) -> None:
        self._pace.add(event.rows)
        for row in event.rows:
            if row.slot.phase == "search" and row.slot.replicate == 0:
                loss = row.loss(self._objective)
                self._best[row.slot.cell] = min(loss, self._best.get(row.slot.cell, math.inf))
        if self._bar is not None and event.rows:
            self._bar.update(
                self._task,
                completed=event.done,
                total=event.total,
                doing=escape(self._doing(event.rows[-1].slot.cell)),
                left=self._left(),
            )

    def _doing(self, cell: Cell) -> str:
        best = self._best.get(cell, math.inf)
        value = f", best {text.number(best)}" if math.isfinite(best) else ""
        return f"{cell.method} on {cell.dataset}{value}"

    def _left(self) -> str:
        left = self.time_left
        return "" if math.isnan(left) else f"{text.seconds(left)} left"

    def _cell(self, event: CellFinished) -> None:
        self._pace.close(event.cell)
        if not event.fresh:
            return
        method, dataset, sampler = event.cell
        parts = [f"[{event.finished}/{self._cells}] {method} on {dataset} ({sampler}):"]
        if event.confirmed is None:
            parts.append("done" if event.winner is None and not event.failures else "no value")
        else:
            parts.append(f"{self._objective.upper()} {text.number(event.confirmed)}")
        if event.failures:
            parts.append(f"({event.failures} failed)")
        if left := self._left():
            parts.append(f"{left}")
        self._say(escape(" ".join(parts)))

    def _say(self, line: str) -> None:
        (self._bar.console if self._bar is not None else self._console).print(
            line, soft_wrap=True, highlight=False
        )
