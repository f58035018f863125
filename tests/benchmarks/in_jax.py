"""The fastest alternative: the same steps in JAX, compiled as a whole, K members by ``vmap``."""

import importlib.util
import os
from collections.abc import Callable
from typing import Any

# JAX reads these when it is imported; torch here has one thread too.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("NPROC", "1")

INSTALLED = importlib.util.find_spec("jax") is not None
if INSTALLED:
    import jax
    import jax.numpy as jnp

STEP_SIZE, TILE = 0.01, 1000


def _parameters(key: Any, width: int, outputs: int, dim: int = 2) -> list[tuple[Any, Any]]:
    sizes = [dim, width, width, outputs]
    keys = jax.random.split(key, 3)
    return [
        (jax.random.normal(k, (a, b)) / a**0.5, jnp.zeros(b))
        for k, a, b in zip(keys, sizes, sizes[1:], strict=False)
    ]


def _network(layers: list[tuple[Any, Any]], x: Any) -> Any:
    for weight, bias in layers[:-1]:
        x = jax.nn.silu(x @ weight + bias)
    return x @ layers[-1][0] + layers[-1][1]


def _score(layers: list[tuple[Any, Any]], x: Any) -> Any:
    """The output itself if it has as many numbers as the points, else minus its gradient."""
    if layers[-1][0].shape[1] == x.shape[1]:
        return _network(layers, x)
    return -jax.grad(lambda y: _network(layers, y).sum())(x)


def _loss(name: str, layers: list[tuple[Any, Any]], x: Any, key: Any, sigma: float = 0.1) -> Any:
    z = jax.random.normal(key, x.shape)
    if name == "dsm":
        residual = _score(layers, x + sigma * z) + z / sigma
        return 0.5 * jnp.square(residual).sum(-1).mean()
    score, along = jax.jvp(lambda y: _score(layers, y), (x,), (z,))
    return ((along * z).sum(-1) + 0.5 * jnp.square((score * z).sum(-1))).mean()


def trainer(
    name: str, width: int, members: int, batch: int, steps: int, kind: str = "energy"
) -> Callable[[], Any]:
    """A function that makes so many steps: batches, noise, loss, clipping and Adam."""
    data = jax.random.normal(jax.random.key(0), (members, 10_000, 2))

    def step(carry: Any, key: Any, points: Any) -> tuple[Any, Any]:
        theta, first, second, count = carry
        draw, noise = jax.random.split(key)
        x = points[jax.random.randint(draw, (batch,), 0, len(points))]
        loss, gradient = jax.value_and_grad(lambda p: _loss(name, p, x, noise))(theta)
        norm = jnp.sqrt(sum(jnp.square(g).sum() for g in jax.tree.leaves(gradient)))
        factor = jnp.minimum(1.0, 100.0 / norm)
        count = count + 1
        scale = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * factor * g, first, gradient)
        second = jax.tree.map(
            lambda v, g: 0.999 * v + 0.001 * jnp.square(factor * g), second, gradient
        )
        theta = jax.tree.map(
            lambda p, m, v: p - scale * m / (jnp.sqrt(v) + 1e-8), theta, first, second
        )
        return (theta, first, second, count), loss

    def train(theta: Any, keys: Any, points: Any) -> Any:
        zeros = jax.tree.map(jnp.zeros_like, theta)
        return jax.lax.scan(lambda c, k: step(c, k, points), (theta, zeros, zeros, 0), keys)

    run = jax.jit(jax.vmap(train))
    outputs = 2 if kind == "score" else 1
    seeds = jax.random.split(jax.random.key(1), members)
    theta = jax.vmap(lambda k: _parameters(k, width, outputs))(seeds)
    keys = jax.vmap(lambda k: jax.random.split(k, steps))(seeds)
    return lambda: jax.block_until_ready(run(theta, keys, data))


def langevin(width: int, chains: int, steps: int) -> Callable[[], Any]:
    """A function that runs chains tile by tile, which is faster than all at once."""
    theta = _parameters(jax.random.key(0), width, 1)

    def tile(key: Any) -> Any:
        start, path = jax.random.split(key)
        x = jax.random.uniform(start, (TILE, 2), minval=-4.0, maxval=4.0)

        def step(x: Any, key: Any) -> tuple[Any, None]:
            z = jax.random.normal(key, x.shape)
            return x + 0.5 * STEP_SIZE * _score(theta, x) + STEP_SIZE**0.5 * z, None

        return jax.lax.scan(step, x, jax.random.split(path, steps))[0]

    run = jax.jit(lambda keys: jax.lax.map(tile, keys))
    keys = jax.random.split(jax.random.key(1), -(-chains // TILE))
    return lambda: jax.block_until_ready(run(keys))
