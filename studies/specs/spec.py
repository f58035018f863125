"""``StudySpec``: a study as a value, written as TOML, compared field by field."""

import re
import tomllib
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    WrapSerializer,
    field_validator,
    model_serializer,
    model_validator,
)

from ...bench.data_files import DataFile
from ...bench.plugins import PluginSource
from ...bench.spec import Device, Evaluation, Frozen, NetworkSpec, TrainingSpec
from ...datasets.errors import UsageError
from .entries import (
    Entry,
    OpenTable,
    Range,
    as_tuple,
    check_labels,
    ends,
    one_as_such,
    one_or_list,
    short,
)

TRUTH = "truth"
"""Method label of the noise floor."""

IID = "iid"
"""Sampler label of the noise floor: exact draws, no sampler."""

Entries = Annotated[tuple[Entry, ...], BeforeValidator(as_tuple)]
Unsearched = Annotated[Entries, AfterValidator(lambda entries: tuple(e.closed for e in entries))]
Searchers = Annotated[
    Unsearched, BeforeValidator(one_or_list), WrapSerializer(one_as_such, return_type=object)
]
Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]
DataFiles = Annotated[tuple[DataFile, ...], BeforeValidator(as_tuple)]
Plugins = Annotated[tuple[PluginSource, ...], BeforeValidator(as_tuple)]

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
    restarts: int = Field(1, ge=1, le=1000)

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


COMPUTE = ("train_evaluations", "sample_evaluations")
"""Costs that can be objectives, like metrics: they are counts, so they are reproducible."""


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


class Limits(Frozen):
    """How long things may take. No result depends on it, other than those that took too long.

    Attributes:
        run_seconds: Time for one run, after which its process is stopped and the run is a
            ``timeout`` row.
        study_seconds: Time for one call, after which it stops; calling again continues.
    """

    run_seconds: float | None = Field(None, gt=0)
    study_seconds: float | None = Field(None, gt=0)


