"""Restarts and seeds for a chosen power, before a study runs, by simulating its own tests.

The difference of two methods in a restart varies by B between searches and by W/S between S seeds.
A pilot study gives both: the variance of paired differences over restarts is B + 2 W/S, and W is
the variance of seeds within restarts. The power of R restarts is the share of simulated studies in
which ``ranking.restarts.compare``, the test of the report, decides the pair at its level, with all
other pairs in the same study.
"""

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...datasets.errors import UsageError
from ...studies.engine import Engine
from ...studies.execution.estimate import estimate
from ...studies.plan import Plan
from ...studies.specs.load import load_study
from ...studies.specs.spec import StudySpec
from .. import text
from ..listings import estimate_text
from ..progress import Steps
from ..ranking.cell_results import CellResults, losses
from ..ranking.evidence import Evidence
from ..ranking.restarts import compare
from ..ranking.statistics import LEVEL, Array
from ..source import load

STUDIES = 1000
"""Simulated studies per number of restarts."""

MOST = 500
"""Most restarts that are considered."""

_FEWEST, _SEEDS = 3, (1, 2, 3, 5)
_BATCH = 2_000_000


class Spread(NamedTuple):
    """Variances of normalised losses by dataset, shape (datasets,).

    Attributes:
        searches: Of the difference of two methods between restarts, without that of their seeds.
        seeds: Of one method between seeds of one restart.
    """

    searches: Array
    seeds: Array


class Option(NamedTuple):
    """A design and what it achieves.

    Attributes:
        restarts: Number of restarts.
        seeds: Seeds of the confirmation in each.
        power: Chance to detect the difference.
        runs: Number of runs of the study.
    """

    restarts: int
    seeds: int
    power: float
    runs: int


def planned(
    study: str | Path,
    difference: float,
    *,
    power: float = 0.8,
    pilot: str | Path | None = None,
    spread: float | None = None,
    claims: Sequence[str] = (),
    overrides: Sequence[str] = (),
    progress: Steps = lambda *_: None,
) -> tuple[StudySpec, list[Option]]:
    """Plan a study: the cheapest restarts and seeds that detect ``difference`` with ``power``.

    Args:
        study: Name or file of the study.
        difference: Difference of scores across the datasets, 0 being the truth and 1 an untrained
            network.
        power: Chance to detect it.
        pilot: Run directory whose restarts show the spread.
        spread: Or the standard deviation of a score between restarts, with the study's seeds.
        claims: Claims to register, as ``"A < B"`` or ``"A < B on DATASET"``.
        overrides: As for ``run``.
        progress: Told of each number of seeds that is tried.

    Returns:
        The study with restarts, seeds and registration, and all designs that were considered.

    Raises:
        UsageError: The study, a claim or a number is impossible; both or neither of ``pilot`` and
            ``spread`` are given; or no design reaches the power.
    """
    registration = {"difference": difference, "power": power, "claims": list(claims)}
    settings = [f"plan.{name}={json.dumps(value)}" for name, value in registration.items()]
    spec = load_study(study, [*overrides, *settings])
    if len(spec.methods) < 2:
        raise UsageError("a study of one method has no difference to detect: add another")
    if (pilot is None) == (spread is None):
        raise UsageError("say how much results vary: either --pilot DIR or --spread SD")
    seeds: Sequence[int] = _SEEDS
    if pilot is not None:
        variances = pilot_spread(load(pilot).evidence)
    else:
        if not 0 < (spread or 0) < math.inf:
            raise UsageError(f"--spread {spread}: should be a positive number")
        zeros = np.zeros(len(spec.datasets))
        # A score is the mean over datasets, whose noises are independent.
        variances = Spread(zeros + 2 * len(zeros) * float(spread or 0) ** 2, zeros)
        seeds = (spec.confirm.seeds,)
    found = options(spec, variances, difference, power, seeds, progress)
    best = found[0]
    return designed(spec, best.restarts, best.seeds).registered(), found


def planned_view(study: StudySpec, found: Sequence[Option]) -> str:
    """Write the designs, the cost and the registration as TOML comments."""
    lines = [
        f"{option.restarts} restarts of {text.plural(option.seeds, 'seed')}: "
        f"power {100 * option.power:.0f} %, {option.runs} runs"
        + (", the fewest: chosen" if option is found[0] else "")
        for option in found
    ]
    if study.plan is not None:
        lines.append(f"registered as sha256:{study.plan.hash}")
    comments = "".join(f"# {line}\n" for line in lines)
    return comments + estimate_text(estimate(study))


