"""The values that flow: a ``RunSpec`` goes in, a ``RunResult`` comes out, both are plain data."""

import hashlib
import json
import re
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ..datasets.errors import UsageError

Phase = Literal["reference", "search", "confirm"]
SPLIT_SAMPLER = "grid"
"""Name of the sampler that has no error of its own, for models of the plane with an energy."""

State = Literal["ok", "diverged", "failed", "timeout"]
Scalar = bool | int | float | str
List = tuple[Scalar | tuple[Scalar, ...], ...]
Option = Scalar | List | None
"""Value of an option: a list of a dataset or sampler, None of a method that chooses it."""

Device = Literal["cpu", "cuda"]


class Frozen(BaseModel):
    """An immutable, validated value that is written as JSON and read back equal."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Plugin(Frozen):
    """A method, dataset or sampler by name, with the options that are decided.

    Attributes:
        name: Name in its registry.
        options: Hyperparameters or options, all resolved.
    """

    name: str
    options: dict[str, Option] = {}

    def __hash__(self) -> int:
        """Hash name and options, equal for equal plug-ins."""
        return hash((self.name, tuple(sorted(self.options))))


PERCEPTRON = ("width", "depth", "activation")
_MODULE = re.compile(r"(?:(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*|[A-Za-z_]\w*\.py):[A-Za-z_]\w*", re.ASCII)


class NetworkSpec(Frozen):
    """The network that is trained: a multilayer perceptron, or a module of your own.

    Attributes:
        kind: ``energy``: a scalar E(x) whose negative gradient is the score;
            ``score``: the score itself.
        width: Units of each hidden layer.
        depth: Number of hidden layers.
        activation: Smooth non-linearity (scores need two derivatives of it).
        base: ``gaussian``: the density is that of a Gaussian with the mean and the variance of the
            data (one for all coordinates) times exp(-N(x)), N the network, so that it vanishes far
            from them; ``none``: exp(-N(x)) alone, which may hold mass where there are no data.
            Noise-conditional networks have a Gaussian of their own.
        module: A ``torch.nn.Module`` instead of the perceptron: ``"mine.py:MyNet"``, whose text
            becomes part of the study when it is read, or ``"package.module:Class"``. It is called
            with points (B, d) and returns energies (B,) or scores (B, d).
        options: Arguments that the module is made with.
    """

    kind: Literal["energy", "score"] = "energy"
    width: int = Field(128, ge=1, le=8192)
    depth: int = Field(2, ge=1, le=32)
    activation: Literal["swish", "softplus"] = "swish"
    base: Literal["none", "gaussian"] = "none"
    module: str | None = None
    options: dict[str, Scalar] = {}

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if self.module is None:
            if self.options:
                raise UsageError("options are given to a module of your own: name it by module")
            return self
        if not _MODULE.fullmatch(self.module):
            raise UsageError(
                f"module = {self.module!r} does not name a class: write a file and the class in "
                'it, for example "mine.py:MyNet", or "package.module:MyNet"'
            )
        for name in PERCEPTRON:
            if name in self.model_fields_set:
                raise UsageError(
                    f"{name} is of the perceptron, which module = {self.module!r} replaces: leave "
                    f"it out, or give it to the module by options = {{{name} = ...}}"
                )
        return self

    @property
    def package(self) -> str | None:
        """The module of a package that the network is taken from, as ``package.module``."""
        module = (self.module or "").rpartition(":")[0]
        return module if module and not module.endswith(".py") else None

    @model_serializer(mode="wrap")
    def _what_counts(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """The fields of the one kind or of the other."""
        gone = ("module", "options") if self.module is None else PERCEPTRON
        if self.base == "none":
            gone = (*gone, "base")
        return {name: value for name, value in handler(self).items() if name not in gone}


Schedule = Literal["constant", "cosine", "wsd"]
"""How the learning rate changes in the course of training; see ``TrainingSpec``."""


class TrainingSpec(Frozen):
    """How a network is fitted, with Adam.

    Attributes:
        steps: Optimiser steps; 0 leaves the network as it was initialised.
        batch_size: Points per step.
        learning_rate: Adam's step size.
        clip: Largest norm of the gradient of a member; larger ones are scaled down to it.
        points: Size of the training set, drawn once; batches are drawn from it with replacement.
        schedule: ``constant``; ``cosine``: the learning rate of step t of T is multiplied by
            (1 + cos(π(t - 1)/T))/2; or ``wsd``: it rises over the first fiftieth, and over
            the last 15 % falls as 1 - √u, u being the share of them that is over.
        ema: Decay β of the average of the weights that is kept instead of the last ones,
            Σ_t β^(T - t) θ_t, normalised; 0 keeps the last ones.
        weight_decay: Decoupled weight decay λ (Loshchilov and Hutter 2019, algorithm 2, in the
            units of ``torch.optim.AdamW``): each step also subtracts λ times its learning rate,
            schedule included, times the parameters, biases included; 0 for none.
    """

    steps: int = Field(2000, ge=0, le=10_000_000)
    batch_size: int = Field(128, ge=1, le=1_000_000)
    learning_rate: float = Field(1e-3, gt=0, le=10)
    clip: float = Field(100.0, gt=0)
    points: int = Field(100_000, ge=1, le=100_000_000)
    schedule: Schedule = "constant"
    ema: float = Field(0.0, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0, le=1000)

    @model_serializer(mode="wrap")
    def _without_unused(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out a weight decay of 0: specs without one have the text of earlier versions."""
        fields = handler(self)
        return {name: value for name, value in fields.items() if name != "weight_decay" or value}


