"""Many runs and many workers: the controller stays small, quick, and ahead of its workers."""

import itertools
import time
from pathlib import Path

import optuna
import pytest
from scorebench.studies import study as study_module
from scorebench.studies.execution import interrupt
from scorebench.studies.execution.events import RunsFinished
from scorebench.studies.specs.open import Template
from scorebench.studies.study import run

from ..studies.conftest import make_study
from ..studies.fake_engine import FakeEngine
from .conftest import often
from .simulated import Workers

MILLISECONDS = 15.0
"""Processor time of the controller per run, beside Optuna's."""

BYTES = 8192
"""Memory per run: its row, and Optuna's trial."""


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


class Clock:
    """Adds up what calls take of the processor."""

    def __init__(self):
        self.seconds = 0.0

    def timed(self, call):
        def timed(*args, **kwargs):
            began = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - began

        return timed


def cells(count, **search_settings):
    methods = [{"name": "beta", "label": f"beta_{n}"} for n in range(count)]
    return make_study(
        methods=methods, search={"finalists": 5, **search_settings}, confirm={"seeds": 10}
    )


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads its memory in /proc")
@pytest.mark.parametrize("shape", ["one cell", "many cells"])
def test_time_and_memory_per_run_stay_flat(tmp_path, monkeypatch, figure, shape):
    runs = often(300, 10_000)
    if shape == "one cell":
        study = make_study(methods=["beta"], search={"trials": runs, "sampler": "random"})
    else:
        study = cells(runs // 100, trials=80, sampler="random" if runs < 10_000 else "tpe")
    optunas = Clock()
    monkeypatch.setattr(optuna.Study, "ask", optunas.timed(optuna.Study.ask))
    monkeypatch.setattr(optuna.Study, "tell", optunas.timed(optuna.Study.tell))
    monkeypatch.setattr(Template, "suggest", optunas.timed(Template.suggest))
    marks = []

    def listen(event):
        if isinstance(event, RunsFinished) and event.done >= (len(marks) + 1) * runs / 5:
            own = time.process_time() - optunas.seconds
            marks.append((event.done, own, resident()))

    run(study, tmp_path / "out", listener=listen, engine=FakeEngine())
    parts = list(itertools.pairwise(marks))
    times = [1e3 * (b[1] - a[1]) / (b[0] - a[0]) for a, b in parts]
    (first, _, before), (last, _, after) = marks[0], marks[-1]
    memory = (after - before) / (last - first)
    assert max(times) <= MILLISECONDS
    assert times[-1] <= 1.5 * times[0] + 1
    assert memory <= BYTES
    figure(
        f"{last} runs in {shape}",
        f"{times[0]:.1f} ms each at first, {times[-1]:.1f} ms at last, {memory / 1024:.1f} KB each",
    )


def test_workers_are_kept_busy(tmp_path, monkeypatch, figure):
    workers = often(8, 32)
    study = cells(16, trials=20, sampler="random") if workers == 8 else cells(64, trials=60)
    pool = Workers(workers)
    monkeypatch.setattr(study_module, "open_pool", lambda *_, **__: pool)
    monkeypatch.setattr(interrupt, "wait", pool.wait)
    run(study, tmp_path / "out", engine=FakeEngine())
    assert pool.share >= 0.95
    figure(
        f"{workers} simulated workers, runs of 1 s",
        f"{pool.share:.1%} busy over {pool.busy:.0f} runs, start and end included",
    )
