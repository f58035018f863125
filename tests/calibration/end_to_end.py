"""Calibration of the leaderboard over whole studies of identical methods.

    python -m tests.calibration.end_to_end [STUDIES]

Planner, search, confirmation, results table and leaderboard are those of the product. Runs are
arithmetic: the loss is the quality of the configuration (which varies with the search), noise of
the seed, and noise that the same run of every method shares. To save time, rows stay in memory, a
run has one metric per distribution of the noise, and fewer restarts are the first of twelve:
400 studies take ten minutes on one core. The statistics are measured by the functions of
``restarts.py``; that the leaderboard makes the same claims is checked in every twentieth study.
"""

import hashlib
import math
import sys
from dataclasses import dataclass
from functools import cache

import numpy as np
from optuna.storages import InMemoryStorage
from scipy import stats
from scorebench.bench.spec import Failure, RunResult
from scorebench.reports.ranking.evidence import gather
from scorebench.reports.ranking.restarts import compare
from scorebench.reports.ranking.statistics import Array
from scorebench.reports.ranking.until_decided import decide, rounds
from scorebench.reports.ranking.verdict import headline
from scorebench.studies.cell import Slot
from scorebench.studies.plan import Plan
from scorebench.studies.results import frame
from scorebench.studies.rundir.rows import Row
from scorebench.studies.specs.tables import Decide

from ..studies.conftest import make_study
from ..studies.fake_engine import FakeArtifacts, FakeEngine, FakeOutcome
from . import restarts as simulated

METHODS, DATASETS = 4, ("cube", "disc", "plane", "ring")
MOST = simulated.MOST
SPREAD = 0.025
"""Standard deviation of a restart's loss with normal noise, without the noise that is shared."""
FAILING = 0.05
NOISES = {
    "mmd": ("normal", 1.0),
    "exponential": ("exponential", 1.0),
    "lognormal": ("1", 1.0),
    "normal_5x": ("normal", 5.0),
    "exponential_5x": ("exponential", 5.0),
    "lognormal_5x": ("1", 5.0),
}
"""By metric: distribution of the noise of seeds, and its factor for the first method."""


class NoisyEngine(FakeEngine):
    """An engine whose losses are the quality of the configuration plus noise.

    The search has exponential noise and equal spreads: a noisier search would find worse
    configurations, so that the first method would not be as good as the others.

    Args:
        failing: Share of runs of search and confirmation that fail.
    """

    def __init__(self, failing=0.0):
        super().__init__()
        self.failing = failing

    def names(self, kind):
        own = {"dataset": DATASETS, "method": ("alpha", "noisy"), "metric": tuple(NOISES)}
        return own.get(kind) or super().names(kind)

    def _run(self, spec, keep):
        def generator(*parts):
            text = "\n".join(map(str, parts)).encode()
            return np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))

        slot = spec.seed, spec.phase, spec.replicate, spec.dataset.name
        own = generator(*slot, spec.canonical())
        if spec.phase != "reference" and own.random() < self.failing:
            failure = Failure(stage="train", reason="random failure")
            return FakeOutcome(RunResult(key=self.key(spec), state="failed", failure=failure), None)
        if spec.phase == "reference":
            value = 1.0 if spec.method.name == "untrained" else 0.0
            values = [value + 0.01 * own.normal()] * len(NOISES)
        else:
            quality = 0.02 * math.log(spec.method.options["sigma"] / 0.1) ** 2
            common = 0.02 * generator("common", *slot).normal()
            if spec.phase == "search":
                noise = [own.exponential() - 1] * len(NOISES)
            else:
                noise = [
                    float(simulated.Law(shape).draw(own, ()))
                    * (factor if spec.method.name == "noisy" else 1.0)
                    for shape, factor in NOISES.values()
                ]
            values = [0.3 + quality + common + 0.03 * value for value in noise]
        metrics = dict(zip(NOISES, values, strict=True))
        result = RunResult(key=self.key(spec), state="ok", metrics=metrics)
        samples = np.zeros((spec.evaluation.samples, 2), np.float32)
        return FakeOutcome(
            result, FakeArtifacts(samples, None, None, None, {}, None) if keep else None
        )


