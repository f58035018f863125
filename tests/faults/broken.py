"""A method, a sampler and a metric, written as users write theirs, that go wrong as told."""

import os
import signal
import time

import torch
from scorebench.bench.metrics import metrics
from scorebench.bench.metrics.base import Metric
from scorebench.methods import methods, samplers
from scorebench.methods.objectives.base import ScoreMatching
from scorebench.methods.sampling.langevin import Langevin

KINDS = ["nan", "inf", "exception", "exit", "hang", "memory", "killed"]


def go_wrong(kind, value):
    """What becomes of a value."""
    match kind:
        case "nan" | "inf":
            return value * float(kind)
        case "exception":
            raise ZeroDivisionError("a bug\nin two lines")
        case "exit":
            raise SystemExit(3)
        case "hang":
            time.sleep(600)
        case "memory":
            return torch.empty(2**60)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
    return value


@methods.register("broken")
class Broken(ScoreMatching):
    """Denoising score matching whose loss goes wrong."""

    def space(self, trial):
        return {"kind": trial.suggest_categorical("kind", KINDS)}

    def loss(self, model, x, rng, *, kind):
        noise = rng.normal_like(x)
        residual = model.score(x + 0.1 * noise) + noise / 0.1
        return go_wrong(kind, residual.square().sum(-1).mean(-1))


@samplers.register("broken_langevin")
class BrokenLangevin:
    """Langevin dynamics that goes wrong, or that leaves its points for the metric to do so."""

    def __init__(self, kind: str = "none", stage: str = "sample") -> None:
        self.kind = kind
        self.stage = stage

    unfit = Langevin.unfit

    def sample(self, model, n, rng):
        made = Langevin(steps=3).sample(model, n, rng)
        if self.stage == "sample":
            return made._replace(points=go_wrong(self.kind, made.points))
        # The metric reads from the first point what to do.
        made.points[0, 0] = 1000.0 + KINDS.index(self.kind)
        return made

    def paths(self, model, n, rng):
        return None


@metrics.register("broken_metric")
class BrokenMetric(Metric):
    """A metric that goes wrong where a sampler told it to."""

    def value(self, samples):
        mark = int(samples[0, 0]) - 1000
        return go_wrong(KINDS[mark], 1.0) if 0 <= mark < len(KINDS) else 0.5
