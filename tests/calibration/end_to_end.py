"""False winners on the leaderboards of whole studies of identical methods.

    python -m tests.calibration.end_to_end [STUDIES] [RESTARTS]

Planner, search, confirmation and leaderboard are those of the product; only the runs are replaced
by arithmetic. The loss of a run is the quality of its configuration (which varies with the search),
noise of its seed, and noise that the same run of every method shares.
"""

import hashlib
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
from scorebench.bench.spec import Failure, RunResult
from scorebench.reports.api import Study
from scorebench.reports.ranking.verdict import headline
from scorebench.studies.study import run

from ..studies.conftest import make_study
from ..studies.fake_engine import FakeArtifacts, FakeEngine, FakeOutcome

METHODS, DATASETS = 4, 4
LAWS = {
    "normal": lambda rng: rng.normal(),
    "exponential": lambda rng: rng.exponential() - 1,
    "log-normal": lambda rng: (math.exp(rng.normal()) - math.exp(0.5)) / 2.16,
}


class NoisyEngine(FakeEngine):
    """An engine whose losses are the quality of the configuration plus noise.

    Args:
        law: Distribution of the noise of seeds, a key of ``LAWS``.
        failing: Share of confirmation runs that fail.
    """

    def __init__(self, law="normal", failing=0.0):
        super().__init__()
        self.law, self.failing = law, failing

    def names(self, kind):
        return ("plane", "ring", "disc", "cube") if kind == "dataset" else super().names(kind)

    def _run(self, spec, keep):
        def generator(*parts):
            text = "\n".join(map(str, parts)).encode()
            return np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))

        slot = spec.seed, spec.phase, spec.replicate, spec.dataset.name
        own = generator(*slot, spec.canonical())
        if spec.phase == "confirm" and own.random() < self.failing:
            failure = Failure(stage="train", reason="random failure")
            return FakeOutcome(RunResult(key=self.key(spec), state="failed", failure=failure), None)
        if spec.phase == "reference":
            value = 1.0 if spec.method.name == "untrained" else 0.0
            value += 0.01 * own.normal()
        else:
            # The label distinguishes the copies of a method and changes nothing else.
            quality = 0.02 * math.log(spec.method.options["sigma"] / 0.1) ** 2
            common = 0.02 * generator("common", *slot).normal()
            value = 0.3 + quality + 0.03 * LAWS[self.law](own) + common
        metrics = {"fit": value, "mmd": value, "sw1": value, "sw2": value}
        result = RunResult(key=self.key(spec), state="ok", metrics=metrics)
        samples = np.zeros((spec.evaluation.samples, 2), np.float32)
        return FakeOutcome(
            result, FakeArtifacts(samples, None, None, None, {}, None) if keep else None
        )


def null_study(seed: int, restarts: int):
    """Return a study of identical methods, each with its own search."""
    return make_study(
        seed=seed,
        methods=[{"name": "alpha", "label": f"alpha_{n}"} for n in range(METHODS)],
        datasets=["plane", "ring", "disc", "cube"][:DATASETS],
        search={
            "trials": 4, "startup": 4, "sampler": "random", "restarts": restarts, "finalists": 1,
        },
        confirm={"seeds": 2},
        reference={"floors": 4, "seeds": 2},
    )  # fmt: skip


def claims(seed: int, restarts: int, engine: NoisyEngine) -> tuple[bool, bool]:
    """Return whether a null study names a best method, and whether it decides any pair."""
    with tempfile.TemporaryDirectory() as folder:
        run(null_study(seed, restarts), Path(folder) / "out", engine=engine)
        evidence = Study(Path(folder) / "out").source.evidence
        ranked = [c for c in evidence.contestants if c.rank is not None]
        decided = any(c.rank != (1, len(ranked)) for c in ranked)
        return headline(evidence).endswith("is best"), decided


def main() -> None:
    """Print the shares of null studies with a winner, and with any claim."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    restarts = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    for law in LAWS:
        for failing in (0.0, 0.05):
            engine = NoisyEngine(law, failing)
            flags = np.array([claims(seed, restarts, engine) for seed in range(studies)])
            winner, claim = 100 * flags.mean(0)
            print(
                f"{law}, {failing:.0%} failing, {restarts} restarts, {studies} studies: "
                f"winner {winner:.1f} %, any claim {claim:.1f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
