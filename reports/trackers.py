"""A running study in experiment trackers: the events of a study, and an adapter for each tracker.

Every cell is a run there; its runs are children of it in MLflow, and steps in Weights & Biases and
Trackio. A study that is resumed continues them. A tracker that fails never stops a study.
"""

import contextlib
import importlib.util
import io
import math
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from ..datasets.errors import UsageError, first_line, unknown
from ..studies.cell import Cell
from ..studies.commands import say
from ..studies.execution.events import CellFinished, Event, Listener, RunsFinished, StudyStarted
from ..studies.rundir.rows import Row

Numbers = Mapping[str, float]
Tags = Mapping[str, str | int]


class Tracker(Protocol):
    """An adapter; the handle of a cell is what the tracker calls a run."""

    def open(self, study: str, directory: Path, cell: Cell, identity: str) -> Any:
        """Return the handle of a cell: the one of this identity, or else a new one."""

    def log(self, handle: Any, row: Row, numbers: Numbers, tags: Tags) -> None:
        """Add a run of the cell, with its finite numbers and what else is known of it."""

    def close(self, handle: Any, numbers: Numbers) -> None:
        """End the run of a cell, with numbers about the whole; none if it is interrupted."""


class MLflow:
    """MLflow at ``MLFLOW_TRACKING_URI``: an experiment per study, a parent run per cell."""

    def __init__(self) -> None:
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient()

    def open(self, study: str, directory: Path, cell: Cell, identity: str) -> Any:
        known = self._client.get_experiment_by_name(study)
        place = known.experiment_id if known else self._client.create_experiment(study)
        tags = {"scorebench.cell": identity, "directory": str(directory), **cell.named}
        same = self._client.search_runs([place], f"tags.`scorebench.cell` = '{identity}'")
        return same[0] if same else self._client.create_run(place, tags=tags, run_name=cell.stem)

    def log(self, handle: Any, row: Row, numbers: Numbers, tags: Tags) -> None:
        tags = {"mlflow.parentRunId": handle.info.run_id, **tags}
        child = self._client.create_run(
            handle.info.experiment_id, tags=tags, run_name=row.name.partition(" of ")[0]
        )
        for name, value in (row.suggested or {}).items():
            self._client.log_param(child.info.run_id, name, value)
        self._end(child, numbers, "FINISHED" if row.ok else "FAILED")

    def close(self, handle: Any, numbers: Numbers) -> None:
        self._end(handle, numbers, "FINISHED" if numbers else "KILLED")

    def _end(self, run: Any, numbers: Numbers, state: str) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, 0) for name, value in numbers.items()]
        self._client.log_batch(run.info.run_id, metrics=metrics)
        self._client.set_terminated(run.info.run_id, state)


class WandB:
    """Weights & Biases, offline in the run directory unless ``WANDB_MODE`` says otherwise."""

    def open(self, study: str, directory: Path, cell: Cell, identity: str) -> Any:
        import wandb

        return wandb.init(
            project="scorebench", group=study, name=cell.stem, id=identity, resume="allow",
            config=cell.named, dir=os.environ.get("WANDB_DIR", str(directory)),
            mode=os.environ.get("WANDB_MODE", "offline"), reinit="create_new",
            settings=wandb.Settings(silent=True),
        )  # fmt: skip

    def log(self, handle: Any, row: Row, numbers: Numbers, tags: Tags) -> None:
        params = {f"params.{name}": value for name, value in (row.suggested or {}).items()}
        handle.log({**numbers, **params, **tags})

    def close(self, handle: Any, numbers: Numbers) -> None:
        handle.log(dict(numbers))
        handle.finish()


class Trackio(WandB):
    """Trackio in ``TRACKIO_DIR``, whose interface is that of Weights & Biases."""

    def open(self, study: str, directory: Path, cell: Cell, identity: str) -> Any:
        import trackio

        run = trackio.init(
            project=study, name=f"{cell.stem}-{identity[:8]}", config=cell.named, resume="allow",
            embed=False, auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip
        # It would end the current run when the next cell begins.
        trackio.context_vars.current_run.set(None)
        return run


TRACKERS: dict[str, type[Tracker]] = {"mlflow": MLflow, "wandb": WandB, "trackio": Trackio}
"""Adapters by the names of their packages, which are those of the extras."""


class Tracking:
    """A listener that passes events on, and reports finished runs to trackers.

    As a context manager it ends there what an interrupted study leaves open.

    Args:
        names: Trackers.
        listener: Called with every event first.

    Raises:
        UsageError: A tracker is unknown or not installed.
    """

    def __init__(self, names: Sequence[str], listener: Listener | None = None) -> None:
        self._listener = listener
        self._trackers: dict[str, Tracker] = {}
        self._handles: dict[tuple[str, Cell], Any] = {}
        for name in dict.fromkeys(names):
            if name not in TRACKERS:
                raise unknown("tracker", name, TRACKERS)
            if importlib.util.find_spec(name) is None:
                raise UsageError(f"{name} is not installed: pip install 'scorebench[{name}]'")
            self._trackers[name] = TRACKERS[name]()

    def __call__(self, event: Event) -> None:
        """Report an event."""
        if self._listener is not None:
            self._listener(event)
        if isinstance(event, StudyStarted):
            self._started = event
        self._tell(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tell(None)

    def _tell(self, event: Event | None) -> None:
        for name in list(self._trackers):
            try:
                # Some print where to look at every run.
                with contextlib.redirect_stdout(io.StringIO()):
                    self._report(name, event)
            except Exception as error:  # trackers raise anything, as where a server is gone
                del self._trackers[name]
                say(f"WARNING: {name} is no longer told: {first_line(error)}", err=True)

    def _report(self, name: str, event: Event | None) -> None:
        tracker = self._trackers[name]
        match event:
            case None:
                for cell in [cell for owner, cell in self._handles if owner == name]:
                    tracker.close(self._handles.pop((name, cell)), {})
            case RunsFinished(rows=rows):
                for row in rows:
                    tracker.log(self._handle(name, row.slot.cell), row, *_described(row))
            case CellFinished(cell=cell, fresh=True):
                known = {"confirmed": event.confirmed, "winner": event.winner}
                numbers = {key: float(value) for key, value in known.items() if value is not None}
                tracker.close(self._handle(name, cell), numbers | {"failures": event.failures})
                self._handles.pop((name, cell))

    def _handle(self, name: str, cell: Cell) -> Any:
        if (name, cell) not in self._handles:
            directory = self._started.directory.resolve()
            identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{directory}\n{cell.stem}").hex
            self._handles[name, cell] = self._trackers[name].open(
                self._started.study.name, directory, cell, identity
            )
        return self._handles[name, cell]


def _described(row: Row) -> tuple[Numbers, Tags]:
    """Return the finite metrics and costs of a run, and what else is known of it."""
    cell, phase, trial, replicate = row.slot
    result = row.result
    values = {**result.metrics, **result.compute}
    tags = {
        "phase": phase,
        "trial": trial,
        "replicate": replicate,
        **cell.named,
        **result.summary(),
    }
    return (
        {name: value for name, value in values.items() if math.isfinite(value)},
        {name: value for name, value in tags.items() if value and name not in values},
    )