def null_study(seed: int, restarts: int):
    """Return a study of identical methods, each with its own search."""
    names = ["noisy", *["alpha"] * (METHODS - 1)]
    return make_study(
        seed=seed,
        methods=[{"name": name, "label": f"alpha_{n}"} for n, name in enumerate(names)],
        datasets=list(DATASETS),
        search={
            "trials": 4, "startup": 4, "sampler": "random", "restarts": restarts, "finalists": 1,
        },
        confirm={"seeds": 2},
        reference={"floors": 4, "seeds": 2},
        evaluation={"metrics": list(NOISES)},
    )  # fmt: skip


def results(study, engine: NoisyEngine):
    """Run a study without files; return its results table."""
    plan = Plan(study, engine)
    rows: dict[Slot, Row] = {}
    for cell in plan.cells:
        storage = InMemoryStorage()
        steps = plan.steps(cell, {}, lambda storage=storage: storage)
        new = None
        while True:
            try:
                jobs = steps.send(new)
            except StopIteration:
                break
            outcomes = engine.execute([job.spec for job in jobs], keep=False)
            new = [
                Row(job.slot, job.spec.canonical(), outcome.result, "fake", job.suggested)
                for job, outcome in zip(jobs, outcomes, strict=True)
            ]
            # A run that a cell asks for twice has one row.
            rows |= {row.slot: row for row in new}
    return frame(rows.values(), plan)


def normalised(table, metric: str) -> Array:
    """Return the normalised losses of a null study, shape (methods, datasets, restarts)."""
    rows = table.assign(loss=table[metric].fillna(math.inf))
    losses = rows.loc[rows["phase"] == "confirm", "loss"].to_numpy()
    losses = losses.reshape(MOST, METHODS, len(DATASETS), -1).mean(-1).transpose(1, 2, 0)
    floor, untrained = (
        rows.loc[rows["method"] == name, "loss"].to_numpy().reshape(len(DATASETS), -1).mean(1)
        for name in ("truth", "untrained")
    )
    return (losses - floor[:, None]) / (untrained - floor)[:, None]


def check_leaderboard(table, metric: str) -> None:
    """Check that the leaderboard has these losses, and makes the claims of the statistics."""
    evidence = gather(table, metric, rule=Decide(restarts=MOST))
    ranked = sorted(evidence.contestants, key=lambda c: c.label)
    losses = np.array([[c.cells[name].normalised for name in DATASETS] for c in ranked])
    assert np.allclose(losses, normalised(table, metric), rtol=1e-12)
    decision = decide(losses, rounds(MOST), MOST)
    better = decision.last.matrix(decision.direction)
    assert winner(better) == (" is best" in headline(evidence)), metric
    for i, first in enumerate(ranked):
        for j, second in enumerate(ranked):
            if i != j:
                assert better[i, j] == (evidence.pair(first, second).decided == -1), metric


@cache
def tables(count: int, failing: float = 0.0) -> dict[str, Array]:
    """Return centred losses of null studies by metric, shape (count, methods, datasets, MOST)."""
    studies = []
    for seed in range(count):
        table = results(null_study(seed, MOST), NoisyEngine(failing))
        studies.append([normalised(table, metric) for metric in NOISES])
        if seed % 20 == 0:
            for metric in NOISES:
                check_leaderboard(table, metric)
    losses = np.moveaxis(np.array(studies), 1, 0)
    # All methods have the same true score, on all datasets; the first metric has normal noise.
    centre = losses[0][np.isfinite(losses[0])].mean()
    return dict(zip(NOISES, losses - centre, strict=True))


