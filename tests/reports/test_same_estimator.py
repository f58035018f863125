"""DSM and DEEN at one sigma are the same estimator: real runs have to come out tied."""

from pathlib import Path

import pytest
from scorebench.reports.ranking.verdict import answer
from scorebench.reports.source import load
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