class Evaluation(Frozen):
    """How samples are scored.

    Attributes:
        samples: Points sampled from the model, and points of the truth they are compared with.
        metrics: What is measured: names, or tables with a name and options, and a label where the
            column should be called otherwise.
        checkpoints: How often confirmed runs are also scored while they train, at evenly spaced
            steps, on at most 1000 points that nothing else depends on; drawn in the report.
    """

    samples: int = Field(2000, ge=2, le=1_000_000)
    metrics: tuple[str, ...] = ("mmd", "sw1", "sw2")
    checkpoints: int = Field(0, ge=0, le=1000)


class EvaluationSpec(Evaluation):
    """How the samples of one run are scored.

    Attributes:
        split: Also score points that are drawn from the model's energy exactly, on a grid, in
            columns ``split.<metric>``: they tell errors of learning from errors of sampling.
        also: Further samplers of the same model, by label: their points are scored too, in
            columns ``<label>.<metric>``.
        measures: Metrics with options or a label, by the name that ``metrics`` lists them under.
    """

    split: bool = False
    also: dict[str, Plugin] = {}
    measures: dict[str, Plugin] = {}

    @property
    def measured(self) -> tuple[tuple[str, Plugin], ...]:
        """Column and plug-in of each metric."""
        return tuple((name, self.measures.get(name, Plugin(name=name))) for name in self.metrics)

    @model_serializer(mode="wrap")
    def _without_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out what there is none of, as the text of earlier versions does."""
        fields = handler(self)
        empty = [name for name in ("also", "measures") if not fields[name]]
        return {name: value for name, value in fields.items() if name not in empty}


class RunSpec(Frozen):
    """Everything that determines the numbers of one run.

    Attributes:
        phase: ``search`` and ``reference`` runs of replicate r and ``confirm`` runs of
            replicate r draw from different random streams; only ``search`` runs are scored on
            the validation truth, all others on the test truth.
        seed: The study's root seed.
        replicate: Number of the repetition; runs of different methods with the same phase and
            replicate share their training data and evaluation noise (common random numbers).
        method: A method, or a reference (``truth``, ``exact``, ``untrained``).
        dataset: The distribution.
        sampler: The sampler that turns the model into points.
        device: Where networks are trained and sampled from: ``cpu``, or ``cuda``, where numbers
            come back within tolerance only. Random numbers are drawn and metrics are measured on
            the CPU in either case.
    """

    phase: Phase
    seed: int = Field(ge=0, lt=2**63)
    replicate: int = Field(0, ge=0)
    method: Plugin
    dataset: Plugin
    sampler: Plugin
    network: NetworkSpec
    training: TrainingSpec
    evaluation: EvaluationSpec
    device: Device = "cpu"

    def canonical(self) -> str:
        """JSON with sorted keys: equal specs have equal text."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``canonical`` wrote."""
        return cls.model_validate_json(text)

    def key(self, code: str) -> str:
        """Identity of the run: same key, same numbers.

        Args:
            code: Fingerprint of the code that the run executes.
        """
        return hashlib.sha256(f"{code}\n{self.canonical()}".encode()).hexdigest()


