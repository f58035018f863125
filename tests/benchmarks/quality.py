"""What schedules, averages and larger steps save: errors of scores after more and fewer steps."""

import statistics
from collections.abc import Iterator

import torch
from scorebench.bench.process import one_thread
from scorebench.bench.spec import TrainingSpec
from scorebench.bench.training import fit
from scorebench.datasets import get_dataset
from scorebench.methods import methods
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP
from scorebench.methods.random import MemberRandom

from .timing import Row

DATASETS, SEEDS, SIGMA, WIDTH, BATCH = ["8gaussians", "rings"], 16, 0.2, 64, 100

# Rate and schedule were chosen on seeds before these.
FIRST = 200
PLAIN = {"steps": 50_000, "rate": 1e-3, "schedule": "constant", "ema": 0.0}
FEWER = {"steps": 10_000, "rate": 8e-3, "schedule": "wsd", "ema": 0.0}


def errors(name: str, *, steps: int, rate: float, schedule: str, ema: float) -> list[float]:
    """½E|s - ∇log p_σ|² over p_σ for each seed, all seeds as members of one batch."""
    dataset, mlp = get_dataset(name), MLP(2, "energy", WIDTH, 2, "swish")

    def streams(offset: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(FIRST + offset + k) for k in range(SEEDS)]

    trained = fit(
        methods.get("dsm")(), mlp, mlp.init(streams(0)),
        torch.stack([dataset.sample(50_000, g).float() for g in streams(100)]),
        {"sigma": torch.full((SEEDS, 1, 1), SIGMA)},
        TrainingSpec(steps=steps, batch_size=BATCH, schedule=schedule, ema=ema),
        torch.full((SEEDS, 1), rate),
        batches=MemberRandom(streams(200)), noise=MemberRandom(streams(300)),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(9)
    x = dataset.sample(20_000, generator)
    x = x + SIGMA * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    with torch.no_grad():
        found = NetworkModel(mlp, trained.theta).score(x.float().expand(SEEDS, -1, -1))
    wrong = found.double() - dataset.score(x, SIGMA)
    return (0.5 * wrong.square().sum(-1).mean(-1)).tolist()


def rows() -> Iterator[Row]:
    with one_thread():
        for name in DATASETS:
            plain, fewer = (sorted(errors(name, **how)) for how in (PLAIN, FEWER))
            ratio = statistics.median(plain) / statistics.median(fewer)
            yield Row(
                f"quality, dsm on {name}: 10,000 steps, wsd, rate 0.008",
                f"error {_spread(fewer)}",
                "≤ that of 50,000 constant steps of 0.001",
                f"{_spread(plain)}: {ratio:.1f} × scorebench",
            )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({values[0]:.3f} to {values[-1]:.3f})"
