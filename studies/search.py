"""Search the configurations of a cell with Optuna, in deterministic batches.

Before every batch a sampler is installed whose seed depends on the cell and on the number of
finished trials. So what it proposes depends on the finished rows alone: not on workers, not on the
order in which runs end, not on how often the study was killed. If the Optuna storage does not hold
exactly the trials of the rows, it is rebuilt from them: by adding the trials, or, for searchers
with a memory of their own, by asking for the earlier batches again.
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
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from ..bench.spec import Option, RunResult, RunSpec
from ..datasets.errors import UsageError
from .cell import Slot, restart_seed
from .rundir.optuna_storage import PATIENCE, Database
from .rundir.rows import Row
from .specs.first import configurations
from .specs.open import Template
from .specs.require import WORST
from .specs.searchers import STORAGE_ERRORS, Searcher
from .specs.spec import StudySpec
from .specs.warm import foreign_trials

T = TypeVar("T")


def _threads_for(searcher: Searcher) -> AbstractContextManager[None]:
    """Use one thread for Gaussian processes: torch computes them, and its sums depend on it."""
    if searcher.name != "gp" and not searcher.own:
        return nullcontext()
    from ..bench.process import one_thread

    return one_thread()


class Suggestion(NamedTuple):
    """A run, and Optuna's parameters that it was built from."""

    run: RunSpec
    suggested: dict[str, Option]


_WHY = {
    True: "it may draw from a global generator, read a clock, keep a memory outside of itself, or "
    "have changed; draw from the `seed` that its class is given, and keep what it remembers in it",
    False: "another version of Optuna or of the packages that it uses made the stored trials; "
    "install the version that the environment of the rows names",
}
"""Why a searcher proposes otherwise when it is asked again; True for the user's own."""


def _shown(suggested: dict[str, Option] | None) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in (suggested or {}).items())