def winner(better: Array) -> Array:
    """Return whether one method alone is not worse than another, from (..., i, j)."""
    return np.asarray((~better.any(-2)).sum(-1) == 1)


@dataclass(frozen=True)
class WholeStudies(simulated.Law):
    """The losses of whole studies, in place of simulated ones.

    Attributes:
        shape: The metric.
        count: Number of studies.
        failing: Share of runs that fail.
    """

    count: int = 60
    failing: float = 0.0

    most = MOST

    def __str__(self) -> str:
        return f"{self.shape}{', failures' if self.failing else ''}"

    def studies(self, generator, count, methods, datasets, restarts):
        losses = tables(self.count, self.failing)[self.shape]
        rows = generator.choice(len(losses), count, replace=count > len(losses))
        return losses[rows, :methods, :datasets, :restarts]

    def unit(self, datasets, restarts):
        return SPREAD * math.sqrt(2 / (restarts * datasets))


def claims(law: WholeStudies, datasets: int, restarts: int) -> tuple[Array, Array]:
    """Return in which studies a winner is named, and in which any pair is decided."""
    losses = law.studies(np.random.default_rng(0), law.count, METHODS, datasets, restarts)
    better = compare(losses).better()
    return winner(better), better.any((-2, -1))


def claims_with_looks(law: WholeStudies, datasets: int) -> tuple[Array, Array]:
    """Return the same for ``run --until-decided``."""
    losses = law.studies(np.random.default_rng(0), law.count, METHODS, datasets, MOST)
    decision = decide(losses, rounds(MOST), MOST)
    better = decision.last.matrix(decision.direction)
    return winner(better), better.any((-2, -1))


def bounded(flags: Array) -> str:
    """Format the share of true flags in % with its upper 95 % limit."""
    true, count = int(flags.sum()), len(flags)
    upper = stats.beta.ppf(0.95, true + 1, count - true) if true < count else 1.0
    return f"{100 * true / count:4.1f} (≤{100 * upper:4.1f})"


def main(count: int) -> None:
    """Print the tables."""
    laws = [WholeStudies(metric, "", count) for metric in NOISES]
    failing = [WholeStudies(metric, "", count, FAILING) for metric in ("mmd", "lognormal")]
    print(f"{count} studies of identical methods: a winner (upper 95 % limit), any claim; %")
    for law in (*laws, *failing):
        for datasets in (4, 1):
            cells = [claims(law, datasets, restarts) for restarts in (3, 5, 10)]
            cells.append(claims_with_looks(law, datasets))
            texts = (f"{bounded(best)} {bounded(any_claim)}" for best, any_claim in cells)
            print(f"{law!s:20} {datasets} datasets", *texts, sep=" | ", flush=True)
    print("\nCoverage of 95 % intervals of scores, %; R = 3, 5, 10")
    for law in laws:
        for datasets in (4, 1):
            row = [simulated.coverage(law, datasets, r, count)[0] for r in (3, 5, 10)]
            print(f"{law!s:20} {datasets} datasets", *map(simulated.percent, row), flush=True)
    print("\nPr(best): mean distance from its frequency; R = 3, 5, 10")
    for law in laws:
        for datasets in (4, 1):
            row = [simulated.best_calibration(law, METHODS, datasets, r, count) for r in (3, 5, 10)]
            print(
                f"{law!s:20} {datasets} datasets",
                *(f"{simulated.best_gap(*cell):.3f}" for cell in row),
                flush=True,
            )
    print("\nPower where 80 % is forecast (restarts): pilot of 3, 5; difference of 1.5 spreads")
    for law in laws:
        row = [simulated.forecast_power(law, 4, pilot, 1.5, count) for pilot in (3, 5)]
        cells = (f"{simulated.percent(x)} ({np.median(n):.0f}, {len(x)} studies)" for x, n in row)
        print(f"{law!s:20}", *cells, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
