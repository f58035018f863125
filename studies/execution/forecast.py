"""Foresee absurd studies by arithmetic, before anything is made: their memory and their time."""

import math
import os
from typing import NamedTuple

from ..plan import Plan
from ..specs.entries import Leaf, ends

_FLOATS_PER_POINT = 4
"""Numbers that are held for each coordinate of a sample."""

_DRAWN, _HELD = 12, 2
"""The same of a training set while it is drawn, and of each further one of a task."""

_COPIES = 30
"""Arrays of the size of a layer's activations that a training step holds, derivatives included."""

_FLOPS = 2e10
"""Floating point operations that a core does in a second, at best."""

_OPERATIONS = 20
"""Operations for each weight and point in a training step, at least."""

_LONG = 30 * 24 * 3600.0
"""Seconds of all workers from which a study is warned of."""

_MANY = 1_000_000
"""Runs from which a study is warned of."""


class Forecast(NamedTuple):
    """What a study takes at least, if open fields have their largest values.

    Attributes:
        memory: Bytes that one worker holds, by the field that is responsible.
        seconds: Seconds of one core for one run, by the field that is responsible.
        runs: Number of runs.
    """

    memory: dict[str, float]
    seconds: dict[str, float]
    runs: int


def forecast(plan: Plan) -> Forecast:
    """Compute what a study takes at least, in no time."""
    study = plan.study
    training, network = study.training, study.network
    dim = max(_dimension(plan, label) for label in {c.dataset for c in plan.cells})
    width, depth = _largest(network.width), _largest(network.depth)
    if network.module is not None:
        width = depth = 1
    weights = dim * width + (depth - 1) * width**2
    batch, steps = _largest(training.batch_size), _largest(training.steps)
    samples = study.evaluation.samples
    methods = {cell.method: cell for cell in plan.tuned}.values()
    members = max(plan.engine.together(plan.example(cell)) for cell in methods)
    floats = _DRAWN + _HELD * (members - 1)
    memory = {
        "training.points": 4.0 * floats * dim * _largest(training.points),
        "training.batch_size": 4.0 * _COPIES * batch * (dim + width * depth) * members,
        "network.width": 16.0 * weights * members,
        "evaluation.samples": 8.0 * _FLOATS_PER_POINT * dim * samples,
    }
    seconds = {
        "training.steps": _OPERATIONS * weights * batch * steps / _FLOPS,
        "evaluation.samples": 10.0 * float(samples) ** 2 / _FLOPS,
    }
    runs = sum(sum(plan.size(cell)) for cell in plan.cells)
    return Forecast(memory, seconds, runs)


def warnings(plan: Plan, workers: int = 1) -> list[str]:
    """Say in what a study exceeds this machine or a month; nothing for a sensible one.

    Args:
        plan: The plan of the study.
        workers: Number of workers of this machine.
    """
    found = forecast(plan)
    sentences = []
    field = max(found.memory, key=lambda name: found.memory[name])
    needed, there = workers * sum(found.memory.values()), _memory()
    if needed > there:
        sentences.append(
            f"the study needs at least {needed / 1e9:,.0f} GB of memory, and this machine has "
            f"{there / 1e9:,.0f} GB: lower {field} or --workers"
        )
    longest = max(found.seconds, key=lambda name: found.seconds[name])
    time = found.runs * sum(found.seconds.values()) / workers
    if time > _LONG:
        sentences.append(
            f"the study takes at least {time / 86400:,.0f} days: lower {longest} or the number of "
            f"its {found.runs:,} runs"
        )
    elif found.runs > _MANY:
        sentences.append(f"the study has {found.runs:,} runs: lower search.trials or the grid")
    return sentences


def notes_on_data(plan: Plan) -> list[str]:
    """Describe the finite datasets of a study, and how many of their points runs can use."""
    notes = []
    for entry in plan.study.datasets:
        if plan.engine.finite(entry.name):
            cell = next(cell for cell in plan.tuned if cell.dataset == entry.label)
            dataset, asked = plan.template(cell).dataset, _largest(plan.study.training.points)
            samples = plan.study.evaluation.samples
            words = plan.engine.words_on(dataset, asked, samples)
            notes += [f"{entry.label}: {sentence}" for sentence in words]
    return notes


def _dimension(plan: Plan, label: str) -> int:
    dataset = plan.template(next(c for c in plan.cells if c.dataset == label)).dataset
    return int(getattr(plan.engine.make("dataset", dataset), "dim", 2))


def _largest(leaf: Leaf) -> float:
    """Give the largest number that a leaf can have."""
    return max(float(value) for value in ends(leaf) if isinstance(value, int | float))


def _memory() -> float:
    """Return the memory of this machine in bytes; infinite if it is not known."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return math.inf
