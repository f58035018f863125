"""``StudySpec``: a study as a value, written as TOML, compared field by field."""

import hashlib
import re
import tomllib
from typing import Any, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from ...bench.plugins import PluginSource
from ...bench.spec import Device, Frozen
from ...datasets.errors import UsageError, unknown
from .entries import Range, check_labels, ends, short
from .tables import (
    Confirm,
    DataFiles,
    Decide,
    Entries,
    Limits,
    Names,
    OpenNetwork,
    Plugins,
    ReferenceRows,
    Registration,
    Search,
    StudyEvaluation,
    Training,
    Unsearched,
)

TRUTH = "truth"
"""Method label of the noise floor."""

IID = "iid"
"""Sampler label of the noise floor: exact draws, no sampler."""

COMPUTE = ("train_evaluations", "sample_evaluations")
"""Costs that can be objectives, like metrics: they are counts, so they are reproducible."""


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
        plan: What the study was registered to test; the report holds its claims against it.
        costs: What the list of ``objective`` holds after its first name.
        data: Files that its datasets and ``recorded`` name, with their content, or with its hash if
            they are large; added when the study is read.
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
    plan: Registration | None = None
    costs: Names = ()
    data: DataFiles = ()
    recorded: str | None = None

    @property
    def self_contained(self) -> bool:
        """Whether it is run by this package alone: without code, data or points from elsewhere."""
        brought = (self.plugins, self.data, self.network.module)
        names = [entry.name for entry in (*self.methods, *self.search.sampler)]
        return not any(brought) and not any(name == "points" or ":" in name for name in names)

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
            raise UsageError(
                f"evaluation.metrics = {list(names)!r} names a metric twice: leave one out, or "
                'give it options and a label, such as {name = "mmd", label = "mmd_b", ...}'
            )
        for requirement in self.search.requirements:
            if requirement.name not in (*names, *COMPUTE):
                raise unknown("number in search.require", requirement.name, [*names, *COMPUTE])
        if len(set(self.search.require)) < len(self.search.require):
            raise UsageError(f"search.require = {list(self.search.require)!r} has a limit twice")
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
        unsearched = (*self.datasets, *self.reference.methods, *self.search.sampler)
        for entry in (*unsearched, *self.evaluation.also, *self.evaluation.measures):
            for key, value in entry.settings.items():
                if isinstance(value, Range):
                    raise UsageError(
                        f"{entry.label}.{key} is a range: only methods and samplers are searched, "
                        f"give a value such as {key} = {value.low!r}"
                    )
        return self

    @model_validator(mode="after")
    def _claims_name_what_is_compared(self) -> Self:
        methods = [entry.label for entry in self.methods]
        sets = [entry.label for entry in self.datasets]
        for better, worse, dataset in () if self.plan is None else self.plan.tests:
            for kind, label, known in (
                ("method", better, methods), ("method", worse, methods),
                ("dataset", dataset, [*sets, None]),
            ):  # fmt: skip
                if label not in known:
                    raise unknown(f"{kind} in plan.claims", str(label), filter(None, known))
        return self

    @property
    def code(self) -> tuple[PluginSource, ...]:
        """All code that runs execute and that is not scorebench's own."""
        module = self.network.package
        return self.plugins if module is None else (*self.plugins, module)

    @property
    def without_content(self) -> Self:
        """The study for readers: its data files have hashes only."""
        files = tuple(file.model_copy(update={"content": ""}) for file in self.data)
        return self.model_copy(update={"data": files})

    def registered(self) -> Self:
        """Return the study with the hash of everything else in its registration."""
        if self.plan is None:
            return self
        bare = self.model_copy(update={"plan": self.plan.model_copy(update={"hash": ""})})
        digest = hashlib.sha256(bare.to_toml().encode()).hexdigest()
        return self.model_copy(update={"plan": self.plan.model_copy(update={"hash": digest})})

    @property
    def as_planned(self) -> bool:
        """Whether the study is the one that was registered; False without a registration."""
        return self.plan is not None and self.registered() == self

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
