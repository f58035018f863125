"""What a run is made of: its dataset, network and random streams, and what it is to learn."""

import json
from collections.abc import Sequence

import torch
from torch import Tensor

from ..datasets import get_dataset
from ..datasets.base import Dataset
from ..methods import methods, references
from ..methods.network_model import Network
from ..methods.random import MemberRandom
from .own_networks import network_of
from .spec import Plugin, RunSpec
from .streams import generator


def identity(plugin: Plugin) -> str:
    """Name and options of a plug-in in one string, equal for equal plug-ins."""
    return json.dumps([plugin.name, plugin.options], sort_keys=True)


def dataset_of(spec: RunSpec) -> Dataset:
    """The dataset that a run is about."""
    return get_dataset(spec.dataset.name, **spec.dataset.options)


def architecture(spec: RunSpec, dim: int) -> Network:
    """The network that a run trains."""
    conditional = not is_reference(spec) and methods.get(spec.method.name).conditional
    return network_of(spec.network, dim, conditional=conditional)


def is_reference(spec: RunSpec) -> bool:
    """Whether the model of a run is known rather than learned."""
    return spec.method.name in references.names()


def target_of(spec: RunSpec) -> float:
    """Noise level of the density that the model of a run is to have the score of."""
    name, options = spec.method.name, spec.method.options
    if is_reference(spec):
        return references.get(name)(**options).target(dataset_of(spec))
    return methods.get(name)().target(options)


def training_set(spec: RunSpec) -> Tensor:
    """The points that a run is trained on, shape (N, d)."""
    return dataset_of(spec).sample(spec.training.points, stream_of(spec, "data")).float()


def stream_of(spec: RunSpec, axis: str) -> torch.Generator:
    """Streams leave the method out, so that methods share data and noise."""
    return generator(spec.seed, spec.phase, spec.replicate, identity(spec.dataset), axis)


def streams_of(
    specs: Sequence[RunSpec], axis: str, device: torch.device | str = "cpu"
) -> MemberRandom:
    """The stream of each of several runs, side by side."""
    return MemberRandom([stream_of(spec, axis) for spec in specs], device)
