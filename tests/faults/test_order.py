"""Any number of workers, answering in any order, gives the same directory."""

import random
from concurrent.futures import FIRST_COMPLETED, Future

import pytest
from scorebench.studies import study as study_module
from scorebench.studies.execution import interrupt
from scorebench.studies.execution.pools import LostWorkerError, Pool
from scorebench.studies.study import run

from ..studies.conftest import contents, make_study
from ..studies.fake_engine import FakeEngine
from .conftest import often


class Anyhow(Pool):
    """Workers that answer in any order, and some of which are lost now and then."""

    def __init__(self, workers, seed, losses):
        self.workers = workers
        self.capacity = 2 * workers
        self._rng = random.Random(seed)
        self._losses = losses
        self._pending = []

    def submit(self, task, seconds=None):
        future = Future()
        self._pending.append((future, task))
        return future

    def settle(self):
        """Let some of the workers answer."""
        self._rng.shuffle(self._pending)
        for _ in range(self._rng.randint(1, len(self._pending))):
            future, task = self._pending.pop()
            if self._losses and self._rng.random() < 0.05:
                self._losses -= 1
                future.set_exception(LostWorkerError("lost"))
                continue
            try:
                future.set_result(task())
            except Exception as error:
                future.set_exception(error)

    def close(self, *, kill):
        pass


@pytest.mark.parametrize("workers", [1, 2, 4, 16])
def test_order_of_completion(finished, tmp_path, monkeypatch, figure, workers):
    real = interrupt.wait
    tries = often(3, 50)
    for seed in range(tries):
        pool = Anyhow(workers, seed, losses=2)

        def wait(futures, timeout=None, return_when=FIRST_COMPLETED, pool=pool):
            pool.settle()
            return real(futures, timeout=timeout, return_when=return_when)

        monkeypatch.setattr(study_module, "open_pool", lambda *a, pool=pool, **k: pool)
        monkeypatch.setattr(interrupt, "wait", wait)
        run(make_study(), tmp_path / str(seed), engine=FakeEngine())
        assert contents(tmp_path / str(seed)) == contents(finished)
    figure(f"{workers} workers, shuffled, some lost", f"{tries} studies, 0 tables differ")
