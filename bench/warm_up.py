"""Compiling what the runs of a network execute, before the time of any run is counted."""

from collections.abc import Iterable

import torch

from ..methods import methods
from ..methods.network_model import NetworkModel
from ..methods.networks import MLP
from ..methods.objectives.base import ScoreMatching
from ..methods.objectives.dsm import DSM
from ..methods.objectives.fd_dsm import FDDSM
from ..methods.random import MemberRandom
from ..methods.sampling.langevin import Langevin
from .one_by_one import OneByOne, trains_compiled
from .process import one_thread
from .side_by_side import SideBySide
from .spec import NetworkSpec, TrainingSpec
from .trainer import Trainees, Trainer

# What stands for each kind of loss; those of users must not run before they are asked to.
_STANDING: dict[str, tuple[type[Trainer], ScoreMatching, dict[str, float]]] = {
    "quadratic": (OneByOne, DSM(), {"sigma": 1.0}),
    "other": (SideBySide, FDDSM(), {"sigma": 1.0, "radius": 1.0}),
    "own": (SideBySide, DSM(), {"sigma": 1.0}),
}


def warm_up(network: NetworkSpec, names: Iterable[str]) -> None:
    """Make a step of each kind of training that methods need, and one of sampling.

    Args:
        network: A network of this package; its sizes and base are not compiled in.
        names: Methods; those that train no network, or are not registered, need nothing.
    """
    kinds = {_kind(name) for name in names if name in methods} - {None}
    if not kinds:
        return
    mlp = MLP(2, network.kind, 8, 2, network.activation)
    with one_thread(), torch.no_grad():
        theta = mlp.init([torch.Generator()])
        for trainer, objective, options in (_STANDING[k] for k in _STANDING if k in kinds):
            trainees = Trainees(
                objective, mlp, theta, torch.zeros(1, 2, 2), options,
                TrainingSpec(steps=1, batch_size=2, points=2), torch.ones(1, 1),
                batches=MemberRandom([torch.Generator()]),
                noise=MemberRandom([torch.Generator()]),
            )  # fmt: skip
            trainer(trainees).advance(0, 1)
        rng = MemberRandom([torch.Generator()])
        Langevin(steps=1).sample(NetworkModel(mlp, theta), 2, rng)


def _kind(name: str) -> str | None:
    """Kind of the loss of a method; None if it trains no network."""
    learner = methods.get(name)
    if not issubclass(learner, ScoreMatching):
        return None
    if name not in methods.builtin:
        return "own"
    return "quadratic" if trains_compiled(learner(), "cpu") else "other"
