"""A study that never ran: results with known answers, and a run directory as studies write it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scorebench.bench.spec import (
    EvaluationSpec,
    Failure,
    NetworkSpec,
    Plugin,
    RunResult,
    RunSpec,
    TrainingSpec,
)
from scorebench.studies.cell import Cell, Slot
from scorebench.studies.rundir.rows import Row

from ..studies.conftest import finished  # noqa: F401

DATASETS = ("8gaussians", "2spirals", "checkerboard", "rings")
METHODS = {"dsm": 0.30, "deen": 0.30, "ssm": 0.55, "ssm_vr": 0.42}
METRICS = ("mmd", "sw1", "sw2", "split.sw1")
SPEC = json.dumps({"seed": 0})


def row(phase: str, method: str, dataset: str, sampler: str, replicate: int, value: float, **more):
    """One row of a results table with plausible costs."""
    return {
        "phase": phase, "method": method, "dataset": dataset, "sampler": sampler,
        "trial": more.pop("trial", np.nan), "replicate": replicate,
        "state": more.pop("state", "ok"), "failure": more.pop("failure", ""),
        "key": f"{phase}-{method}-{dataset}-{sampler}-{replicate}",
        "mmd": value**2 / 100, "sw1": value, "sw2": 1.3 * value,
        "split.sw1": more.pop("split", np.nan),
        "params.learning_rate": np.nan, "params.n_slices": pd.NA, "params.sigma": np.nan, **more,
        "train_evaluations": 2e5, "sample_evaluations": 1e6, "train_seconds": 1.5,
        "sample_seconds": 0.7, "score_seconds": 0.2, "environment": "e0", "spec": SPEC,
    }  # fmt: skip


def study(
    seed: int = 0,
    methods: dict[str, float] = METHODS,
    datasets: tuple[str, ...] = DATASETS,
    samplers: tuple[str, ...] = ("langevin",),
    seeds: int = 5,
    trials: int = 8,
    spread: float = 0.02,
    shared: float = 0.02,
) -> pd.DataFrame:
    """Results in which each method's true mean on dataset d is its level times (1 + d / 10)."""
    rng = np.random.default_rng(seed)
    rows = []
    for d, dataset in enumerate(datasets):
        rows.extend(
            row("reference", "truth", dataset, "iid", r, 0.04 + 0.006 * rng.normal())
            for r in range(20)
        )
        for s, sampler in enumerate(samplers):
            for name, level in (("exact", 0.2 - 0.1 * s), ("untrained", 1.4)):
                rows.extend(
                    row("reference", name, dataset, sampler, r, level + 0.01 * rng.normal())
                    for r in range(3)
                )
            common = shared * rng.normal(size=seeds)
            for method, level in methods.items():
                mean = (level - 0.1 * s) * (1 + d / 10)
                tried = []
                for t in range(trials):
                    value = mean + abs(0.1 * rng.normal()) - 0.02
                    params = {"params.learning_rate": 10 ** rng.uniform(-4, -2)}
                    if method in ("dsm", "deen"):
                        params["params.sigma"] = float(rng.uniform(0.05, 0.5))
                    else:
                        params["params.n_slices"] = int(rng.integers(1, 5))
                    tried.append((value, t, params))
                    rows.append(
                        row("search", method, dataset, sampler, 0, value, trial=t, **params)
                    )
                _, t, params = min(tried, key=lambda one: one[:2])
                rows.extend(
                    row(
                        "confirm", method, dataset, sampler, r,
                        value := mean + common[r] + spread * rng.normal(), trial=t,
                        split=0.5 * value if method != "ssm" else np.nan, **params,
                    )
                    for r in range(seeds)
                )  # fmt: skip
    return pd.DataFrame(rows).astype({"params.n_slices": "Int64"})


def fail(
    results: pd.DataFrame, where: pd.Series, reason: str = "train: the loss is not a number"
) -> None:
    """Make rows diverge."""
    results.loc[where, list(METRICS)] = np.nan
    results.loc[where, "state"] = "diverged"
    results.loc[where, "failure"] = reason