class Failure(Frozen):
    """Why a run has no good score.

    Attributes:
        stage: ``train``, ``sample``, ``score`` or ``worker``.
        step: Training or sampling step at which it was noticed, where there is one.
        reason: One sentence.
    """

    stage: str
    step: int | None = None
    reason: str


class RunResult(Frozen):
    """What one run gave.

    Attributes:
        key: Identity of the run.
        state: ``ok``, or in what way it is not.
        metrics: Value by metric name; ``inf`` where samples are not finite, NaN where the metric
            failed, absent on failures before scoring.
        failure: Present unless the state is ``ok``, and where some of the metrics failed.
        compute: Network evaluations (``train_evaluations``, ``sample_evaluations``: points pushed
            through the network once, forward or backward) and seconds per stage
            (``train_seconds``, ``sample_seconds``, ``score_seconds``).
    """

    model_config = ConfigDict(allow_inf_nan=True)

    key: str
    state: State
    metrics: dict[str, float] = {}
    failure: Failure | None = None
    compute: dict[str, float] = {}

    def summary(self) -> dict[str, Any]:
        """Flat columns of a results row."""
        reason = ""
        if self.failure is not None:
            step = "" if self.failure.step is None else f" step {self.failure.step}"
            reason = f"{self.failure.stage}{step}: {self.failure.reason}"
        return {
            "state": self.state,
            "failure": reason,
            "key": self.key,
            **self.metrics,
            **self.compute,
        }


COMPUTE_COLUMNS = (
    "train_evaluations",
    "sample_evaluations",
    "train_seconds",
    "sample_seconds",
    "score_seconds",
)
COLUMNS = {
    "phase": "`reference`, `search` or `confirm`.",
    "method": "Label of the method, or of the reference: truth, exact, untrained, ...",
    "dataset": "Label of the dataset.",
    "sampler": "Label of the sampler; `iid` for the truth itself.",
    "restart": "Number of the restart, in studies of several; 0 for references.",
    "trial": "Number of the configuration in its search; empty for references.",
    "replicate": "Number of the seed; in a search 0 is the trial and others repeat it.",
    "state": "`ok`, `diverged`, `failed` or `timeout`.",
    "failure": "Stage, step and reason; of `ok` runs those of metrics that failed.",
    "key": "Names the run: equal keys are equal settings, seeds and code, so equal numbers.",
    "METRIC": "One per metric of `evaluation.metrics`; empty where it or the run failed.",
    "split.METRIC": "The same on exact points of the model, with `reference.split`.",
    "params.NAME": "Hyperparameters, the learning rate too; empty where the method has none such.",
    "train_evaluations": "Points pushed through the network in training.",
    "sample_evaluations": "Points pushed through the network in sampling.",
    "train_seconds": "Time of training; of runs trained side by side each has its share.",
    "sample_seconds": "Time of sampling.",
    "score_seconds": "Time of scoring.",
    "repeat_error": "Of models that code of others makes, and the first seed: difference of a "
    "second run with equal seeds, relative to its size; 0 if bitwise identical.",
    "OTHER": "Further numbers of samplers, such as `acceptance` of `mala`.",
    "environment": "Name of the machine and packages, told in `environment.json`.",
    "spec": "Everything that determines the run, as JSON.",
}
"""Columns of the results table, with their meanings; capitals stand for names."""


def check_metric(name: str) -> None:
    """Raise ``UsageError`` if a metric is called like another column of the results."""
    if "." in name or name == "acceptance" or (name in COLUMNS and name.islower()):
        raise UsageError(
            f"the metric {name!r} is called like a column of the results: register it by another "
            "name, of letters, digits and _"
        )
