"""Calibration of the leaderboard over whole studies of identical methods.

    python -m tests.calibration.end_to_end [STUDIES] [SETTING ...]

Planner, search, confirmation, results table and leaderboard are those of the product. Runs are
arithmetic: the loss is the quality of the configuration (which varies with the search), noise of
the seed, and noise that the same run of every method shares. Rows stay in memory, because files are
nine tenths of the time; ``tests/studies/test_until_decided.py`` checks that the table is the same.
A study has twelve restarts; smaller numbers of restarts are its beginning. One core takes about a
second per study.
"""

import hashlib
import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from optuna.storages import InMemoryStorage
from scipy import stats
from scorebench.bench.spec import Failure, RunResult
from scorebench.reports.ranking.evidence import Evidence, gather
from scorebench.reports.ranking.restarts import compare
from scorebench.reports.ranking.until_decided import restarts_needed, rounds
from scorebench.reports.ranking.verdict import headline
from scorebench.studies.plan import Plan
from scorebench.studies.results import frame
from scorebench.studies.rundir.rows import Row
from scorebench.studies.specs.spec import Decide

from ..studies.conftest import make_study
from ..studies.fake_engine import FakeArtifacts, FakeEngine, FakeOutcome

METHODS, DATASETS = 4, ("cube", "disc", "plane", "ring")
MOST = 12
SPREAD = 0.027
"""Standard deviation of the value of a restart, without the noise that methods share."""
LAWS = {
    "normal": lambda rng: rng.normal(),
    "exponential": lambda rng: rng.exponential() - 1,
    "log-normal": lambda rng: (math.exp(rng.normal()) - math.exp(0.5)) / 2.16,
}


class Setting(NamedTuple):
    """How the runs of a study vary.

    Attributes:
        law: Distribution of the noise of seeds, a key of ``LAWS``.
        noisier: Factor of the noise of the first method's confirmation. Its search has the noise
            of the others: a noisier search would find worse configurations.
        failing: Share of runs of search and confirmation that fail.
    """

    law: str = "normal"
    noisier: float = 1.0
    failing: float = 0.0


SETTINGS = {
    "normal": Setting(),
    "exponential": Setting("exponential"),
    "log-normal": Setting("log-normal"),
    "normal-5x": Setting(noisier=5.0),
    "exponential-5x": Setting("exponential", noisier=5.0),
    "log-normal-5x": Setting("log-normal", noisier=5.0),
    "normal-failing": Setting(failing=0.05),
    "log-normal-failing": Setting("log-normal", failing=0.05),
}


class NoisyEngine(FakeEngine):
    """An engine whose losses are the quality of the configuration plus noise."""

    def __init__(self, setting: Setting = SETTINGS["normal"]):
        super().__init__()
        self.setting = setting

    def names(self, kind):
        own = {"dataset": DATASETS, "method": ("alpha", "noisy")}
        return own.get(kind) or super().names(kind)

    def _run(self, spec, keep):
        def generator(*parts):
            text = "\n".join(map(str, parts)).encode()
            return np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))

        slot = spec.seed, spec.phase, spec.replicate, spec.dataset.name
        own = generator(*slot, spec.canonical())
        law, noisier, failing = self.setting
        if spec.phase != "reference" and own.random() < failing:
            failure = Failure(stage="train", reason="random failure")
            return FakeOutcome(RunResult(key=self.key(spec), state="failed", failure=failure), None)
        if spec.phase == "reference":
            value = 1.0 if spec.method.name == "untrained" else 0.0
            value += 0.01 * own.normal()
        else:
            noisy = spec.phase == "confirm" and spec.method.name == "noisy"
            quality = 0.02 * math.log(spec.method.options["sigma"] / 0.1) ** 2
            common = 0.02 * generator("common", *slot).normal()
            value = 0.3 + quality + 0.03 * LAWS[law](own) * (noisier if noisy else 1.0) + common
        metrics = {"fit": value, "mmd": value, "sw1": value, "sw2": value}
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
    )  # fmt: skip


def results(seed: int, restarts: int, engine: NoisyEngine) -> pd.DataFrame:
    """Run a null study without files; return its results table."""
    plan = Plan(null_study(seed, restarts), engine)
    rows: list[Row] = []
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
            rows += new
    return frame(rows, plan)


def board(table: pd.DataFrame, restarts: int, datasets: int, rule: Decide | None = None):
    """Rank the methods on the first restarts and datasets of a results table."""
    rows = table[(table["restart"] < restarts) & table["dataset"].isin(DATASETS[:datasets])]
    return gather(rows, "mmd", rule=rule)


def claims(evidence: Evidence) -> tuple[bool, bool]:
    """Return whether a best method is named, and whether any pair is decided."""
    ranked = [c for c in evidence.contestants if c.rank is not None]
    decided = any(c.rank != (1, len(ranked)) for c in ranked)
    return " is best" in headline(evidence), decided


def until_decided(table: pd.DataFrame, datasets: int) -> tuple[tuple[bool, bool], int]:
    """Return the claims of ``run --until-decided``, and its restarts."""
    rule = Decide(restarts=MOST)
    for restarts in rounds(MOST):
        evidence = board(table, restarts, datasets, rule)
        if not evidence.open:
            break
    return claims(evidence), restarts


def shifted(table: pd.DataFrame, shifts: Sequence[float]) -> pd.DataFrame:
    """Add a constant to the losses of each method; no search decides otherwise."""
    shift = {f"alpha_{method}": float(value) for method, value in enumerate(shifts)}
    return table.assign(mmd=table["mmd"] + table["method"].map(shift).fillna(0.0))


def normalised(evidence: Evidence) -> np.ndarray:
    """Return the losses of all methods by label, shape (methods, datasets, restarts)."""
    order = sorted(evidence.contestants, key=lambda c: c.label)
    return np.array([[c.cells[name].normalised for name in evidence.compared] for c in order])
