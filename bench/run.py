"""One run: a pure function from ``RunSpec`` to ``RunResult``, for K of them at a time."""

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from ..methods import methods, references, samplers
from ..methods.model import Model
from ..methods.network_model import NetworkModel
from ..methods.sampling.base import Sampler
from .artifacts import Artifacts, artifacts, learning_of
from .checkpoints import Checkpoints
from .fingerprint import run_key
from .from_spec import (
    architecture,
    dataset_of,
    is_reference,
    stream_of,
    streams_of,
    target_of,
    training_set,
)
from .process import one_thread
from .spec import SPLIT_SAMPLER, Failure, Option, RunResult, RunSpec
from .training import Fit, fit
from .truth import judge_of


class Outcome(NamedTuple):
    """A result, and what it leaves if that was asked for."""

    result: RunResult
    artifacts: Artifacts | None


class _Learned(NamedTuple):
    model: NetworkModel
    fit: Fit | None
    checkpoints: Checkpoints
    seconds: float


def shape(spec: RunSpec) -> Hashable:
    """Runs of equal shape can be members of one batched program."""
    training = spec.training.model_copy(update={"learning_rate": 1.0})
    same = [name for name in spec.method.options if not _varies(spec.method.options[name])]
    return (
        spec.method.name,
        tuple((name, spec.method.options[name]) for name in sorted(same)),
        tuple(sorted(spec.method.options)),
        dataset_of(spec).dim,
        spec.network.model_dump_json(),
        training,
        spec.evaluation.checkpoints,
        spec.device,
    )


def execute(specs: Sequence[RunSpec], keep: bool = False) -> list[Outcome]:
    """Train, sample and score runs of equal ``shape`` side by side.

    Each result is the same to the bit as if the run had been alone. What goes wrong inside a run
    is its result, never an exception.

    Args:
        specs: The runs.
        keep: Whether to return artifacts too.
    """
    with one_thread():
        try:
            learned = _learn(specs)
        except Exception as error:
            if len(specs) > 1:
                # One member's options may have broken the batch; alone, the others stay whole.
                return [outcome for spec in specs for outcome in execute([spec], keep)]
            return [_failed(specs[0], "train", error)]
        return [_finish(spec, learned, k, keep) for k, spec in enumerate(specs)]


def _learn(specs: Sequence[RunSpec]) -> _Learned:
    started = time.perf_counter()
    spec = specs[0]
    name = spec.method.name
    network = architecture(spec, dataset_of(spec).dim)
    device = torch.device(spec.device)
    theta = network.init([stream_of(s, "init") for s in specs]).to(device)
    checkpoints = Checkpoints(specs, network)
    if is_reference(spec) or spec.training.steps == 0:
        return _Learned(NetworkModel(network, theta), None, checkpoints, 0.0)
    trained = fit(
        methods.get(name)(),
        network,
        theta,
        torch.stack([training_set(s) for s in specs]).to(device),
        _member_options([s.method.options for s in specs], device),
        batches=streams_of(specs, "batches", device),
        noise=streams_of(specs, "noise", device),
        steps=spec.training.steps,
        batch_size=spec.training.batch_size,
        learning_rate=torch.tensor([[s.training.learning_rate] for s in specs], device=device),
        clip=spec.training.clip,
        schedule=spec.training.schedule,
        ema=spec.training.ema,
        checkpoints=checkpoints.steps,
        look=checkpoints.look,
    )
    seconds = (time.perf_counter() - started - checkpoints.seconds) / len(specs)
    return _Learned(NetworkModel(network, trained.theta), trained, checkpoints, seconds)


