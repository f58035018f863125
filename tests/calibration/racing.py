"""What races of configurations cost and choose, beside other ways to spend repeat runs.

    python -m tests.calibration.racing [SEARCHES]
    python -m tests.calibration.racing DIRECTORY

Planner, rounds and choice are those of the product. Every trial is run on all seeds once; then a
schedule is the same study with other budgets, which finds its runs in that table. So all schedules
see the same trials and noise. Runs are arithmetic: quality of the configuration (log-normal) times
noise (log-normal), a share of which all runs of the same replicate have in common.

Of a run directory whose every trial has several seeds (``search.finalists`` = ``search.trials``),
the trials and seeds of each cell are drawn again and again instead. Its truth is the mean of all
seeds, so only the choice of all seeds is known, not the best configuration.
"""

import hashlib
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from optuna.storages import InMemoryStorage
from scipy.stats import beta, norm
from scorebench.bench.spec import RunResult
from scorebench.studies.engine import Engine
from scorebench.studies.plan import Plan
from scorebench.studies.progress import by_cell, progress
from scorebench.studies.rundir.read import read_rows, read_study
from scorebench.studies.rundir.rows import Row
from scorebench.studies.specs.spec import StudySpec

from ..studies.conftest import make_study
from ..studies.fake_engine import FakeEngine, FakeOutcome

SEEDS = 5
ALL = "all on 5 seeds"
RACE = "race = 3 to 1/5"


def schedules_of(trials: int) -> dict[str, dict[str, int | None]]:
    """Return the fields of each schedule, all on all seeds last."""
    eighth, fifth = math.ceil(trials / 8), math.ceil(trials / 5)
    return {
        "the best value": {"finalists": 1, "repeats": 0, "race": None},
        "2 finalists, 2 repeats": {"finalists": 2, "repeats": 2, "race": None},
        "4 finalists, 3 repeats": {"finalists": 4, "repeats": 3, "race": None},
        "1/5 finalists, 4 repeats": {"finalists": fifth, "repeats": 4, "race": None},
        "race = 2 to 2": {"finalists": 2, "repeats": 4, "race": 2},
        "race = 2 to 1/8": {"finalists": eighth, "repeats": 4, "race": 2},
        RACE: {"finalists": fifth, "repeats": 4, "race": 3},
        # A race that drops nothing counts the trial's own seed too.
        ALL: {"finalists": trials, "repeats": SEEDS - 1, "race": 2},
    }


def quality(sigma: float, spread: float) -> float:
    """Return the expected loss of a configuration; random search makes it log-normal."""
    share = math.log(sigma / 0.01) / math.log(100)
    return math.exp(spread * norm.ppf(min(max(share, 1e-9), 1 - 1e-9)))


@dataclass
class RacingEngine(FakeEngine):
    """An engine whose losses are quality times noise.

    Attributes:
        spread: Standard deviation of the logarithm of the quality.
        noise: That of the noise.
        common: Share of its variance that runs of equal replicate have in common.
    """

    spread: float = 0.5
    noise: float = 0.25
    common: float = 0.5

    def __post_init__(self):
        super().__init__()

    def _run(self, spec, keep):
        def normal(*parts):
            digest = hashlib.sha256("\n".join(map(str, parts)).encode()).digest()
            return norm.ppf((int.from_bytes(digest[:6], "big") + 0.5) / 2**48)

        slot = spec.seed, spec.phase, spec.replicate
        own = math.sqrt(1 - self.common) * normal(*slot, spec.method.options["sigma"])
        noise = self.noise * (own + math.sqrt(self.common) * normal(*slot))
        value = quality(spec.method.options["sigma"], self.spread) * math.exp(noise)
        return FakeOutcome(RunResult(key=self.key(spec), state="ok", metrics={"mmd": value}), None)


class Choice(NamedTuple):
    """What a schedule chose in a search.

    Attributes:
        winner: Number of the trial.
        runs: Number of runs.
        last: Trials that had all runs of their schedule.
    """

    winner: int
    runs: int
    last: frozenset[int]


def choice(plan: Plan, rows: Mapping) -> Choice:
    """Follow a schedule through the rows of all trials and seeds."""
    (cell,) = plan.tuned
    asked = progress(plan, cell, rows).asked
    (winner,) = {slot.trial for slot in asked if slot.phase == "confirm"}
    again = [slot for slot in asked if slot.phase == "search" and slot.replicate]
    most = max((slot.replicate for slot in again), default=0)
    last = frozenset(slot.trial for slot in again if slot.replicate == most) or {winner}
    return Choice(winner, plan.study.search.trials + len(again), frozenset(last))


def schedules(study: StudySpec, engine: Engine) -> dict[str, Plan]:
    """Return the plans of the study with the budgets of each schedule."""
    return {
        name: Plan(
            study.model_copy(update={"search": study.search.model_copy(update=fields)}), engine
        )
        for name, fields in schedules_of(study.search.trials).items()
    }


