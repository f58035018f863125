"""Small runs of every method, and what must be equal where results are."""

from scorebench.bench.spec import (
    EvaluationSpec,
    NetworkSpec,
    Plugin,
    RunSpec,
    TrainingSpec,
)
from scorebench.methods import references

SLICED = {"n_slices": 1, "slice_kind": "gaussian"}
OPTIONS = {
    "dsm": {"sigma": 0.2},
    "deen": {"sigma": 0.2},
    "ism": {"data_noise": 0.1},
    "fd_ssm": {"radius": 0.1, "data_noise": 0.0},
    "fd_dsm": {"radius": 0.1, "sigma": 0.2},
    "mle_grid": {"box": 6.0, "cells": 24},
    "ncsn": {"sigma_min": 0.1, "sigma_max": 5.0},
    "dsm_cv": {"sigma": 0.2},
    "tsm": {"sigma": 0.2},
    "diffusion": {
        "sigma_min": 0.1,
        "sigma_max": 5.0,
        "predicts": "flow",
        "weight": "flow",
        "log_level": 0.0,
        "log_spread": 1.5,
        "share": 2,
    },
    "cd": {"n_steps": 2, "step_size": 0.01},
    "nce": {"spread": 2.0},
    "cnce": {"sigma": 0.3},
}


def spec(method="dsm", options=None, *, rate=3e-3, sampler=None, kind="energy", steps=40, **fields):
    defaults = OPTIONS.get(method, SLICED)
    if method in ("kef", "ssge", "stein"):
        defaults = {"kernel": "imq", "bandwidth": 1.0, "strength": 1e-3}
    if method in references.names():
        defaults = {}
        fields.setdefault("phase", "reference")
    return RunSpec(
        **{
            "phase": "search",
            "seed": 7,
            "method": Plugin(name=method, options=defaults if options is None else options),
            "dataset": Plugin(name="8gaussians"),
            "sampler": Plugin(name="langevin", options=sampler or {"steps": 10}),
            "network": NetworkSpec(width=16, kind=kind),
            "training": TrainingSpec(steps=steps, batch_size=32, points=1000, learning_rate=rate),
            "evaluation": EvaluationSpec(samples=300),
            **fields,
        }
    )


def numbers(outcome):
    result = outcome.result
    return result.key, result.state, result.metrics, result.failure
