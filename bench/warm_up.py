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

# What stands for quadratic losses, for the rest of this package, and for losses of users, which
# must not run before they are asked to.
_STANDING: tuple[tuple[type[Trainer], ScoreMatching, dict[str, float]], ...] = (
    (OneByOne, DSM(), {"sigma": 1.0}),
    (SideBySide, FDDSM(), {"sigma": 1.0, "radius": 1.0}),
    (SideBySide, DSM(), {"sigma": 1.0}),
)


def warm_up(network: NetworkSpec, names: Iterable[str]) -> None:
    """Make a step of each kind of training that methods need, and one of sampling.

    Args:
        network: A network of this package; its sizes and base are not compiled in.
        names: Methods; those that train no network, or are not registered, need nothing.
    """
    found = {name: methods.get(name) for name in set(names) if name in methods}
    needed = {
        2 if name not in methods.builtin else int(not trains_compiled(learner(), "cpu"))
        for name, learner in found.items()
        if issubclass(learner, ScoreMatching)
    }
    if not needed:
        return
    mlp = MLP(2, network.kind, 8, 2, network.activation)
    with one_thread(), torch.no_grad():
        theta = mlp.init([torch.Generator()])
        for trainer, objective, options in (_STANDING[which] for which in sorted(needed)):
            trainees = Trainees(
                objective, mlp, theta, torch.zeros(1, 2, 2), options,
                TrainingSpec(steps=1, batch_size=2, points=2), torch.ones(1, 1),
                batches=MemberRandom([torch.Generator()]),
                noise=MemberRandom([torch.Generator()]),
            )  # fmt: skip
            trainer(trainees).advance(0, 1)
        rng = MemberRandom([torch.Generator()])
        Langevin(steps=1).sample(NetworkModel(mlp, theta), 2, rng)