def pilot_spread(evidence: Evidence) -> Spread:
    """Estimate the variances from a study that was run.

    Raises:
        UsageError: It has one restart, one method, or too few finite results.
    """
    searches, seeds = [], []
    for dataset in evidence.compared:
        cells = [cell for cell in evidence.on(dataset) if not cell.missing]
        pairs = [
            (a.normalised - b.normalised)
            for a, b in itertools.combinations(cells, 2)
            if a.several and len(a.normalised) == len(b.normalised) > 1
        ]
        finite = [pair[np.isfinite(pair)] for pair in pairs]
        variances = [pair.var(ddof=1) for pair in finite if len(pair) > 1]
        if not variances:
            raise UsageError(
                f"the pilot has no two methods with two finite restarts on {dataset}: run it with "
                "-o search.restarts=3 or more, or give --spread"
            )
        within = [_within(cell) for cell in cells]
        known = [variance for variance, _ in within if math.isfinite(variance)]
        seed = float(np.mean(known)) if known else 0.0
        count = float(np.mean([number for _, number in within]))
        seeds.append(seed)
        searches.append(max(float(np.mean(variances)) - 2 * seed / count, 0.0))
    if not searches:
        raise UsageError("the pilot has no confirmed runs yet")
    return Spread(np.array(searches), np.array(seeds))


def _within(cell: CellResults) -> tuple[float, float]:
    """Variance of normalised losses between seeds of a restart, and the number of seeds."""
    groups = [
        losses(rows, cell.objective) / cell.scale for _, rows in cell.confirm.groupby("restart")
    ]
    finite = [group for group in groups if len(group) > 1 and np.isfinite(group).all()]
    variances = [group.var(ddof=1) for group in finite]
    number = float(np.mean([len(group) for group in groups])) if groups else 1.0
    return (float(np.mean(variances)) if variances else math.nan), number


def power_of(
    spread: Spread, methods: int, restarts: int, seeds: int, difference: float, seed: int = 0
) -> float:
    """Simulate the chance to decide that one method is worse than another by ``difference``.

    The other methods are as good as the better one; noise is normal.
    """
    generator = np.random.default_rng([seed, methods, restarts, seeds])
    variance = spread.searches / 2 + spread.seeds / seeds
    deviation = np.sqrt(variance)[:, None]
    per_study = methods * len(variance) * restarts
    decided = total = 0
    while total < STUDIES:
        count = min(STUDIES - total, max(1, _BATCH // per_study))
        drawn = generator.standard_normal((count, methods, len(variance), restarts)) * deviation
        drawn[:, -1] += difference
        outcome = compare(drawn)
        pair = int(np.flatnonzero((outcome.first == 0) & (outcome.second == methods - 1))[0])
        found = (outcome.adjusted()[:, pair] <= 1 - LEVEL) & (outcome.direction[:, pair] < 0)
        decided, total = decided + int(found.sum()), total + count
    return decided / total


def options(
    study: StudySpec,
    spread: Spread,
    difference: float,
    power: float,
    seeds: Sequence[int] = _SEEDS,
    progress: Steps = lambda *_: None,
) -> list[Option]:
    """Find the fewest restarts for each number of seeds, fewest runs first.

    Raises:
        UsageError: Not even ``MOST`` restarts reach the power.
    """
    found = []
    for number, count in enumerate(seeds):
        progress(f"{count} seeds", number, len(seeds))
        restarts = _fewest(spread, len(study.methods), count, difference, power)
        if restarts is not None:
            plan = Plan(designed(study, restarts, count), Engine())
            runs = sum(sum(plan.size(cell)) for cell in plan.cells)
            reached = power_of(spread, len(study.methods), restarts, count, difference)
            found.append(Option(restarts, count, reached, runs))
    if not found:
        raise UsageError(
            f"a difference of {difference:g} cannot be detected with {MOST} restarts: choose a "
            "larger --difference, or longer training, whose results vary less"
        )
    return sorted(found, key=lambda option: option.runs)


def _fewest(
    spread: Spread, methods: int, seeds: int, difference: float, power: float
) -> int | None:
    """Bisect the number of restarts; power grows with it."""

    def reaches(restarts: int) -> bool:
        return power_of(spread, methods, restarts, seeds, difference) >= power

    high = _FEWEST
    while not reaches(high):
        if high == MOST:
            return None
        high = min(2 * high, MOST)
    low = max(_FEWEST, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle + 1, high)
    return high


def designed(study: StudySpec, restarts: int, seeds: int) -> StudySpec:
    """Return the study with so many restarts and seeds."""
    search = study.search.model_copy(update={"restarts": restarts})
    confirm = study.confirm.model_copy(update={"seeds": seeds})
    return study.model_copy(update={"search": search, "confirm": confirm})