def to_row(row: dict) -> Row:
    """A row of the table as the run directory keeps it."""
    names = ("sigma", "n_slices")
    options = {n: row[f"params.{n}"] for n in names if not pd.isna(row[f"params.{n}"])}
    rate = row["params.learning_rate"]
    spec = RunSpec(
        phase=row["phase"],
        seed=0,
        replicate=row["replicate"],
        method=Plugin(name=row["method"], options=options),
        dataset=Plugin(name=row["dataset"]),
        sampler=Plugin(name=row["sampler"]),
        network=NetworkSpec(),
        training=TrainingSpec(steps=2000, learning_rate=rate if rate == rate else 1e-3),
        evaluation=EvaluationSpec(samples=2000),
    )
    failed = row["state"] != "ok"
    stage, _, reason = row["failure"].partition(": ")
    costs = ("train_evaluations", "sample_evaluations")
    times = ("train_seconds", "sample_seconds", "score_seconds")
    result = RunResult(
        key=row["key"],
        state=row["state"],
        metrics={} if failed else {name: row[name] for name in METRICS if row[name] == row[name]},
        failure=Failure(stage=stage, reason=reason) if failed else None,
        compute={name: row[name] for name in (*costs, *times)},
    )
    trial = None if row["trial"] != row["trial"] else int(row["trial"])
    slot = Slot(
        Cell(row["method"], row["dataset"], row["sampler"]), row["phase"], trial, row["replicate"]
    )
    return Row(slot, spec.canonical(), result, row["environment"])


def write_directory(folder: Path, results: pd.DataFrame, samples: int = 2000) -> Path:
    """Write what a finished study leaves behind."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    lines = (to_row(row).to_json() for row in results.to_dict("records"))
    (folder / "runs.jsonl").write_text("".join(f"{line}\n" for line in lines))
    cells = results[results.phase == "confirm"][["method", "dataset", "sampler"]].drop_duplicates()
    quote, planned = json.dumps, results[results.phase == "search"]
    (folder / "study.toml").write_text(
        f'name = "synthetic"\nseed = 0\nmethods = {quote(sorted(set(planned.method)))}\n'
        f"datasets = {quote(sorted(set(planned.dataset)))}\n"
        f'samplers = {quote(sorted(set(planned["sampler"])))}\nobjective = "sw1"\n'
        f"[search]\ntrials = {int(planned.trial.max()) + 1}\nfinalists = 1\n"
        "[training]\nsteps = 2000\nbatch_size = 100\n"
        "[confirm]\nseeds = 5\n[evaluation]\nsamples = 2000\n"
    )
    (folder / "environment.json").write_text(
        json.dumps({"e0": {"python": "3.11.9", "packages": {"torch": "2.13.0"}, "threads": 1}})
    )
    for kind in ("samples", "curves", "fields"):
        (folder / kind).mkdir(exist_ok=True)
    axis, steps = np.linspace(-4, 4, 64), np.arange(10.0, 2010.0, 40.0)
    x, y = np.meshgrid(axis, axis, indexing="xy")
    energy = ((np.hypot(x, y) - 2.5) ** 2 * 3).astype(np.float32)
    coarse = np.linspace(-4, 4, 20)
    u, v = np.meshgrid(coarse, coarse, indexing="xy")
    radius = np.hypot(u, v) + 1e-9
    score = np.stack([u, v], -1) * (-6 * (radius - 2.5) / radius)[..., None]
    for method, dataset, sampler in cells.itertuples(index=False):
        name = f"{method}-{dataset}-{sampler}.npz"
        angle = rng.uniform(0, 2 * np.pi, samples)
        points = (2.5 + 0.3 * rng.normal(size=samples))[:, None] * np.stack(
            [np.cos(angle), np.sin(angle)], -1
        )
        points[:7] = 9.0
        points[7:10] = np.nan
        np.savez(
            folder / "samples" / name,
            samples=points.astype(np.float32),
            replicate=np.repeat(np.arange(5), samples // 5),
        )
        looks = np.array([[1000.0, 0.2, 0.3], [2000.0, 0.1, 0.2]])
        np.savez(
            folder / "curves" / name,
            curves=np.tile(np.stack([steps, 12 + 9 / steps, 3 / steps], 1), (5, 1, 1)),
            least=11.5 if method == "dsm" else np.nan,
            names=np.array(["mmd", "sw1"]),
            checkpoints=np.tile(looks, (5, 1, 1)),
        )
        fields = {"score": score.astype(np.float32), "extent": np.float64(4.0)}
        if method != "ssm":
            fields["energy"] = energy
        np.savez(folder / "fields" / name, **fields)
    return folder


@pytest.fixture
def results() -> pd.DataFrame:
    """A complete study of four methods on four datasets."""
    return study()


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its run directory; read only."""
    return write_directory(tmp_path_factory.mktemp("runs") / "synthetic", study())


@pytest.fixture
def make_directory(tmp_path: Path) -> Callable[[pd.DataFrame], Path]:
    """Write a run directory for given results."""
    return lambda results: write_directory(tmp_path / "run", results, samples=500)
