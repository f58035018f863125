"""Which runs can be members of one batch, and how many of them are worth it."""

from collections.abc import Hashable

from .from_spec import dataset_of, is_trained, objective_of
from .one_by_one import trains_compiled
from .spec import Option, RunSpec

MEMBERS = {"cpu": 8, "cuda": 512}
"""Runs that are trained side by side at most: what fits a core's caches, or fills a GPU."""


def shape(spec: RunSpec) -> Hashable:
    """Describe the program of a run: runs of equal shape can be members of one batch."""
    training = spec.training.model_copy(update={"learning_rate": 1.0})
    # Members share what the loss asks for, and the base of the network.
    asks = is_trained(spec) and objective_of(spec).needs_score
    data = spec.dataset if asks or spec.network.base != "none" else None
    same = [name for name in spec.method.options if not varies(spec.method.options[name])]
    return (
        spec.method.name,
        tuple((name, spec.method.options[name]) for name in sorted(same)),
        tuple(sorted(spec.method.options)),
        dataset_of(spec).dim,
        data and data.model_dump_json(),
        spec.network.model_dump_json(),
        training,
        spec.evaluation.checkpoints,
        spec.device,
    )


def together(spec: RunSpec) -> int:
    """Return how many runs of a shape are faster together, at most."""
    by_autograd = is_trained(spec) and not (
        spec.network.module is None and trains_compiled(objective_of(spec), spec.device)
    )
    return MEMBERS[spec.device] if by_autograd or spec.device != "cpu" else 1


def varies(value: Option) -> bool:
    """Check whether members of one batch may have different values of an option."""
    return isinstance(value, float)
