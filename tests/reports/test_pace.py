"""The time left is told from runs of the same kind, not from how many runs there are."""

import math

import pytest
from scorebench.bench.spec import RunResult
from scorebench.reports.pace import Pace
from scorebench.studies.cell import Cell, Slot
from scorebench.studies.rundir.rows import Row

EXACT, DSM, DEEN = (Cell(name, "rings", "langevin") for name in ("exact", "dsm", "deen"))


def runs(cell, count, seconds):
    compute = {"train_seconds": seconds / 2, "sample_seconds": seconds / 4,
               "score_seconds": seconds / 4, "train_evaluations": 1e9}  # fmt: skip
    result = RunResult(key="0", state="ok", metrics={}, compute=compute)
    return [Row(Slot(cell, "search", i, 0), "{}", result, "e0") for i in range(count)]


def test_nothing_is_said_of_trainings_before_one_has_ended():
    pace = Pace({EXACT: 100, DSM: 3}, [DSM])
    assert math.isnan(pace.seconds(1.0))
    pace.add(runs(EXACT, 99, 0.1))
    assert math.isnan(pace.seconds(10.0))
    pace.close(DSM)
    assert pace.seconds(9.9) == pytest.approx(0.1)


def test_long_runs_count_for_what_they_take():
    pace = Pace({EXACT: 100, DSM: 3, DEEN: 2}, [DSM, DEEN])
    pace.add(runs(EXACT, 100, 0.1))
    pace.add(runs(DSM, 1, 60.0))
    # Two trainings of one cell, and two of another that is taken to be like it.
    assert pace.seconds(70.0) == pytest.approx(4 * 60.0)
    # On two workers all of it takes half the time.
    assert pace.seconds(35.0) == pytest.approx(2 * 60.0)
    pace.add(runs(DEEN, 1, 10.0))
    assert pace.seconds(80.0) == pytest.approx(2 * 60.0 + 10.0)


def test_a_finished_cell_takes_no_more_time_whatever_was_foreseen():
    pace = Pace({DSM: 3}, [DSM])
    pace.add(runs(DSM, 1, 5.0))
    pace.close(DSM)
    assert pace.seconds(5.0) == 0
