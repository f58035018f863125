"""A run with open places: what a study leaves to the search in a cell.

A place is a hyperparameter of the method, or a field of training, the network or the sampler that
has a range or a list instead of a value. Optuna and the tables call it ``training.steps``,
``network.width`` and so on; hyperparameters and the learning rate go by their bare names.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from pydantic import ValidationError

from ...bench.spec import (
    EvaluationSpec,
    Frozen,
    NetworkSpec,
    Option,
    Phase,
    Plugin,
    RunSpec,
    TrainingSpec,
)
from ...datasets.errors import UsageError
from ...methods.space import LEARNING_RATE, MiddleTrial, branches, survey
from ..cell import Cell, restart_seed
from ..engine import Engine
from ..lookup import place
from .entries import Entry, Leaf, is_open, reason
from .resolve import BOX, resolve, with_lists
from .spec import IID, TRUTH, StudySpec
from .tables import OpenNetwork, Training
from .trials import Beyond, NarrowedTrial, suggest

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

FIELDS = frozenset(
    f"{table}.{name}"
    for table, model in (("training", Training), ("network", OpenNetwork))
    for name in model.leaves()
)
"""Fields of a study that can be searched, by dotted name."""

Values = dict[str, dict[str, Option]]
"""A value for each open place, by table (``method``, ``training``, ...) and name."""

AnyTable = TypeVar("AnyTable", bound=Frozen)


class Place(NamedTuple):
    """A field of a run that may be open, and its table: ``training``, ``network`` or ``sampler``.

    ``leaf`` is its value, range or list in the study, ``form`` the type of its values.
    """

    table: str
    field: str
    leaf: Leaf
    form: object


class Template:
    """The runs of a cell of a study, with open places; those of references have no parameters."""

    def __init__(self, engine: Engine, study: StudySpec, cell: Cell) -> None:
        self.study = study
        self.cell = cell
        self.engine = engine
        self._method = _entry(study.methods, cell.method)

    @cached_property
    def gives(self) -> str | None:
        """Kind of model that the method makes itself; None if a network is trained."""
        own = None if self._method is None else self.engine.estimator(self._method.name)
        return None if own is None else own.gives

    @cached_property
    def _tables(self) -> tuple[Training, OpenNetwork]:
        """Training and network of the cell; the least of both if the method trains none."""
        training = self.study.training
        if self.gives is None:
            return training, self.study.network
        return Training(steps=0, learning_rate=1e-3, points=training.points), OpenNetwork()

    @cached_property
    def _sampler(self) -> Entry | None:
        if self.gives == "points":
            return None
        sampler = _entry(self.study.samplers, self.cell.sampler)
        if sampler is None or not any(map(is_open, sampler.settings.values())):
            return sampler
        return with_lists(sampler, self.engine.options("sampler", sampler.name))

    @cached_property
    def places(self) -> dict[str, Place]:
        """The learning rate and all open fields, by name in Optuna; no hyperparameters."""
        training, network = self._tables
        places = [
            Place(table, field, leaf, fields.leaves()[field])
            for table, fields in (("training", training), ("network", network))
            for field, leaf in fields.open_leaves().items()
            if field != LEARNING_RATE
        ]
        if self._sampler is not None and any(map(is_open, self._sampler.settings.values())):
            parameters = self.engine.options("sampler", self._sampler.name).items()
            defaults = {option: parameter.default for option, parameter in parameters}
            places += [
                Place("sampler", option, leaf, type(defaults.get(option)))
                for option, leaf in self._sampler.settings.items()
                if is_open(leaf)
            ]
        if self.gives is not None:
            return {f"{place.table}.{place.field}": place for place in places}
        rate: Leaf = training.learning_rate
        if self._method is not None:
            rate = self._method.settings.get(LEARNING_RATE, rate)
        first = {LEARNING_RATE: Place("training", LEARNING_RATE, rate, float)}
        return first | {f"{place.table}.{place.field}": place for place in places}

    @cached_property
    def open(self) -> list[str]:
        """Names of all open places, over all branches of the method's space.

        Raises:
            UsageError: A setting of the study does not suit its hyperparameter.
        """
        own = [] if self._method is None else list(self._explore(self._method.settings)[0])
        return own + self._open_fields

    @cached_property
    def is_closed(self) -> bool:
        """Whether no place is open."""
        # Fields first: asking a method for its space imports torch.
        return not self._open_fields and not self.open

    @cached_property
    def _open_fields(self) -> list[str]:
        return [name for name, place in self.places.items() if is_open(place.leaf)]

    @cached_property
    def hyperparameters(self) -> dict[str, Option]:
        """An example value of each hyperparameter, over all branches of the method's space."""
        suggested, constants = self._explore({})
        rate = {LEARNING_RATE: 1e-3} if self.gives is None else {}
        return {**rate, **suggested, **constants}

    def survey(self) -> Beyond:
        """Check what the method suggests; see ``methods.space.survey``.

        Returns:
            The method's own ranges, by name and value of the study outside of them.
        """
        method = self._method
        if method is None:
            return {}
        trials: list[NarrowedTrial] = []

        def narrow(trial: "BaseTrial") -> "BaseTrial":
            trials.append(NarrowedTrial(trial, method.settings))
            return cast("BaseTrial", trials[-1])

        survey(partial(self.engine.space, method.name), narrow)
        return {place: own for trial in trials for place, own in trial.beyond.items()}

    def suggest(self, trial: "BaseTrial") -> Values:
        """Let a trial choose a value for each open place.

        Raises:
            UsageError: A setting of the study does not suit its hyperparameter.
        """
        return {"method": self.suggest_hyperparameters(trial), **self.suggest_fields(trial)}

    def suggest_hyperparameters(self, trial: "BaseTrial") -> dict[str, Option]:
        """Let the method choose its hyperparameters, within the limits of the study."""
        if self._method is None:
            return {}
        narrowed = NarrowedTrial(trial, self._method.settings)
        options = self._space(narrowed)
        if BOX in narrowed.constants:
            options[BOX] = self.engine.scaled(options[BOX], self.dataset)
        return options

    def suggest_fields(self, trial: "BaseTrial") -> Values:
        """Choose the learning rate and a value for each open field."""
        values: Values = {"training": {}, "network": {}, "sampler": {}}
        for name, (table, field, leaf, form) in self.places.items():
            values[table][field] = suggest(trial, name, leaf, form)
        return values

    def middle(self) -> Values:
        """Give the middle of each range and the first of each list.

        Raises:
            UsageError: A setting of the study does not suit its hyperparameter.
        """
        return self.suggest(cast("BaseTrial", MiddleTrial()))

    def close(self, values: Values) -> RunSpec:
        """Make a run, of the search or of the reference rows, with a value for each open place.

        Raises:
            UsageError: A value is impossible.
        """
        study = self.study
        phase: Phase = "reference" if self._method is None else "search"
        dataset, sampler = self.dataset, self.sampler
        training, network = self._tables
        try:
            return RunSpec(
                phase=phase,
                seed=restart_seed(study.seed, self.cell.restart),
                method=self._learner(values["method"]),
                dataset=dataset,
                sampler=Plugin(name=sampler.name, options=sampler.options | values["sampler"]),
                network=_closed(NetworkSpec, network, values["network"]),
                training=self._training(_closed(TrainingSpec, training, values["training"])),
                evaluation=self.evaluation(phase),
                device=study.device,
            )
        except ValidationError as error:
            raise UsageError(f"{self.cell.method!r}: {reason(error)}") from error

    @cached_property
    def dataset(self) -> Plugin:
        """The dataset with all of its options."""
        entry = next(e for e in self.study.datasets if e.label == self.cell.dataset)
        return resolve("dataset", entry, self.engine)

    @cached_property
    def sampler(self) -> Plugin:
        """The sampler with all of its options, open ones at their middle."""
        if self._sampler is None:
            return Plugin(name=IID)
        return resolve("sampler", self._sampler, self.engine, self.dataset)

    def evaluation(self, phase: Phase) -> EvaluationSpec:
        """Give the evaluation of the runs of a phase: searches do without what they do not see."""
        given, searches = self.study.evaluation, phase == "search"
        entries = () if searches or self.gives == "points" else given.also
        most = given.samples if self._available is None else self._available[1]
        return EvaluationSpec(
            samples=min(given.samples, most),
            metrics=given.metrics,
            checkpoints=given.checkpoints if phase == "confirm" else 0,
            split=self.study.reference.split and not searches and self.gives != "points",
            also={
                entry.label: resolve("sampler", entry, self.engine, self.dataset)
                for entry in entries
            },
            measures={
                entry.label: resolve("metric", entry, self.engine) for entry in given.measures
            },
        )

    def _training(self, training: TrainingSpec) -> TrainingSpec:
        """Lower the number of points to those that a finite dataset has."""
        if self._available is None or training.points <= self._available[0]:
            return training
        return training.model_copy(update={"points": self._available[0]})

    @cached_property
    def _available(self) -> tuple[int, int] | None:
        """How many points a finite dataset has to train on, and to compare samples with."""
        name = next(e.name for e in self.study.datasets if e.label == self.cell.dataset)
        # Others need not be imported.
        return self.engine.available(self.dataset) if self.engine.finite(name) else None

    def _learner(self, options: dict[str, Option]) -> Plugin:
        if self._method is not None:
            label = self.cell.dataset
            named = {
                name: value.replace("{dataset}", label) if isinstance(value, str) else value
                for name, value in options.items()
            }
            return Plugin(name=self._method.name, options=named)
        if self.cell.method == TRUTH:
            return Plugin(name=TRUTH)
        return self._reference

    @cached_property
    def _reference(self) -> Plugin:
        entry = next(e for e in self.study.reference.methods if e.label == self.cell.method)
        return resolve("reference", entry, self.engine)

    def _explore(self, settings: Mapping[str, Leaf]) -> tuple[dict[str, Option], dict[str, Option]]:
        """Collect what is suggested and what is constant, over all branches that choices open."""
        suggested: dict[str, Option] = {}
        constants: dict[str, Option] = {}

        def suggest(trial: "BaseTrial") -> None:
            narrowed = NarrowedTrial(trial, settings)
            self._space(narrowed)
            constants.update(narrowed.constants)

        for trial in branches(suggest):
            for name, value in trial.values.items():
                suggested.setdefault(name, value)
        return suggested, constants

    def _space(self, trial: NarrowedTrial) -> dict[str, Option]:
        if self._method is None:
            return {}
        return self.engine.space(self._method.name, cast("BaseTrial", trial))


def _closed(model: type[AnyTable], table: AnyTable, values: Mapping[str, Option]) -> AnyTable:
    """Make the table of a run: that of a study, with a value for each open leaf."""
    return model.model_validate({**table.model_dump(), **values})


def _entry(entries: Sequence[Entry], label: str) -> Entry | None:
    return next((entry for entry in entries if entry.label == label), None)


def value_in(run: RunSpec, place: str) -> Option | None:
    """Give the value of a place (``learning_rate``, ``network.width``) in a run, or None."""
    table, _, name = place.rpartition(".")
    if table == "sampler":
        return run.sampler.options.get(name)
    value: Option | None = getattr(getattr(run, table or "training"), name, None)
    return value


def by_table(suggested: Mapping[str, Option]) -> Values:
    """Sort Optuna's parameters, by name of the place, by the tables that they belong to."""
    values: Values = {"method": {}, "training": {}, "network": {}, "sampler": {}}
    for parameter, value in suggested.items():
        table, name = place(parameter)
        values[table][name] = value
    return values
