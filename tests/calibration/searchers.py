"""False winners among copies of one searcher, over whole studies.

    python -m tests.calibration.searchers [STUDIES]

Planner, search by TPE, repeat runs, confirmation, results table and the contest of searchers are
those of the product; runs are the arithmetic of ``end_to_end.py``. 200 studies take a quarter of an
hour on one core.
"""

import sys

import numpy as np
from scorebench.reports.ranking.contests import ALL, standings
from scorebench.reports.ranking.searchers import contest

from ..studies.conftest import make_study
from .end_to_end import NoisyEngine, bounded, results

COPIES, TRIALS = 4, 12


def copies(seed: int, restarts: int):
    """Return a study of copies of TPE on two cells."""
    return make_study(
        seed=seed,
        methods=["alpha"],
        datasets=["ring", "plane"],
        search={
            "trials": TRIALS, "startup": 4, "restarts": restarts, "finalists": 1, "repeats": 1,
            "sampler": [{"name": "tpe", "label": f"tpe_{n}"} for n in range(COPIES)],
        },
        confirm={"seeds": 2},
        reference={"floors": 4, "seeds": 2},
    )  # fmt: skip


def winners(seed: int, restarts: int) -> dict[int, bool]:
    """Run a study; say by number of trials whether a searcher is named the best."""
    study = copies(seed, restarts)
    rows = standings(contest(results(study, NoisyEngine()), study))
    together = [row for row in rows if row.place == ALL]
    ranks = {
        trials: [row.rank for row in together if row.effort == trials]
        for trials in {row.effort for row in together}
    }
    return {
        trials: sum(rank is not None and rank[0] == 1 for rank in found) == 1
        for trials, found in sorted(ranks.items())
    }


def main(count: int) -> None:
    """Print the share of studies with a false winner, by restarts and trials."""
    print(f"{count} studies of {COPIES} copies of TPE: a winner, % (upper 95 % limit)")
    for restarts in (3, 5):
        found = [winners(seed, restarts) for seed in range(count)]
        for trials in found[0]:
            flags = np.array([named[trials] for named in found])
            print(f"R = {restarts}, after {trials} trials: {bounded(flags)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
