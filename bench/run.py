"""One run: a pure function from ``RunSpec`` to ``RunResult``, for K of them at a time."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.base import Dataset, density_of
from ..datasets.box import box_of
from ..datasets.errors import in_one_line
from ..methods.estimators.base import OwnPoints
from ..methods.model import Model
from ..methods.network_model import Network, NetworkModel
from ..methods.sampling.base import Samples
from .artifacts import Artifacts, Learning, Outcome
from .checkpoints import Checkpoints
from .fingerprint import run_key
from .from_spec import (
    architecture,
    dataset_of,
    estimator_of,
    given_to_loss,
    is_trained,
    model_of,
    objective_of,
    stream_of,
    streams_of,
    target_of,
    training_set,
)
from .metrics.base import ModelMetric
from .own_models import own_samples, repeat_error
from .process import one_thread
from .sampling import Sampling, rounded
from .shapes import varies
from .spec import SPLIT_SAMPLER, Failure, Option, Plugin, RunResult, RunSpec, State
from .trainer import Fit, Trainees
from .training import fit
from .truth import floor_of, judge_of

T = TypeVar("T")
Array = NDArray[np.float32]

ENERGY_GRID = 100
ARROW_GRID = 24
PATHS = 8


def execute(specs: Sequence[RunSpec], keep: bool = False) -> list[Outcome]:
    """Train, sample and score runs of equal ``shapes.shape`` side by side.

    Each result is bitwise identical to that of the run alone. Errors inside a run are stored in
    its result, not raised.

    Args:
        specs: The runs.
        keep: Whether to return artifacts too.
    """
    with one_thread():
        try:
            network, trained, checkpoints = _train(specs)
        except Exception as error:
            if len(specs) > 1:
                # One member's options may have broken the batch; alone, the others stay whole.
                return [outcome for spec in specs for outcome in execute([spec], keep)]
            return [_failed(specs[0], "train", error)]
        return [
            _finish(spec, k, network, trained, checkpoints, keep) for k, spec in enumerate(specs)
        ]


def _train(specs: Sequence[RunSpec]) -> tuple[Network, Fit, Checkpoints]:
    started = time.perf_counter()
    spec = specs[0]
    network = architecture(spec)
    device = torch.device(spec.device)
    theta = network.init([stream_of(s, "init") for s in specs]).to(device)
    checkpoints = Checkpoints(specs, network)
    if not is_trained(spec):
        return network, Fit.untrained(theta), checkpoints
    objective = objective_of(spec)
    options = _member_options([s.method.options for s in specs], device)
    trainees = Trainees(
        objective,
        network,
        theta,
        torch.stack([training_set(s) for s in specs]).to(device),
        {**given_to_loss(objective, specs, device), **options},
        spec.training,
        torch.tensor([[s.training.learning_rate] for s in specs], device=device),
        batches=streams_of(specs, "batches", device),
        noise=streams_of(specs, "noise", device),
    )
    trained = fit(trainees, checkpoints)
    trained.seconds = (time.perf_counter() - started - checkpoints.seconds) / len(specs)
    return network, trained, checkpoints


def _finish(
    spec: RunSpec, k: int, network: Network, trained: Fit, checkpoints: Checkpoints, keep: bool
) -> Outcome:
    """Sample and score member k of a batch."""
    compute = {"train_seconds": trained.seconds}
    if is_trained(spec):
        compute["train_evaluations"] = float(trained.evaluations[k])
    failure = trained.failures[k]
    if failure is not None:
        return Outcome(
            RunResult(key=run_key(spec), state="diverged", failure=failure, compute=compute)
        )
    fits = estimator_of(spec) is not None
    stage = "train" if fits else "sample"
    try:
        started = time.perf_counter()
        # One network at a time: the activations of its chains then stay in the cache.
        model = model_of(spec, network, trained.theta[k : k + 1])
        if fits:
            compute |= {"train_seconds": time.perf_counter() - started, "train_evaluations": 0.0}
            stage, started = "sample", time.perf_counter()
        points, failure, acceptance = _sample(spec, model)
        compute["sample_seconds"] = time.perf_counter() - started
        if model is not None:
            compute["sample_evaluations"] = float(model.evaluations)
        if acceptance is not None:
            compute["acceptance"] = acceptance
        if model is not None and fits and spec.phase == "confirm" and spec.replicate == 0:
            again = model_of(spec, network, trained.theta[k : k + 1])
            compute["repeat_error"] = repeat_error(spec, model, again, points)
        stage = "score"
        started = time.perf_counter()
        problems: dict[str, str] = {}
        metrics = _score(spec, model, points, problems)
        compute["score_seconds"] = time.perf_counter() - started
    except Exception as error:
        return _failed(spec, stage, error, compute)
    state: State = "ok" if failure is None else "diverged"
    if failure is None and problems:
        reason = "; ".join(f"{name}: {why}" for name, why in problems.items())[:500]
        failure = Failure(stage=stage, reason=reason)
        if all(math.isnan(metrics[name]) for name in spec.evaluation.metrics):
            state = "failed"
    result = RunResult(
        key=run_key(spec), state=state, metrics=metrics, failure=failure, compute=compute
    )
    if not keep:
        return Outcome(result)
    learn = partial(_learning, spec, k, trained, checkpoints)
    learning = _optional(learn) if is_trained(spec) else None
    return Outcome(result, _artifacts(spec, model, points, learning))


def _sample(spec: RunSpec, model: Model | None) -> tuple[Tensor, Failure | None, float | None]:
    """Sample one member: points (n, d), a failure if chains were lost, the acceptance rate."""
    n = spec.evaluation.samples
    if model is None:
        return rounded(dataset_of(spec), floor_of(spec)[0]), None, None
    samples = _draw(spec, model, spec.sampler, "sampler")
    points = samples.points[0]
    # Counted here as well: a user's sampler may not have counted.
    lost = max(int(samples.lost[0]), int((~points.isfinite().all(-1)).sum()))
    acceptance = None if samples.acceptance is None else float(samples.acceptance[0])
    if not lost:
        return points, None, acceptance
    what = "points are not finite" if isinstance(model, OwnPoints) else "chains left every bound"
    reason = f"{lost} of {n} {what}"
    step = int(samples.step[0])
    failure = Failure(stage="sample", step=step if step >= 0 else None, reason=reason)
    return points, failure, acceptance


def _draw(spec: RunSpec, model: Model, plugin: Plugin, axis: str) -> Samples:
    """Sample one member with random numbers of a stream of its own."""
    if isinstance(model, OwnPoints) and plugin == spec.sampler:
        return own_samples(spec, model)
    dataset = dataset_of(spec)
    sampling = Sampling(dataset, plugin)
    n, rng = spec.evaluation.samples, streams_of([spec], axis, model.device)
    if not sampling.starts_at_data:
        return sampling.sample(model, n, rng)
    start = dataset.sample(n, stream_of(spec, f"{axis} start"))
    return sampling.sample_from(model, start, rng)


def _score(
    spec: RunSpec, model: Model | None, points: Tensor, problems: dict[str, str]
) -> dict[str, float]:
    """Measure all metrics of a run, and those of samples of its further samplers.

    ``problems`` receives why some have no value.
    """
    judge = judge_of(spec)
    values = judge.score(points, model, target_of(spec), problems)
    if model is not None:
        for label, plugin in _further(spec).items():
            axis = label if label == "split" else f"also {label}"
            found: dict[str, str] = {}
            try:
                also = judge.score_samples(_draw(spec, model, plugin, axis).points[0], found)
            except Exception as error:
                problems[label] = in_one_line(error)
                continue
            values |= {f"{label}.{name}": value for name, value in also.items()}
            problems |= {f"{label}.{name}": why for name, why in found.items()}
    return values


def _further(spec: RunSpec) -> dict[str, Plugin]:
    """The samplers that a model is also sampled by, exactly on a grid among them."""
    if not spec.evaluation.split:
        return spec.evaluation.also
    box = 1.5 * dataset_of(spec).extent
    return {"split": Plugin(name=SPLIT_SAMPLER, options={"box": box}), **spec.evaluation.also}


def _learning(spec: RunSpec, k: int, trained: Fit, checkpoints: Checkpoints) -> Learning:
    names, scores = checkpoints.of(k)
    method = objective_of(spec)
    # Where a density jumps there is no exact score to compare with.
    least = _optional(lambda: method.least(density_of(dataset_of(spec)), spec.method.options))
    return Learning(trained.curves[k], math.nan if least is None else least, names, scores)


def _optional(make: Callable[[], T]) -> T | None:
    """Make something that only decorates a run; None if that fails."""
    try:
        return make()
    except Exception:
        return None


def _artifacts(
    spec: RunSpec, model: Model | None, points: Tensor, learning: Learning | None
) -> Artifacts:
    """Evaluate the fields and paths of one model, and gather all artifacts.

    Args:
        spec: The run.
        model: Its model, one member; None for the dataset itself.
        points: Its samples, shape (n, d).
        learning: Curves of its training.
    """
    energy = field = paths = None
    if model is not None and dataset_of(spec).dim == 2:
        with torch.no_grad():
            energy = _optional(lambda: _energy(spec, model))
            field = _optional(lambda: _arrows(spec, model))
        paths = _optional(lambda: _paths(spec, model))
    parameters: dict[str, Array] | None = {}
    if isinstance(model, NetworkModel):
        parameters = _optional(lambda: _parameters(model))
    # Of data off the origin, single precision would not hold what was scored.
    away = bool(box_of(dataset_of(spec)).centre.any())
    samples = (points if away else points.float()).cpu().numpy()
    spectrum = None if model is None else _optional(lambda: _spectrum(spec, model))
    return Artifacts(samples, energy, field, paths, parameters or {}, learning, spectrum)


def _spectrum(spec: RunSpec, model: Model) -> NDArray[np.float64] | None:
    """Break the first metric that integrates over noise levels down by level."""
    with torch.no_grad():
        for measure in judge_of(spec).metrics.values():
            spectrum = measure.spectrum(model) if isinstance(measure, ModelMetric) else None
            if spectrum is not None:
                return spectrum.numpy()
    return None


def _energy(spec: RunSpec, model: Model) -> Array | None:
    values = model.energy(_grid(dataset_of(spec), ENERGY_GRID).to(model.device))
    return None if values is None else values.reshape(ENERGY_GRID, ENERGY_GRID).cpu().numpy()


def _arrows(spec: RunSpec, model: Model) -> Array:
    arrows = model.score(_grid(dataset_of(spec), ARROW_GRID).to(model.device))
    return arrows.reshape(ARROW_GRID, ARROW_GRID, 2).cpu().numpy()


def _paths(spec: RunSpec, model: Model) -> Array | None:
    rng = streams_of([spec], "paths", model.device)
    chains = Sampling(dataset_of(spec), spec.sampler).paths(model, PATHS, rng)
    return None if chains is None else chains[0].float().cpu().numpy()


def _parameters(model: NetworkModel) -> dict[str, Array]:
    named = model.network.named(model.theta)
    return {name: part.contiguous().cpu().numpy() for name, part in named.items()}


def _grid(dataset: Dataset, side: int) -> Tensor:
    """Centres of a grid over the box of the data, shape (1, side², 2), x running fastest."""
    ticks = (torch.arange(side) + 0.5) * (2 * dataset.extent / side) - dataset.extent
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    return torch.stack([x, y], -1).reshape(1, -1, 2) + box_of(dataset).centre.float()


def _member_options(
    options: Sequence[dict[str, Option]], device: torch.device
) -> dict[str, Option | Tensor]:
    """Fractional options as tensors (K, 1, 1), the others as they are (they are all equal)."""
    return {
        name: torch.tensor([o[name] for o in options], device=device).reshape(-1, 1, 1)
        if varies(value)
        else value
        for name, value in options[0].items()
    }


def _failed(
    spec: RunSpec, stage: str, error: Exception, compute: dict[str, float] | None = None
) -> Outcome:
    failure = Failure(stage=stage, reason=in_one_line(error))
    return Outcome(
        RunResult(key=run_key(spec), state="failed", failure=failure, compute=compute or {})
    )
