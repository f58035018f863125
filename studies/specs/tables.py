"""The tables of a study file: their fields and defaults."""

import re
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    WrapSerializer,
    model_serializer,
    model_validator,
)

from ...bench.data_files import DataFile
from ...bench.plugins import PluginSource
from ...bench.spec import Evaluation, Frozen, NetworkSpec, Scalar, TrainingSpec
from ...datasets.errors import UsageError
from .entries import Entry, OpenTable, Range, as_tuple, ends, one_as_such, one_or_list, short
from .require import Requirement

Entries = Annotated[tuple[Entry, ...], BeforeValidator(as_tuple)]
Unsearched = Annotated[Entries, AfterValidator(lambda entries: tuple(e.closed for e in entries))]
Searchers = Annotated[
    Unsearched, BeforeValidator(one_or_list), WrapSerializer(one_as_such, return_type=object)
]
Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]
DataFiles = Annotated[tuple[DataFile, ...], BeforeValidator(as_tuple)]
Plugins = Annotated[tuple[PluginSource, ...], BeforeValidator(as_tuple)]

DEFAULT = "default"
"""The known configuration that a method publishes."""

CELLS = "for"
"""What a known configuration is for: a pattern of cells. No hyperparameter can be called so."""

Known = str | dict[str, Scalar]
"""A known configuration: ``default``, or values by place; a run directory until it is read."""


def _known(given: object) -> object:
    """Write the tables of a known configuration, ``{training = {steps = 1}}``, as one."""
    items = as_tuple(given)
    if not isinstance(items, tuple):
        return items
    for item in items:
        if not isinstance(item, str | dict):
            raise UsageError(
                f"search.first: {item!r} is neither {DEFAULT!r}, a run directory, nor a table such "
                "as {sigma = 0.1}"
            )
    return tuple(_flat(item) if isinstance(item, dict) else item for item in items)


Foreign = dict[str, Any]
"""A trial of another study, ``for``, ``params``, ``values``, ``violations``; or where it is."""

_SOURCE = {"storage", "study", CELLS}
_TRIAL = {CELLS, "params", "values", "violations"}


def _warm(given: object) -> object:
    """Write a run directory or storage as a table, and check the names in tables."""
    items = one_or_list(given)
    assert isinstance(items, tuple)  # noqa: S101
    tables = [{"storage": item} if isinstance(item, str) else item for item in items]
    for table in tables:
        names = set(table) if isinstance(table, dict) else set()
        source = "storage" in names <= _SOURCE and all(isinstance(v, str) for v in table.values())
        if names != _TRIAL and not source:
            raise UsageError(
                f"search.warm: {short(table)} is neither a run directory, a storage of Optuna, nor "
                'a table such as {storage = "sqlite:///optuna.db", study = "NAME"}'
            )
    return tuple(tables)


