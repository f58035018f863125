"""Whole studies: against a plain loop of Optuna, against fewer workers, and the harness's share."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import torch
from scorebench.datasets import get_dataset
from scorebench.studies.results import read_results
from scorebench.studies.specs.load import load_study
from scorebench.studies.study import run

from . import plain
from .timing import Row

METHODS = ["dsm", "deen", "ssm", "ssm_vr"]
DATASETS = ["8gaussians", "rings", "checkerboard", "2spirals"]
TRIALS, SEEDS, STEPS, SAMPLES, WIDTH, BATCH = 8, 2, 400, 2000, 128, 128

# Workers take three seconds to start, which is no part of what two of them are worth.
LONGER = 1000


def ours(workers: int, out: Path, *, datasets=DATASETS, steps: int = STEPS) -> float:
    """Seconds of a whole study, the start of its workers among them."""
    fields = {
        "methods": METHODS,
        "datasets": datasets,
        "training.steps": steps,
        "training.batch_size": BATCH,
        "network.width": WIDTH,
        "search.trials": TRIALS,
        "search.restarts": 1,
        "search.finalists": 1,
        "search.repeats": 1,
        "reference.floors": 1,
        "reference.seeds": 1,
        "confirm.seeds": SEEDS,
        "evaluation.samples": SAMPLES,
        "evaluation.also": [],
    }
    study = load_study("quick", [f"{field}={value}" for field, value in fields.items()])
    started = time.perf_counter()
    run(study, out, workers=workers)
    return time.perf_counter() - started


def loop(method: str, dataset: str) -> float:
    """The same budget written as most people would: default threads, one run after another."""
    truth = get_dataset(dataset)
    reference = truth.sample(SAMPLES, torch.Generator().manual_seed(0)).float()
    data = truth.sample(10_000, torch.Generator().manual_seed(1)).float()

    def train(rate: float) -> float:
        trainer = plain.Trainer(method, WIDTH, BATCH)
        trainer.data = data
        trainer.optimiser.param_groups[0]["lr"] = rate
        for _ in range(STEPS):
            trainer.step()
        points = plain.langevin(trainer.model, SAMPLES, 100)
        return float(plain.mmd(points, reference, [4, 2, 1, 0.5, 0.25, 0.125]))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    started = time.perf_counter()
    study.optimize(
        lambda trial: train(trial.suggest_float("rate", 1e-4, 1e-2, log=True)), n_trials=TRIALS
    )
    for _ in range(SEEDS):
        train(study.best_params["rate"])
    return time.perf_counter() - started


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        ours(2, Path(folder) / "warm", datasets=DATASETS[:1], steps=50)
        two = ours(2, Path(folder) / "two")
        # Runs on any of the datasets take the same time.
        theirs = len(DATASETS) * sum(loop(method, DATASETS[0]) for method in METHODS)
        yield Row(
            "study: 4 × 4 cells, 8 trials, 2 confirmation seeds, 2 cores",
            f"{two:.1f} s",
            "≥ 6 × a plain loop",
            f"{theirs / two:.1f} ×",
        )
        two, one = (ours(n, Path(folder) / str(n), steps=LONGER) for n in (2, 1))
        yield Row(
            f"2 workers against 1, {LONGER} steps",
            f"{two:.1f} s",
            "≥ 1.85 ×",
            f"{one / two:.2f} ×",
        )
        table = read_results(Path(folder) / "1")
        work = float(table.filter(like="_seconds").sum().sum())
        yield Row(
            "overhead of harness and Optuna's sampler in a study on one worker",
            f"{one - work:.2f} s",
            "≤ 3 % without Optuna's sampler",
            f"{100 * (one - work) / one:.1f} % of {one:.1f} s",
        )
