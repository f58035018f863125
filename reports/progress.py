"""Progress of a running study: a bar in a terminal, and a line per finished cell."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from ..datasets.errors import visible
from ..studies.cell import Cell
from ..studies.execution.events import (
    CellFinished,
    Event,
    ReportStep,
    RunsFinished,
    StudyFinished,
    StudyStarted,
)
from ..studies.specs.require import Requirement, met
from . import text
from .pace import Pace

Steps = Callable[[str, int, int], None]
"""Listener of steps: told what begins, its number from 0, and the number of all or 0."""


class ProgressBar:
    """A bar in a terminal, by default on standard error, and lines of text.

    Use it as a context manager, so that the terminal is always restored. What the terminal or its
    log does not take is dropped.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar."""
        with suppress(OSError):
            if self._bar is not None:
                self._bar.stop()
        self._bar = None

    def _open(self, doing: str, done: int, total: int | None) -> None:
        """Show the bar if the console is a terminal."""
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task(escape(doing), total=total, completed=done, left="")
            with suppress(OSError):
                self._bar.start()

    def step(self, doing: str, done: int, total: int) -> None:
        """Show the step that begins, of steps that take about equally long; see ``Steps``."""
        if self._bar is None:
            self._open(doing, done, total or None)
        if not done:
            self._started = time.monotonic()
        pace = (time.monotonic() - self._started) / max(done, 1)
        left = f"{text.seconds(pace * (total - done))} left" if done else ""
        self._update(doing, done, total or None, left)

    def _update(self, doing: str, done: int, total: int | None, left: str) -> None:
        if self._bar is not None:
            doing = escape(doing)
            with suppress(OSError):
                self._bar.update(
                    self._task, description=doing, completed=done, total=total, left=left
                )

    def _say(self, line: str) -> None:
        console = self._console if self._bar is None else self._bar.console
        with suppress(OSError):
            console.print(escape(visible(line)), soft_wrap=True, highlight=False)


class ProgressListener(ProgressBar):
    """Listener that shows the progress of a study."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__(console)
        self._pace = Pace({}, ())
        self._cells = 0
        self._objective = ""
        self._limits: tuple[Requirement, ...] = ()
        self._best: dict[Cell, float] = {}

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
                    f"{text.plural(event.rows, 'run')} in {event.directory}, "
                    f"{event.ran} of them now in {text.seconds(event.seconds)}; "
                    f"{event.failures} failed"
                )
            case ReportStep():
                self.step(event.doing, event.done, event.total)

    @property
    def time_left(self) -> float:
        """Estimated remaining seconds; ``nan`` before the first run of a kind has finished."""
        return self._pace.seconds(time.monotonic() - self._started)

    def _start(self, event: StudyStarted) -> None:
        self._started = time.monotonic()
        self._pace = Pace(event.left, event.trained)
        self._cells = event.cells
        self._objective = event.study.objective
        self._limits = event.study.search.requirements
        already = f", {event.done} already there" if event.done else ""
        workers = text.plural(event.workers, "worker")
        self._say(
            f"study {event.study.name}: {text.plural(event.total, 'run')}{already}; "
            f"{workers}; {event.directory}"
        )
        for sentence in event.warnings:
            self._say(f"WARNING: {sentence}")
        for sentence in event.notes:
            self._say(sentence)
        self.close()
        self._open("starting", event.done, event.total)

    def _runs(self, event: RunsFinished) -> None:
        self._pace.add(event.rows)
        for row in event.rows:
            trial = row.slot.phase == "search" and row.slot.replicate == 0
            if trial and met(self._limits, row.loss):
                loss = row.loss(self._objective)
                self._best[row.slot.cell] = min(loss, self._best.get(row.slot.cell, math.inf))
        if event.rows:
            doing = self._doing(event.rows[-1].slot.cell)
            self._update(doing, event.done, event.total, self._left())

    def _doing(self, cell: Cell) -> str:
        best = self._best.get(cell, math.inf)
        value = f", best {text.number(best)}" if math.isfinite(best) else ""
        return f"{cell.method} on {cell.dataset}{_restart(cell)}{value}"

    def _left(self) -> str:
        left = self.time_left
        return "" if math.isnan(left) else f"{text.seconds(left)} left"

    def _cell(self, event: CellFinished) -> None:
        self._pace.close(event.cell)
        if not event.fresh:
            return
        method, dataset, sampler = event.cell.labels
        head = f"[{event.finished}/{self._cells}] {method} on {dataset} ({sampler})"
        parts = [f"{head}{_restart(event.cell)}:"]
        if event.confirmed is None:
            parts.append("done" if event.winner is None and not event.failures else "no value")
        else:
            parts.append(f"{self._objective.upper()} {text.number(event.confirmed)}")
        if event.failures:
            parts.append(f"({event.failures} failed)")
        if left := self._left():
            parts.append(left)
        self._say(" ".join(parts))


def _restart(cell: Cell) -> str:
    searcher = f", {cell.searcher}" if cell.searcher else ""
    return searcher + (f", restart {cell.restart}" if cell.restart else "")
