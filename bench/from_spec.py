"""Everything that a run needs, made from its spec: dataset, network, model, random streams."""

import inspect
import json
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..datasets import get_dataset
from ..datasets.base import Dataset, density_of
from ..methods import estimator, methods, references
from ..methods.estimators.base import Estimator
from ..methods.model import Model
from ..methods.network_model import Network, NetworkModel
from ..methods.networks import GaussianBase
from ..methods.objectives.base import ScoreMatching
from ..methods.random import MemberRandom
from .own_networks import network_of
from .spec import Plugin, RunSpec
from .streams import generator, stream

# Points that the base of a network is fitted to: mean and spread are then within 2 %.
_BASE_POINTS = 10_000


def identity(plugin: Plugin) -> str:
    """Write name and options of a plug-in as one string, equal for equal plug-ins."""
    return json.dumps([plugin.name, plugin.options], sort_keys=True)


def dataset_of(spec: RunSpec) -> Dataset:
    """Make the dataset of a run."""
    return get_dataset(spec.dataset.name, **spec.dataset.options)


def architecture(spec: RunSpec) -> Network:
    """Make the network of a run, without parameters."""
    dataset = dataset_of(spec)
    if _is_learned(spec) and objective_of(spec).conditional:
        predicts = objective_of(spec).predicts(spec.method.options)
        return network_of(spec.network, dataset.dim, conditional=True, predicts=predicts)
    base = None
    if spec.network.base == "gaussian":
        # The same for every run on a dataset.
        draws = generator(0, "base", identity(spec.dataset))
        base = GaussianBase.fitted(dataset.upto(_BASE_POINTS, draws))
    return network_of(spec.network, dataset.dim, conditional=False, base=base)


def is_reference(spec: RunSpec) -> bool:
    """Check whether the model of a run is known rather than learned."""
    return spec.phase == "reference" or spec.method.name not in methods


def estimator_of(spec: RunSpec) -> Estimator | None:
    """Make the method of a run if its model is made by the method itself; None otherwise."""
    found = None if is_reference(spec) else estimator(spec.method.name)
    return None if found is None else found()


def objective_of(spec: RunSpec) -> ScoreMatching:
    """Make the method of a run that trains a network."""
    made = methods.get(spec.method.name)()
    if not isinstance(made, ScoreMatching):
        raise TypeError(f"{spec.method.name} trains no network")
    return made


def is_trained(spec: RunSpec) -> bool:
    """Check whether a run trains its network."""
    return _is_learned(spec) and spec.training.steps > 0


def _is_learned(spec: RunSpec) -> bool:
    return not is_reference(spec) and estimator_of(spec) is None


def target_of(spec: RunSpec) -> float:
    """Return the noise level of the density whose score the model of a run should have."""
    name, options = spec.method.name, spec.method.options
    if is_reference(spec):
        return references.get(name)(**options).target(dataset_of(spec))
    return methods.get(name)().target(options)


def model_of(spec: RunSpec, network: Network, theta: Tensor) -> Model | None:
    """Make the model that a run samples from; None if it samples from the dataset itself.

    ``theta`` are the parameters of the network, (1, network.size).
    """
    own = estimator_of(spec)
    if own is not None:
        known = own.known(dataset_of(spec))
        if known is not None:
            return known
        numbers = (spec.seed, spec.phase, spec.replicate, identity(spec.dataset), "fit")
        rng = np.random.default_rng(stream(*numbers))
        return own.model(training_set(spec), rng, spec.method.options)
    if not is_reference(spec):
        return NetworkModel(network, theta, target_of(spec))
    reference = references.get(spec.method.name)(**spec.method.options)
    return reference.model(
        dataset_of(spec), lambda: NetworkModel(network, theta), lambda: training_set(spec)
    )


def training_set(spec: RunSpec) -> Tensor:
    """Draw the points that a run is trained on, shape (N, d)."""
    return (
        dataset_of(spec)
        .part("training")
        .sample(spec.training.points, stream_of(spec, "data"))
        .float()
    )


def stream_of(spec: RunSpec, axis: str) -> torch.Generator:
    """Start a random stream; its name leaves out the method, so methods share data and noise."""
    return generator(spec.seed, spec.phase, spec.replicate, identity(spec.dataset), axis)


def streams_of(
    specs: Sequence[RunSpec], axis: str, device: torch.device | str = "cpu"
) -> MemberRandom:
    """Start the streams of several runs side by side."""
    return MemberRandom([stream_of(spec, axis) for spec in specs], device)


def given_to_loss(
    objective: ScoreMatching, specs: Sequence[RunSpec], device: torch.device
) -> dict[str, object]:
    """What a loss takes beside its hyperparameters.

    The middles of the members' data, (K, 1, d), as ``centre``; the score of the data, which the
    members then share, as ``clean_score``.
    """
    given: dict[str, object] = {}
    if "centre" in inspect.signature(objective.formula).parameters:
        centres = torch.stack([dataset_of(spec).centre for spec in specs])
        given["centre"] = centres.float().unsqueeze(1).to(device)
    if objective.needs_score:
        given["clean_score"] = clean_score(dataset_of(specs[0]))
    return given


def clean_score(dataset: Dataset) -> Callable[[Tensor], Tensor]:
    """Return the score of the data as a function of points (K, B, d), in their precision."""
    density = density_of(dataset)
    return lambda x: density.score(x.cpu().flatten(0, 1)).view_as(x).to(x)
