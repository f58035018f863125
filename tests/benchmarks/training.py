"""Training steps: ours against plain, and against the matrix products they cannot avoid."""

from collections.abc import Iterator

import torch
from scorebench.bench.process import one_thread
from scorebench.bench.spec import TrainingSpec
from scorebench.bench.trainer import Trainees
from scorebench.bench.training import fit
from scorebench.methods import methods
from scorebench.methods.networks import MLP
from scorebench.methods.random import MemberRandom

from . import in_jax
from .plain import Trainer
from .timing import Row, alternate

OPTIONS = {
    "dsm": {"sigma": 0.1},
    "deen": {"sigma": 0.1},
    "ssm": {"n_slices": 1, "slice_kind": "gaussian"},
    "ssm_vr": {"n_slices": 1, "slice_kind": "gaussian"},
}

# Products of (batch, width) with (width, width) that one step has to make, in closed form:
# forward, ∂f/∂h, push along the residual, adjoint, and two for the weights; directional methods
# push a direction along, and pull it back with one more for the weights. Networks that are scores
# go forward and back once, and as often again for a direction.
PRODUCTS = {
    "energy": {"dsm": 6, "deen": 6, "ssm": 9, "ssm_vr": 9},
    "score": {"dsm": 3, "ssm": 6},
}

# Losses that are written in JAX, too.
JITTED = ("dsm", "ssm") if in_jax.INSTALLED else ()

STEPS = 400


def trainer(
    name: str,
    width: int,
    members: int,
    batch: int,
    kind: str = "energy",
    *,
    steps: int = STEPS,
    device: str = "cpu",
):
    """A function that makes ``steps`` steps of ``members`` networks."""
    mlp = MLP(2, kind, width, 2, "swish")
    generators = [torch.Generator().manual_seed(k) for k in range(members)]
    theta = mlp.init(generators).to(device)
    data = torch.randn(members, 10_000, 2, device=device)
    options = {
        key: torch.full((members, 1, 1), value, device=device)
        if isinstance(value, float)
        else value
        for key, value in OPTIONS[name].items()
    }
    batches = MemberRandom(generators, device)
    noise = MemberRandom([torch.Generator().manual_seed(100 + k) for k in range(members)], device)
    rates = torch.full((members, 1), 1e-3, device=device)

    def run() -> None:
        training = TrainingSpec(steps=steps, batch_size=batch)
        objective = methods.get(name)()
        fit(Trainees(objective, mlp, theta, data, options, training, rates, batches, noise))

    return run


def products(count: int, width: int, members: int, batch: int):
    """So many bare matrix products for each of ``STEPS`` steps."""
    rows, weight = torch.randn(members, batch, width), torch.randn(members, width, width)
    out = torch.empty(members, batch, width)

    def run() -> None:
        for _ in range(STEPS * count):
            torch.bmm(rows, weight, out=out)

    return run


def rows() -> Iterator[Row]:
    """What, ours, the goal, and what was found."""
    for name in ("dsm", "deen", "ssm", "ssm_vr"):
        goal = 2.5 if name in ("dsm", "deen") else 3.0
        yield _row(name, 300, 1, 100, goal)
    for width in (64, 128):
        for name in ("dsm", "ssm"):
            yield _row(name, width, 8, 100, 5.0)
    for name in ("dsm", "ssm"):
        yield _row(name, 128, 8, 100, 5.0, "score")


def _row(name: str, width: int, members: int, batch: int, goal: float, kind: str = "energy") -> Row:
    ours = trainer(name, width, members, batch, kind)
    plain = Trainer(name, width, batch, kind=kind)
    with one_thread():
        side = alternate(ours, plain.step, rounds=5, repeats=(1, STEPS))
        bound = alternate(ours, products(PRODUCTS[kind][name], width, members, batch), rounds=5)
        jitted = (
            in_jax.trainer(name, width, members, batch, STEPS, kind) if name in JITTED else None
        )
        jax = f", {alternate(ours, jitted, rounds=5).ratio:.1f} × JAX" if jitted else ""
    each = side.ours / STEPS / members
    network = "" if kind == "energy" else ", score network"
    return Row(
        f"training step {name}{network}, width {width}, K = {members}",
        f"{each * 1e6:.0f} µs per member",
        f"≥ {goal} × plain",
        f"{side.other / each:.1f} × plain{jax}, {100 * bound.ratio:.0f} % product share",
    )
