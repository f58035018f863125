"""A live, read-only view of the searches of a study in Optuna's dashboard.

Searches are those of the journal, also while the study runs. What Optuna is not told is added from
the table of runs: why a trial failed, every metric, and the pictures of winners. Nothing of a
study's own code is run.
"""

import io
import json
import math
import uuid
from collections.abc import Container, Generator, Iterable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import JournalStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from ..datasets.errors import UsageError
from ..studies.cell import Cell
from ..studies.rundir.read import JOURNAL, ROWS, read_rows, read_study
from ..studies.rundir.rows import Row
from ..studies.specs.stored import Journal
from ..studies.specs.warm import FOREIGN
from .figures.panels import four_panels
from .figures.style import encode
from .source import load

HOST = "127.0.0.1"


class Searches(JournalStorage):
    """The searches of a run directory as read-only Optuna storage.

    Runs without a finite loss, for which the search gets a very large one, are failed trials here.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(Journal(folder / JOURNAL))
        study = read_study(folder)
        self._objectives = [study.objective, *study.costs]
        self._folder = folder
        self._read = 0
        self._trials: dict[tuple[str, int], Row] = {}
        self._winners: dict[tuple[str, int], Cell] = {}

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return all searches, with the names of their objectives."""
        studies = super().get_all_studies()
        for study in studies:
            study.system_attrs = self.get_study_system_attrs(study._study_id)
        return studies

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return Optuna's own attributes of a search, and the names of its objectives."""
        return super().get_study_system_attrs(study_id) | {"study:metric_names": self._objectives}

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials of a search, with what the table of runs has of them."""
        stem = self.get_study_name_from_id(study_id)
        trials = self._described(study_id, stem, super().get_all_trials(study_id, deepcopy))
        return [trial for trial in trials if states is None or trial.state in states]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return one trial of any search."""
        trial = super().get_trial(trial_id)
        for study in super().get_all_studies():
            known = super().get_all_trials(study._study_id, deepcopy=False)
            if trial_id in [other._trial_id for other in known]:
                return next(self._described(study._study_id, study.study_name, [trial]))
        return trial

    def picture(self, artifact: str) -> Cell:
        """Return the cell whose winner has an artifact.

        Raises:
            ArtifactNotFound: There is none.
        """
        self._refresh()
        for name, cell in self._winners.items():
            if _artifact(*name) == artifact:
                return cell
        raise ArtifactNotFound(artifact)

    def _refresh(self) -> None:
        """Read the table of runs again if it has grown."""
        path = self._folder / ROWS
        size = path.stat().st_size if path.exists() else 0
        if size == self._read:
            return
        self._read = size
        for row in read_rows(self._folder):
            cell, phase, trial, replicate = row.slot
            if trial is not None and phase == "search" and replicate == 0:
                self._trials[cell.stem, trial] = row
            elif trial is not None and phase == "confirm" and row.ok:
                self._winners[cell.stem, trial] = cell

    def _described(
        self, study_id: int, stem: str, trials: Iterable[FrozenTrial]
    ) -> Generator[FrozenTrial]:
        self._refresh()
        every = super().get_all_trials(study_id, deepcopy=False)
        foreign = sum(FOREIGN in trial.user_attrs for trial in every)
        for trial in trials:
            name = (stem, trial.number - foreign)
            row = self._trials.get(name)
            if row is None or trial.state == TrialState.RUNNING:
                yield trial
                continue
            described = copy(trial)
            described.user_attrs = {**trial.user_attrs, **_attributes(row)}
            if math.inf in map(row.loss, self._objectives):
                described.state, described.values = TrialState.FAIL, None
            if name in self._winners:
                meta = {"artifact_id": _artifact(*name), "filename": f"{stem}.png",
                        "mimetype": "image/png", "encoding": None}  # fmt: skip
                pictures = {f"artifacts:{meta['artifact_id']}": json.dumps(meta)}
                described.system_attrs = {**trial.system_attrs, **pictures}
            yield described


class Pictures:
    """The four panels of winners, drawn when somebody looks; an artifact store of Optuna."""

    def __init__(self, folder: Path, searches: Searches) -> None:
        self._folder = folder
        self._searches = searches

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Draw a picture as PNG.

        Raises:
            ArtifactNotFound: No winner has it, or its samples cannot be drawn.
        """
        cell = self._searches.picture(artifact_id)
        source = load(self._folder)
        results = next(r for r in source.evidence.cells if r.cell.labels == cell.labels)
        portrait = source.portrait(replace(results, cell=cell))
        if portrait is None:
            raise ArtifactNotFound(artifact_id)
        title = f"{cell.method} on {cell.dataset}, {cell.sampler}"
        return io.BytesIO(encode(four_panels(portrait, title), "png", dpi=100))

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:  # noqa: ARG002
        """Refuse to write."""
        raise UsageError("artifacts are read-only here")

    def remove(self, artifact_id: str) -> None:  # noqa: ARG002
        """Refuse to remove."""
        raise UsageError("artifacts are read-only here")


def open_searches(directory: str | Path) -> Searches:
    """Return the searches of a run directory as read-only Optuna storage.

    Raises:
        UsageError: It is not a run directory, or it has no search yet.
    """
    folder = Path(directory)
    study = read_study(folder)
    if study.recorded is not None:
        raise UsageError(
            f"{str(folder)!r} looks up recorded runs, and stores no searches that the dashboard "
            "could show: see its report"
        )
    if not (folder / JOURNAL).is_file():
        raise UsageError(f"{str(folder)!r} has no {JOURNAL}: it has no search yet")
    return Searches(folder)


def serve(directory: str | Path, port: int = 8080) -> None:
    """Show a running or finished study in Optuna's dashboard until interrupted.

    Only this machine can reach the port.

    Raises:
        UsageError: See ``open_searches``; or the dashboard is not installed, or the port is in use.
    """
    searches = open_searches(directory)
    try:
        from optuna_dashboard import run_server
    except ImportError as error:
        raise UsageError(
            "the dashboard is not installed: pip install 'scorebench[dashboard]'"
        ) from error
    pictures = Pictures(Path(directory), searches)
    try:
        run_server(searches, host=HOST, port=port, artifact_store=pictures)
    except OSError as error:
        raise UsageError(f"cannot listen on port {port}: {error.strerror or error}") from error


def _attributes(row: Row) -> dict[str, Any]:
    """Return what a table row says of a trial besides its objectives, in order of display."""
    result = row.result
    attributes: dict[str, Any] = {"state": result.state, "restart": row.slot.cell.restart}
    if result.failure is not None:
        step = "" if result.failure.step is None else f", step {result.failure.step}"
        attributes["failure"] = f"{result.failure.stage}{step}: {result.failure.reason}"
    return attributes | dict(result.metrics) | dict(result.compute)


def _artifact(stem: str, trial: int) -> str:
    """Return the identity of the picture of a trial, in the form that Optuna gives artifacts."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{stem}/{trial}"))
