"""Runs that cost nothing: every number is a pure function of the spec."""

import hashlib
import inspect
import math
import os
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scorebench.bench.spec import Failure, RunResult
from scorebench.datasets.errors import UsageError
from scorebench.studies.engine import Engine


class FakeLearning(NamedTuple):
    curve: np.ndarray
    least: float
    names: tuple[str, ...]
    checkpoints: np.ndarray


@dataclass
class FakeArtifacts:
    samples: np.ndarray
    energy: np.ndarray | None
    score_field: np.ndarray | None
    paths: np.ndarray | None
    parameters: dict
    learning: FakeLearning | None
    spectrum: np.ndarray | None = None


@dataclass
class FakeOutcome:
    result: RunResult
    artifacts: FakeArtifacts | None


def ring(noise: float = 0.1, dim: int = 2):
    if noise <= 0:
        raise ValueError(f"noise = {noise:g} should be positive")
    return type("Ring", (), {"extent": 4.0})()


def walk(step_size: float = 0.01, steps: int = 10):
    return None


class FakeEngine(Engine):
    """Four methods: ``alpha`` is plain, ``beta`` branches, ``gamma`` sometimes diverges or raises,
    ``delta`` always diverges, ``epsilon`` has nothing to search.

    Args:
        delay: Seconds that a run takes.
        lethal: Folder of marker files: a run of ``gamma`` kills its process until the folder
            holds ``deaths`` files for it.
    """

    def __init__(self, delay=0.0, lethal=None, deaths=0, code="1", tilt=0.0):
        self.delay = delay
        self.lethal = lethal
        self.deaths = deaths
        self.code = code
        self.tilt = tilt

    def names(self, kind):
        return {
            "method": ("alpha", "beta", "gamma", "delta", "epsilon"),
            "reference": ("exact", "truth", "untrained"),
            "dataset": ("plane", "ring"),
            "sampler": ("jump", "walk"),
            "metric": ("fit", "mmd", "sw1", "sw2"),
        }[kind]

    def space(self, method, trial):
        if method == "epsilon":
            return {}
        options = {"sigma": trial.suggest_float("sigma", 0.01, 1.0, log=True)}
        if method == "beta":
            options["kind"] = trial.suggest_categorical("kind", ["flat", "steep"])
            if options["kind"] == "steep":
                options["slope"] = trial.suggest_float("slope", 0.0, 2.0)
            options["count"] = trial.suggest_categorical("count", [1, 2, 4])
        if method == "gamma":
            options["width"] = trial.suggest_int("width", 1, 8)
        return options

    def published(self, method):
        return {"kind": "steep", "count": 2} if method == "beta" else {}

    def estimator(self, method):
        return None

    def options(self, kind, name):
        return inspect.signature(ring if kind == "dataset" else walk).parameters

    def make(self, kind, plugin):
        try:
            return (ring if kind == "dataset" else walk)(**plugin.options)
        except ValueError as error:
            raise UsageError(f"{kind} {plugin.name!r}: {error}") from error

    def diagnostic(self, metric):
        return False

    def complaint(self, kind, plugin, dataset):
        return None

    def finite(self, name):
        return False

    def unfit(self, kind, name, dataset, method, network):
        return None

    def key(self, spec):
        return spec.key(self.code)

    def parts(self, spec):
        return {"core": "1", "method": self.code}

    def shape(self, spec):
        return spec.method.name, spec.method.options.get("kind"), spec.training.steps

    def together(self, spec):
        return 8

    def prepare(self):
        pass

    def measure(self, spec, points):
        return {}

    def environment(self):
        return "fake", {"machine": "fake", "packages": {"torch": "1"}}

    def identity(self, description):
        return "fake" if description == FakeEngine.environment(self)[1] else "other"

    def execute(self, specs, keep):
        assert len({self.shape(spec) for spec in specs}) == 1
        time.sleep(self.delay)
        return [self._run(spec, keep) for spec in specs]

    def _run(self, spec, keep):
        options = spec.method.options
        digest = hashlib.sha256(spec.canonical().encode()).digest()
        noise = int.from_bytes(digest[:6], "big") / 2**48
        if spec.method.name == "gamma":
            self._maybe_die(spec)
            if options["width"] == 3:
                raise ZeroDivisionError("width 3\nis a bug")
            if options["width"] in (1, 2):
                return self._diverged(spec)
        if spec.method.name == "delta":
            return self._diverged(spec)
        sigma = options.get("sigma", 0.3)
        value = (math.log(sigma / 0.1)) ** 2 + options.get("slope", 0.5) + 0.3 * noise + self.tilt
        metrics = {"fit": value, "mmd": value, "sw1": value / 2, "sw2": value + noise}
        if spec.method.name == "gamma" and options["width"] == 4:
            metrics["mmd"] = math.inf
        compute = {"train_seconds": noise, "train_evaluations": 100.0}
        result = RunResult(key=self.key(spec), state="ok", metrics=metrics, compute=compute)
        return FakeOutcome(result, self._artifacts(noise, spec) if keep else None)

    def _diverged(self, spec):
        failure = Failure(stage="train", step=7, reason="the loss is not finite")
        metrics = {"mmd": math.nan, "sw1": math.inf}
        return FakeOutcome(
            RunResult(key=self.key(spec), state="diverged", metrics=metrics, failure=failure), None
        )

    def _artifacts(self, noise, spec):
        n = spec.evaluation.samples
        samples = np.full((n, 2), noise, dtype=np.float32)
        weight = np.full((1, 3, 2), noise, dtype=np.float32)
        energy = None if spec.network.kind == "score" else np.full((4, 4), noise, np.float32)
        learning = FakeLearning(np.full((2, 3), noise), 1.5, ("mmd",), np.full((4, 2), noise))
        return FakeArtifacts(
            samples=samples,
            energy=energy,
            score_field=np.zeros((3, 3, 2), np.float32),
            paths=np.zeros((5, 8, 2), np.float32),
            parameters={"0.weight": weight},
            learning=learning,
        )

    def _maybe_die(self, spec):
        if self.lethal is None or spec.method.options["width"] != 5:
            return
        name = hashlib.sha256(spec.canonical().encode()).hexdigest()[:16]
        for attempt in range(self.deaths):
            try:
                os.close(os.open(f"{self.lethal}/{name}-{attempt}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            os._exit(9)