def trial_of(
    template: Template,
    row: Row,
    values: Sequence[float],
    constraints: dict[str, float] | None = None,
) -> tuple[RunSpec, FrozenTrial]:
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
                params=trial.params,
                distributions=trial.distributions,
                values=list(values),
                constraints=constraints,
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
        self._searcher = Searcher(
            study.search.searcher(template.cell.searcher), study.search.startup
        )
        self._first = configurations(template)
        # Trials of others, which are numbered before those of the rows.
        self._foreign = foreign_trials(template)
        self._limits = study.search.requirements
        # Trials that were asked for last, by number.
        self._asked: dict[int, optuna.Trial] = {}
        # The object that has proposed so far, if it is to propose everything.
        self._living: optuna.samplers.BaseSampler | None = None
        self._optuna: optuna.Study | None = None
        # Number of its first trials that are known to agree with their rows.
        self._synced = 0

    def ask(
        self, history: Sequence[Row], count: int, known: Sequence[Row | None] = ()
    ) -> list[Suggestion]:
        """Propose ``count`` configurations after all earlier trials, in order and in whole batches.

        Args:
            history: The rows of all earlier trials.
            count: Number of configurations.
            known: The stored rows of these trials; None for those that are missing.

        Raises:
            UsageError: The storage does not respond, the searcher fails, or it remembers and does
                not propose what is stored.
        """
        suggestions = self._retried(lambda: self._ask(self._sync(history), len(history), count))
        if self._searcher.remembers:
            self._compare([row for row in known if row is not None], suggestions, len(history))
        return suggestions

    @property
    def otherwise(self) -> str:
        """Say that other hyperparameters are proposed than those that are stored."""
        if self._searcher.own:
            return f"search algorithm {self._searcher.label!r} now proposes other hyperparameters"
        return "Optuna now proposes other hyperparameters, as other versions of it may"

    def _ask(self, study: optuna.Study, start: int, count: int) -> list[Suggestion]:
        study.sampler = self._sampler(start)
        suggestions = []
        self._asked = {}
        with _threads_for(self._searcher), self._searcher.blamed():
            for number in range(start, start + count):
                if number < len(self._first):
                    # The only one that waits, so that it is the next that is asked for.
                    study.enqueue_trial(self._first[number])
                trial = study.ask()
                if trial.number != len(self._foreign) + number:
                    raise StorageInternalError("another process wrote to the storage")
                run = self._template.close(self._template.suggest(trial))
                self._asked[number] = trial
                suggestions.append(Suggestion(run, trial.params))
        return suggestions

    def _compare(self, rows: Sequence[Row], suggestions: Sequence[Suggestion], start: int) -> None:
        """Raise ``UsageError`` if rows were not made with what was suggested from ``start`` on."""
        for row in rows:
            number = row.slot.trial or 0
            found = suggestions[number - start].suggested
            if found != row.suggested:
                raise UsageError(
                    f"trial {number} of {self._template.cell.stem}: asked again, search algorithm "
                    f"{self._searcher.label!r} proposes {_shown(found)}, where the table "
                    f"has {_shown(row.suggested)}: {_WHY[self._searcher.own]}"
                )

    def tell(self, start: int, rows: Sequence[Row]) -> None:
        """Report a batch in trial order from number ``start``: a row per trial asked for."""
        assert self._optuna is not None, "ask comes before tell"  # noqa: S101
        try:
            self._tell(self._optuna, start, rows)
        except STORAGE_ERRORS:
            # The next call rebuilds from the rows what the storage missed.
            self._optuna = None
        else:
            self._synced = start + len(rows)

    def _tell(self, study: optuna.Study, start: int, rows: Sequence[Row]) -> None:
        with _threads_for(self._searcher), self._searcher.blamed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for number, row in enumerate(rows, start):
                for name, violation in self._violations(row).items():
                    self._asked[number].set_constraint(name, violation)
                study.tell(self._asked[number], self._values(row))

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
            except STORAGE_ERRORS as error:
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
        # What a living searcher remembers is not in the storage.
        study = self._optuna or (None if self._searcher.own else self._load())
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
        known = [(trial.params, trial.values, trial.constraints) for trial in self._foreign]
        known += [(row.suggested or {}, self._values(row), self._violations(row))
                  for row in history]  # fmt: skip
        if len(study.directions) != len(self._objectives):
            return False
        return known == [
            (trial.params, trial.values, trial.constraints) for trial in trials
        ] and all(trial.state == TrialState.COMPLETE for trial in trials)

    def _rebuild(self, history: Sequence[Row]) -> optuna.Study:
        name = self._name
        if self._load() is not None:
            optuna.delete_study(study_name=name, storage=self._storage)
        directions = [StudyDirection.MINIMIZE] * len(self._objectives)
        study = optuna.create_study(study_name=name, storage=self._storage, directions=directions)
        study.add_trials(self._foreign)
        if self._searcher.remembers:
            self._ask_again(study, history)
        else:
            for row in history:
                known = self._values(row), self._violations(row)
                study.add_trial(trial_of(self._template, row, *known)[1])
        return study

    def _ask_again(self, study: optuna.Study, history: Sequence[Row]) -> None:
        """Repeat all batches of the rows, so that the searcher remembers them.

        Raises:
            UsageError: It does not propose what is stored.
        """
        self._living = None
        size = self._study.search.batch
        for start in range(0, len(history), size):
            batch = history[start : start + size]
            self._compare(batch, self._ask(study, start, len(batch)), start)
            self._tell(study, start, batch)

    def _values(self, row: Row) -> list[float]:
        losses = [row.loss(name) for name in self._objectives]
        if not all(math.isfinite(loss) for loss in losses):
            # Costs are WORST too: a run that failed early would count as cheap otherwise.
            return [WORST] * len(losses)
        return [min(loss, WORST) for loss in losses]

    def _violations(self, row: Row) -> dict[str, float]:
        return {limit.text: limit.violation(row.loss(limit.name)) for limit in self._limits}

    def _sampler(self, finished: int) -> optuna.samplers.BaseSampler:
        if self._living is not None:
            return self._living
        seed = int(np.random.SeedSequence([self._seed(), finished]).generate_state(1)[0])
        sampler = self._searcher.sampler(self._seed(), seed)
        if self._searcher.own:
            self._living = sampler
        return sampler

    def _seed(self) -> int:
        """Derive the seed of the cell, so that adding cells does not change the others."""
        cell = self._template.cell
        root = restart_seed(self._study.seed, cell.restart)
        text = "\n".join(("search", str(root), *cell.labels, *filter(None, [cell.searcher])))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


_COUNTED = 300
"""Most combinations of an exhaustive search that are counted beforehand."""


def rehearse(template: Template) -> None:
    """Ask a searcher twice for the first trials of a cell, with invented values.

    Raises:
        UsageError: It fails with these options, or does not propose the same again.
    """
    study = template.study
    most = min(study.search.trials, study.search.startup + 2 * study.search.batch)
    exhaustive = study.search.searcher(template.cell.searcher).name == "brute_force"
    if exhaustive:
        most = min(study.search.trials, _COUNTED)
    search, rows = CellSearch(template, InMemoryStorage()), list[Row]()
    for start in range(0, most, study.search.batch):
        asked = search.ask(rows, min(study.search.batch, most - start))
        batch = [
            Row(Slot(template.cell, "search", number, 0), "", _invented(study, number), "", given)
            for number, (_, given) in enumerate(asked, start)
        ]
        search.tell(start, batch)
        rows += batch
    different = {repr(row.suggested) for row in rows}
    if exhaustive and len(different) < len(rows):
        raise UsageError(
            f'search.sampler = "brute_force" finds {len(different)} combinations for method '
            f"{template.cell.method!r}, and search.trials = {study.search.trials}: set it to "
            f"{len(different)}"
        )
    CellSearch(template, InMemoryStorage()).sync(rows)


def _invented(study: StudySpec, number: int) -> RunResult:
    values = np.random.default_rng(number).random(1 + len(study.costs))
    names = (study.objective, *study.costs)
    limits = {limit.name: limit.limit for limit in study.search.requirements}
    metrics = limits | dict(zip(names, map(float, values), strict=True))
    return RunResult(key="rehearsal", state="ok", metrics=metrics)