def _finish(spec: RunSpec, learned: _Learned, k: int, keep: bool) -> Outcome:
    compute = {"train_seconds": learned.seconds}
    if learned.fit is not None:
        compute["train_evaluations"] = float(learned.fit.evaluations[k])
        failure = learned.fit.failures[k]
        if failure is not None:
            result = RunResult(
                key=run_key(spec), state="diverged", failure=failure, compute=compute
            )
            return Outcome(result, None)
    stage = "sample"
    try:
        started = time.perf_counter()
        model = _member(spec, learned.model, k)
        points, failure, acceptance = _sample(spec, model)
        compute["sample_seconds"] = time.perf_counter() - started
        if model is not None:
            compute["sample_evaluations"] = float(model.evaluations)
        if acceptance is not None:
            compute["acceptance"] = acceptance
        stage = "score"
        started = time.perf_counter()
        metrics = _score(spec, model, points)
        if failure is None:
            _require_numbers(metrics)
        compute["score_seconds"] = time.perf_counter() - started
        left = _left(spec, learned, k, model, points) if keep else None
    except Exception as error:
        return _failed(spec, stage, error, compute)
    result = RunResult(
        key=run_key(spec),
        state="ok" if failure is None else "diverged",
        metrics=metrics,
        failure=failure,
        compute=compute,
    )
    return Outcome(result, left)


def _sample(spec: RunSpec, model: Model | None) -> tuple[Tensor, Failure | None, float | None]:
    """Points of one member (n, d), why they are not all usable, and the share of accepted steps."""
    n = spec.evaluation.samples
    if model is None:
        return dataset_of(spec).sample(n, stream_of(spec, "sampler")).float(), None, None
    sampler = samplers.get(spec.sampler.name)(**spec.sampler.options)
    made = sampler.sample(model, n, streams_of([spec], "sampler", model.device))
    # Counted here as well: a sampler of somebody's own may not have looked.
    lost = max(int(made.lost[0]), int((~made.points[0].isfinite().all(-1)).sum()))
    acceptance = None if made.acceptance is None else float(made.acceptance[0])
    if not lost:
        return made.points[0], None, acceptance
    reason = f"{lost} of {n} chains left every bound"
    step = int(made.step[0])
    failure = Failure(stage="sample", step=step if step >= 0 else None, reason=reason)
    return made.points[0], failure, acceptance


def _score(spec: RunSpec, model: Model | None, points: Tensor) -> dict[str, float]:
    """All metrics of a run, and of a sample without a sampler's error if that is asked for."""
    judge = judge_of(spec)
    found = judge.score(points, model, target_of(spec))
    if spec.evaluation.split and model is not None:
        exactly = cast("Callable[..., Sampler]", samplers.get(SPLIT_SAMPLER))(
            box=1.5 * dataset_of(spec).extent
        )
        made = exactly.sample(model, len(points), streams_of([spec], "split", model.device))
        clean = judge.score_samples(made.points[0])
        found |= {f"split.{name}": value for name, value in clean.items()}
    return found


def _require_numbers(metrics: Mapping[str, float]) -> None:
    unknown = [name for name, value in metrics.items() if math.isnan(value)]
    if unknown:
        raise ArithmeticError(f"{', '.join(unknown)} came out as no number")


def _left(
    spec: RunSpec, learned: _Learned, k: int, model: Model | None, points: Tensor
) -> Artifacts:
    learning = None
    if learned.fit is not None:
        learning = learning_of(spec, learned.fit, learned.checkpoints, k)
    return artifacts(spec, model, points, learning)


def _member(spec: RunSpec, networks: NetworkModel, k: int) -> Model | None:
    """The model of one run; None if the dataset itself is to be sampled."""

    def network() -> NetworkModel:
        # One network at a time: the activations of its chains then stay in the cache.
        return NetworkModel(networks.network, networks.theta[k : k + 1], level)

    if is_reference(spec):
        level = 0.0
        known = references.get(spec.method.name)(**spec.method.options)
        return known.model(dataset_of(spec), network, lambda: training_set(spec))
    level = target_of(spec)
    return network()


def _varies(value: Option) -> bool:
    return isinstance(value, float)


def _member_options(
    options: Sequence[dict[str, Option]], device: torch.device
) -> dict[str, Option | Tensor]:
    """Fractional options as tensors (K, 1, 1), the others as they are (they are all equal)."""
    return {
        name: torch.tensor([o[name] for o in options], device=device).reshape(-1, 1, 1)
        if _varies(value)
        else value
        for name, value in options[0].items()
    }


def _failed(
    spec: RunSpec, stage: str, error: Exception, compute: dict[str, float] | None = None
) -> Outcome:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    failure = Failure(stage=stage, reason=reason)
    return Outcome(
        RunResult(key=run_key(spec), state="failed", failure=failure, compute=compute or {}), None
    )