def _flat(table: dict[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in table.items():
        inner = _flat(value) if isinstance(value, dict) else None
        flat |= {f"{name}.{k}": v for k, v in inner.items()} if inner else {name: value}
    return flat


Warm = Annotated[tuple[Foreign, ...], BeforeValidator(_warm)]
FirstOnes = Annotated[tuple[Known, ...], BeforeValidator(_known)]

# Any, because type checkers know the leaves of a run, which are values.
_RATES: Any = Range(low=1e-4, high=1e-2, log=True)


class Training(OpenTable, TrainingSpec):
    """How every network of the study is fitted; see ``bench.spec.TrainingSpec``.

    Attributes:
        learning_rate: A number, or a range or list that is searched together with the method.
    """

    # The published schema has no bounds for it; a study is checked against them when it is read.
    learning_rate: Annotated[float, Field(gt=0, le=10), WithJsonSchema({"type": "number"})] = _RATES


class OpenNetwork(OpenTable, NetworkSpec):
    """The network that is trained: a multilayer perceptron, or a module of your own."""

    # Metrics and samplers depend on the kind, and a module of your own has options instead.
    FIXED = frozenset({"kind", "module", "options"})

    @property
    def kinds(self) -> tuple[NetworkSpec, ...]:
        """Networks of equal code: one for each activation."""
        return tuple(
            NetworkSpec.model_validate({"kind": self.kind, "activation": activation})
            for activation in ends(self.activation)
        )


class Search(Frozen):
    """How each cell is tuned.

    Attributes:
        trials: Configurations tried in a cell, in total; 0 for no tuning at all.
        batch: Configurations proposed at a time; part of the study because it decides what the
            proposals can know of.
        sampler: The search algorithm, alone or in a table with its options: one of Optuna 5's,
            ``tpe``, ``gp`` (Gaussian processes), ``cmaes``, ``nsga2``, ``nsga3``, ``qmc`` (a
            scrambled Sobol sequence), ``random``, ``brute_force``; ``grid``, every combination of
            the choices; one of your own, ``"mine.py:MySampler"``; or a package in a folder of
            OptunaHub's registry, ``"hub:PATH"``. Or a list, whose members are compared; the
            leaderboard is that of the first.
        startup: Random configurations before ``tpe`` and ``gp`` begin to learn.
        finalists: Best configurations that are trained again before the winner is chosen.
        repeats: Fresh validation runs of each finalist.
        race: Race of all trials instead of repeats of the finalists only: before every repeat run
            the best 1 of ``race`` configurations continue, by the mean of all their runs, until
            the finalists are left; 3 takes 40 trials to 14, 8, 8 and 8 for 8 finalists.
        first: Known configurations, which every search tries before its algorithm proposes:
            ``"default"``, the setting that a method publishes; a table of one's own,
            ``{sigma = 0.1}``, for the cells that search these places, or that ``for`` names
            (``{for = "dsm-*", sigma = 0.1}``); a run directory, whose winners become part of the
            study. Places that they leave open are proposed.
        warm: Trials of others, which the search algorithm learns from: a run directory, a storage
            of Optuna, ``"sqlite:///optuna.db"`` or a journal file, or a list of them.
            ``{storage = "...", study = "NAME", for = "dsm-*"}`` names a study in it, and cells. The
            trials become part of the study; they are not ranked, chosen or counted.
        require: Limits that a configuration must keep to be chosen, ``"NAME <= NUMBER"`` or
            ``>=``, of metrics and counts of network evaluations:
            ``["train_evaluations <= 1e7"]``. Search algorithms learn them as Optuna's constraints.
        restarts: Independent repetitions of search and confirmation in each cell, each with its
            own proposals, training seeds and truth. What a study says of methods rests on them:
            one restart speaks of its configurations only.
    """

    trials: int = Field(20, ge=0, le=100_000)
    batch: int = Field(4, ge=1, le=8)
    sampler: Searchers = (Entry.named("tpe"),)
    startup: int = Field(10, ge=1, le=100_000)
    finalists: int = Field(2, ge=1, le=100)
    repeats: int = Field(2, ge=0, le=100)
    race: int | None = Field(None, ge=2, le=100)
    first: FirstOnes = ()
    warm: Warm = ()
    require: Names = ()
    restarts: int = Field(1, ge=1, le=1000)

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        data: dict[str, object] = handler(self)
        unset = [name for name in ("first", "warm", "require") if not getattr(self, name)]
        return {name: value for name, value in data.items() if name not in unset}

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """The limits, parsed."""
        return tuple(map(Requirement.parse, self.require))

    @property
    def axis(self) -> tuple[str, ...]:
        """Labels of the searchers in cells; that of the first is empty."""
        return ("", *(entry.label for entry in self.sampler[1:]))

    def searcher(self, label: str) -> Entry:
        """Return the searcher of a cell; ``label`` is empty for the first."""
        return self.sampler[self.axis.index(label)]

    @model_validator(mode="after")
    def _race_has_seeds(self) -> Self:
        if self.race is not None and not self.repeats and self.trials:
            raise UsageError(
                f"search.race = {self.race} with search.repeats = 0 is a race with one seed, which "
                "luck decides: set search.repeats to 1 or more (4 for five seeds)"
            )
        return self


class Confirm(Frozen):
    """The runs that are ranked.

    Attributes:
        seeds: Fresh runs of each cell's winner, scored on the test truth.
    """

    seeds: int = Field(5, ge=1, le=10_000)


class ReferenceRows(Frozen):
    """Rows that say what the numbers mean.

    Attributes:
        methods: Reference methods that are run besides the truth itself, with their options.
        floors: Fresh samples of the truth per dataset, scored like a model's (the noise floor).
        seeds: Runs of each reference method per dataset and sampler.
        split: Score confirm and reference runs once more on points drawn from the model's energy
            exactly, in columns ``split.<metric>``: what is left then is the error of learning.
    """

    methods: Unsearched = (Entry.named("exact"), Entry.named("untrained"))
    floors: int = Field(20, ge=0, le=10_000)
    seeds: int = Field(3, ge=0, le=10_000)
    split: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the reference methods in results."""
        return tuple(entry.label for entry in self.methods)


class StudyEvaluation(Evaluation):
    """How samples are scored.

    Attributes:
        also: Further samplers that every trained model is sampled by, with their options. Their
            points are scored in columns ``<label>.<metric>``; the search and the ranking do not
            see them. One that starts from the data (``start = "data"``) asks whether the model
            keeps them, one that starts from the box whether it finds them, one that weighs
            (``smc_langevin``) whether it weighs far regions rightly.
    """

    also: Unsearched = ()
    # Those of the tables in ``metrics``, which holds their labels.
    measures: Unsearched = ()

    def metric(self, label: str) -> str:
        """Return the name of the metric in a column."""
        return next((entry.name for entry in self.measures if entry.label == label), label)

    @model_validator(mode="before")
    @classmethod
    def _split_metrics(cls, data: object) -> object:
        given = data.get("metrics") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(given, list | tuple):
            return data
        tables = [item for item in given if isinstance(item, dict)]
        names = (i.get("label", i.get("name")) if i in tables else i for i in given)
        return {**data, "metrics": tuple(names), **({"measures": tables} if tables else {})}

    @model_serializer(mode="wrap")
    def _join_metrics(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        data: dict[str, object] = handler(self)
        data.pop("measures")
        tables = {entry.label: entry.model_dump(mode="json") for entry in self.measures}
        return {**data, "metrics": [tables.get(name, name) for name in self.metrics]}


class Decide(Frozen):
    """When ``run --until-decided`` stops to add restarts.

    Attributes:
        restarts: Most restarts.
        difference: Smallest difference of scores that matters: a pair that is shown to differ by
            less is settled. Without it only a decided pair is.
        error: Chance of a false claim, over all looks at the results together.
    """

    restarts: int = Field(12, ge=2, le=1000)
    difference: float | None = Field(None, gt=0)
    error: float = Field(0.05, gt=0, lt=0.5)


def _claim(text: str) -> tuple[str, str, str | None]:
    match = re.fullmatch(r"\s*(\w+)\s*<\s*(\w+)(?:\s+on\s+(\w+))?\s*", text)
    if match is None:
        raise UsageError(
            f'plan.claims: {text!r} is not of the form "A < B" or "A < B on DATASET", '
            "A being the better method"
        )
    return match[1], match[2], match[3]


class Registration(Frozen):
    """What a study set out to test, before it ran; written by ``scorebench plan``.

    Attributes:
        difference: Smallest difference of scores that it was to detect.
        power: Chance to detect it.
        claims: What is to be tested: ``"ssm_vr < dsm"`` says that the score of ``ssm_vr`` across
            the datasets is smaller, hence better; ``"ssm_vr < dsm on rings"`` its loss there.
            Without any, all pairs.
        hash: SHA-256 of the study as it was planned, so that a later change shows.
    """

    difference: float = Field(gt=0)
    power: float = Field(0.8, gt=0, lt=1)
    claims: Names = ()
    hash: str = ""

    @property
    def tests(self) -> tuple[tuple[str, str, str | None], ...]:
        """Label of the better method, of the worse, and of the dataset (None: across all)."""
        return tuple(_claim(claim) for claim in self.claims)

    @model_validator(mode="after")
    def _claims_can_be_read(self) -> Self:
        _ = self.tests
        return self


class Limits(Frozen):
    """How long things may take. No result depends on it, other than those that took too long.

    Attributes:
        run_seconds: Time for one run, after which its process is stopped and the run is a
            ``timeout`` row.
        study_seconds: Time for one call, after which it stops; calling again continues.
    """

    run_seconds: float | None = Field(None, gt=0)
    study_seconds: float | None = Field(None, gt=0)
