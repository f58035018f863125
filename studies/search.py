"""Search the configurations of a cell with Optuna, in deterministic batches.

Before every batch a sampler is installed whose seed depends on the cell and on the number of
finished trials. So what it proposes depends on the finished rows alone: not on workers, not on the
order in which runs end, not on how often the study was killed. If the Optuna storage does not hold
exactly the trials of the rows, it is rebuilt from them.
"""

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, TypeVar

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from ..bench.spec import Option, RunSpec
from ..datasets.errors import UsageError
from .cell import restart_seed
from .rundir.optuna_storage import PATIENCE, Database
from .rundir.rows import Row
from .specs.open import Template
from .specs.searchers import searcher_for

WORST = 1e9
"""The value that Optuna gets for a failed run; its samplers ignore FAIL, and accept inf."""

T = TypeVar("T")

# Errors of a storage that does not respond.
_STORAGE_ERRORS = (StorageInternalError, SQLAlchemyError)

optuna.logging.set_verbosity(optuna.logging.ERROR)


def _threads_for(sampler: str) -> AbstractContextManager[None]:
    """Use one thread for Gaussian processes: torch computes them, and its sums depend on it."""
    if sampler != "gp":
        return nullcontext()
    from ..bench.process import one_thread

    return one_thread()


class Suggestion(NamedTuple):
    """A run, and Optuna's parameters that it was built from."""

    run: RunSpec
    suggested: dict[str, Option]


def trial_of(template: Template, row: Row, values: Sequence[float]) -> tuple[RunSpec, FrozenTrial]:
    """Build the run and the Optuna trial that the stored parameters of a row lead to.

    Rows hold no ranges: the method suggests them again for the same values.

    Raises:
        UsageError: The study does not lead to these parameters.
    """
    trial = FixedTrial(dict(row.suggested or {}))
    try:
        with warnings.catch_warnings():
            # Values outside of their ranges, which are errors below.
            warnings.simplefilter("ignore")
            run = template.close(template.suggest(trial))
            frozen = create_trial(
                params=trial.params, distributions=trial.distributions, values=list(values)
            )
    except (ValueError, TypeError, KeyError) as error:
        why = str(error).splitlines()[0]
        raise UsageError(f"the study does not lead to {row.name}: {why}") from error
    if trial.params != row.suggested:
        raise UsageError(f"the study does not lead to {row.name}: other parameters are searched")
    return run, frozen


class CellSearch:
    """The search of one cell; the storage holds one Optuna study per cell."""

    def __init__(self, template: Template, storage: BaseStorage) -> None:
        self._template = template
        self._study = study = template.study
        self._storage = storage
        prefix = storage.prefix if isinstance(storage, Database) else ""
        self._name = prefix + template.cell.stem
        self._objectives = (study.objective, *study.costs)
        self._optuna: optuna.Study | None = None
        # Number of its first trials that are known to agree with their rows.
        self._synced = 0

    def ask(self, history: Sequence[Row], count: int) -> list[Suggestion]:
        """Propose ``count`` configurations after all earlier trials, in order and in whole batches.

        Raises:
            UsageError: The storage does not respond.
        """
        return self._retried(lambda: self._ask(history, count))

    def _ask(self, history: Sequence[Row], count: int) -> list[Suggestion]:
        study = self._sync(history)
        study.sampler = self._sampler(len(history))
        suggestions = []
        with _threads_for(self._study.search.sampler):
            for number in range(len(history), len(history) + count):
                trial = study.ask()
                if trial.number != number:
                    raise StorageInternalError("another process wrote to the storage")
                run = self._template.close(self._template.suggest(trial))
                suggestions.append(Suggestion(run, trial.params))
        return suggestions

    def tell(self, start: int, rows: Sequence[Row]) -> None:
        """Report a batch in trial order from number ``start``: a row per trial asked for."""
        assert self._optuna is not None, "ask comes before tell"  # noqa: S101
        try:
            for number, row in enumerate(rows, start):
                self._optuna.tell(number, self._values(row))
        except _STORAGE_ERRORS:
            # The next call rebuilds from the rows what the storage missed.
            self._optuna = None
        else:
            self._synced = start + len(rows)

    def sync(self, history: Sequence[Row]) -> optuna.Study:
        """Make the Optuna study hold exactly these trials; rebuild it if it does not.

        Raises:
            UsageError: The storage does not respond.
        """
        return self._retried(lambda: self._sync(history))

    def _retried(self, step: Callable[[], T]) -> T:
        """Repeat a step until the storage responds; proposals do not depend on how often."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return step()
            except _STORAGE_ERRORS as error:
                self._optuna = None
                if time.monotonic() > end:
                    why = str(error).splitlines()[0]
                    if isinstance(self._storage, Database):
                        why = self._storage.masked(why)
                    raise UsageError(
                        f"the Optuna storage is not responding ({why}): check that it is running, "
                        "then run the same command again to continue"
                    ) from error
                time.sleep(0.5)

    def _sync(self, history: Sequence[Row]) -> optuna.Study:
        if self._optuna is not None and self._synced == len(history):
            return self._optuna
        study = self._optuna or self._load()
        if study is None or not self._agrees(study, history):
            study = self._rebuild(history)
        self._optuna, self._synced = study, len(history)
        return study

    def _load(self) -> optuna.Study | None:
        try:
            return optuna.load_study(study_name=self._name, storage=self._storage)
        except KeyError:
            return None

    def _agrees(self, study: optuna.Study, history: Sequence[Row]) -> bool:
        trials = study.get_trials(deepcopy=False)
        if (len(trials), len(study.directions)) != (len(history), len(self._objectives)):
            return False
        return all(
            trial.state == TrialState.COMPLETE
            and trial.params == row.suggested
            and trial.values == self._values(row)
            for trial, row in zip(trials, history, strict=True)
        )

    def _rebuild(self, history: Sequence[Row]) -> optuna.Study:
        name = self._name
        if self._load() is not None:
            optuna.delete_study(study_name=name, storage=self._storage)
        directions = [StudyDirection.MINIMIZE] * len(self._objectives)
        study = optuna.create_study(study_name=name, storage=self._storage, directions=directions)
        for row in history:
            study.add_trial(trial_of(self._template, row, self._values(row))[1])
        return study

    def _values(self, row: Row) -> list[float]:
        losses = [row.loss(name) for name in self._objectives]
        if not all(math.isfinite(loss) for loss in losses):
            # Costs are WORST too: a run that failed early would count as cheap otherwise.
            return [WORST] * len(losses)
        return [min(loss, WORST) for loss in losses]

    def _sampler(self, finished: int) -> optuna.samplers.BaseSampler:
        seed = int(np.random.SeedSequence([self._seed(), finished]).generate_state(1)[0])
        return searcher_for(self._study.search, self._seed(), seed)

    def _seed(self) -> int:
        """Derive the seed of the cell, so that adding cells does not change the others."""
        cell = self._template.cell
        root = restart_seed(self._study.seed, cell.restart)
        text = "\n".join(("search", str(root), *cell.labels))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