class StudySpec(Frozen):
    """A grid of cells with their budgets and seeds: everything that decides the results table.

    Attributes:
        name: Names the default run directory.
        seed: Root of every random stream.
        methods: What is compared.
        datasets: What it is compared on.
        samplers: How the models are sampled.
        objective: Name of the metric that the search improves and winners are chosen by. Or a list
            of it and what is to be small besides: other metrics, ``train_evaluations`` or
            ``sample_evaluations``; then the search looks for the best trade-offs.
        plugins: Where names are registered that are not built in: modules of other packages, and
            files such as ``"mine.py"``, whose text becomes part of the study when it is read.
        device: Where networks are trained and sampled from: ``cpu``, where every number comes back
            to the bit, or ``cuda``, where it comes back within tolerance.
        limits: How long things may take; not part of what results depend on.
        decide: When ``run --until-decided`` stops to add restarts, and with what error.
        costs: What the list of ``objective`` holds after its first name.
        data: Files of points that its datasets name, with their content, or with its hash if they
            are large; added when the study is read.
        recorded: Table of recorded runs, which are looked up in place of training: ``recorded``,
            which is packaged, or a file that ``scorebench record`` wrote. The study is the one
            that was recorded, with other searches and seeds.
    """

    name: str = Field(max_length=100)
    seed: int = Field(0, ge=0, lt=2**63)
    methods: Entries
    datasets: Unsearched
    samplers: Entries
    objective: str
    plugins: Plugins = ()
    network: OpenNetwork = OpenNetwork()
    training: Training = Training()
    search: Search = Search()
    confirm: Confirm = Confirm()
    reference: ReferenceRows = ReferenceRows()
    evaluation: StudyEvaluation = StudyEvaluation()
    device: Device = "cpu"
    limits: Limits = Limits()
    decide: Decide | None = None
    costs: Names = ()
    data: DataFiles = ()
    recorded: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _split_objectives(cls, data: object) -> object:
        return _measured(_objectives(data)) if isinstance(data, dict) else data

    @model_serializer(mode="wrap")
    def _join_objectives(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        data = handler(self)
        costs = data.pop("costs", ())
        if not self.data:
            data.pop("data", None)
        return {**data, "objective": [self.objective, *costs]} if costs else data

    @field_validator("name")
    @classmethod
    def _directory_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
            raise UsageError(
                f"the name {name!r} becomes a directory: only letters, digits, _, - and . "
                "can be used, and it cannot start with - or ."
            )
        return name

    @model_validator(mode="after")
    def _objective_is_measured(self) -> Self:
        names = self.evaluation.metrics
        for name in (self.objective, *self.costs):
            if name not in names and name not in COMPUTE:
                raise UsageError(
                    f"evaluation.metrics = {list(names)!r} leaves out the objective, {name!r}"
                )
        if len(set(names)) < len(names):
            raise UsageError(f"evaluation.metrics = {list(names)!r} names a metric twice")
        return self

    @model_validator(mode="after")
    def _labels(self) -> Self:
        if self.reference.methods:
            check_labels("reference.methods", self.reference.methods, (TRUTH,))
        check_labels("methods", self.methods, (TRUTH, *self.reference.labels))
        check_labels("datasets", self.datasets, ())
        check_labels("samplers", self.samplers, (IID,))
        check_labels("search.sampler", self.search.sampler, ())
        if self.evaluation.also:
            check_labels("evaluation.also", self.evaluation.also, ("split", "params"))
        for entry in self.methods:
            for key, value in entry.settings.items():
                if any(isinstance(end, tuple) for end in ends(value)):
                    raise UsageError(
                        f"{entry.label}.{key} lists lists: a hyperparameter has one value, "
                        "or a list of values to search"
                    )
        unsearched = (*self.datasets, *self.reference.methods, *self.evaluation.also)
        for entry in (*unsearched, *self.search.sampler):
            for key, value in entry.settings.items():
                if isinstance(value, Range):
                    raise UsageError(
                        f"{entry.label}.{key} is a range: only methods and samplers are searched, "
                        f"give a value such as {key} = {value.low!r}"
                    )
        return self

    @property
    def code(self) -> tuple[PluginSource, ...]:
        """All code that runs execute and that is not scorebench's own."""
        module = self.network.package
        return self.plugins if module is None else (*self.plugins, module)

    @property
    def without_content(self) -> Self:
        """The study for readers: its files of points have hashes only."""
        files = tuple(file.model_copy(update={"content": ""}) for file in self.data)
        return self.model_copy(update={"data": files})

    def to_toml(self) -> str:
        """Write the study with every default; ``from_toml`` reads it back equal."""
        import tomli_w

        # Code is easier to read over several lines; read_text has ended them with \n.
        plain = self.model_dump(mode="json", exclude_none=True)
        return tomli_w.dumps(plain, multiline_strings=bool(self.plugins))

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read the text of ``to_toml``.

        Raises:
            tomllib.TOMLDecodeError: The text is not TOML.
            pydantic.ValidationError: It is not a study.
        """
        return cls.model_validate(tomllib.loads(text), strict=True)


def _objectives(data: dict[str, object]) -> dict[str, object]:
    """Split a list of objectives into the ranking metric and the costs."""
    given = data.get("objective")
    if not isinstance(given, list | tuple):
        return data
    names = list(given)
    if not names or not all(isinstance(name, str) for name in names):
        raise UsageError(f'objective = {short(given)} lists no metrics, for example ["mmd"]')
    if len(set(names)) < len(names):
        raise UsageError(f"objective = {short(given)} names a metric twice")
    for name in names:
        if name.endswith("_seconds"):
            raise UsageError(
                f"objective: {name} varies between runs, so the search is not reproducible: "
                f"use {' or '.join(COMPUTE)} instead"
            )
    if names[0] in COMPUTE:
        raise UsageError(f"objective: {names[0]} is a cost: give a metric before it")
    return {**data, "objective": names[0], "costs": names[1:]}


def _measured(data: dict[str, Any]) -> dict[str, Any]:
    """Add the objectives to the metrics of a study that names none."""
    evaluation = data.get("evaluation", {})
    if not isinstance(data.get("objective"), str) or not isinstance(evaluation, dict):
        return data
    given = evaluation.get("metrics")
    if given is None:
        costs = [name for name in data.get("costs", ()) if name not in COMPUTE]
        given = dict.fromkeys([*StudyEvaluation().metrics, data["objective"], *costs])
    elif not isinstance(given, list):
        return data
    return {**data, "evaluation": {**evaluation, "metrics": tuple(given)}}
