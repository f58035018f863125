"""Langevin chains: ours against plain, and against the matrix products they cannot avoid."""

from collections.abc import Iterator

import torch
from scorebench.bench.process import one_thread
from scorebench.methods import samplers
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP
from scorebench.methods.random import MemberRandom

from . import in_jax
from .plain import Energy, langevin
from .timing import Row, alternate

CHAINS, STEPS, WIDTH = 5_000, 20, 300


def rows() -> Iterator[Row]:
    mlp = MLP(2, "energy", WIDTH, 2, "swish")
    model = NetworkModel(mlp, mlp.init([torch.Generator().manual_seed(0)]))
    sampler = samplers.get("langevin")(steps=STEPS)
    plain = Energy(WIDTH)
    points, weight = torch.randn(1, CHAINS, WIDTH), torch.randn(1, WIDTH, WIDTH)
    out = torch.empty_like(points)

    def ours() -> None:
        sampler.sample(model, CHAINS, MemberRandom([torch.Generator().manual_seed(1)]))

    def products() -> None:
        for _ in range(2 * STEPS):
            torch.bmm(points, weight, out=out)

    with one_thread():
        side = alternate(ours, lambda: langevin(plain, CHAINS, STEPS), rounds=5)
        bound = alternate(ours, products, rounds=5)
        jitted = in_jax.langevin(WIDTH, CHAINS, STEPS) if in_jax.INSTALLED else None
        jax = f", {alternate(ours, jitted, rounds=5).ratio:.1f} × JAX" if jitted else ""
    scale = 20_000 / CHAINS * 100 / STEPS
    yield Row(
        "Langevin, 20,000 chains × 100 steps, 300-300",
        f"{side.ours * scale:.1f} s",
        "≥ 4.5 × plain, ≥ 85 % product share",
        f"{side.ratio:.1f} × plain{jax}, {100 * bound.ratio:.0f} %",
    )
