"""Real trainings of the same estimator under several names are tied.

DSM and DEEN are one estimator in two parametrisations; copies of DSM differ by their labels.
"""

from pathlib import Path

import pytest
from scorebench.reports.ranking.evidence import Evidence
from scorebench.reports.ranking.verdict import answer, headline
from scorebench.reports.source import load
from scorebench.studies.specs.load import parse
from scorebench.studies.study import run as run_study

STUDY = """
name = "same"
methods = [{ name = "dsm", sigma = 0.3 }, { name = "deen", sigma = 0.3 },
           { name = "dsm", label = "narrow", sigma = 0.02 }]
datasets = ["8gaussians", "checkerboard"]
samplers = ["langevin"]
objective = "sw1"
[network]
width = 32
[training]
steps = 400
points = 5000
learning_rate = 0.003
clip = 1e9
[search]
trials = 0
[confirm]
seeds = 6
[reference]
floors = 5
[evaluation]
samples = 500
"""


@pytest.mark.slow
def test_dsm_and_deen_at_one_sigma_are_tied(tmp_path: Path):
    from scorebench.studies.specs.load import load_study

    file = tmp_path / "same.toml"
    file.write_text(STUDY)
    spec = load_study(str(file))
    run_study(spec, tmp_path / "run", 1, None)
    evidence = load(tmp_path / "run").evidence
    board = {contestant.label: contestant for contestant in evidence.contestants}
    assert "deen" in board["dsm"].tied
    for dataset in evidence.datasets:
        first, second = (board[name].cells[dataset] for name in ("dsm", "deen"))
        spread = first.losses.std(ddof=1)
        assert abs(first.loss.value - second.loss.value) < 2 * spread
        assert first.rank is not None
        assert second.rank is not None
        assert max(first.rank[0], second.rank[0]) <= min(first.rank[1], second.rank[1])
    assert "cannot be told apart" in answer(evidence)
    outcome = evidence.pair(board["dsm"], board["narrow"])
    assert outcome.p_value < 0.05, "the same seeds do tell another sigma"


def tuned(folder: Path, seed: int, methods: list, restarts: int, **training) -> Evidence:
    """Run a small study in which every restart of every method has its own search."""
    rate = {"low": 1e-3, "high": 3e-2, "log": True}
    study = {
        "name": f"tuned_{seed}",
        "seed": seed,
        "methods": methods,
        "datasets": ["8gaussians"],
        "samplers": ["langevin"],
        "objective": "mmd",
        "network": {"width": 16, "depth": 1},
        "training": {"points": 2000, "batch_size": 64, "learning_rate": rate, **training},
        "search": {
            "trials": 3, "startup": 3, "sampler": "random", "restarts": restarts, "finalists": 1,
        },
        "confirm": {"seeds": 1},
        "reference": {"floors": 3, "seeds": 2},
        "evaluation": {"samples": 300, "metrics": ["mmd"]},
    }  # fmt: skip
    run_study(parse(study, "test"), folder / study["name"])
    return load(folder / study["name"]).evidence


@pytest.mark.slow
def test_copies_of_a_method_have_no_winner(tmp_path: Path):
    copies = [{"name": "dsm", "label": f"dsm_{number}"} for number in range(4)]
    boards = [tuned(tmp_path, seed, copies, restarts=3, steps=100) for seed in range(20)]
    assert sum(" is best" in headline(board) for board in boards) <= 3


@pytest.mark.slow
def test_dsm_and_deen_tuned_over_one_range_are_tied(tmp_path: Path):
    sigma = {"low": 0.05, "high": 0.4, "log": True}
    methods = [{"name": name, "sigma": sigma} for name in ("dsm", "deen")]
    boards = [tuned(tmp_path, seed, methods, restarts=5, steps=300) for seed in range(5)]
    assert all(board.contestants[0].tied for board in boards)