def simulated(trials: int, count: int, engine: RacingEngine) -> Iterator[tuple[dict, dict]]:
    """Yield the choices of each schedule, and the true loss of each trial, for random searches."""
    for seed in range(count):
        study = make_study(
            seed=seed, methods=["alpha"],
            search={"trials": trials, "sampler": "random", "batch": 8}, confirm={"seeds": 1},
        )  # fmt: skip
        plans = schedules(study, engine)
        plan, rows = plans[ALL], {}
        steps = plan.steps(plan.tuned[0], rows, InMemoryStorage)
        jobs = next(steps)
        while jobs[0].slot.phase == "search":
            outcomes = engine.execute([job.spec for job in jobs], False)
            new = [
                Row(job.slot, job.spec.canonical(), outcome.result, "fake", job.suggested)
                for job, outcome in zip(jobs, outcomes, strict=True)
            ]
            rows |= {row.slot: row for row in new}
            jobs = steps.send(new)
        truth = {
            row.slot.trial: quality(row.run.method.options["sigma"], engine.spread)
            for row in rows.values()
        }
        yield {name: choice(plan, rows) for name, plan in plans.items()}, truth


def drawn(directory: Path, trials: int, count: int) -> Iterator[tuple[dict, dict]]:
    """Yield the same for searches drawn from the trials and seeds of a run directory."""
    generator, study, engine = np.random.default_rng(0), read_study(directory), Engine()
    for cell, rows in by_cell(read_rows(directory)).items():
        losses: dict[int, dict[int, Row]] = {}
        for row in rows:
            if row.slot.phase == "search":
                losses.setdefault(row.slot.trial, {})[row.slot.replicate] = row
        whole = [runs for runs in losses.values() if len(runs) == SEEDS]
        if not whole:
            continue
        alone = study.model_copy(
            update={
                "methods": tuple(m for m in study.methods if m.label == cell.method),
                "datasets": tuple(d for d in study.datasets if d.label == cell.dataset),
                "samplers": tuple(s for s in study.samplers if s.label == cell.sampler),
                "search": study.search.model_copy(
                    update={"trials": min(trials, len(whole)), "restarts": 1}
                ),
            }
        )
        plans = schedules(alone, engine)
        first = Plan(alone, engine).tuned[0]
        for _ in range(count):
            chosen = generator.choice(len(whole), min(trials, len(whole)), replace=False)
            seeds = generator.permutation(SEEDS)
            table = {}
            for number, index in enumerate(chosen):
                for replicate, seed in enumerate(seeds):
                    row = whole[index][int(seed)]
                    slot = row.slot._replace(cell=first, trial=number, replicate=replicate)
                    table[slot] = replace(row, slot=slot, spec=whole[index][0].spec)
            truth = {
                n: float(np.mean([run.loss(study.objective) for run in whole[index].values()]))
                for n, index in enumerate(chosen)
            }
            yield {name: choice(plan, table) for name, plan in plans.items()}, truth


class Figures(NamedTuple):
    """What a schedule costs and chooses, on average over searches.

    Attributes:
        runs: Number of runs, as a share of those of all trials on all seeds.
        regret: Relative excess of the true loss of the choice over the best.
        wrong: Searches in which it dropped the best, though all seeds choose it.
        dropped: Searches in which it dropped the best.
        count: Number of searches.
    """

    runs: float
    regret: float
    wrong: float
    dropped: float
    count: int


def figures(searches: Iterator[tuple[dict, dict]]) -> dict[str, Figures]:
    """Return the figures of each schedule."""
    found: dict[str, list] = {}
    for choices, truth in searches:
        best, full = min(truth, key=truth.__getitem__), choices[ALL].winner
        for name, (winner, runs, last) in choices.items():
            gone = best not in last
            regret = truth[winner] / truth[best] - 1
            share = runs / choices[ALL].runs
            found.setdefault(name, []).append((share, regret, gone and full == best, gone))
    return {name: Figures(*np.mean(rows, axis=0), len(rows)) for name, rows in found.items()}


def show(title: str, found: Mapping[str, Figures]) -> None:
    """Print the table."""
    print(f"\n{title}\n{'':24} runs %   regret   wrong % (upper 95 %)   best dropped %")
    for name, (runs, regret, wrong, dropped, count) in found.items():
        upper = beta.ppf(0.95, wrong * count + 1, count - wrong * count) if wrong < 1 else 1.0
        print(
            f"{name:24} {100 * runs:6.1f}   {regret:.4f}   {100 * wrong:4.1f} ({100 * upper:4.1f})"
            f"              {100 * dropped:5.1f}",
            flush=True,
        )


def main(argument: str) -> None:
    """Print the figures of simulated searches, or of those drawn from a run directory."""
    if not argument.isdigit():
        for trials in (16, 32):
            found = figures(drawn(Path(argument), trials, 300))
            show(f"{argument}: {trials} trials, 300 draws a cell", found)
        return
    for trials, engine in (
        (40, RacingEngine()), (16, RacingEngine()), (40, RacingEngine(common=0.0)),
        (40, RacingEngine(noise=0.5)),
    ):  # fmt: skip
        title = f"{trials} trials, {engine}"
        show(title, figures(simulated(trials, int(argument), engine)))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "1000")
